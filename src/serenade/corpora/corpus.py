"""What Serenade knows of a corpus, and what it asks of the code that decodes a recording."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from serenade.core.records import Listing

__all__ = ["Corpus", "Examine", "Facts"]


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
