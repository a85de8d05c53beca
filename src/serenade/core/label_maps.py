"""Maps between label sets: which class counts as which other, and which are left out.

A map is declared by name or in a text form, checked against the classes that are there, and written into every record
of a run: what was merged changes a number more than most networks do.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from serenade.core.errors import UsageError
from serenade.core.labels import canonical_emotion
from serenade.core.names import did_you_mean

__all__ = ["LABEL_MAPS", "LabelMap", "parse_label_map"]

_DROP = "-"  # in the text form, what a class becomes that is left out


@dataclass(frozen=True, slots=True)
class LabelMap:
    """What becomes of each class; classes that are not named stay as they are.

    Args:
        changes: class to the class it counts as; None leaves its utterances out.
        about: what the map is for, for a reader.
    """

    changes: Mapping[str, str | None]
    about: str = ""

    def __str__(self) -> str:
        """The text form, which `parse_label_map` reads back.

        >>> print(LABEL_MAPS["exc_as_hap"])
        excited=happy,happy=-
        """
        pairs = sorted(self.changes.items())
        return ",".join(f"{old}={_DROP if new is None else new}" for old, new in pairs)

    def apply(self, label: str | None) -> str | None:
        """The class that a class counts as; None where it is left out, or where there was none."""
        return None if label is None else self.changes.get(label, label)

    def apply_to_votes(self, votes: Mapping[str, float]) -> dict[str, float]:
        """Votes by the classes of the map; votes for classes that are left out are lost."""
        mapped: dict[str, float] = {}
        for label, count in votes.items():
            name = self.apply(label)
            if name is not None:
                mapped[name] = mapped.get(name, 0) + count
        return mapped

    def require_known(self, present: Iterable[str], where: object) -> None:
        """Pass if every class that the map changes is in the data, or at least is a known emotion.

        Raises:
            UsageError: a class is neither; the nearest that is there is named.
        """
        there = sorted(set(present))
        for name in self.changes:
            if name not in there and canonical_emotion(name) is None:
                raise UsageError(
                    f"the label map changes the class {name!r}, which is not there",
                    where=where,
                    expected=f"some of {', '.join(there)}",
                    hint=did_you_mean(name, there),
                )


_POLARITY = {
    **dict.fromkeys(("angry", "sad", "fearful", "disgusted", "frustrated", "bored", "contempt", "anxious"), "negative"),
    **dict.fromkeys(("happy", "excited", "amused"), "positive"),
    "calm": "neutral",
    "surprised": None,
    "other": None,
}

LABEL_MAPS: dict[str, LabelMap] = {
    "merge": LabelMap({"excited": "happy"}, "excited counts as happy (IEMOCAP's usual four classes)"),
    "exc_as_hap": LabelMap(
        {"happy": None, "excited": "happy"}, "excited is called happy, and happy left out (GLAM's reference)"
    ),
    "hap_only": LabelMap({"excited": None}, "excited is left out"),
    "calm_as_neutral": LabelMap({"calm": "neutral"}, "calm counts as neutral (RAVDESS beside other corpora)"),
    "polarity": LabelMap(_POLARITY, "negative, neutral, positive; surprise can be either and is left out"),
}


def parse_label_map(text: str) -> LabelMap:
    """A map by its name, or from pairs such as ``excited=happy,frustrated=-``; ``-`` leaves a class out.

    Known spellings of an emotion may be used.

    >>> parse_label_map("exc=hap").changes
    {'excited': 'happy'}

    Raises:
        UsageError: there is no such map, a pair is not OLD=NEW, or a class is named twice.
    """
    if text in LABEL_MAPS:
        return LABEL_MAPS[text]
    changes: dict[str, str | None] = {}
    for pair in text.split(","):
        old, equals, new = (part.strip() for part in pair.partition("="))
        if not (old and equals and new):
            raise UsageError(
                "a label map is a name or pairs OLD=NEW",
                found=repr(text),
                expected=f"{', '.join(LABEL_MAPS)}, or such as excited=happy,frustrated={_DROP}",
                hint=did_you_mean(text, LABEL_MAPS),
            )
        name = canonical_emotion(old) or old
        if name in changes:
            raise UsageError(f"the label map changes the class {name!r} twice", found=repr(text))
        changes[name] = None if new == _DROP else canonical_emotion(new) or new
    return LabelMap(changes)
