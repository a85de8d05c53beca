"""Tables of results and comparisons as plain text, Markdown, LaTeX and CSV.

Figures are per cent. A leaky, unfinished or synthetic run is marked in its own row of every format, with the reason in
a note below.
"""

import csv
import io
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serenade.core.names import NameTable
from serenade.core.wording import counted

__all__ = [
    "METRIC_TITLES",
    "TABLE_FORMATS",
    "Bounds",
    "Figure",
    "Table",
    "comparison_table",
    "marks_of",
    "notes_of",
    "p_text",
    "result_table",
    "to_csv",
    "to_latex",
    "to_markdown",
    "to_text",
]

METRIC_TITLES = {
    "wa": "WA",
    "ua": "UA",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "micro_f1": "micro F1",
}
"""Metrics in the order of the tables, and how they are called there."""
_SHOWN = ("wa", "ua", "macro_f1", "weighted_f1")
"""Metrics shown to people; micro F1 equals WA, which a note says. CSV has all."""
_TEXT_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of a table, in per cent.

    Args:
        mean: the value; None where it is not defined.
        std: standard deviation; None where there is none.
        signed: whether a plus is written.
    """

    mean: float | None
    std: float | None = None
    signed: bool = False

    def text(self, plus_minus: str = " ± ", minus: str = "−") -> str:
        """The number as people read it, such as ``79.3 ± 1.2``."""
        if self.mean is None:
            return "–"
        mean = f"{self.mean:+.1f}" if self.signed else f"{self.mean:.1f}"
        text = mean.replace("-", minus)
        return text if self.std is None else f"{text}{plus_minus}{self.std:.1f}"


@dataclass(frozen=True, slots=True)
class Bounds:
    """An interval of a table, in per cent.

    Args:
        low: lower bound; None where there is no interval.
        high: upper bound.
        signed: whether a plus is written.
    """

    low: float | None
    high: float | None
    signed: bool = False

    def text(self) -> str:
        """The bounds as people read them, such as ``72.1 to 80.4``; empty where there are none."""
        if self.low is None or self.high is None:
            return ""
        return f"{Figure(self.low, signed=self.signed).text()} to {Figure(self.high, signed=self.signed).text()}"


_Cell = str | Figure | Bounds


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts and figures.

    Args:
        columns: headings.
        rows: as many cells each as there are columns.
        notes: sentences below it.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[_Cell, ...], ...]
    notes: tuple[str, ...] = ()


def result_table(summaries: Sequence[Mapping[str, Any]], table_format: str = "text") -> str:
    """Runs and their metrics, pooled and as fold means, above what guessing reaches.

    Args:
        summaries: from `experiments.summary.summarise`.
        table_format: a name of `TABLE_FORMATS`.

    Raises:
        UnknownNameError: there is no such format.
    """
    if table_format == "csv":
        return to_csv(_tidy(summaries))
    rows: list[tuple[_Cell, ...]] = []
    for summary in summaries:
        rows += _result_rows(summary)
    rows += _chance_rows(summaries)
    columns = ("run", "split", "seeds", "figure", *(METRIC_TITLES[name] for name in _SHOWN))
    notes = [_MEANING, *(note for summary in summaries for note in notes_of(summary))]
    return _render(Table(columns, tuple(rows), tuple(dict.fromkeys(notes))), table_format)


_MEANING = (
    "In per cent; micro F1 equals WA. Pooled: all folds together, ± is the standard deviation over seeds, the interval "
    "is a bootstrap over speakers. Fold mean: ± is the standard deviation over folds."
)


def _result_rows(summary: Mapping[str, Any]) -> list[tuple[_Cell, ...]]:
    head = (_marked(summary["name"], summary), summary["split"]["name"], str(len(summary["seeds"])))
    metrics = [summary["metrics"][name] for name in _SHOWN]
    pooled = [_percent(m["pooled"]["mean"], m["pooled"]["std"]) for m in metrics]
    rows: list[tuple[_Cell, ...]] = [(*head, "pooled", *pooled)]
    if metrics[0]["pooled"]["low"] is not None:
        bounds = [_bounds(m["pooled"]["low"], m["pooled"]["high"]) for m in metrics]
        rows.append(("", "", "", f"{metrics[0]['pooled']['level']:.0%} interval", *bounds))
    folds = [_percent(m["fold_mean"]["mean"], m["fold_mean"]["std_folds"]) for m in metrics]
    return [*rows, ("", "", "", "fold mean", *folds)]


def _chance_rows(summaries: Sequence[Mapping[str, Any]]) -> list[tuple[_Cell, ...]]:
    """A row for each chance level that occurs."""
    levels = dict.fromkeys(
        (len(s["labels"]), s["chance"]["majority"], s["chance"]["wa"], s["chance"]["ua"]) for s in summaries
    )
    return [
        (f"chance, {classes} classes", "", "", f"always {majority}", _percent(wa), _percent(ua), "", "")
        for classes, majority, wa, ua in levels
    ]


def _tidy(summaries: Sequence[Mapping[str, Any]]) -> Table:
    """A row for each run and metric: the form that other programs read."""
    columns = ("run", "system", "corpora", "split", "seeds", "leaky", "protocol", "synthetic", "complete", "metric")
    rows: list[tuple[_Cell, ...]] = []
    for s in summaries:
        head = (s["name"], s["system"], " ".join(s["corpora"]), s["split"]["name"], str(len(s["seeds"])))
        declared = (s["split"]["leaky"] or "no", s.get("protocol") or "")
        marks = (*declared, _yes(s["synthetic"]), _yes(s["state"]["complete"]))
        for name in METRIC_TITLES:
            pooled, folds = s["metrics"][name]["pooled"], s["metrics"][name]["fold_mean"]
            figures = (
                _percent(pooled["mean"], pooled["std"]),
                _bounds(pooled["low"], pooled["high"]),
                _percent(folds["mean"], folds["std_folds"]),
                _percent(s["chance"].get(name)),
            )
            rows.append((*head, *marks, name, *figures))
    return Table((*columns, "pooled", "interval", "fold mean", "chance"), tuple(rows))


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def comparison_table(comparison: Mapping[str, Any], table_format: str = "text") -> str:
    """Two runs, their paired differences, intervals and p values.

    Args:
        comparison: from `experiments.comparison.compare`.
        table_format: a name of `TABLE_FORMATS`.

    Raises:
        UnknownNameError: there is no such format.
    """
    first, second = comparison["a"], comparison["b"]
    rows = []
    for name in METRIC_TITLES if table_format == "csv" else _SHOWN:
        row = comparison["metrics"][name]
        rows.append(
            (
                METRIC_TITLES[name],
                _percent(row["a"]["mean"], row["a"]["std"]),
                _percent(row["b"]["mean"], row["b"]["std"]),
                Figure(100 * row["difference"], signed=True),
                _bounds(row["low"], row["high"], signed=True),
                p_text(row["p"]),
                p_text(row["wilcoxon_p"]),
            )
        )
    columns = (
        "metric",
        f"A: {_marked(first['name'], first)}",
        f"B: {_marked(second['name'], second)}",
        "B - A",
        "95% interval",
        "p",
        "p (folds)",
    )
    return _render(Table(columns, tuple(rows), _comparison_notes(comparison)), table_format)


def _comparison_notes(comparison: Mapping[str, Any]) -> tuple[str, ...]:
    row, data, mcnemar = comparison["metrics"]["ua"], comparison["data"], comparison["mcnemar"]
    notes = [
        f"In per cent; micro F1 equals WA. On the same {data['utterances']} utterances of {row['speakers']} speakers; "
        f"± is the standard deviation over seeds (A: {comparison['a']['seeds']}, B: {comparison['b']['seeds']}).",
    ]
    if row["p"] is not None:
        tried = "all swaps" if row["exact"] else "10,000 random swaps"
        notes.append(
            f"The interval resamples speakers; p swaps the two runs speaker by speaker ({tried}); {row['speakers']} "
            f"speakers allow no p below {p_text(_smallest_p(row['speakers'], row['exact']))}."
        )
    if row["wilcoxon_p"] is not None:
        notes.append(f"p (folds) is Wilcoxon's signed-rank test over {counted(row['folds'], 'fold')}.")
    notes.append(
        f"Only A is right on {counted(mcnemar['only_a'], 'utterance')}, only B on {mcnemar['only_b']} (McNemar's p "
        f"{p_text(mcnemar['p'])}, which takes utterances for independent)."
    )
    return tuple(dict.fromkeys([*notes, *comparison["notes"]]))


def _smallest_p(speakers: int, exact: bool) -> float:
    """The smallest p value that the permutation test can give: one pattern and its mirror image."""
    return min(1.0, 2 / 2**speakers) if exact else 1 / 10_001


def marks_of(head: Mapping[str, Any]) -> tuple[str, ...]:
    """What must stand beside every number of a run: LEAKY, TRANSDUCTIVE, synthetic, unfinished.

    Args:
        head: a summary, or one side of a comparison.
    """
    split, state = head["split"], head.get("state")
    leaky = split["leaky"] if isinstance(split, Mapping) else head["leaky"]
    complete = state["complete"] if state is not None else head["complete"]
    marks = (
        ("LEAKY", leaky is not None),
        ("TRANSDUCTIVE", head.get("protocol") is not None),
        ("synthetic", head["synthetic"]),
        ("unfinished", not complete),
    )
    return tuple(mark for mark, holds in marks if holds)


def notes_of(summary: Mapping[str, Any]) -> tuple[str, ...]:
    """What must be said below a table that shows a run."""
    name, notes = summary["name"], []
    if summary["split"]["leaky"] is not None:
        notes.append(f"{name} is LEAKY: {summary['split']['leaky']}. Its figures are too high.")
    if summary.get("protocol") is not None:
        notes.append(f"{name} is TRANSDUCTIVE: {summary['protocol']}.")
    if summary["synthetic"]:
        notes.append(f"{name} was tested on synthetic voices, not on people.")
    return (*notes, *(f"{name}: {note}" for note in summary["notes"]))


def _marked(name: str, head: Mapping[str, Any]) -> str:
    marks = marks_of(head)
    return f"{name} ({', '.join(marks)})" if marks else name


def _percent(mean: float | None, std: float | None = None) -> Figure:
    return Figure(None if mean is None else 100 * mean, None if std is None else 100 * std)


def _bounds(low: float | None, high: float | None, *, signed: bool = False) -> Bounds:
    return Bounds(None if low is None else 100 * low, None if high is None else 100 * high, signed)


def p_text(p: float | None) -> str:
    """A p value with two significant digits."""
    if p is None:
        return "–"
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def _render(table: Table, table_format: str) -> str:
    return TABLE_FORMATS.resolve(table_format)(table)


def to_text(table: Table) -> str:
    """Columns side by side for a terminal, figures flush right."""
    rows = [table.columns, *([_text(cell) for cell in row] for row in table.rows)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(table.columns))]
    right = [any(isinstance(row[place], Figure) for row in table.rows) for place in range(len(table.columns))]
    lines = [
        "  ".join(
            cell.rjust(width) if flush else cell.ljust(width)
            for cell, width, flush in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "  ".join("─" * width for width in widths))
    return "\n".join([*lines, *_below([textwrap.fill(note, _TEXT_WIDTH) for note in table.notes])])


def to_markdown(table: Table) -> str:
    """A Markdown table with its notes below."""
    right = [any(isinstance(row[place], Figure) for row in table.rows) for place in range(len(table.columns))]
    lines = [_pipes(table.columns), _pipes(["---:" if flush else "---" for flush in right])]
    lines += [_pipes([_text(cell) for cell in row]) for row in table.rows]
    return "\n".join([*lines, *(f"\n{note}" for note in table.notes)])


def _pipes(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def to_latex(table: Table) -> str:
    """A LaTeX tabular with booktabs rules; the notes are comments and a footnote-size paragraph."""
    right = [any(isinstance(row[place], Figure) for row in table.rows) for place in range(len(table.columns))]
    lines = [
        "% needs \\usepackage{booktabs}",
        f"\\begin{{tabular}}{{{''.join('r' if flush else 'l' for flush in right)}}}",
        "\\toprule",
        _ampersands([_escape_latex(cell) for cell in table.columns]),
        "\\midrule",
        *(_ampersands([_latex(cell) for cell in row]) for row in table.rows),
        "\\bottomrule",
        "\\end{tabular}",
    ]
    notes = [_escape_latex(note) for note in table.notes]
    return "\n".join([*lines, "", "\\par\\footnotesize", "\n\n".join(notes)] if notes else lines)


def _ampersands(cells: Sequence[str]) -> str:
    return " & ".join(cells) + " \\\\"


def _latex(cell: _Cell) -> str:
    if isinstance(cell, Figure):
        return "--" if cell.mean is None else f"${cell.text(_PLUS_MINUS, '-')}$"
    return _escape_latex(_text(cell))


_PLUS_MINUS = r" \pm "
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "±": r"$\pm$",
    "−": r"$-$",
    "–": "--",
    "→": r"$\rightarrow$",
    "×": r"$\times$",
}


def _escape_latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def to_csv(table: Table) -> str:
    """Comma-separated values: numbers in full, standard deviations and bounds in columns of their own, no notes."""
    columns = [_csv_column(table, place) for place in range(len(table.columns))]  # each with its heading or headings
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in zip(*columns, strict=True):
        writer.writerow([value for cell in row for value in cell])
    return out.getvalue().rstrip("\n")


def _csv_column(table: Table, place: int) -> list[list[str]]:
    name, cells = table.columns[place], [row[place] for row in table.rows]
    if any(isinstance(cell, Bounds) for cell in cells):
        return [[f"{name} low", f"{name} high"], *(_csv_pair(cell) for cell in cells)]
    if any(isinstance(cell, Figure) and cell.std is not None for cell in cells):
        return [[name, f"{name} std"], *(_csv_pair(cell) for cell in cells)]
    return [[name], *(_csv_pair(cell)[:1] for cell in cells)]


def _csv_pair(cell: _Cell) -> list[str]:
    if isinstance(cell, str):
        return [cell, ""]
    values = (cell.mean, cell.std) if isinstance(cell, Figure) else (cell.low, cell.high)
    return ["" if value is None else f"{value:.6g}" for value in values]


def _text(cell: _Cell) -> str:
    return cell if isinstance(cell, str) else cell.text()


def _below(notes: Sequence[str]) -> list[str]:
    return ["", *notes] if notes else []


TABLE_FORMATS: NameTable[Callable[[Table], str]] = NameTable(
    "table format",
    [(name, f"serenade.reports.tables:to_{name}") for name in ("text", "markdown", "latex", "csv")],
)
"""How a table can be written."""
