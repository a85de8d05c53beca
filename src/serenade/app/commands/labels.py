"""``serenade labels``: the emotions that Serenade knows, how others spell them, and the maps between label sets."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from serenade.core.label_maps import LabelMap

__all__ = ["labels"]


def labels(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="WORD...", help="Tell what these words of yours are read as.")
    ] = None,
    label_map: Annotated[
        str | None, typer.Option("--map", help="Tell what a map makes of the words: merge, or such as excited=happy.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List known emotions and maps between label sets, or tell what words are read as.

    Example: serenade labels Wut exc boredom --map merge
    """
    from serenade.core.label_maps import LABEL_MAPS, LabelMap, parse_label_map
    from serenade.core.labels import EMOTIONS

    if words or label_map is not None:
        chosen = parse_label_map(label_map) if label_map is not None else LabelMap({})
        _tell(_read_words(words or list(EMOTIONS), chosen), as_json=as_json)
        return
    if as_json:
        maps = {name: {"changes": dict(known.changes), "about": known.about} for name, known in LABEL_MAPS.items()}
        print(json.dumps({"emotions": EMOTIONS, "maps": maps}, indent=1, ensure_ascii=False))
        return
    print("Emotions, and other ways to write them:")
    for name, others in EMOTIONS.items():
        print(f"  {name:<11} {', '.join(others)}")
    print("\nMaps for --map:")
    for name, known in LABEL_MAPS.items():
        print(f"  {name:<16} {known}\n  {'':<16} {known.about}")


def _read_words(words: list[str], chosen: "LabelMap") -> dict[str, str | None]:
    """Every word with the class it counts as; None where it is left out."""
    from serenade.core.labels import canonical_emotion

    return {word: chosen.apply(canonical_emotion(word) or word) for word in words}


def _tell(read: dict[str, str | None], *, as_json: bool) -> None:
    from serenade.core.labels import EMOTIONS

    if as_json:
        print(json.dumps(read, indent=1, ensure_ascii=False))
        return
    for word, name in read.items():
        own = "" if name is None or name in EMOTIONS else "    (a class of your own)"
        print(f"{word} -> {'left out' if name is None else name}{own}")
