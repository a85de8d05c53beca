"""``serenade corpus prepare``: cut the sound, faces and words of every utterance into a folder to train on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serenade.app.console import Progress
from serenade.app.options import Quiet
from serenade.core.wording import counted

if TYPE_CHECKING:
    from serenade.core.records import Listing
    from serenade.corpora import Corpus, Selection
    from serenade.experiments.preparation import Preparation, PreparationSettings

__all__ = ["prepare_corpus"]

_SHOWN = 5  # utterances named per reason


def prepare_corpus(
    corpus: Annotated[str, typer.Argument(help="NAME=PATH, such as iemocap=/data/IEMOCAP", show_default=False)],
    out: Annotated[Path, typer.Option(help="The folder to write to, new or of an interrupted call.")],
    detector: Annotated[str, typer.Option(help="What finds faces: auto, mtcnn or cascade.")] = "auto",
    require: Annotated[
        str | None, typer.Option(help="Leave out utterances without these, such as text,face,audio.")
    ] = None,
    uncut: Annotated[
        bool, typer.Option(help="Cut the sound from whole dialogues, the speaker's channel (iemocap).")
    ] = False,
    labels: Annotated[str | None, typer.Option(help="Only these classes, such as angry,happy,neutral,sad.")] = None,
    label_map: Annotated[str | None, typer.Option("--map", help="What counts as which class, such as merge.")] = None,
    where: Annotated[list[str] | None, typer.Option(help="Only utterances with this fact; repeat.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting, such as faces.which=tracked; repeat.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    device: Annotated[str, typer.Option(help="Where MTCNN finds faces: auto, cpu, cuda or cuda:N.")] = "auto",
    quiet: Quiet = False,
) -> None:
    """Cut the sound, faces and words of every utterance into a folder; read it as prepared=FOLDER.

    May be interrupted; the same call goes on where it stopped. What is left out is named with its reason.
    """
    from serenade.app.experiment import experiment_settings, selection_of
    from serenade.core.errors import CorpusError
    from serenade.corpora import CORPORA
    from serenade.experiments.preparation import prepare

    given = {"corpora": [corpus], "labels": labels, "label_map": label_map, "where": where or None}
    wanted = experiment_settings(None, given, [])
    (source,) = wanted.corpora
    known = CORPORA.resolve(source.name)
    chosen = _settings(known, detector, require, settings or [])
    listing = _listing(known, source.root, selection_of(wanted), uncut=uncut)
    if not listing.utterances:
        hint = f"See: serenade corpus check {source.name} {source.root} --no-audio"
        raise CorpusError("nothing in the corpus can be used", where=source.root, hint=hint)
    with Progress("Preparing", total=len(listing.utterances), unit="utterances", quiet=quiet) as progress:

        def show(done: int, total: int) -> None:
            progress.advance(done - progress.done)

        found = prepare(listing, out, chosen, workers=workers, device=device, progress=show)
    _print(found, out)


def _settings(corpus: "Corpus", detector: str, require: str | None, overrides: list[str]) -> "PreparationSettings":
    from serenade.core.settings import make_settings
    from serenade.experiments.preparation import PreparationSettings, published_frames

    values: dict[str, Any] = {"detector": detector, "frames": published_frames(corpus.name).model_dump()}
    if require is not None:
        values["require"] = tuple(name.strip() for name in require.split(","))
    return make_settings(PreparationSettings, values, overrides, where="--set")


def _listing(corpus: "Corpus", root: Path, selection: "Selection", *, uncut: bool) -> "Listing":
    from serenade.core.errors import UsageError
    from serenade.corpora import read_corpus
    from serenade.corpora.selection import select

    if not uncut:
        return read_corpus(corpus.name, root, examine=None, selection=selection)
    if corpus.list_uncut is None:
        raise UsageError(
            f"{corpus.title} has no recordings of whole dialogues",
            hint="Leave --uncut away: its utterances are cut, or are spans already",
        )
    return select(corpus.list_uncut(root), selection, root)


def _print(found: "Preparation", out: Path) -> None:
    utterances, left_out = found.listing.utterances, found.listing.left_out
    counts = ", ".join(f"{count} with {name}" for name, count in found.modalities.items())
    print(f"{out}: {counted(len(utterances), 'utterance')}: {counts}")
    if found.pictures:
        share = found.faces / found.pictures
        print(f"A face in {found.faces} of {found.pictures} pictures ({share:.1%})")
    if found.done_before:
        print(f"{found.done_before} utterances were done before")
    print(f"{len(left_out)} left out" + (":" if left_out else ""))
    for reason in sorted({item.reason for item in left_out}):
        items = [item for item in left_out if item.reason == reason]
        print(f"  {reason}: {len(items)}")
        for item in items[:_SHOWN]:
            print(f"    {item.where}" + (f": {item.detail}" if item.detail else ""))
        if len(items) > _SHOWN:
            print(f"    and {len(items) - _SHOWN} more (all of them in left_out.jsonl)")
    if found.notes:
        print(f"Remarks on {counted(len(found.notes), 'utterance')}, such as {next(iter(found.notes))}:", end=" ")
        print(f"{'; '.join(next(iter(found.notes.values())))} (all of them in report.json)")
    print(f"Read it as: prepared={out}")
