"""The filter-shape study as two drawings, a page and a CSV: accuracy and recall of every class by height and width."""

import csv
import io
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from serenade.core.files import write_text
from serenade.reports.figures import class_colour
from serenade.reports.page import badges_of, template_environment
from serenade.reports.published import published_curves
from serenade.reports.svg import Axes, circle, drawing, line, path, text

__all__ = ["CAVEAT", "shape_csv", "shape_figure", "write_study"]

CAVEAT = (
    "A shape picked from these curves is picked on the tested speakers, as the paper's 10 x 2 and 2 x 8 were: a "
    "selection on the test data. Unless the shape was chosen elsewhere, figures of a network that uses it are too good."
)
"""Said wherever the study is shown."""
_WIDTH, _HEIGHT = 720.0, 330.0
_LEFT, _TOP, _PLOT_WIDTH, _PLOT_HEIGHT = 46.0, 30.0, 500.0, 250.0
_MARGIN = 2.0  # points of per cent left free above and below the curves
_X_TICKS = 10
_OUTSIDE_STYLE = """
svg { background: #ffffff; color: #1b1f27; font-family: system-ui, "Segoe UI", Roboto, Arial, sans-serif; }
text { fill: #1b1f27; } .tick, .label { font-size: 12px; fill: #667085; } .label { font-weight: 600; }
.grid { stroke: #e4e7ec; } .axis { stroke: #667085; }
"""


def write_study(study: Mapping[str, Any], out: Path, *, published: bool) -> list[Path]:
    """Write a drawing for each side, the page and the CSV.

    Args:
        study: from `experiments.filter_shapes.read_study`.
        out: the folder.
        published: whether the paper's curves are drawn too, dashed.

    Returns:
        What was written.

    Raises:
        MissingExtraError: jinja2 is not installed.
        StorageError: the disk is full or refuses.
    """
    figures = {panel["axis"]: shape_figure(panel, study["labels"], published=published) for panel in study["panels"]}
    written = []
    for axis, figure in figures.items():
        written.append(out / f"filter-{axis}.svg")
        write_text(written[-1], _outside(figure))
    written += [out / "filter-shapes.csv", out / "filter-shapes.html"]
    write_text(out / "filter-shapes.csv", f"{shape_csv(study)}\n")
    write_text(out / "filter-shapes.html", _page(study, figures, published))
    return written


def _page(study: Mapping[str, Any], figures: Mapping[str, str], published: bool) -> str:
    head = study["head"]
    return (
        template_environment()
        .get_template("shapes.html.j2")
        .render(
            style=files("serenade.reports").joinpath("templates/style.css").read_text(encoding="utf-8"),
            title=f"Filter shapes on {' + '.join(head['corpus_titles'])}",
            head=head,
            badges=[badge for badge in badges_of(head) if not badge.text.startswith("unfinished")],
            panels=study["panels"],
            labels=study["labels"],
            figures=figures,
            colours={label: class_colour(label, study["labels"]) for label in study["labels"]},
            unfinished=study["unfinished"],
            caveat=CAVEAT,
            published=published,
        )
    )


def shape_figure(panel: Mapping[str, Any], labels: Sequence[str], *, published: bool = False) -> str:
    """WA and the recall of every class by the height or the width of the filter.

    Args:
        panel: of the study.
        labels: classes.
        published: whether the paper's curves are drawn too, dashed.
    """
    curves = _curves(panel, labels)
    dashed = published_curves(panel["axis"]) if published else {}
    drawn = [y for points in (*curves.values(), *dashed.values()) for y in points.values()]
    values = sorted({x for points in (*curves.values(), *dashed.values()) for x in points})
    low, high = _round_range(drawn)
    axes = Axes(_LEFT, _TOP, _PLOT_WIDTH, _PLOT_HEIGHT, (0, max(_X_TICKS, values[-1])), (low, high))
    step = next(step for step in (5, 10, 20) if (high - low) / step <= 6 or step == 20)
    y_ticks = {float(y): f"{y}" for y in range(int(low), int(high) + 1, step)}
    across, unit = ("bins", panel["unit"]) if panel["axis"] == "height" else ("frames", panel["unit"])
    label = f"filter {panel['axis']}, {across}{f' of {unit}' if unit[0].isdigit() else ''}"
    parts = [axes.frame(_x_ticks(values[-1]), y_ticks, label, "per cent")]
    for name, points in dashed.items():
        parts.append(_line(axes, points, name, labels, dashed=True))
    for name, points in curves.items():
        parts.append(_line(axes, points, name, labels))
    parts += _legend(curves, dashed, labels)
    return drawing(_WIDTH, _HEIGHT, parts, label=f"WA and recall of each class by {label}")


def _curves(panel: Mapping[str, Any], labels: Sequence[str]) -> dict[str, dict[int, float]]:
    """Per cent by value, of WA and of every class."""
    curves: dict[str, dict[int, float]] = {"wa": {p["value"]: 100 * p["wa"]["mean"] for p in panel["points"]}}
    for label in labels:
        recalls = {p["value"]: p["recall"].get(label, {}).get("mean") for p in panel["points"]}
        curves[label] = {value: 100 * recall for value, recall in recalls.items() if recall is not None}
    return curves


def _round_range(drawn: Sequence[float]) -> tuple[float, float]:
    """Multiples of 10 that enclose what is drawn, within 0 and 100."""
    low = max(0, int((min(drawn) - _MARGIN) // 10 * 10))
    high = min(100, int(-(-(max(drawn) + _MARGIN) // 10) * 10))
    return float(low), float(max(high, low + 10))


def _x_ticks(last: int) -> dict[float, str]:
    step = max(2, -(-last // _X_TICKS))
    step = next(rounded for rounded in (2, 5, 10, 20, 50, 100, step) if rounded >= step)
    return {float(x): f"{x}" for x in range(0, last + 1, step)}


def _line(axes: Axes, points: Mapping[int, float], name: str, labels: Sequence[str], *, dashed: bool = False) -> str:
    """A curve with a dot at every shape; WA is black and thicker."""
    if not points:
        return ""
    places = [axes.at(x, y) for x, y in sorted(points.items())]
    title, colour = "WA" if name == "wa" else name, _colour(name, labels)
    if dashed:
        return path(places, fill="none", stroke=colour, stroke_width=1.2, stroke_dasharray="4 4", opacity=0.8)
    dots = [
        circle(*place, 2.6, tip=f"{title}, {x}: {points[x]:.1f} %", fill=colour, class_=f"dot-of {_class(name)}")
        for place, x in zip(places, sorted(points), strict=True)
    ]
    width = 2.6 if name == "wa" else 1.8
    return path(places, fill="none", stroke=colour, stroke_width=width) + "".join(dots)


def _colour(name: str, labels: Sequence[str]) -> str:
    """WA has the colour of the text, a class its own."""
    return "currentColor" if name == "wa" else class_colour(name, labels)


def _class(name: str) -> str:
    return "wa" if name == "wa" else "class"


def _legend(curves: Mapping[str, Any], dashed: Mapping[str, Any], labels: Sequence[str]) -> list[str]:
    parts, x = [], _LEFT + _PLOT_WIDTH + 22
    for place, name in enumerate(curves):
        y = _TOP + 8 + 20 * place
        width = 2.6 if name == "wa" else 1.8
        parts.append(line(x, y, x + 18, y, stroke_width=width, stroke=_colour(name, labels)))
        parts.append(text(x + 25, y + 4, "WA" if name == "wa" else f"{name}, recall", class_="tick"))
    if dashed:
        y = _TOP + 16 + 20 * len(curves)
        parts.append(line(x, y, x + 18, y, stroke_width=1.2, stroke_dasharray="4 4", stroke="currentColor"))
        parts.append(text(x + 25, y + 4, "published (IEMOCAP)", class_="tick"))
    return parts


def _outside(figure: str) -> str:
    """The drawing as a file of its own, with the colours that the page would give it."""
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH:g}" height="{_HEIGHT:g}"'
    head, _, rest = figure.partition(">")
    return f"{head.replace('<svg', opening, 1)}><style>{_OUTSIDE_STYLE}</style>{rest}\n"


def shape_csv(study: Mapping[str, Any]) -> str:
    """A row for each shape of each side: values in per cent, means over seeds and their standard deviations."""
    labels = study["labels"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    recalls = [part for label in labels for part in (f"recall {label}", f"recall {label} std")]
    writer.writerow(["side", "value", "run", "seeds", "complete", "WA", "WA std", "UA", "UA std", *recalls])
    for panel in study["panels"]:
        for point in panel["points"]:
            figures = [point["wa"], point["ua"], *(point["recall"].get(label, {}) for label in labels)]
            numbers = [_number(figure.get(kind)) for figure in figures for kind in ("mean", "std")]
            head = [panel["axis"], point["value"], point["run"], point["seeds"], _yes(point["complete"])]
            writer.writerow([*head, *numbers])
    return out.getvalue().rstrip("\n")


def _number(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.6g}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
