"""An explanation as a figure (SVG), and as a page that holds the figure and the sound."""

import math
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np

from serenade.core.explanations import Explanation, Overlay, Picture
from serenade.core.files import write_text
from serenade.reports.figures import class_colour
from serenade.reports.heatmaps import colours, data_uri, extent, overlay_pixels, picture_pixels
from serenade.reports.page import Clip, template_environment
from serenade.reports.svg import Axes, again, circle, drawing, image, line, path, rect, text, time_ticks

__all__ = ["METHOD_TEXTS", "explanation_figure", "plot_span", "write_explanation"]

METHOD_TEXTS = {
    "attention": "What the network itself attends to. Attention shows where it takes its numbers from; it does not "
    "prove that the answer would change without them.",
    "integrated-gradients": "Integrated gradients: what every value of the features adds to the score of the class, "
    "against the average frame of the stretch. Red speaks for the class, blue against it.",
    "gradcam": "Grad-CAM: which cells of the last convolution raise the score of the class. Coarse, but steady.",
    "occlusion": "Occlusion: how far the answer falls when a part is taken away. Red: it was needed; blue: it stood in "
    "the way.",
}
_LEFT, _WIDTH, _RIGHT = 64.0, 880.0, 96.0
_HEAD, _HEIGHT, _FOOT = 40.0, 128.0, 24.0
_CURVE_HEIGHT = 150.0
_BAR_STEPS = 24
_FAINT = 0.5  # of the sound beneath a map


def write_explanation(explanation: Explanation, out: Path, *, clip: Clip | None = None, model: str = "") -> None:
    """Write the page of an explanation: one file that loads nothing from elsewhere.

    Args:
        explanation: what is shown.
        out: the HTML file.
        clip: the sound of the stretch; None makes a page without a player.
        model: name of the model, for the heading.

    Raises:
        MissingExtraError: jinja2 is not installed.
        StorageError: the page cannot be written.
    """
    prediction = explanation.prediction
    scores = sorted(prediction.scores.items(), key=lambda pair: -pair[1])
    page = template_environment().get_template("explain.html.j2").render(
        title=Path(prediction.file).name if prediction.file is not None else "a recording",
        style=files("serenade.reports").joinpath("templates/style.css").read_text(encoding="utf-8"),
        explanation=explanation,
        model=model,
        scores=[(label, share, class_colour(label, explanation.labels)) for label, share in scores],
        method=" ".join(METHOD_TEXTS[method] for method in reversed(explanation.method.split(" and "))),
        figure=explanation_figure(explanation),
        uri=None if clip is None else clip.uri,
        plot={"left": _LEFT, "width": _WIDTH, "span_s": plot_span(explanation)},
    )  # fmt: skip
    write_text(out, page)


def explanation_figure(explanation: Explanation, *, name: str = "figure", brief: bool = False) -> str:
    """All pictures, maps and the probabilities below each other on one axis of time.

    Args:
        explanation: what is shown.
        name: unlike those of other figures on the same page.
        brief: only the maps, without the plain spectrogram, the features by themselves and the curve.
    """
    stack = _Stack(explanation, name)
    if not brief:
        if explanation.sound is not None:
            stack.picture(explanation.sound)
        stack.picture(explanation.features, "White is little, dark is much.")
    for overlay in explanation.overlays:
        stack.overlay(overlay)
    if not brief:
        stack.curve()
    return stack.drawing()


def plot_span(explanation: Explanation) -> tuple[float, float]:
    """Seconds at the left and right edge of the figure: the stretch, and what the pictures reach beyond it."""
    pictures = [picture for picture in (explanation.sound, explanation.features) if picture is not None]
    spans = [explanation.span_s, *(picture.span_s for picture in pictures)]
    return min(start for start, _ in spans), max(end for _, end in spans)


class _Stack:
    """Panels below each other."""

    def __init__(self, explanation: Explanation, name: str) -> None:
        self.explanation, self.base = explanation, f"{name}-features"
        self.span_s = plot_span(explanation)
        self.ticks = time_ticks(*self.span_s)
        features = explanation.features
        left, width = self._across(features)
        self.parts = [image(left, 0, width, _HEIGHT, data_uri(picture_pixels(features)), id_=self.base, class_="sound")]
        self.height = 0.0

    def _across(self, picture: Picture) -> tuple[float, float]:
        """Left edge and width of a picture, whose columns may reach a little beyond the stretch."""
        axes = self._axes(0.0, 1.0, (0.0, 1.0))
        left, right = (axes.at(second, 0)[0] for second in picture.span_s)
        return left, right - left

    def _axes(self, top: float, height: float, y: tuple[float, float]) -> Axes:
        return Axes(_LEFT, top, _WIDTH, height, self.span_s, y)

    def _open(self, title: str, hint: str, height: float) -> float:
        """Write the head of a panel; gives the top of its frame."""
        self.parts.append(text(_LEFT, self.height + 16, title, class_="number"))
        self.parts.append(text(_LEFT, self.height + 32, hint, class_="tick"))
        top = self.height + _HEAD
        self.height = top + height + _FOOT
        return top

    def _time(self, top: float, height: float) -> None:
        axes = self._axes(top, height, (0.0, 1.0))
        for second, label in self.ticks.items():
            x, bottom = axes.at(second, 0)
            self.parts.append(line(x, bottom, x, bottom + 4, class_="axis"))
            self.parts.append(text(x, bottom + 17, label, class_="tick", text_anchor="middle"))

    def _rows(self, top: float, picture: Picture) -> None:
        rows = len(picture.values)
        axes = self._axes(top, _HEIGHT, (-0.5, rows - 0.5))
        kept = list(picture.ticks.items())
        kept = kept[:: max(1, math.ceil(len(kept) * 16 / _HEIGHT))]
        for row, label in kept:
            y = axes.at(self.span_s[0], row)[1]
            self.parts.append(line(_LEFT - 4, y, _LEFT, y, class_="axis"))
            self.parts.append(text(_LEFT - 7, y + 4, label, class_="tick", text_anchor="end"))
        middle = top + _HEIGHT / 2
        turned = f"rotate(-90 14 {middle:.1f})"
        self.parts.append(text(14, middle, picture.axis, class_="tick", text_anchor="middle", transform=turned))
        self.parts.append(rect(_LEFT, top, _WIDTH, _HEIGHT, fill="none", class_="axis"))

    def picture(self, picture: Picture, hint: str = "") -> None:
        """A picture by itself."""
        top = self._open(picture.title, hint or "To orient the eye; the model does not see it.", _HEIGHT)
        if picture is self.explanation.features:
            self.parts.append(again(self.base, 0, top))
        else:
            left, width = self._across(picture)
            uri = data_uri(picture_pixels(picture))
            self.parts.append(image(left, top, width, _HEIGHT, uri, class_="sound"))
        self._rows(top, picture)
        self._time(top, _HEIGHT)

    def overlay(self, overlay: Overlay) -> None:
        """The features with a map over them, and what its colours mean."""
        features = self.explanation.features
        top = self._open(overlay.title, overlay.meaning, _HEIGHT)
        left, width = self._across(features)
        self.parts.append(rect(left, top, width, _HEIGHT, fill="#ffffff"))  # also on a dark page
        self.parts.append(again(self.base, 0, top, opacity=_FAINT))
        uri = data_uri(overlay_pixels(overlay))
        self.parts.append(image(left, top, width, _HEIGHT, uri, class_="overlay"))
        self._rows(top, features)
        self._time(top, _HEIGHT)
        self._bar(top, overlay)

    def _bar(self, top: float, overlay: Overlay) -> None:
        low, high = extent(overlay)
        x, step = _LEFT + _WIDTH + 12, _HEIGHT / _BAR_STEPS
        values = [low + (high - low) * (place + 0.5) / _BAR_STEPS for place in range(_BAR_STEPS)]
        for place, (red, green, blue, alpha) in enumerate(colours(np.array(values), overlay.scale, (low, high))):
            y = top + _HEIGHT - (place + 1) * step
            fill = f"rgb({red},{green},{blue})"
            self.parts.append(rect(x, y, 12, step, fill=fill, opacity=round(int(alpha) / 255, 3)))
        self.parts.append(rect(x, top, 12, _HEIGHT, fill="none", class_="axis"))
        lowest, highest = _ends(low, high)
        self.parts.append(text(x + 18, top + 10, highest, class_="tick"))
        self.parts.append(text(x + 18, top + _HEIGHT, lowest, class_="tick"))
        if overlay.scale == "signed":
            self.parts.append(text(x + 18, top + _HEIGHT / 2 + 4, "0", class_="tick"))

    def curve(self) -> None:
        """The probabilities of every stretch that was scored by itself, drawn at its middle."""
        explanation, curve = self.explanation, self.explanation.curve
        count, length = len(curve.spans_s), curve.spans_s[0][1] - curve.spans_s[0][0] if curve.spans_s else 0.0
        hint = f"Of {count} {'stretch' if count == 1 else 'stretches'} of {length:.1f} s, each scored by itself."
        top = self._open("probability of each class", hint, _CURVE_HEIGHT)
        axes = self._axes(top, _CURVE_HEIGHT, (0.0, 1.0))
        self.parts.append(axes.frame({}, {0: "0", 0.5: "50", 1: "100 %"}, "", ""))
        self._time(top, _CURVE_HEIGHT)
        for place, label in enumerate(explanation.labels):
            colour, chosen = class_colour(label, explanation.labels), label == explanation.target
            points = [(span, float(row[place])) for span, row in zip(curve.spans_s, curve.probabilities, strict=True)]
            self.parts.append(_curve(axes, points, colour, 3.0 if chosen else 1.6))
            y = top + 10 + 16 * place
            self.parts.append(circle(_LEFT + _WIDTH + 14, y - 4, 4, fill=colour))
            self.parts.append(text(_LEFT + _WIDTH + 22, y, label, class_="label" if chosen else "tick"))
        self.height = max(self.height, top + 16 * len(explanation.labels) + 8)

    def drawing(self) -> str:
        """The SVG element; seconds are named below the last axis."""
        bottom = self.height + 4
        self.parts.append(text(_LEFT + _WIDTH / 2, bottom + 8, "seconds", class_="tick", text_anchor="middle"))
        title = f"Why {self.explanation.target}: {self.explanation.method} over time and frequency"
        return drawing(_LEFT + _WIDTH + _RIGHT, bottom + 14, self.parts, label=title)


def _curve(axes: Axes, points: Sequence[tuple[tuple[float, float], float]], colour: str, width: float) -> str:
    """A line through the middles of stretches; of a single one over all of it."""
    if len(points) == 1:
        (start, end), value = points[0]
        places = [axes.at(start, value), axes.at(end, value)]
    else:
        places = [axes.at((start + end) / 2, value) for (start, end), value in points]
    if not places:
        return ""
    drawn = path(places, fill="none", stroke=colour, stroke_width=width)
    dots = [circle(x, y, width, fill=colour) for x, y in places] if 1 < len(points) <= 40 else []
    return drawn + "".join(dots)


def _ends(low: float, high: float) -> tuple[str, str]:
    """The two ends of a scale, with as many digits as tell them apart."""
    pairs = ((_short(low, digits), _short(high, digits)) for digits in range(3, 7))
    return next((pair for pair in pairs if pair[0] != pair[1]), (_short(low, 6), _short(high, 6)))


def _short(value: float, digits: int) -> str:
    """A number with a true minus sign."""
    shown = f"{value:.{digits}g}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.{digits - 2}e}"
    return shown.replace("e-0", "e-").replace("-", "−")
