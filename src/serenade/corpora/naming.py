"""Reading what the name of a recording says, and saying what is wrong with a name that cannot be."""

import re
import unicodedata
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from serenade.core.labels import canonical_emotion
from serenade.core.records import LeftOut, LeftOutReason
from serenade.corpora.layout import is_sound

__all__ = ["contradiction", "holds", "plain_words", "read_stem"]

_MOST_SHOWN = 12  # values that are named in a complaint


def read_stem(
    path: Path, where: str, pattern: re.Pattern[str], *, example: str, **known: Collection[str]
) -> dict[str, str] | LeftOut:
    """The named groups of a file's stem, or why it is no recording of the corpus.

    Args:
        path: the file.
        where: how to call it in the report.
        pattern: what the stem must match as a whole; a stem with accents in two pieces is composed before.
        example: a stem that matches, for the complaint.
        known: per group the values that can be. One that is not is an "unknown label" in the group ``emotion`` and an
            "unreadable name" in any other.
    """
    if not is_sound(path):
        return LeftOut(where, "other material", "not a sound file")
    found = pattern.fullmatch(unicodedata.normalize("NFC", path.stem))
    if found is None:
        return LeftOut(where, "unreadable name", f"expected a name such as {example}")
    groups = {name: value for name, value in found.groupdict().items() if value is not None}
    for name, values in known.items():
        if name in groups and groups[name] not in values:
            reason: LeftOutReason = "unknown label" if name == "emotion" else "unreadable name"
            return LeftOut(where, reason, f"{name} {groups[name]}, expected {_one_of(values)}")
    return groups


def _one_of(values: Collection[str]) -> str:
    names = sorted(values)
    if len(names) > _MOST_SHOWN:
        return f"one of {names[0]} to {names[-1]}"
    return f"one of {', '.join(names)}"


def holds(folder: Path, pattern: re.Pattern[str]) -> bool:
    """Whether a sound file lies in the folder (not below it) whose stem matches.

    Raises:
        OSError: the folder cannot be entered.
    """
    return folder.is_dir() and any(is_sound(path) and pattern.fullmatch(path.stem) for path in folder.iterdir())


def contradiction(where: str, emotion: str) -> LeftOut | None:
    """Why a recording cannot be of its class: it lies in a folder of another; None where no folder says so.

    Args:
        where: the path below the root. Folders are named like a class, or like it behind a word (``OAF_angry``).
        emotion: the class that the file's name tells.
    """
    for folder in PurePosixPath(where).parts[:-1]:
        said = canonical_emotion(folder) or canonical_emotion(folder.partition("_")[2])
        if said is not None and said != emotion:
            return LeftOut(where, "unknown label", f"{emotion} by its name, in the folder {folder}")
    return None


def plain_words(text: str) -> str:
    """The words without case, punctuation and blanks at the ends, as a key for equal sentences."""
    return " ".join(re.findall(r"\w+", unicodedata.normalize("NFC", text).casefold()))
