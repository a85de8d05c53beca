"""What Serenade knows of a corpus, and what it asks of the code that decodes a recording."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from serenade.core.records import Listing
from serenade.core.stored_listing import StoredListing

__all__ = ["Corpus", "Examine", "Facts", "Store"]


class Facts(Protocol):
    """What one look at a recording tells; `serenade.signal.audio.AudioFacts` is one.

    The attributes: length in seconds, sample rate in Hz, number of channels, largest absolute sample (1.0 is full
    scale), hash of the file's bytes, acoustic fingerprint (None where it was not made or is not at hand).
    """

    @property
    def duration_s(self) -> float: ...  # noqa: D102 - said above

    @property
    def sample_rate(self) -> int: ...  # noqa: D102

    @property
    def channels(self) -> int: ...  # noqa: D102

    @property
    def peak(self) -> float: ...  # noqa: D102

    @property
    def content(self) -> str: ...  # noqa: D102

    @property
    def fingerprint(self) -> bytes | None: ...  # noqa: D102


Examine = Callable[[Path], Facts]
"""Decodes a recording; raises AudioError with a ``reason`` of `LeftOutReason` where it cannot be used."""


class Store(Protocol):
    """How the utterances of a corpus are put into a stored listing."""

    def __call__(self, root: Path, into: StoredListing, *, recordings_needed: bool) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus: what it is, who may use it, and how its files are listed.

    Args:
        name: the name in `CORPORA`.
        title: the name people use.
        language: ISO 639-1 code; None where the user's table says it.
        licence: under which the recordings are published.
        citation: whom to cite.
        homepage: where to get it.
        commercial_use: whether the licence permits commercial use; None where only the user can know.
        list_files: lists a folder by names alone, nothing is decoded; raises CorpusError if the corpus is not there.
        layout: what must lie in the root, in words.
        expected: utterances per class in the complete corpus; empty where there is no fixed number.
        looks_right: whether a folder has this layout, which is no other corpus's; None where any folder of sound may.
        list_labels: the same as `list_files` for a corpus whose recordings are elsewhere; None where that says it too.
        store: puts the same into a `StoredListing` without ever having it all at hand, for a corpus of any number of
            utterances; the last argument says whether one recording at least must be there. None where there is no
            such way.
        list_uncut: lists the same utterances as spans of recordings of whole dialogues, on the channel of who talks;
            None where a corpus has no such recordings beside those of the utterances.
        notes: what a user should know before trusting a number.
    """

    name: str
    title: str
    language: str | None
    licence: str
    citation: str
    homepage: str
    commercial_use: bool | None
    list_files: Callable[[Path], Listing]
    layout: str
    expected: Mapping[str, int] = field(default_factory=dict)
    notes: str = ""
    looks_right: Callable[[Path], bool] | None = None
    list_labels: Callable[[Path], Listing] | None = None
    list_uncut: Callable[[Path], Listing] | None = None
    store: Store | None = None
