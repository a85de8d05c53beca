"""The table of the eleven experiments on self-supervised features: ours beside the published."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from serenade.core.files import write_text
from serenade.reports.page import template_environment
from serenade.reports.published import PublishedExperiment, published_experiments
from serenade.reports.tables import Bounds, Figure, Table, marks_of, to_csv, to_latex, to_markdown

__all__ = ["ssl_table", "write_ssl_table"]

_STEM = "ssl"
_TITLE = "Self-supervised features: the eleven experiments"
_UNCERTAIN = "(?)"
_Cell = str | Figure | Bounds
_COLUMNS = (
    "#",
    "set",
    "input",
    "upstream",
    "FT",
    "AVG up",
    "aggregator",
    "AVG down",
    "WACC",
    "UACC",
    "pooled WA",
    "95 % interval",
    "pooled UA",
    "published WACC",
    "published UACC",
)
_MEANING = (
    "In per cent. WACC and UACC: of each fold, then the mean over folds; ± is the standard deviation over folds. "
    "Pooled: all test utterances together, with a bootstrap interval over speakers. FT: fine-tuned; AVG: five best "
    "epochs by validation accuracy averaged, of the upstream (up) and of what stands behind it (down)."
)
_SURE = (
    "Published: Morais et al., ICASSP 2022, on IEMOCAP (5,531 utterances, four classes, leave one session out), known "
    "from one transcription of the printed table. (?): that source contradicts another one or looks exchanged; good to "
    "about 0.3 and to be checked against the printed paper. The WACC of 1 to 4 and the UACC of 7 are confirmed."
)
_JOINT = (
    "Experiments 3 and 4 are the averaged networks of the first stage, head included (the other reading trains a head)."
)


def ssl_table(document: Mapping[str, Any]) -> Table:
    """A row for every experiment.

    Args:
        document: from `experiments.ssl_tables.read_ssl_table`.
    """
    published = published_experiments()
    rows = tuple(_row(row, published[row["number"]]) for row in document["rows"])
    return Table(_COLUMNS, rows, tuple(_notes(document)))


def _row(row: Mapping[str, Any], published: PublishedExperiment) -> tuple[_Cell, ...]:
    tuned = _tuned(row)
    return (
        str(row["number"]),
        row["group"],
        row["input"],
        _named(row),
        tuned,
        "no" if row["single"] else tuned,
        row["aggregator"],
        "no" if row["single"] else "yes",
        *_figures(row["summary"]),
        _published(published, "wa"),
        _published(published, "ua"),
    )


def _named(row: Mapping[str, Any]) -> str:
    if row["skipped"] is not None:
        return f"{row['upstream']} (not run)"
    if row["summary"] is None:
        return f"{row['upstream']} (not begun)"
    marks = marks_of(row["summary"])
    return f"{row['upstream']} ({', '.join(marks)})" if marks else str(row["upstream"])


def _tuned(row: Mapping[str, Any]) -> str:
    if len(row["fine_tuned"]) == len(row["parts"]):
        return "yes"
    return "BERT" if row["fine_tuned"] else "no"


def _figures(summary: Mapping[str, Any] | None) -> tuple[_Cell, ...]:
    if summary is None:
        return (Figure(None), Figure(None), Figure(None), Bounds(None, None), Figure(None))
    wa, ua = summary["metrics"]["wa"], summary["metrics"]["ua"]
    bounds = Bounds(_percent(wa["pooled"]["low"]), _percent(wa["pooled"]["high"]))
    pooled = [Figure(_percent(metric["pooled"]["mean"])) for metric in (wa, ua)]
    return (_fold_mean(wa), _fold_mean(ua), pooled[0], bounds, pooled[1])


def _fold_mean(metric: Mapping[str, Any]) -> Figure:
    return Figure(_percent(metric["fold_mean"]["mean"]), _percent(metric["fold_mean"]["std_folds"]))


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _published(published: PublishedExperiment, name: str) -> str:
    value = getattr(published, name)
    text = f"{value:.2f}"
    if name in published.other:
        text = f"{text} or {published.other[name]:.2f}"
    return f"{text} {_UNCERTAIN}" if name in published.uncertain else text


def _notes(document: Mapping[str, Any]) -> list[str]:
    rows = document["rows"]
    notes = [_MEANING, *([_JOINT] if document["joint"] else []), *_data(rows)]
    notes += [f"Not run: experiment {row['number']}: {row['skipped']}." for row in rows if row["skipped"] is not None]
    begun = [row for row in rows if row["summary"] is not None]
    unfinished = sorted({row["run"] for row in begun if not row["summary"]["state"]["complete"]})
    if unfinished:
        notes.append(f"Not finished: {', '.join(unfinished)}. The same command goes on with them.")
    notes.append(f"Upstreams: {'; '.join(f'{part} = {name}' for part, name in document['upstreams'].items())}.")
    notes += _shared([(row["number"], _own_notes(row["summary"])) for row in begun])
    return [*notes, *_averaging(begun), _SURE]


def _data(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What was tested, once for all runs: they share data and folds."""
    summary = next((row["summary"] for row in rows if row["summary"] is not None), None)
    if summary is None:
        return []
    data, split, seeds = summary["data"], summary["split"], len(summary["seeds"])
    return [
        f"{' and '.join(summary['corpus_titles'])}: {data['tested']:,} test utterances of {data['speakers']} speakers, "
        f"{len(summary['labels'])} classes ({', '.join(summary['labels'])}), split {split['name']}, {split['folds']} "
        f"folds, {seeds} {'seed' if seeds == 1 else 'seeds'}."
    ]


def _own_notes(summary: Mapping[str, Any]) -> list[str]:
    """What must be said of a run."""
    notes = list(summary["notes"])
    if summary["split"]["leaky"] is not None:
        notes.append(f"LEAKY: {summary['split']['leaky']}. The figures are too high.")
    if summary["synthetic"]:
        notes.append("Tested on synthetic voices, not on people.")
    return notes


def _shared(told: Sequence[tuple[int, Sequence[str]]]) -> list[str]:
    """Notes, each once, with the experiments it holds for where these are not all."""
    found: dict[str, list[int]] = {}
    for number, notes in told:
        for note in dict.fromkeys(notes):
            found.setdefault(note, []).append(number)
    return [
        note if len(numbers) == len(told) else f"Experiment {', '.join(map(str, numbers))}: {note}"
        for note, numbers in found.items()
    ]


def _averaging(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What averaging did to validation accuracy."""
    texts = []
    for row in rows:
        jobs = [job for job in row["averaged"] if job["mean"] is not None and job["best"] is not None]
        if jobs:
            best, mean = (100 * sum(job[key] for job in jobs) / len(jobs) for key in ("best", "mean"))
            texts.append(f"experiment {row['number']} {best:.1f} and {mean:.1f}")
    return (
        [f"Validation WA of the best epoch and of the average, mean over folds: {'; '.join(texts)}."] if texts else []
    )


def write_ssl_table(document: Mapping[str, Any], out: Path) -> list[Path]:
    """Write the table as Markdown, LaTeX, CSV and a page.

    Returns:
        What was written.

    Raises:
        MissingExtraError: jinja2 is not installed.
        StorageError: the disk is full or refuses.
    """
    table = ssl_table(document)
    texts = {
        f"{_STEM}.md": to_markdown(table),
        f"{_STEM}.tex": to_latex(table),
        f"{_STEM}.csv": to_csv(table),
        f"{_STEM}.html": _page(document, table),
    }
    for name, text in texts.items():
        write_text(out / name, f"{text}\n")
    return [out / name for name in texts]


def _page(document: Mapping[str, Any], table: Table) -> str:
    summaries = [row["summary"] for row in document["rows"] if row["summary"] is not None]
    figures = [name in _COLUMNS[8:] for name in table.columns]
    rows = [
        [(cell if isinstance(cell, str) else cell.text(), figure) for cell, figure in zip(row, figures, strict=True)]
        for row in table.rows
    ]
    shown = {"columns": list(zip(table.columns, figures, strict=True)), "rows": rows, "notes": table.notes}
    return (
        template_environment()
        .get_template("mtl_table.html.j2")
        .render(
            style=files("serenade.reports").joinpath("templates/style.css").read_text(encoding="utf-8"),
            title=_TITLE,
            tables=[("", shown)],
            figures=[],
            leaky=any(summary["split"]["leaky"] is not None for summary in summaries),
            synthetic=any(summary["synthetic"] for summary in summaries),
            version=summaries[0]["versions"].get("serenade", ""),
        )
    )
