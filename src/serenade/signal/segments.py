"""Cutting speech into windows of fixed length, in exact integer samples.

A turn is cut into windows of `length` samples, one every `step` samples; only full windows are kept and the tail is
discarded. What is shorter than one window is padded, repeated or dropped.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from serenade.core.errors import UsageError
from serenade.core.settings import Settings
from serenade.signal.audio import SAMPLE_RATE

__all__ = ["SegmentSettings", "cut", "stream_segments"]


class SegmentSettings(Settings):
    """How a waveform is cut."""

    length_s: float = Field(default=1.8, gt=0, le=3600, description="length of a segment")
    overlap_s: float = Field(default=1.6, ge=0, description="what neighbouring segments share; less than the length")
    short: Literal["pad", "repeat", "drop"] = Field(
        default="pad",
        description="a turn shorter than one segment: zeros on the right, repeated until long enough, left out",
    )
    reference_step: bool = Field(
        default=False,
        description="truncate lengths in floating point as the published code does: 1.8 - 1.6 s is 3199 samples",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.step < 1:
            raise ValueError(
                f"length_s must exceed overlap_s by a sample at least: found {self.length_s} and {self.overlap_s}"
            )
        return self

    @property
    def length(self) -> int:
        """Samples of a segment."""
        return int(self.length_s * SAMPLE_RATE) if self.reference_step else round(self.length_s * SAMPLE_RATE)

    @property
    def step(self) -> int:
        """Samples from the start of one segment to the start of the next."""
        if self.reference_step:
            return int((self.length_s - self.overlap_s) * SAMPLE_RATE)
        return round(self.length_s * SAMPLE_RATE) - round(self.overlap_s * SAMPLE_RATE)


def cut(waveform: Tensor, settings: SegmentSettings) -> Tensor:
    """Segments of a waveform.

    Args:
        waveform: (T,) samples at 16 kHz.
        settings: how to cut.

    Returns:
        (N, length). Full windows may be a view of the waveform, so that a long recording is not copied: do not write
        into them. A waveform shorter than one window gives one segment, or none with ``short="drop"``. Of an empty
        waveform there is nothing to repeat: `pad` and `repeat` both give one segment of zeros.

    Raises:
        UsageError: the waveform has other than one axis.
    """
    if waveform.ndim != 1:
        raise UsageError("a waveform to cut must have one axis", found=f"shape {tuple(waveform.shape)}")
    if len(waveform) >= settings.length:
        return waveform.unfold(0, settings.length, settings.step)
    if settings.short == "drop":
        return waveform.new_zeros(0, settings.length)
    if settings.short == "repeat" and len(waveform) > 0:
        times = -(-settings.length // len(waveform))
        return waveform.repeat(times)[: settings.length].unsqueeze(0)
    return F.pad(waveform, (0, settings.length - len(waveform))).unsqueeze(0)


def stream_segments(blocks: Iterable[Tensor], settings: SegmentSettings, *, group: int = 64) -> Iterator[Tensor]:
    """The segments of a recording that arrives in blocks, with no more than a block and a group held at a time.

    Args:
        blocks: (T,) tensors that follow each other without a gap, of any lengths.
        settings: how to cut.
        group: most segments in one yield, at least 1.

    Yields:
        (n, length) with 1 <= n <= group; one after the other they equal `cut` of the whole recording.

    Raises:
        UsageError: `group` is less than 1.
    """
    if group < 1:
        raise UsageError("a group holds at least one segment", found=group)
    return _stream(blocks, settings, group)


def _stream(blocks: Iterable[Tensor], settings: SegmentSettings, group: int) -> Iterator[Tensor]:
    full_group = settings.length + (group - 1) * settings.step
    held, any_full = torch.zeros(0), False
    for block in blocks:
        held = torch.cat([held, block])
        while len(held) >= full_group:
            yield held[:full_group].unfold(0, settings.length, settings.step)
            held, any_full = held[group * settings.step :], True
    # What is left is less than a group; after a full group a remainder shorter than a segment is the tail.
    if len(held) >= settings.length or not any_full:
        rest = cut(held, settings)
        if len(rest) > 0:
            yield rest
