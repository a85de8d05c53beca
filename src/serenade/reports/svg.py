"""Scalable drawings as text, made for a page: colours are CSS variables, so that they follow light and dark mode."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Axes", "again", "circle", "drawing", "image", "line", "panels", "path", "rect", "text", "time_ticks"]

_GAP = 26.0
_TITLE = 24.0


def drawing(width: float, height: float, parts: Sequence[str], *, label: str) -> str:
    """An SVG element that shrinks with its surroundings.

    Args:
        width: in CSS pixels, at which it is shown at most.
        height: in CSS pixels.
        parts: elements inside.
        label: what it shows, for people who do not see it.
    """
    return (
        f'<svg viewBox="0 0 {_number(width)} {_number(height)}" style="max-width:{_number(width)}px" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def panels(titled: Sequence[tuple[str, str]], *, columns: int, label: str, below: Sequence[str] = ()) -> str:
    """Drawings side by side in rows, as one drawing.

    Args:
        titled: a title and a `drawing` each.
        columns: drawings in a row at most.
        label: what all of them show.
        below: lines of a legend: elements that start at the left edge, 18 pixels high each.
    """
    sizes = [_size(figure) for _, figure in titled]
    columns = min(columns, len(titled))
    wide, high = max(width for width, _ in sizes), max(height for _, height in sizes) + _TITLE
    parts = []
    for place, (title, figure) in enumerate(titled):
        x, y = place % columns * (wide + _GAP), place // columns * (high + _GAP)
        inside = figure[figure.index(">") + 1 : -len("</svg>")]
        parts.append(text(x + wide / 2, y + 14, title, class_="label", text_anchor="middle"))
        parts.append(f'<g transform="translate({_number(x)} {_number(y + _TITLE)})">{inside}</g>')
    bottom = -(-len(titled) // columns) * (high + _GAP) - _GAP
    for row, content in enumerate(below):
        parts.append(f'<g transform="translate(0 {_number(bottom + 12 + 18 * row)})">{content}</g>')
    height = bottom + (12 + 18 * len(below) if below else 0)
    return drawing(columns * (wide + _GAP) - _GAP, height, parts, label=label)


def _size(figure: str) -> tuple[float, float]:
    found = re.match(r'<svg viewBox="0 0 ([\d.]+) ([\d.]+)"', figure)
    assert found is not None, "a drawing begins with its size"
    return float(found[1]), float(found[2])


def rect(x: float, y: float, width: float, height: float, *, tip: str = "", **style: str | float) -> str:
    """A rectangle; `tip` shows when the pointer rests on it."""
    place = {"x": x, "y": y, "width": max(width, 0.0), "height": max(height, 0.0)}
    return _element("rect", place, style, tip)


def line(x1: float, y1: float, x2: float, y2: float, **style: str | float) -> str:
    """A straight line."""
    return _element("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2}, style)


def path(points: Sequence[tuple[float, float]], *, closed: bool = False, **style: str | float) -> str:
    """A line through points, or an area."""
    steps = " L".join(f"{_number(x)} {_number(y)}" for x, y in points)
    return _element("path", {}, {"d": f"M{steps}{'Z' if closed else ''}", **style})


def text(x: float, y: float, content: str, **style: str | float) -> str:
    """A line of text at its baseline."""
    return f"<text{_attributes({'x': x, 'y': y, **style})}>{escape(content)}</text>"


def circle(x: float, y: float, radius: float, *, tip: str = "", **style: str | float) -> str:
    """A disc or ring."""
    return _element("circle", {"cx": x, "cy": y, "r": radius}, style, tip)


def image(x: float, y: float, width: float, height: float, uri: str, *, id_: str = "", **style: str | float) -> str:
    """A picture stretched to a rectangle; with an id it is kept for `again` and not shown by itself."""
    place: dict[str, str | float] = {"x": x, "y": y, "width": width, "height": height}
    place |= {"preserveAspectRatio": "none", "href": uri}
    if id_:
        return f'<defs><image id="{id_}"{_attributes({**place, **style})}/></defs>'
    return f"<image{_attributes({**place, **style})}/>"


def again(id_: str, x: float, y: float, **style: str | float) -> str:
    """A kept picture, moved."""
    return f'<use href="#{id_}"{_attributes({"x": x, "y": y, **style})}/>'


def _element(name: str, place: Mapping[str, float], style: Mapping[str, str | float], tip: str = "") -> str:
    inside = f"<title>{escape(tip)}</title>" if tip else ""
    return f"<{name}{_attributes({**place, **style})}>{inside}</{name}>"


def _attributes(values: Mapping[str, str | float]) -> str:
    """Attributes; ``class_`` and ``stroke_width`` become ``class`` and ``stroke-width``."""
    named = ((name.rstrip("_").replace("_", "-"), value) for name, value in values.items())
    return "".join(f' {name}="{value if isinstance(value, str) else _number(value)}"' for name, value in named)


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


@dataclass(frozen=True, slots=True)
class Axes:
    """A frame with two linear scales.

    Args:
        left: of the frame, in pixels.
        top: of the frame.
        width: of the frame.
        height: of the frame.
        x: data values at the left and right edge.
        y: data values at the bottom and top edge.
    """

    left: float
    top: float
    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixels of a data point."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return self.left + across * self.width, self.top + (1 - up) * self.height

    def frame(self, x_ticks: Mapping[float, str], y_ticks: Mapping[float, str], x_label: str, y_label: str) -> str:
        """Grid lines, tick labels and axis labels."""
        parts = []
        for value, name in y_ticks.items():
            y = self.at(self.x[0], value)[1]
            parts.append(line(self.left, y, self.left + self.width, y, class_="grid"))
            parts.append(text(self.left - 6, y + 4, name, class_="tick", text_anchor="end"))
        bottom = self.top + self.height
        for value, name in x_ticks.items():
            parts.append(text(self.at(value, 0)[0], bottom + 16, name, class_="tick", text_anchor="middle"))
        parts.append(line(self.left, bottom, self.left + self.width, bottom, class_="axis"))
        middle = self.left + self.width / 2
        parts.append(text(middle, bottom + 33, x_label, class_="label", text_anchor="middle"))
        parts.append(text(self.left, self.top - 8, y_label, class_="label"))
        return "".join(parts)


def time_ticks(start_s: float, end_s: float) -> dict[float, str]:
    """About ten round seconds inside a stretch, and how they are written."""
    steps = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, math.inf)
    step = next(s for s in steps if (end_s - start_s) / s <= 12)
    first, last = math.ceil(start_s / step - 1e-9), math.floor(end_s / step + 1e-9)
    return {place * step: f"{place * step:.4g}" for place in range(first, last + 1)}
