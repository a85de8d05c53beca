"""The result tables of papers: our figures beside the published ones, each with its protocol."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from serenade.core.files import write_text
from serenade.core.wording import counted
from serenade.reports.page import template_environment
from serenade.reports.paper_figures import PaperFigure, paper_figures, write_pictures
from serenade.reports.published import PublishedRow
from serenade.reports.raster import standalone_svg
from serenade.reports.tables import METRIC_TITLES, Bounds, Figure, Table, marks_of, to_latex, to_markdown

__all__ = ["paper_csv", "paper_table", "write_paper_table"]

_SHOWN = ("wa", "ua", "macro_f1", "weighted_f1")
_ALL = "all"
_CORPUS_TITLES = {"iemocap": "IEMOCAP"}
_TITLES = {
    "main": "GLAM and the networks it is compared with",
    "ablations": "Ablations of GLAM",
    "mixup": "GLAM by mixup's alpha",
    "attention-pooling": "Attention pooling and the heads it is compared with",
}
_MEANING = (
    "In per cent. Ours: all folds together, ± is the standard deviation over seeds, an interval is a bootstrap over "
    "speakers. Published: ± is the standard deviation over seeds; – is not given."
)
_MICRO = (
    "The GLAM paper prints weighted F1 under the name micro F1; here it has its true name. Micro F1 equals WA, since "
    "every turn has one class. The paper's names of classes are permuted in its figures per class (its happy is "
    "sadness, its sad anger, its angry excitement), so only figures over all classes stand here."
)
_ONE_SPLIT = (
    "Published: every seed drew a split of its own. Ours: the seeds share one split and differ in weights and batches "
    "only, so our ± leaves out what the split adds."
)


def paper_table(document: Mapping[str, Any], published: Sequence[PublishedRow], *, intervals: bool = False) -> Table:
    """The table of a paper with our figures.

    Args:
        document: from `experiments.paper_tables.read_table`.
        published: figures of the paper; those of other models than the table's are left out.
        intervals: whether a row of intervals stands below each row of ours.
    """
    left = _of_models(document, published)
    rows: list[tuple[str | Figure | Bounds, ...]] = []
    for cell in document["cells"]:
        rows += _our_rows(document, cell, intervals)
        beside = [row for row in left if _is_of(row, document, cell)]
        rows += [_published_row(row) for row in beside]
        left = [row for row in left if row not in beside]
    rows += [_published_row(row) for row in left]
    columns = ("data", "model", "figures", "protocol", "seeds", *(METRIC_TITLES[name] for name in _SHOWN))
    return Table(columns, tuple(rows), tuple(_notes(document, _of_models(document, published))))


def _of_models(document: Mapping[str, Any], published: Iterable[PublishedRow]) -> list[PublishedRow]:
    models = {cell["model"] for cell in document["cells"]}
    return [row for row in published if row.quoted or row.model in models]


def _is_of(row: PublishedRow, document: Mapping[str, Any], cell: Mapping[str, Any]) -> bool:
    """Whether a published row is of the same data and model as a row of ours."""
    same_data = document["corpora"] == [row.corpus] and document["fact"] == "part"
    return same_data and (row.part, row.model) == (cell["part"], cell["model"])


def _our_rows(
    document: Mapping[str, Any], cell: Mapping[str, Any], intervals: bool
) -> list[tuple[str | Figure | Bounds, ...]]:
    summary, data = cell["summary"], _our_data(document, cell)
    if summary is None:
        return [(data, cell["model"], "ours (not begun)", "", "", *(Figure(None) for _ in _SHOWN))]
    marks = marks_of(summary)
    name = f"ours ({', '.join(marks)})" if marks else "ours"
    pooled = [summary["metrics"][metric]["pooled"] for metric in _SHOWN]
    figures = [Figure(_percent(p["mean"]), _percent(p["std"])) for p in pooled]
    head = (data, cell["model"], name, summary["split"]["name"], str(len(summary["seeds"])))
    rows: list[tuple[str | Figure | Bounds, ...]] = [(*head, *figures)]
    if intervals and pooled[0]["low"] is not None:
        bounds = [Bounds(_percent(p["low"]), _percent(p["high"])) for p in pooled]
        rows.append(("", "", f"{pooled[0]['level']:.0%} interval", "", "", *bounds))
    return rows


def _our_data(document: Mapping[str, Any], cell: Mapping[str, Any]) -> str:
    titles = next((c["summary"]["corpus_titles"] for c in document["cells"] if c["summary"] is not None), None)
    return _data(" + ".join(titles if titles is not None else document["corpora"]), cell["part"], document["fact"])


def _data(corpus: str, part: str, fact: str | None) -> str:
    return corpus if fact is None else f"{corpus}, {part}"


def _published_row(row: PublishedRow) -> tuple[str | Figure | Bounds, ...]:
    kind = "quoted" if row.quoted else "published"
    name = kind if row.leaky is None else f"{kind} (LEAKY)"
    figures = [Figure(*row.figures[metric]) if metric in row.figures else Figure(None) for metric in _SHOWN]
    return (_data(_CORPUS_TITLES[row.corpus], row.part, "part"), row.model, name, row.protocol, "", *figures)


def _notes(document: Mapping[str, Any], published: Sequence[PublishedRow]) -> list[str]:
    done = [cell for cell in document["cells"] if cell["summary"] is not None]
    notes = [_MEANING, f"Ours: {document['pipeline']}."]
    if document["table"] != "attention-pooling":
        notes.append(_MICRO)
    notes += [_sizes(document, part) for part in dict.fromkeys(cell["part"] for cell in done)]
    notes += _own_notes(done)
    if any(cell["summary"]["split"]["name"].startswith("random") for cell in done) and published:
        notes.append(_ONE_SPLIT)
    unfinished = [c["run"] for c in document["cells"] if c["summary"] is None or not c["summary"]["state"]["complete"]]
    if unfinished:
        notes.append(f"Not finished: {', '.join(unfinished)}. The same command goes on with them.")
    sources = {(row.source, row.protocol): row for row in published}
    for (source, protocol), row in sources.items():
        leak = "" if row.leaky is None else f" LEAKY: {row.leaky}, so the figures are too high."
        notes.append(f"{'Quoted' if row.quoted else 'Published'}: {source}; {protocol}.{leak}")
    return list(dict.fromkeys(notes))


def _sizes(document: Mapping[str, Any], part: str) -> str:
    """How much data a part has; it differs between parts, and so do classes."""
    cell = next(c for c in document["cells"] if c["part"] == part and c["summary"] is not None)
    summary = cell["summary"]
    return (
        f"{_our_data(document, cell)}: {summary['data']['utterances']} utterances of {summary['data']['speakers']} "
        f"speakers, {counted(len(summary['labels']), 'class')} ({', '.join(summary['labels'])})."
    )


def _own_notes(done: Sequence[Mapping[str, Any]]) -> list[str]:
    """What must be said of our rows, each once, with the runs it holds for."""
    runs: dict[str, list[str]] = {}
    for cell in done:
        for note in _notes_of(cell["summary"]):
            runs.setdefault(note, []).append(cell["run"])
    return [note if len(of) == len(done) else f"{', '.join(of)}: {note}" for note, of in runs.items()]


def _notes_of(summary: Mapping[str, Any]) -> list[str]:
    notes = []
    if summary["split"]["leaky"] is not None:
        notes.append(f"Ours is LEAKY: {summary['split']['leaky']}. The figures are too high.")
    if summary.get("protocol") is not None:
        notes.append(f"Ours is TRANSDUCTIVE: {summary['protocol']}.")
    if summary["synthetic"]:
        notes.append("Ours was tested on synthetic voices, not on people.")
    return [*notes, *(note for note in summary["notes"] if not note.startswith("This run is not finished"))]


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def paper_csv(document: Mapping[str, Any], published: Sequence[PublishedRow]) -> str:
    """A row for each row of the table and metric, ours and published, in per cent."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    head = ["data", "part", "model", "figures", "protocol", "leaky", "seeds", "complete"]
    writer.writerow([*head, "metric", "mean", "std", "low", "high"])
    for cell in document["cells"]:
        summary = cell["summary"]
        if summary is None:
            continue
        split = summary["split"]
        row = [_our_data(document, cell), cell["part"], cell["model"], "ours", split["name"], split["leaky"] or "no"]
        row += [str(len(summary["seeds"])), "yes" if summary["state"]["complete"] else "no"]
        for name in METRIC_TITLES:
            pooled = summary["metrics"][name]["pooled"]
            writer.writerow([*row, name, *(_number(_percent(pooled[kind])) for kind in ("mean", "std", "low", "high"))])
    for line in _of_models(document, published):
        kind = "quoted" if line.quoted else "published"
        row = [_data(_CORPUS_TITLES[line.corpus], line.part, "part"), line.part, line.model, kind, line.protocol]
        for name, (mean, std) in line.figures.items():
            writer.writerow([*row, line.leaky or "no", "", "", name, _number(mean), _number(std), "", ""])
    return out.getvalue().rstrip("\n")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def write_paper_table(
    document: Mapping[str, Any], published: Sequence[PublishedRow], out: Path, *, intervals: bool = False
) -> list[Path]:
    """Write the table as Markdown, LaTeX, CSV and a page, named after the table, and its figures as SVG and PNG.

    Returns:
        What was written; no PNG where Pillow is not installed.

    Raises:
        MissingExtraError: jinja2 is not installed.
        StorageError: the disk is full or refuses.
    """
    table = paper_table(document, published, intervals=intervals)
    name, figures = document["table"], paper_figures(document)
    texts = {
        f"{name}.md": to_markdown(table),
        f"{name}.tex": to_latex(table),
        f"{name}.csv": paper_csv(document, published),
        f"{name}.html": _page(table, document, figures),
        **{f"{figure.name}.svg": standalone_svg(figure.figure) for figure in figures},
    }
    for file, content in texts.items():
        write_text(out / file, f"{content}\n")
    return [*(out / file for file in texts), *write_pictures(figures, out)]


def _page(table: Table, document: Mapping[str, Any], figures: Sequence[PaperFigure]) -> str:
    rows = [[(cell if isinstance(cell, str) else cell.text(), not isinstance(cell, str)) for cell in row]
            for row in table.rows]  # fmt: skip
    version = next(c["summary"]["versions"]["serenade"] for c in document["cells"] if c["summary"] is not None)
    return (
        template_environment()
        .get_template("paper_table.html.j2")
        .render(
            style=files("serenade.reports").joinpath("templates/style.css").read_text(encoding="utf-8"),
            title=_TITLES[document["table"]],
            columns=table.columns,
            first_figure=len(table.columns) - len(_SHOWN),
            rows=rows,
            notes=table.notes,
            figures=figures,
            leaky=any(c["summary"] is not None and c["summary"]["split"]["leaky"] for c in document["cells"]),
            version=version,
        )
    )
