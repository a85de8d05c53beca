"""How predictions are written: row by row, so that any number fits in memory and an interruption keeps what is done.

=======  ==============================================================================================
table    aligned text for people: emotion, probability of every class, start, end, file
json     one array of objects: file, start, end, speaker, label, score, uncertain, scores
jsonl    one such object a line
csv      file, start, end, speaker, label, score, uncertain, then the probability of every class
hf       what a Hugging Face classification pipeline returns: a list of {label, score}, best first;
         of several rows a list of such lists
=======  ==============================================================================================

Where the model tells them, valence, arousal and dominance (0 to 1) stand behind `uncertain`. Probabilities have 6
decimals, times (seconds) 3. Names that are not valid UTF-8 stay what they are.
"""

import csv
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self, TextIO

from serenade.core.records import Prediction

__all__ = [
    "ATTRIBUTES",
    "CSV_COLUMNS",
    "CsvWriter",
    "HuggingFaceWriter",
    "JsonLinesWriter",
    "JsonWriter",
    "RowWriter",
    "TableWriter",
    "printable",
    "to_row",
]

CSV_COLUMNS = ("file", "start", "end", "speaker", "label", "score", "uncertain")
ATTRIBUTES = ("valence", "arousal", "dominance")


def to_row(prediction: Prediction) -> dict[str, Any]:
    """A prediction in the words of the formats, rounded as they show it."""
    told = {} if prediction.attributes is None else {name: getattr(prediction.attributes, name) for name in ATTRIBUTES}
    return {
        "file": prediction.file,
        "start": round(prediction.start_s, 3),
        "end": round(prediction.end_s, 3),
        "speaker": prediction.speaker,
        "label": prediction.label,
        "score": round(prediction.score, 6),
        "uncertain": prediction.uncertain,
        **{name: None if value is None else round(value, 6) for name, value in told.items()},
        "scores": {name: round(score, 6) for name, score in prediction.scores.items()},
    }


class RowWriter(ABC):
    """Writes predictions to a text stream, used as a context; leaving it completes the output also after an error.

    Args:
        stream: where to; it is flushed after every row and not closed.
        labels: the classes, in the order of the columns.
        resumed: rows stand there already, so nothing is written before the next one.
        attributes: the model tells valence, arousal and dominance, so a table has columns for them.
    """

    def __init__(
        self, stream: TextIO, labels: Sequence[str], *, resumed: bool = False, attributes: bool = False
    ) -> None:
        self._stream, self._labels = stream, tuple(labels)
        self._columns = (*CSV_COLUMNS, *(ATTRIBUTES if attributes else ()))
        self._rows = 0
        if not resumed:
            self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, OSError):  # the stream is gone: writing more would hide why
            self._end()
            self._stream.flush()

    def write(self, prediction: Prediction) -> None:
        """Write one row."""
        self.put(to_row(prediction))

    def put(self, row: dict[str, Any]) -> None:
        """Write one row in the words of the formats."""
        self._write(row)
        self._rows += 1
        self._stream.flush()

    def _begin(self) -> None:  # noqa: B027 - some formats have nothing there
        ...

    @abstractmethod
    def _write(self, row: dict[str, Any]) -> None: ...

    def _end(self) -> None:  # noqa: B027
        ...


class TableWriter(RowWriter):
    """Aligned text; the file stands last, because its length is not known beforehand."""

    def _begin(self) -> None:
        self._label_width = max(len(name) for name in (*self._labels, "emotion"))
        cells = [f"{'emotion':{self._label_width}}", *(f"{name:>{_width(name)}}" for name in self._labels)]
        self._stream.write("  ".join([*cells, f"{'start':>8}", f"{'end':>8}", "file"]) + "\n")

    def _write(self, row: dict[str, Any]) -> None:
        cells = [f"{row['label']:{self._label_width}}"]
        cells += [f"{row['scores'][name]:>{_width(name)}.2f}" for name in self._labels]
        cells += [f"{row['start']:8.2f}", f"{row['end']:8.2f}", printable(row["file"])]
        self._stream.write("  ".join(cells) + "\n")


class JsonLinesWriter(RowWriter):
    """One object a line."""

    def _write(self, row: dict[str, Any]) -> None:
        self._stream.write(_json(row) + "\n")


class JsonWriter(RowWriter):
    """One array; it is closed also when the work is interrupted."""

    def _begin(self) -> None:
        self._stream.write("[")

    def _write(self, row: dict[str, Any]) -> None:
        self._stream.write((",\n " if self._rows else "\n ") + _json(row))

    def _end(self) -> None:
        self._stream.write("\n]\n" if self._rows else "]\n")


class CsvWriter(RowWriter):
    """Comma-separated values with a header."""

    def _begin(self) -> None:
        self._put([*self._columns, *self._labels])

    def _write(self, row: dict[str, Any]) -> None:
        cells = [str(value).lower() if isinstance(value, bool) else value for value in map(row.get, self._columns)]
        self._put([*cells, *(row["scores"][name] for name in self._labels)])

    def _put(self, cells: Sequence[object]) -> None:
        csv.writer(self._stream, lineterminator="\n").writerow(cells)


class HuggingFaceWriter(RowWriter):
    """Lists of {label, score}; the first row is held back until it is known whether it is the only one."""

    _first: str | None = None

    def _write(self, row: dict[str, Any]) -> None:
        best_first = sorted(row["scores"].items(), key=lambda item: -item[1])
        text = json.dumps([{"label": label, "score": score} for label, score in best_first], ensure_ascii=False)
        if self._rows == 0:
            self._first = text
            return
        if self._rows == 1:
            self._stream.write(f"[{self._first}")
        self._stream.write(f",\n {text}")

    def _end(self) -> None:
        self._stream.write("]\n" if self._rows > 1 else f"{self._first or '[]'}\n")


def _width(label: str) -> int:
    return max(4, len(label))


def _json(row: dict[str, Any]) -> str:
    """JSON in readable UTF-8; in escapes where a file name is not UTF-8, so that the output always is."""
    text = json.dumps(row, ensure_ascii=False)
    return text if text.isascii() or _is_utf8(text) else json.dumps(row)


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def printable(name: str | None) -> str:
    """A file name that cannot move the cursor or break the line."""
    if name is None:
        return "-"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
