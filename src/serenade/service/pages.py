"""A recording that was uploaded as a file of any format, the page with its sound among them."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from importlib.util import find_spec
from typing import IO

import numpy as np
import torch
from numpy.typing import NDArray

from serenade.core.timelines import SpeakerTurn, Timeline
from serenade.inference.annotations import SUFFIXES, TIMELINE_FORMATS
from serenade.reports.page import Clip
from serenade.reports.timeline_page import TimelineView, timeline_page
from serenade.service.explaining import Explainers
from serenade.service.recognition import Listener, Model, Wishes
from serenade.signal.audio import SAMPLE_RATE
from serenade.signal.compression import SoundFile
from serenade.signal.overview import OverviewMaker

__all__ = ["PAGE", "all_formats", "make_file"]

PAGE = "html"
"""The name of the page among the formats."""

_NEEDS = {"parquet": "pyarrow"}  # formats that the extra `serve` alone does not bring


def all_formats() -> dict[str, str]:
    """Names of all formats that a recording can be told in here, and how their files end."""
    absent = {name for name, package in _NEEDS.items() if find_spec(package) is None}
    return {name: SUFFIXES[name] for name in (*TIMELINE_FORMATS, PAGE) if name not in absent}


def make_file(
    media: IO[bytes],
    model: Model,
    wishes: Wishes,
    format_name: str,
    name: str | None,
    speakers: Sequence[SpeakerTurn],
    listener: Listener,
    explainers: Explainers | None,
) -> tuple[bytes, str]:
    """The bytes of a file, and what to call it.

    Args:
        media: the recording.
        model: that hears it.
        wishes: how it is divided.
        format_name: of `all_formats`.
        name: what the recording is called in the file.
        speakers: who talks when.
        listener: answers.
        explainers: tell what the model attends to; None leaves that out of the page.

    Raises:
        AudioError: the recording cannot be decoded, or holds nothing to hear.
        MissingExtraError: the format needs a package that is not installed.
        Problem: it is too long, or takes too long.
        UnknownNameError: there is no such format.
        UsageError: the wishes contradict each other.
    """
    called = f"emotions{SUFFIXES.get(format_name, '')}"
    if format_name != PAGE:
        write = TIMELINE_FORMATS.resolve(format_name)
        return write(listener.timeline(media, model, wishes, name, speakers)), called
    drawn = _Drawn()
    timeline = listener.timeline(media, model, wishes, name, speakers, drawn.watch)
    return _page(timeline, drawn, media, model, listener, explainers).encode(), called


class _Drawn:
    """Makes pictures of sound, and a small file of it, while it goes by."""

    def __init__(self) -> None:
        self.overview, self._sound = OverviewMaker(), SoundFile(SAMPLE_RATE)

    def watch(self, blocks: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        for block in blocks:
            self.overview.add(torch.from_numpy(block))
            self._sound.add(block)
            yield block

    def clip(self) -> Clip:
        return Clip(self._sound.finish(), self._sound.mime)


def _page(
    timeline: Timeline, drawn: _Drawn, media: IO[bytes], model: Model, listener: Listener, explainers: Explainers | None
) -> str:
    from serenade.inference.attended import clearest_spans, cut_spans  # what explains loads when it is needed

    attended = []
    if explainers is not None and timeline.rows:
        with closing(listener.decoded(media)) as blocks:
            attended = explainers.attended(model, cut_spans(blocks, clearest_spans(timeline.rows)))
    return timeline_page(TimelineView(timeline, drawn.overview.finish(), attended, drawn.clip()))
