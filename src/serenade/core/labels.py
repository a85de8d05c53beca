"""The one table of emotions, their spellings, and ordered label sets.

Indices and display names always derive from one `LabelSet`; nothing else in Serenade maps a class index to a name.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from serenade.core.errors import UsageError
from serenade.core.names import nearest

__all__ = ["EMOTIONS", "LabelSet", "canonical_emotion"]

# canonical name -> other spellings seen in corpora and toolkits (compared in lower case)
EMOTIONS: dict[str, tuple[str, ...]] = {
    "angry": ("anger", "ang", "a", "wut", "ärger", "aerger", "rage"),
    "bored": ("boredom", "boredem", "bor", "langeweile"),
    "calm": ("calmness", "cal"),
    "contempt": ("contemptuous", "con"),
    "disgusted": ("disgust", "dis", "ekel"),
    "excited": ("excitement", "exc"),
    "fearful": ("fear", "fea", "afraid", "scared", "angst"),
    "frustrated": ("frustration", "fru"),
    "happy": ("happiness", "hap", "joy", "freude", "joyful"),
    "neutral": ("neu", "neutrality"),
    "sad": ("sadness", "trauer"),
    "surprised": ("surprise", "sur", "ps", "pleasant_surprise"),
}
_SPELLINGS = {spelling: name for name, others in EMOTIONS.items() for spelling in (name, *others)}


def canonical_emotion(label: str) -> str | None:
    """The table's name for a spelling, or None where the table does not know it."""
    plain = unicodedata.normalize("NFC", label).strip().lower()  # a file name's umlaut may come in two pieces
    return _SPELLINGS.get(plain.replace(" ", "_").replace("-", "_"))


@dataclass(frozen=True, slots=True)
class LabelSet:
    """An ordered set of class names; a class's index is its place.

    Args:
        names: at least two different names, none empty, in index order.

    Raises:
        UsageError: fewer than two names, a name twice, or an empty one.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.names) < 2 or len(set(self.names)) != len(self.names) or not all(self.names):
            found = ", ".join(name or "an empty name" for name in self.names) or "none"
            raise UsageError("a label set needs at least two different names", found=found)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def index(self, name: str) -> int:
        """The index of a class.

        Raises:
            UsageError: the set does not hold the name.
        """
        if name not in self.names:
            close = nearest(name, self.names)
            raise UsageError(
                f"the label set has no class {name!r}",
                expected=f"one of {', '.join(self.names)}",
                hint=f"Did you mean {close!r}?" if close else None,
            )
        return self.names.index(name)

    @classmethod
    def of(cls, labels: Iterable[str]) -> "LabelSet":
        """The sorted set of the labels seen."""
        return cls(tuple(sorted(set(labels))))

    @classmethod
    def parse(cls, names: Sequence[str]) -> "LabelSet":
        """A set from names as a user writes them: known spellings become the table's names, others stay, sorted."""
        return cls.of(canonical_emotion(name) or name.strip() for name in names)
