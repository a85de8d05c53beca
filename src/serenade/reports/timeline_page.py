"""A timeline as a page: player, waveform, coloured lanes, probabilities, spectrogram; one file that loads nothing."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serenade.core.records import Prediction
from serenade.core.timelines import UNCERTAIN, Attended, SoundOverview, Summary, Timeline, shown_label
from serenade.reports.figures import class_colour
from serenade.reports.heatmaps import data_uri
from serenade.reports.page import Clip, template_environment

__all__ = ["UNCERTAIN_COLOUR", "TimelineView", "timeline_page"]

UNCERTAIN_COLOUR = "#9aa3b2"
_TILE = 4096  # columns of a picture: what every browser can draw
_SOUND = (88, 124, 201)  # of the spectrogram: reads on light and on dark


@dataclass(frozen=True, slots=True)
class TimelineView:
    """What the page shows.

    Args:
        timeline: the rows.
        overview: the sound as pictures.
        attended: where the model attends, for stretches that were looked into.
        clip: the sound itself; None lets the reader choose the recording from their disk.
    """

    timeline: Timeline
    overview: SoundOverview
    attended: Sequence[Attended] = ()
    clip: Clip | None = None


def timeline_page(view: TimelineView) -> str:
    """The page as HTML.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    timeline = view.timeline
    labels = [*timeline.labels, UNCERTAIN]
    colours = {label: class_colour(label, timeline.labels) for label in timeline.labels} | {UNCERTAIN: UNCERTAIN_COLOUR}
    return (
        template_environment()
        .get_template("timeline.html.j2")
        .render(
            title=Path(timeline.file).name if timeline.file is not None else "a recording",
            style=files("serenade.reports").joinpath("templates/style.css").read_text(encoding="utf-8"),
            script=files("serenade.reports").joinpath("templates/timeline.js").read_text(encoding="utf-8"),
            timeline=timeline,
            uri=None if view.clip is None else view.clip.uri,
            summaries=[_shares(summary, labels, colours) for summary in timeline.summaries],
            colours=colours,
            data=_json(_data(view, labels, colours)),
            attends=bool(view.attended),
        )
    )


def _shares(summary: Summary, labels: Sequence[str], colours: dict[str, str]) -> dict[str, Any]:
    """A speaker's card: the time of each class, most first."""
    total = sum(summary.seconds.values()) or 1.0
    called = sorted(((label, summary.seconds.get(label, 0.0)) for label in labels), key=lambda pair: -pair[1])
    parts = [{"label": name, "share": s / total, "seconds": s, "colour": colours[name]} for name, s in called if s > 0]
    return {"summary": summary, "parts": parts}


def _data(view: TimelineView, labels: Sequence[str], colours: dict[str, str]) -> dict[str, Any]:
    timeline, overview = view.timeline, view.overview
    speakers = list(timeline.speakers) or [None]
    return {
        "duration": timeline.duration_s,
        "labels": labels,
        "colours": [colours[label] for label in labels],
        "speakers": speakers,
        "rows": [_row(row, labels, speakers) for row in timeline.rows],
        "felt": any(row.attributes is not None for row in timeline.rows),
        "step": overview.step_s,
        "envelope": base64.b64encode(overview.envelope.tobytes()).decode(),
        "frame": overview.frame_s,
        "tiles": [_tile(overview.levels[:, at : at + _TILE]) for at in range(0, overview.levels.shape[1], _TILE)],
        "tile": _TILE,
        "attended": [
            [round(part.start_s, 3), round(part.end_s, 3), [round(float(w), 2) for w in part.weights]]
            for part in view.attended
        ],
    }


def _row(row: Prediction, labels: Sequence[str], speakers: Sequence[str | None]) -> list[Any]:
    """start, end, speaker, what is shown, the probabilities; valence and arousal where they are told."""
    scores = [round(row.scores[label], 3) for label in labels[:-1]]
    place = [round(row.start_s, 3), round(row.end_s, 3), speakers.index(row.speaker)]
    told = [] if row.attributes is None else [row.attributes.valence, row.attributes.arousal]
    return [*place, labels.index(shown_label(row)), scores, [None if v is None else round(v, 3) for v in told]]


def _tile(levels: NDArray[np.uint8]) -> str:
    """A part of the spectrogram: one colour, the more opaque the louder."""
    pixels = np.empty((*levels.shape, 4), np.uint8)
    pixels[..., :3] = _SOUND
    pixels[..., 3] = levels
    return data_uri(pixels[::-1])


def _json(value: Any) -> str:
    """JSON that may stand inside a script element."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c").replace("\u2028", "\\u2028")
