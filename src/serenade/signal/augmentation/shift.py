"""Sound moved in time."""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from serenade.signal.audio import SAMPLE_RATE
from serenade.signal.augmentation.drawn import Drawn, within
from serenade.signal.augmentation.step import Parameters, Place, Step, StepSettings

__all__ = ["Shift", "ShiftSettings"]


class ShiftSettings(StepSettings):
    """Seconds by which the sound comes later."""

    kind: Literal["shift"] = "shift"
    seconds: Annotated[Drawn, within(-60, 60)] = Drawn(low=-0.1, high=0.1)
    wrap: bool = Field(default=False, description="what leaves at one end comes in at the other, instead of zeros")


class Shift(Step[ShiftSettings]):
    """Moves all samples later, or earlier where the shift is negative."""

    settings_class = ShiftSettings

    def draw(self, place: Place, generator: Generator) -> Parameters:
        """A shift in samples."""
        return {"samples": round(self.settings.seconds.draw(generator) * SAMPLE_RATE)}

    def apply(self, waveform: Tensor, parameters: Parameters, batch: Sequence[Tensor]) -> Tensor:
        """(T,)."""
        samples = int(parameters["samples"])
        if self.settings.wrap:
            return waveform.roll(samples)
        shifted = torch.zeros_like(waveform)
        kept = max(0, len(waveform) - abs(samples))
        if samples >= 0:
            shifted[len(waveform) - kept :] = waveform[:kept]
        else:
            shifted[:kept] = waveform[len(waveform) - kept :]
        return shifted
