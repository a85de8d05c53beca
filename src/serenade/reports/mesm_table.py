"""The tables of MESM: figures by emotion beside the published ones and the answer "no", and the study of p."""

import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from serenade.core.files import write_text
from serenade.core.wording import counted
from serenade.reports.paper_figures import PaperFigure, write_pictures
from serenade.reports.raster import standalone_svg
from serenade.reports.svg import Axes, circle, drawing, path, text
from serenade.reports.tables import Bounds, Figure, Table, to_csv, to_latex, to_markdown

__all__ = ["mesm_table", "write_mesm_table"]

_METRICS = {"accuracy": "acc.", "weighted_accuracy": "WAcc", "f1": "F1", "auc": "AUC"}
_MEANING = (
    "In per cent, of the answer yes or no to each emotion, above thresholds chosen on validation: accuracy, weighted "
    "accuracy (the balanced one), F1 of yes, area under the curve; all folds together, mean over seeds. The interval, "
    "of 95%, resamples speakers."
)
_NO = "no: the answer no to every emotion. Where emotions are rare its accuracy is high; compare with it."
_COLOURS = {
    "accuracy": "#3559c7",
    "flops": "#e07b39",
    "seconds": "#1c8a5b",
    "published": "#6a4bb5",
}
_PER_FRAME = ("M per face", "M per piece")
_Cell = str | Figure | Bounds


def mesm_table(document: Mapping[str, Any]) -> Table:
    """A row for every model, one for the answer "no", and the published rows.

    Args:
        document: from `experiments.mesm_tables.read_mesm_table`.
    """
    if document["table"] == "top-p":
        return _top_p_table(document)
    done = [row["found"] for row in document["rows"] if row["found"] is not None]
    labels = done[0]["labels"]
    rows: list[tuple[_Cell, ...]] = []
    if document["table"] == "main":
        rows.append(("no", "computed", *_means(done[0]["always_no"]), *_by_class(done[0]["always_no"])))
    for row in document["rows"]:
        if row["found"] is None:
            rows.append((row["title"], "ours (not begun)", *(Figure(None) for _ in range(4 + len(labels)))))
            continue
        figures = row["found"]["figures"]
        whole = "ours" if row["found"]["complete"] else "ours (unfinished)"
        rows.append((row["title"], whole, *_means(figures), *_by_class(figures)))
        if bounds := row["found"]["intervals"]:
            rows.append((row["title"], "interval", *_bounds(bounds), *("" for _ in labels)))
        rows += _published(document, row, labels)
    columns = ("model", "figures", *_METRICS.values(), *(f"{label} acc./F1" for label in labels))
    first = [_NO] if document["table"] == "main" else []
    return Table(columns, tuple(rows), (_MEANING, *first, *_branches(document["rows"]), *_notes(done)))


def _branches(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the branches of a network reach by themselves."""
    told = []
    for row in rows:
        areas = {} if row["found"] is None else row["found"]["branches"]
        each = ", ".join(f"{name} {_percent(area).text()}" for name, area in areas.items() if area is not None)
        if each:
            told.append(f"{row['title']}: AUC of its branches alone: {each}.")
    return told


def _means(figures: Mapping[str, Any]) -> list[Figure]:
    return [_percent(figures[name]["mean"]) for name in _METRICS]


def _bounds(bounds: Mapping[str, tuple[float, float]]) -> list[Bounds]:
    pairs = [bounds.get(name) for name in _METRICS]
    return [Bounds(None, None) if pair is None else Bounds(100 * pair[0], 100 * pair[1]) for pair in pairs]


def _by_class(figures: Mapping[str, Any]) -> list[str]:
    pairs = zip(figures["accuracy"]["classes"], figures["f1"]["classes"], strict=True)
    return [f"{100 * accuracy:.1f}/{100 * f1:.1f}" for accuracy, f1 in pairs]


def _percent(value: float | None) -> Figure:
    return Figure(None if value is None else 100 * value)


def _published(document: Mapping[str, Any], row: Mapping[str, Any], labels: Sequence[str]) -> list[tuple[_Cell, ...]]:
    """The paper's row of the same model, where the corpus is one of the paper's."""
    paper = _read()
    corpus = document["corpora"][0] if len(document["corpora"]) == 1 else ""
    part = paper.get(corpus) if document["table"] == "main" else paper.get(document["table"])
    if part is None or part.get("corpus", corpus) != corpus or row["name"] not in part["rows"]:
        return []
    values = part["rows"][row["name"]]
    metric = part.get("metric", "accuracy")
    means = {metric: values[-2], "f1": values[-1]}
    by_class = [""] * len(labels)
    if len(values) > 2 and list(labels) == part["classes"]:
        by_class = [f"{values[2 * k]:.1f}/{values[2 * k + 1]:.1f}" for k in range(len(labels))]
    return [(row["title"], f"published, {part['source']}", *(Figure(means.get(name)) for name in _METRICS), *by_class)]


def _notes(done: Sequence[Mapping[str, Any]]) -> list[str]:
    first = done[0]
    notes = [f"{first['tested']:,} test utterances, {counted(len(first['labels']), 'class')}, split {first['split']}."]
    undefined = [
        label
        for label, value in zip(first["labels"], first["figures"]["weighted_accuracy"]["classes"], strict=True)
        if value is None
    ]
    if undefined:
        names = ", ".join(undefined)
        notes.append(f"Of {names} all true answers are alike: WAcc and AUC are means over the other emotions.")
    if first["leaky"] is not None:
        notes.append(f"LEAKY: {first['leaky']}. The figures are too high.")
    if first["synthetic"]:
        notes.append("Tested on generated clips, not on people.")
    return notes


def _top_p_table(document: Mapping[str, Any]) -> Table:
    published = _published_shares(document)
    rows: list[tuple[_Cell, ...]] = []
    for row in document["rows"]:
        found, share = row["found"], _share(row)
        paper = published.get(share, (None, None))
        if found is None:
            rows.append((row["title"], *(Figure(None) for _ in range(9)), Figure(paper[0]), Figure(paper[1])))
            continue
        cost = found["cost"]
        each = cost["utterances"]
        rows.append(
            (
                row["title"],
                *_means(found["figures"]),
                Figure(100 * cost["flops"] / cost["dense_flops"]),
                *(_millions(cost["per_frame"].get(name)) for name in ("face", "audio")),
                Figure(1000 * cost["seconds"] / each),
                Figure(found["train_s"]),
                *(Figure(value) for value in paper),
            )
        )
    columns = (
        "model",
        *_METRICS.values(),
        "FLOPs",
        *_PER_FRAME,
        "ms",
        "training s",
        "published acc.",
        "published FLOPs",
    )
    done = [row["found"] for row in document["rows"] if row["found"] is not None]
    costs = (
        "FLOPs: of the CNN parts and the attention, in per cent of the dense network, which is the row FE2E; then in "
        "millions, two per multiplication with addition, of one face and of one piece of sound. ms: processor time of "
        "scoring an utterance. training s: of all folds and seeds. Published FLOPs in per cent of FE2E's; their scope "
        "is not stated."
    )
    return Table(columns, tuple(rows), (_MEANING, costs, *_text_cost(done), *_notes(done)))


def _millions(flops: float | None) -> Figure:
    return Figure(None if flops is None else flops / 1e6)


def _text_cost(done: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the text encoder takes beside all that, the same in every row."""
    cost = done[0]["cost"]
    each = cost["text_flops"] / cost["utterances"] / 1e6
    return [f"The text encoder is not in these FLOPs: it takes {each:,.2f} million per utterance."]


def _share(row: Mapping[str, Any]) -> float:
    """p of a row; 1 for the dense network, as the paper draws it."""
    return float(row["changes"].get("top_p", 1.0))


def _published_shares(document: Mapping[str, Any]) -> dict[float, tuple[float, float]]:
    """Accuracy and FLOPs as a share of the dense network's, by p; empty for another corpus."""
    study = _read()["top_p"]
    if document["corpora"] != [study["corpus"]]:
        return {}
    triples = zip(study["p"], study["accuracy"], study["flops"], strict=True)
    return {p: (accuracy, 100 * flops / study["flops"][-1]) for p, accuracy, flops in triples}


def _figure(document: Mapping[str, Any]) -> PaperFigure:
    """Accuracy, operations and time against p, the latter two in per cent of the dense network's."""
    rows = sorted((row for row in document["rows"] if row["found"] is not None), key=_share)
    dense = next((row["found"]["cost"] for row in rows if _share(row) == 1), None)
    curves: dict[str, list[tuple[float, float]]] = {"accuracy": [], "flops": [], "seconds": []}
    for row in rows:
        found, p = row["found"], _share(row)
        curves["accuracy"].append((p, 100 * found["figures"]["accuracy"]["mean"]))
        curves["flops"].append((p, 100 * found["cost"]["flops"] / found["cost"]["dense_flops"]))
        if dense is not None:
            curves["seconds"].append((p, 100 * found["cost"]["seconds"] / dense["seconds"]))
    if shares := _published_shares(document):
        curves["published"] = [(p, accuracy) for p, (accuracy, _) in shares.items()]
    caption = (
        "By p: mean accuracy; operations of the CNN parts and time of scoring in per cent of the dense network, which "
        "stands at p = 1."
    )
    return PaperFigure("mesm-top-p", caption, _curves({name: points for name, points in curves.items() if points}))


def _curves(curves: Mapping[str, list[tuple[float, float]]]) -> str:
    top = max(100.0, *(y for points in curves.values() for _, y in points))
    axes = Axes(46, 24, 420, 230, (0.0, 1.02), (0.0, top * 1.02))
    ticks = {p / 10: f"{p / 10:g}" for p in range(1, 11)}
    parts = [axes.frame(ticks, {float(y): str(y) for y in range(0, int(top) + 1, 20)}, "p", "per cent")]
    titles = {
        "accuracy": "accuracy",
        "flops": "FLOPs",
        "seconds": "time of scoring",
        "published": "accuracy, published",
    }
    for place, (name, points) in enumerate(curves.items()):
        colour, at = _COLOURS[name], [axes.at(*point) for point in points]
        parts.append(path(at, fill="none", stroke=colour, stroke_width=2.0))
        tips = zip(at, points, strict=True)
        parts += [circle(x, y, 3.0, fill=colour, tip=f"p {p:g}: {value:.1f}") for (x, y), (p, value) in tips]
        parts.append(circle(490, 40 + 20 * place, 4.0, fill=colour))
        parts.append(text(500, 44 + 20 * place, titles[name], class_="label"))
    return drawing(640, 300, parts, label="Accuracy, operations and time against the share of attention kept")


def write_mesm_table(document: Mapping[str, Any], out: Path) -> list[Path]:
    """Write the table as Markdown, LaTeX and CSV, named after it, and the study of p as SVG and PNG.

    Returns:
        What was written; no PNG where Pillow is not installed.

    Raises:
        StorageError: the disk is full or refuses.
    """
    table, stem = mesm_table(document), f"mesm-{document['table']}"
    figures = [_figure(document)] if document["table"] == "top-p" else []
    texts = {
        f"{stem}.md": to_markdown(table),
        f"{stem}.tex": to_latex(table),
        f"{stem}.csv": to_csv(table),
        **{f"{stem}.svg": standalone_svg(figure.figure) for figure in figures},
    }
    for file, content in texts.items():
        write_text(out / file, f"{content}\n")
    return [*(out / file for file in texts), *write_pictures(figures, out)]


def _read() -> dict[str, Any]:
    return tomllib.loads(files("serenade.reports.published").joinpath("mesm.toml").read_text(encoding="utf-8"))
