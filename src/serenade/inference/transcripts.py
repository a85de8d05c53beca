"""What is said in recordings: from files beside them, from a table, or written down by a function of the user's."""

import importlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from serenade.core.errors import SerenadeError, UsageError
from serenade.corpora.side_table import read_side_table

__all__ = ["Spoken", "Transcriber", "Words", "find_transcriber", "plain_words", "read_transcript"]

_TIMES = re.compile(r"(?:(\d+):)?(\d+):(\d+)[.,](\d+)\s*-->\s*(?:(\d+):)?(\d+):(\d+)[.,](\d+)")
_TAG = re.compile(r"<[^>]*>")
_BESIDE = (".srt", ".vtt", ".txt")
_FILE, _TEXT = "file", "text"


@dataclass(frozen=True, slots=True)
class Spoken:
    """Words and when they are said.

    Args:
        text: the words.
        start_s: where they begin; 0 where that is not known.
        end_s: where they end; None where that is not known.
    """

    text: str
    start_s: float = 0.0
    end_s: float | None = None


Transcriber = Callable[[Path], str | Sequence[Spoken]]
"""Writes down what is said in a recording: an ASR of the user's."""


@dataclass(frozen=True, slots=True)
class Words:
    """Where the words of recordings come from; without any of these, from a file beside each, under its name.

    Args:
        transcript: the file of the one recording.
        asr: ``module:function`` that writes them down.
        table: a table with the columns file and text.

    Raises:
        UsageError: more than one of them is given.
    """

    transcript: Path | None = None
    asr: str | None = None
    table: Path | None = None

    def __post_init__(self) -> None:
        if sum(source is not None for source in (self.transcript, self.asr, self.table)) > 1:
            raise UsageError(
                "the words are to come from several places",
                expected="one of --transcript, --transcripts and --asr",
            )

    @property
    def told(self) -> bool:
        """Whether it is said where they come from."""
        return self != Words()

    def require_one(self, recordings: int) -> None:
        """Pass unless one file is to be the transcript of several recordings.

        Raises:
            UsageError: it is.
        """
        if self.transcript is not None and recordings != 1:
            raise UsageError(
                "a transcript is of one recording",
                found=f"{recordings} recordings",
                hint="Name one; for several put NAME.txt or NAME.srt beside each, or say --transcripts TABLE or "
                "--asr module:function",
            )

    def of(self, recording: Path) -> str | Sequence[Spoken]:
        """The words of a recording; none where nothing tells them.

        Raises:
            UsageError: the file cannot be read, there is no such function, or it fails.
            CorpusError: the table cannot be read.
        """
        if self.asr is not None:
            return _written_down(self.asr, recording)
        if self.table is not None:
            return _from_table(self.table, recording)
        beside = (recording.with_suffix(suffix) for suffix in _BESIDE)
        found = self.transcript if self.transcript is not None else next((p for p in beside if p.is_file()), None)
        return "" if found is None else read_transcript(found)


def plain_words(words: str | Sequence[Spoken]) -> str:
    """Words without their times."""
    return words if isinstance(words, str) else " ".join(spoken.text for spoken in words)


def _from_table(table: Path, recording: Path) -> str:
    """Of the row that names the recording: its path, else its name, else its name without suffix."""
    texts = _read_table(table)
    keys = (str(recording), recording.as_posix(), recording.name, recording.stem)
    return next((texts[key] for key in keys if key in texts), "")


@lru_cache(maxsize=2)
def _read_table(table: Path) -> Mapping[str, str]:
    rows = read_side_table(table, key=_FILE, columns=(_TEXT,))
    return {name: row.cells.get(_TEXT, "") for name, row in rows.items()}


def read_transcript(path: Path) -> list[Spoken]:
    """The words of a text file; with their times from subtitles (SRT, WebVTT).

    Raises:
        UsageError: the file cannot be read as text.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            "the transcript cannot be read", where=path, found=str(error), expected="UTF-8 text, SRT or WebVTT"
        ) from error
    if "-->" not in text:
        plain = " ".join(text.split())
        return [Spoken(plain)] if plain else []
    return list(_captions(text))


def _captions(text: str) -> Iterator[Spoken]:
    """What stands below a line of times up to an empty line."""
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n")):
        found = _TIMES.search(block)
        if found is None:
            continue
        start, end = (_seconds(*found.groups()[4 * place : 4 * place + 4]) for place in range(2))
        words = " ".join(_TAG.sub("", block[found.end() :].partition("\n")[2]).split())
        if words and end > start:
            yield Spoken(words, start, end)


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str) -> float:
    return 3600 * int(hours or 0) + 60 * int(minutes) + int(seconds) + float(f"0.{fraction}")


def _written_down(asr: str, recording: Path) -> str | Sequence[Spoken]:
    """What a function of the user's has written down."""
    transcriber = find_transcriber(asr)
    try:
        words = transcriber(recording)
    except SerenadeError:
        raise
    except Exception as error:  # whatever a function of somebody else's may raise
        raise UsageError(
            "the function that transcribes has failed", where=recording, found=f"{type(error).__name__}: {error}"
        ) from error
    if isinstance(words, str) or (isinstance(words, Sequence) and all(isinstance(word, Spoken) for word in words)):
        return words
    raise UsageError(
        "the function that transcribes gave no words",
        where=recording,
        found=type(words).__name__,
        expected="text, or a list of serenade.inference.transcripts.Spoken",
    )


def find_transcriber(name: str) -> Transcriber:
    """The function of the user's that ``module:function`` names.

    Raises:
        UsageError: there is none.
    """
    module, colon, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute) if colon else None
    except (ImportError, AttributeError) as error:
        raise UsageError("there is no such function to transcribe with", found=name, expected=str(error)) from error
    if not callable(found):
        raise UsageError("this is no function to transcribe with", found=name, expected="module:function")
    transcriber: Transcriber = found
    return transcriber
