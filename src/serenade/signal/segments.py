"""Cutting speech into windows of fixed length, in exact integer samples."""

from typing import Literal

from serenade.core.settings import Settings

__all__ = ["SegmentSettings"]


class SegmentSettings(Settings):
    """How a waveform is cut."""

    length_s: float = 1.8
    overlap_s: float = 1.6
    short: Literal["pad", "repeat", "drop"] = "pad"
    reference_step: bool = False
