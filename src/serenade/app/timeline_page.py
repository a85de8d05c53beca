"""What the page of a timeline needs besides its rows: the sound, pictures of it, what the model attends to."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serenade.core.timelines import Attended, Timeline

__all__ = ["make_page"]

_MOST_SOUND_S = 3600.0  # 18 MB in the page; of longer recordings the reader chooses the file


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

    from serenade.reports.page import Clip
    from serenade.reports.timeline_page import TimelineView, timeline_page
    from serenade.signal.audio import SAMPLE_RATE, stream_samples
    from serenade.signal.compression import SoundFile
    from serenade.signal.overview import OverviewMaker

    maker = OverviewMaker()
    sound = SoundFile(SAMPLE_RATE) if audio and timeline.duration_s <= _MOST_SOUND_S else None
    for block in stream_samples(path):
        maker.add(torch.from_numpy(block))
        if sound is not None:
            sound.add(block)
    clip = None if sound is None else Clip(sound.finish(), sound.mime)
    return timeline_page(TimelineView(timeline, maker.finish(), _attended(timeline, path, model, device), clip))


def _attended(timeline: "Timeline", path: Path, model: str, device: str) -> list["Attended"]:
    """What the model attends to in the clearest stretches, of every class at first."""
    from serenade.inference.attended import attended_in, clearest_spans, cut_spans
    from serenade.inference.explanation import Explainer
    from serenade.signal.audio import stream_samples

    if Path(model).suffix == ".onnx":  # an export tells scores only
        return []
    parts = cut_spans(stream_samples(path), clearest_spans(timeline.rows))
    return attended_in(Explainer.load(model, device=device), parts)
