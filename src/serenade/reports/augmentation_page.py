"""What augmentations do to recordings: spectrograms before and after, both to be heard, and what was drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from serenade.core.explanations import Picture
from serenade.core.files import write_text
from serenade.reports.heatmaps import data_uri, picture_pixels
from serenade.reports.page import Clip, template_environment
from serenade.reports.svg import Axes, drawing, image, line, rect, text, time_ticks

__all__ = ["AugmentedExample", "augmentation_figure", "write_augmentation_page"]

_LEFT, _WIDTH, _RIGHT = 64.0, 880.0, 16.0
_HEAD, _HEIGHT, _FOOT = 24.0, 150.0, 26.0
_PANEL = _HEAD + _HEIGHT + _FOOT
_RANGE_DB = 70.0  # below the loudest cell of both pictures all is white


@dataclass(frozen=True, slots=True)
class AugmentedExample:
    """One recording, before and after.

    Args:
        name: of the recording.
        before: its spectrogram in dB.
        after: that of the result, in dB of the same reference.
        steps: each step applied, with what was drawn for it.
        notes: what a reader must know besides, such as a step that could not be applied.
        before_clip: the sound; None shows no player.
        after_clip: the sound of the result.
    """

    name: str
    before: Picture
    after: Picture
    steps: Sequence[tuple[str, Mapping[str, Any]]]
    notes: Sequence[str] = ()
    before_clip: Clip | None = None
    after_clip: Clip | None = None


def write_augmentation_page(examples: Sequence[AugmentedExample], chain: str, out: Path) -> None:
    """Write the page: one file that loads nothing from elsewhere.

    Args:
        examples: at least one.
        chain: as the user wrote it.
        out: the HTML file.

    Raises:
        MissingExtraError: jinja2 is not installed.
        StorageError: the page cannot be written.
    """
    page = template_environment().get_template("augmentation.html.j2").render(
        style=files("serenade.reports").joinpath("templates/style.css").read_text(encoding="utf-8"),
        chain=chain,
        examples=[_view(example) for example in examples],
        plot={"left": _LEFT, "width": _WIDTH, "panel": _PANEL, "head": _HEAD, "height": _HEIGHT},
    )  # fmt: skip
    write_text(out, page)


def _view(example: AugmentedExample) -> dict[str, Any]:
    """An example with everything that the template shows of it."""
    clips = (("before", example.before_clip), ("after", example.after_clip))
    return {
        "name": example.name,
        "figure": augmentation_figure(example),
        "span_s": _span(example),
        "steps": [(kind, [(name, _value(value)) for name, value in drawn.items()]) for kind, drawn in example.steps],
        "notes": example.notes,
        "clips": [(title, clip.uri) for title, clip in clips if clip is not None],
    }


def _value(value: Any) -> str:
    """A parameter as people read it; spans are written first to last."""
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", "−")
    if isinstance(value, list | tuple):
        return ", ".join(f"{start}–{start + width - 1}" for start, width in value) or "none"
    return str(value)


def _span(example: AugmentedExample) -> tuple[float, float]:
    """Seconds at the left and right edge: those of the longer picture, so that a change of length is seen."""
    spans = (example.before.span_s, example.after.span_s)
    return min(start for start, _ in spans), max(end for _, end in spans)


def augmentation_figure(example: AugmentedExample) -> str:
    """Both spectrograms below each other, on one axis of time and one scale of level."""
    loudest = max(float(np.max(picture.values)) for picture in (example.before, example.after))
    parts = []
    for place, picture in enumerate((example.before, example.after)):
        parts += _panel(picture, place * _PANEL, _span(example), (loudest - _RANGE_DB, loudest))
    parts.append(text(_LEFT + _WIDTH / 2, 2 * _PANEL + 2, "seconds", class_="tick", text_anchor="middle"))
    label = f"Spectrograms of {example.name} before and after augmentation"
    return drawing(_LEFT + _WIDTH + _RIGHT, 2 * _PANEL + 10, parts, label=label)


def _panel(picture: Picture, top: float, span_s: tuple[float, float], ends: tuple[float, float]) -> list[str]:
    frame = top + _HEAD
    axes = Axes(_LEFT, frame, _WIDTH, _HEIGHT, span_s, (-0.5, len(picture.values) - 0.5))
    left, right = (axes.at(second, 0)[0] for second in picture.span_s)
    parts = [
        text(_LEFT, top + 16, picture.title, class_="number"),
        rect(_LEFT, frame, _WIDTH, _HEIGHT, fill="#ffffff"),  # also on a dark page
        image(left, frame, right - left, _HEIGHT, data_uri(picture_pixels(picture, ends)), class_="sound"),
        rect(_LEFT, frame, _WIDTH, _HEIGHT, fill="none", class_="axis"),
    ]
    for row, label in picture.ticks.items():
        y = axes.at(span_s[0], row)[1]
        parts.append(line(_LEFT - 4, y, _LEFT, y, class_="axis"))
        parts.append(text(_LEFT - 7, y + 4, label, class_="tick", text_anchor="end"))
    middle = frame + _HEIGHT / 2
    turned = f"rotate(-90 14 {middle:.1f})"
    parts.append(text(14, middle, picture.axis, class_="tick", text_anchor="middle", transform=turned))
    for second, label in time_ticks(max(0.0, span_s[0]), span_s[1]).items():
        x = axes.at(second, 0)[0]
        parts.append(line(x, frame + _HEIGHT, x, frame + _HEIGHT + 4, class_="axis"))
        parts.append(text(x, frame + _HEIGHT + 17, label, class_="tick", text_anchor="middle"))
    return parts
