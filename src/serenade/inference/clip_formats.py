"""How predictions of clips are written: the clip as a whole, then its windows, with what every branch says alone.

=====  ================================================================================================
table  a block for people: answers fused and of each branch, what is missing, a line for every window
json   one array of objects: file, start, end, whole, label, score, scores, answers, said, branches,
       missing, notes
jsonl  one such object a line
csv    file, start, end, whole, label, score, the probability of every class, the answers fused and of
       each branch (such as ``fused happy``, ``face happy``), said, missing, notes
=====  ================================================================================================

Probabilities have 6 decimals, times (seconds) 3. Answers are those to each emotion by itself; said are the emotions
whose answer is above the model's threshold.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from serenade.core.names import NameTable
from serenade.inference.formats import CsvWriter, RowWriter, printable

__all__ = ["CLIP_FORMATS", "ClipCsvWriter", "ClipTableWriter"]

_COLUMNS = ("file", "start", "end", "whole", "label", "score")
_FUSED = "fused"
_NARROWEST = 9  # columns of the table


class ClipCsvWriter(CsvWriter):
    """Comma-separated values with a header; cells of a branch that is missing are empty.

    Args:
        stream: where to.
        labels: the classes.
        modalities: the branches of the model.
        resumed: rows stand there already.
    """

    def __init__(
        self, stream: TextIO, labels: Sequence[str], modalities: Sequence[str], *, resumed: bool = False
    ) -> None:
        self._branches = (_FUSED, *modalities)
        super().__init__(stream, labels, resumed=resumed)

    def _begin(self) -> None:
        answers = (f"{branch} {label}" for branch in self._branches for label in self._labels)
        self._put([*_COLUMNS, *self._labels, *answers, "said", "missing", "notes"])

    def _write(self, row: dict[str, Any]) -> None:
        by_branch: Mapping[str, Mapping[str, float]] = {_FUSED: row["answers"], **row["branches"]}
        cells = [str(value).lower() if isinstance(value, bool) else value for value in map(row.get, _COLUMNS)]
        cells += [row["scores"][label] for label in self._labels]
        cells += [by_branch.get(branch, {}).get(label) for branch in self._branches for label in self._labels]
        missing = "; ".join(f"{name}: {reason}" for name, reason in row["missing"].items())
        self._put([*cells, " ".join(row["said"]), missing, "; ".join(row["notes"])])


class ClipTableWriter(RowWriter):
    """Blocks of aligned text; windows below the clip they are of."""

    def _write(self, row: dict[str, Any]) -> None:
        lines = self._block(row) if row["whole"] else [self._window(row)]
        gap = "\n" if row["whole"] and self._rows else ""
        self._stream.write(gap + "".join(f"{line}\n" for line in lines))

    def _block(self, row: dict[str, Any]) -> list[str]:
        head = f"{printable(row['file'])}: {row['label']} ({row['score']:.2f}), {row['end']:.1f} s"
        names = f"{'':<18}" + "".join(f"{label:>{self._width}}" for label in self._labels)
        branches = [self._answers(f"{name} alone", answers) for name, answers in row["branches"].items()]
        missing = [f"{name} is missing: {why}" for name, why in row["missing"].items() if why != "not asked for"]
        notes = [f"note: {note}" for note in row["notes"]]
        said = f"above its threshold: {', '.join(row['said']) or 'none'}"
        return [head, names, self._answers(_FUSED, row["answers"]), *branches, *missing, *notes, said]

    def _window(self, row: dict[str, Any]) -> str:
        answers = self._answers(f"{row['start']:.1f} to {row['end']:.1f} s", row["answers"])
        return f"{answers}  {row['label']} ({'+'.join(row['branches'])})"

    def _answers(self, name: str, answers: Mapping[str, float]) -> str:
        return f"{name:<18}" + "".join(f"{answers[label]:>{self._width}.2f}" for label in self._labels)

    @property
    def _width(self) -> int:
        return max(_NARROWEST, *(len(label) for label in self._labels)) + 1


CLIP_FORMATS: NameTable[type[RowWriter]] = NameTable(
    "output format of clips",
    [
        ("table", "serenade.inference.clip_formats:ClipTableWriter"),
        ("json", "serenade.inference.formats:JsonWriter"),
        ("jsonl", "serenade.inference.formats:JsonLinesWriter"),
        ("csv", "serenade.inference.clip_formats:ClipCsvWriter"),
    ],
)
"""What `serenade predict --format` takes for models of clips."""
