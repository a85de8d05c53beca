"""The figures of the page, each drawn from one part of a summary."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from serenade.reports.svg import Axes, circle, drawing, line, path, rect, text

__all__ = [
    "class_colour",
    "confusion_figure",
    "curves_figure",
    "interval_figure",
    "map_figure",
    "reliability_figure",
    "risk_figure",
]

# Hues that stay apart for colour-blind readers and stand out on white and on black.
_EMOTION_COLOURS = {
    "angry": "#e4572e",
    "bored": "#a1887f",
    "calm": "#4db6ac",
    "contempt": "#8d6e97",
    "disgusted": "#7cb342",
    "excited": "#ff7fb0",
    "fearful": "#9c6ade",
    "frustrated": "#c2733a",
    "happy": "#f2b01e",
    "neutral": "#90a4ae",
    "sad": "#4285d4",
    "surprised": "#26c6da",
}
_OTHER_COLOURS = ("#5c6bc0", "#66bb6a", "#ef6c9a", "#ffa726", "#00acc1", "#ab47bc", "#d4c441", "#8d6e63")
_NAMES_A_ROW = 3  # of curves, above their drawing
_STRONG = {"good": 0.62, "bad": 0.78}
"""Share from which a cell is so strongly coloured that its number is written in the opposite tone."""


def class_colour(label: str, labels: Sequence[str]) -> str:
    """The colour of a class: that of its emotion, else one by its place."""
    known = _EMOTION_COLOURS.get(label)
    return known if known is not None else _OTHER_COLOURS[labels.index(label) % len(_OTHER_COLOURS)]


def confusion_figure(counts: Sequence[Sequence[float]], labels: Sequence[str]) -> str:
    """Confusion counts as shares of the true class: rows true, columns predicted."""
    cell = max(30.0, min(58.0, 330 / len(labels)))
    left, top = 14 + 6.6 * max(map(len, labels)), 26 + 4.8 * max(map(len, labels))
    size = cell * len(labels)
    parts = []
    for row, (label, values) in enumerate(zip(labels, counts, strict=True)):
        y = top + row * cell
        parts.append(text(left - 8, y + cell / 2 + 4, label, class_="tick", text_anchor="end"))
        parts.append(_slanted(left + (row + 0.5) * cell, top - 8, label))
        total = sum(values)
        for column, value in enumerate(values):
            parts.append(_cell(left + column * cell, y, cell, value, total, (label, labels[column])))
    slack = 4.8 * len(labels[-1])  # the last slanted label leans out to the right
    parts.append(text(left - 8, top - 8, "true", class_="label", text_anchor="end"))
    return drawing(left + size + slack, top + size + 4, parts, label="Confusion matrix, rows true, columns predicted")


def _slanted(x: float, y: float, content: str) -> str:
    return text(x, y, content, class_="tick", transform=f"rotate(-40 {x:.1f} {y:.1f})")


def _cell(x: float, y: float, size: float, value: float, total: float, names: tuple[str, str]) -> str:
    """A cell coloured by the share of its row."""
    share = value / total if total else 0.0
    tip = f"{names[0]} called {names[1]}: {value:.1f} of {total:.0f} ({share:.1%})"
    fill = "good" if names[0] == names[1] else "bad"
    box = rect(x + 1, y + 1, size - 2, size - 2, rx=4, class_="cell")
    shade = rect(x + 1, y + 1, size - 2, size - 2, tip=tip, rx=4, class_=fill, opacity=round(share, 3))
    shown = f"{100 * share:.0f}" if share >= 0.005 else "·"
    tone = "on" if share > _STRONG[fill] else "off"
    number = text(x + size / 2, y + size / 2 + 4, shown, class_=f"number {tone}", text_anchor="middle")
    return box + shade + number


def reliability_figure(calibration: Mapping[str, Any]) -> str:
    """How often predictions of a confidence are right, above how many there are."""
    axes = Axes(left=44, top=24, width=300, height=220, x=(0, 1), y=(0, 1))
    ticks = {value / 5: f"{20 * value}" for value in range(6)}
    parts = [axes.frame(ticks, ticks, "confidence, %", "right, %")]
    most = max(calibration["counts"]) or 1
    edges = calibration["edges"]
    for low, high, count, confidence, accuracy in zip(
        edges[:-1], edges[1:], calibration["counts"], calibration["confidence"], calibration["accuracy"], strict=True
    ):
        if accuracy is None:
            continue
        x, y = axes.at(low, accuracy)
        width = axes.at(high, 0)[0] - x
        bottom, honest = axes.at(0, 0)[1], axes.at(0, confidence)[1]
        tip = f"confidence {confidence:.0%}: right {accuracy:.0%} of {count:.1f}"
        kept, gap_top = max(y, honest), min(y, honest)
        parts.append(rect(x + 2, kept, width - 4, bottom - kept, tip=tip, rx=2, class_="bar"))
        parts.append(rect(x + 2, gap_top, width - 4, kept - gap_top, tip=tip, rx=2, class_="gap"))
        height = 44 * count / most
        parts.append(rect(x + 2, 348 - height, width - 4, height, tip=f"{count:.1f} predictions", class_="count"))
    parts.append(line(*axes.at(0, 0), *axes.at(1, 1), class_="ideal"))
    parts.append(text(axes.left, 300, "predictions per bin", class_="label"))
    parts.append(line(axes.left, 348, axes.left + axes.width, 348, class_="axis"))
    return drawing(356, 356, parts, label="Reliability diagram")


def risk_figure(selective: Mapping[str, Any]) -> str:
    """How often the model is wrong on the share of predictions that it is surest of."""
    highest = max(0.1, *selective["risk"])
    top = next(limit for limit in (0.1, 0.2, 0.4, 0.6, 0.8, 1.0) if limit >= highest - 1e-9)
    axes = Axes(left=44, top=24, width=300, height=150, x=(0, 1), y=(0, top))
    x_ticks = {value / 5: f"{20 * value}" for value in range(6)}
    y_ticks = {top * value / 4: f"{100 * top * value / 4:g}" for value in range(5)}
    parts = [axes.frame(x_ticks, y_ticks, "predictions kept, the surest first, %", "wrong, %")]
    points = [axes.at(x, y) for x, y in zip(selective["coverage"], selective["risk"], strict=True)]
    parts.append(path(points, class_="curve c1"))
    for (x, y), share, risk in zip(points, selective["coverage"], selective["risk"], strict=True):
        parts.append(circle(x, y, 3, tip=f"of the surest {share:.0%} {risk:.1%} are wrong", class_="mean"))
    return drawing(356, 214, parts, label="Selective risk: errors by the share of predictions kept")


def curves_figure(curves: Mapping[str, Any], names: Mapping[str, str], y_label: str) -> str | None:
    """Mean and range of figures of the epochs over jobs.

    Args:
        curves: from the summary.
        names: series drawn, and how they are called.
        y_label: their unit.

    Returns:
        The drawing; None where none of the series was recorded for two epochs.
    """
    series = {title: curves["series"][name] for name, title in names.items() if name in curves["series"]}
    epochs = curves["epochs"]
    if not series or len(epochs) < 2:
        return None
    drawn = [value for values in series.values() for value in values["high"] + values["low"] if value is not None]
    y_ticks = _ticks(min(0.0, *drawn), max(drawn))
    lower = 18 * ((len(series) - 1) // _NAMES_A_ROW)  # room for further rows of names
    axes = Axes(44, 40 + lower, 330, 200, (epochs[0], epochs[-1]), (min(y_ticks), max(y_ticks)))
    x_ticks = {tick: f"{tick:g}" for tick in _ticks(epochs[0], epochs[-1], whole=True) if tick in epochs}
    parts = [axes.frame(x_ticks, {tick: f"{tick:g}" for tick in y_ticks}, "epoch", y_label)]
    for place, (title, values) in enumerate(series.items()):
        parts.append(_curve(axes, epochs, values, place + 1))
        row, column = divmod(place, _NAMES_A_ROW)
        x = 44 + 330 - 118 * (min(len(series), _NAMES_A_ROW) - column)
        parts.append(line(x, 12 + 18 * row, x + 16, 12 + 18 * row, class_=f"curve c{place + 1}"))
        parts.append(text(x + 22, 16 + 18 * row, title, class_="tick"))
    return drawing(386, 282 + lower, parts, label=f"{y_label} by epoch")


def _curve(axes: Axes, epochs: Sequence[int], values: Mapping[str, Sequence[float | None]], place: int) -> str:
    known = [
        (epoch, mean, low, high)
        for epoch, mean, low, high in zip(epochs, values["mean"], values["low"], values["high"], strict=True)
        if mean is not None and low is not None and high is not None
    ]
    upper = [axes.at(epoch, high) for epoch, _, _, high in known]
    lower = [axes.at(epoch, low) for epoch, _, low, _ in reversed(known)]
    band = path([*upper, *lower], closed=True, class_=f"band c{place}")
    return band + path([axes.at(epoch, mean) for epoch, mean, _, _ in known], class_=f"curve c{place}")


def _ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """About five round values that enclose a range."""
    span = high - low if high > low else 1.0
    step = 10 ** math.floor(math.log10(span / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 5)
    step = max(1.0, step) if whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(place * step, 10) for place in range(first, last + 1)]


def map_figure(panel: Mapping[str, Any], labels: Sequence[str]) -> str:
    """One map of embeddings: colour is the true class, a ring is an utterance called something else."""
    size, margin = 232.0, 8.0
    xs, ys = panel["x"], panel["y"]
    span = max(max(xs) - min(xs), max(ys) - min(ys)) or 1.0
    middle = ((max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2)
    half = span / 2
    axes = Axes(
        margin, margin, size - 2 * margin, size - 2 * margin,
        (middle[0] - half, middle[0] + half), (middle[1] - half, middle[1] + half),
    )  # fmt: skip
    radius = 3.6 if len(xs) <= 150 else 2.6 if len(xs) <= 600 else 1.8
    parts = [rect(0.5, 0.5, size - 1, size - 1, rx=8, class_="cell")]
    for x, y, truth, called in zip(xs, ys, panel["truth"], panel["predicted"], strict=True):
        colour = class_colour(labels[truth], labels)
        right = truth == called
        tip = labels[truth] if right else f"{labels[truth]} called {labels[called]}"
        if right:
            parts.append(circle(*axes.at(x, y), radius, tip=tip, fill=colour, opacity=0.85))
        else:
            parts.append(circle(*axes.at(x, y), radius, tip=tip, fill="none", stroke=colour, stroke_width=1.6))
    return drawing(size, size, parts, label=f"t-SNE of fold {panel['fold']}")


def interval_figure(pooled: Mapping[str, Any], chance: float | None) -> str:
    """A scale from 0 to 100 % with the mean, its interval, every seed, and chance."""
    axes = Axes(left=4, top=6, width=232, height=16, x=(0, 1), y=(0, 1))
    parts = [rect(4, 11, 232, 6, rx=3, class_="track")]
    if chance is not None:
        x = axes.at(chance, 0)[0]
        parts.append(line(x, 5, x, 23, class_="chance"))
    if pooled["low"] is not None:
        low, high = axes.at(pooled["low"], 0)[0], axes.at(pooled["high"], 0)[0]
        parts.append(rect(low, 11, high - low, 6, rx=3, class_="interval"))
    parts += [circle(axes.at(value, 0)[0], 14, 2.2, class_="seed") for value in pooled["per_seed"]]
    parts.append(circle(axes.at(pooled["mean"], 0)[0], 14, 5, class_="mean", tip=f"{pooled['mean']:.1%}"))
    return drawing(240, 28, parts, label=f"{pooled['mean']:.1%} on a scale from 0 to 100 %")
