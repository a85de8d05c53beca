"""What the page of a timeline needs besides its rows: the sound, pictures of it, what the model attends to."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from serenade.core.records import Prediction
    from serenade.core.timelines import Attended, Timeline

__all__ = ["make_page"]

_MOST_SOUND_S = 3600.0  # 18 MB in the page; of longer recordings the reader chooses the file
_LOOKED_INTO_S = 60.0  # of stretches whose attention is shown


def make_page(timeline: "Timeline", path: Path, *, model: str, audio: bool, device: str = "auto") -> str:
    """The page of a timeline as HTML.

    Args:
        timeline: of the recording.
        path: the recording.
        model: a shipped name or a folder; what it attends to is shown where it has attention.
        audio: put the sound into the page.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        AudioError: the recording cannot be read.
        MissingExtraError: jinja2 is not installed, or the format needs PyAV.
    """
    import torch

    from serenade.app.sound import encode
    from serenade.reports.timeline_page import TimelineView, timeline_page
    from serenade.signal.audio import SAMPLE_RATE, stream_audio
    from serenade.signal.overview import OverviewMaker

    maker, kept = OverviewMaker(), []
    for block in stream_audio(path):
        maker.add(block)
        if audio and timeline.duration_s <= _MOST_SOUND_S:
            kept.append(block)
    clip = encode(torch.cat(kept).numpy(), SAMPLE_RATE) if kept else None
    return timeline_page(TimelineView(timeline, maker.finish(), _attended(timeline, path, model, device), clip))


def _attended(timeline: "Timeline", path: Path, model: str, device: str) -> list["Attended"]:
    """What the model attends to in the clearest stretches, of every class at first."""
    import numpy as np

    from serenade.core.timelines import Attended
    from serenade.inference.explanation import MOST_S, Explainer

    if Path(model).suffix == ".onnx":  # an export tells scores only
        return []
    explainer = Explainer.load(model, device=device)
    if not explainer.attends:
        return []
    found = []
    for row in _clearest(timeline.rows):
        end_s = min(row.end_s, row.start_s + MOST_S)
        explanation = explainer(path, method="attention", start_s=row.start_s, end_s=end_s)
        maps = [overlay.values[:, ~np.isnan(overlay.values).all(0)] for overlay in explanation.overlays]
        weights = [np.nanmean(values, axis=0) for values in maps if values.size]
        if weights and len({len(values) for values in weights}) == 1:
            found.append(Attended(*explanation.span_s, _shares(np.mean(weights, axis=0))))
    return found


def _shares(weights: "NDArray[np.floating]") -> "NDArray[np.float32]":
    """From 0 for the least to 1 for the most; a few outliers at either end do not set the scale."""
    import numpy as np

    low, high = np.percentile(weights, (5, 95))
    shares: NDArray[np.float32] = np.clip((weights - low) / max(high - low, 1e-12), 0, 1).astype(np.float32)
    return shares


def _clearest(rows: Sequence["Prediction"]) -> list["Prediction"]:
    """Rows that do not overlap: the surest of every class, then the surest of all, up to a minute."""
    by_score = sorted(rows, key=lambda row: -row.score)
    firsts = list({row.label: row for row in reversed(by_score)}.values())
    chosen: list[Prediction] = []
    for row in [*firsts, *by_score]:
        total = sum(other.end_s - other.start_s for other in chosen) + row.end_s - row.start_s
        apart = all(row.end_s <= other.start_s or row.start_s >= other.end_s for other in chosen)
        if apart and total <= _LOOKED_INTO_S:
            chosen.append(row)
    return sorted(chosen, key=lambda row: row.start_s)
