"""Seeing that a copy of a corpus is not whole: parts that were never unpacked, files that only stand for others."""

from collections.abc import Callable, Iterable
from pathlib import Path

from serenade.core.errors import CorpusError
from serenade.core.records import LeftOut, Listing, Utterance

__all__ = ["refuse_pointers", "with_absent"]

_POINTER = b"version https://git-lfs.github.com/spec/"


def with_absent(listing: Listing, part_of: Callable[[Utterance], str], parts: Iterable[str], *, kind: str) -> Listing:
    """The listing, and as "missing" every part of the corpus of which not one recording can be used.

    A copy that was unpacked halfway lacks whole speakers or classes; a few missing files show in the counts only.

    Args:
        listing: what was found.
        part_of: the part an utterance belongs to.
        parts: the parts of the complete corpus.
        kind: what a part is, in words.
    """
    present = {part_of(utterance) for utterance in listing.utterances}
    what = "not one recording of it, or none that can be used"
    absent = [LeftOut(f"{kind} {name}", "missing", what) for name in parts if name not in present]
    return Listing(listing.utterances, (*listing.left_out, *absent))


def refuse_pointers(listing: Listing, root: Path) -> Listing:
    """The listing, unless its first recording is a text that Git LFS keeps in a recording's place.

    Such texts are all that the zip of a repository with large files holds.

    Raises:
        CorpusError: names the file and how to get the recordings.
    """
    first = next((utterance.audio for utterance in listing.utterances if utterance.audio.is_file()), None)
    if first is None:  # a link into the void; it is told as missing when it is examined
        return listing
    with first.open("rb") as file:
        is_pointer = file.read(len(_POINTER)) == _POINTER
    if is_pointer:
        raise CorpusError(
            "the recordings were not downloaded",
            where=first,
            found="a text of Git LFS that stands for the recording",
            expected="a sound file",
            hint=f"Run 'git lfs pull' in a clone of the repository (not in its zip): {root}",
        )
    return listing
