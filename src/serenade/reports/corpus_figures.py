"""The figures of the page of a corpus: who says what, and how lengths, levels, noise and silence lie."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from serenade.reports.svg import Axes, drawing, line, path, rect, text

__all__ = ["heat_figure", "ridge_figure", "round_ticks"]

_MOST_BINS, _LEAST_BINS = 40, 20
_ROW = 26.0
_Values = NDArray[np.float64]
_STRONG = 0.62
"""Share of the fullest cell from which a number is written in the opposite tone."""


def heat_figure(counts: Mapping[tuple[str, str], int], rows: Sequence[str], columns: Sequence[str]) -> str:
    """How many utterances each speaker (row) has of each class (column); empty cells have a ring."""
    height = 24.0 if len(rows) <= 40 else 15.0
    width = max(34.0, min(104.0, 900 / len(columns)))
    left = 14 + 7.0 * max(map(len, rows))
    slanted = any(6.8 * len(name) > width - 6 for name in columns)
    top = 20 + (4.8 * max(map(len, columns)) if slanted else 8)
    most = max(counts.values())
    parts = []
    for place, name in enumerate(columns):
        x = left + (place + 0.5) * width
        turn = {"transform": f"rotate(-40 {x - 8:.1f} {top - 8:.1f})"} if slanted else {"text_anchor": "middle"}
        parts.append(text(x - (8 if slanted else 0), top - 8, name, class_="tick", **turn))
    for place, row in enumerate(rows):
        y = top + place * height
        parts.append(text(left - 8, y + height / 2 + 4, row, class_="tick", text_anchor="end"))
        cells = [(column, counts.get((row, column), 0)) for column in columns]
        parts += [
            _heat_cell((left + number * width, y), (width, height), f"{row}, {column}", count, most)
            for number, (column, count) in enumerate(cells)
        ]
    slack = 4.8 * len(columns[-1]) if slanted else 4
    label = "Utterances of every speaker and class"
    return drawing(left + width * len(columns) + slack, top + height * len(rows) + 4, parts, label=label)


def _heat_cell(place: tuple[float, float], size: tuple[float, float], name: str, count: int, most: int) -> str:
    (x, y), (width, height) = place, size
    share = count / most
    tip = f"{name}: {count}"
    box = rect(x + 1, y + 1, width - 2, height - 2, rx=3, class_="cell" if count else "hole", tip=tip)
    shade = rect(x + 1, y + 1, width - 2, height - 2, rx=3, class_="good", opacity=round(share, 3), tip=tip)
    tone = "on" if share > _STRONG else "off"
    size_px = {"style": "font-size:10px"} if height < 20 else {}
    number = text(
        x + width / 2, y + height / 2 + 4, str(count), class_=f"number {tone}", text_anchor="middle", **size_px
    )
    return box + shade + (number if count else "")


def ridge_figure(
    groups: Mapping[str, Sequence[float]], colours: Mapping[str, str], *, title: str, unit: str, scale: float = 1.0
) -> str | None:
    """One histogram under the other on a common axis, each with its median.

    What lies more than three interquartile ranges beyond the quartiles of all is counted at the edge.

    Args:
        groups: values by the name of the group.
        colours: a colour for each group.
        title: what is shown.
        unit: written at the axis.
        scale: values are multiplied by it.

    Returns:
        The drawing; None where there is no value.
    """
    known = {name: scale * np.asarray(values, dtype=np.float64) for name, values in groups.items() if len(values)}
    if not known:
        return None
    low, high = _extent(np.concatenate(list(known.values())))
    bins = int(np.clip(3 * np.sqrt(np.median([len(values) for values in known.values()])), _LEAST_BINS, _MOST_BINS))
    left = 12 + 6.8 * max(map(len, known))
    bottom = 14 + _ROW * len(known)
    axes = Axes(left, 14, 470 - left, _ROW * len(known), (low, high), (0, 1))
    parts = []
    for tick in round_ticks(low, high):
        x = axes.at(tick, 0)[0]
        parts.append(line(x, 10, x, bottom, class_="grid"))
        parts.append(text(x, bottom + 15, f"{tick:g}", class_="tick", text_anchor="middle"))
    for place, (name, values) in enumerate(known.items()):
        base = 14 + _ROW * (place + 1)
        parts.append(text(left - 8, base - 7, name, class_="tick", text_anchor="end"))
        parts.append(_ridge(axes, base, values, bins, colours[name], f"{name}: median {np.median(values):.3g} {unit}"))
    parts.append(line(left, bottom, 470, bottom, class_="axis"))
    parts.append(text(left + (470 - left) / 2, bottom + 31, f"{title}, {unit}", class_="label", text_anchor="middle"))
    return drawing(482, bottom + 38, parts, label=f"{title} in {unit}, a histogram for each of {', '.join(known)}")


def _ridge(axes: Axes, base: float, values: _Values, bins: int, colour: str, tip: str) -> str:
    low, high = axes.x
    counts, edges = np.histogram(np.clip(values, low, high), bins=bins, range=(low, high))
    heights = (_ROW - 5) * counts / counts.max()
    points = [axes.at(low, 0)]
    for height, begin, end in zip(heights, edges[:-1], edges[1:], strict=True):
        points += [(axes.at(begin, 0)[0], base - height), (axes.at(end, 0)[0], base - height)]
    points = [(points[1][0], base), *points[1:], (points[-1][0], base)]
    middle = axes.at(float(np.clip(np.median(values), low, high)), 0)[0]
    area = path(points, closed=True, fill=colour, opacity=0.75)
    median = line(middle, base, middle, base - _ROW + 6, class_="median")
    cover = rect(axes.left, base - _ROW + 2, axes.width, _ROW - 2, tip=tip, fill="transparent")
    return area + median + cover


def _extent(values: _Values) -> tuple[float, float]:
    """The range of all values but for far outliers, a little widened; never empty, and not below zero for nothing."""
    lower, upper = (float(value) for value in np.percentile(values, [25, 75]))
    reach = 3 * (upper - lower)
    low, high = max(float(values.min()), lower - reach), min(float(values.max()), upper + reach)
    margin = 0.03 * (high - low) if high > low else max(abs(low) * 0.05, 0.5)
    return (max(0.0, low - margin) if low >= 0 else low - margin), high + margin


def round_ticks(low: float, high: float) -> list[float]:
    """About five round values within a range that is not empty."""
    step = float(10 ** np.floor(np.log10((high - low) / 4)))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= 6)
    first, last = int(np.ceil(low / step)), int(np.floor(high / step))
    return [round(place * step, 10) for place in range(first, last + 1)]
