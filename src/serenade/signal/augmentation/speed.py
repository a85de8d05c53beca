"""Speed perturbation: sound played faster or slower, its pitch with it (Ko et al., Interspeech 2015).

``y(t) = x(s t)``: the length becomes L / s and every frequency s times what it was.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import soxr
import torch
from torch import Generator, Tensor

from serenade.signal.audio import SAMPLE_RATE
from serenade.signal.augmentation.drawn import Drawn, within
from serenade.signal.augmentation.step import Parameters, Place, Step, StepSettings

__all__ = ["Speed", "SpeedSettings", "change_speed"]


class SpeedSettings(StepSettings):
    """Factor of the speed; 0.9 is slower and lower."""

    kind: Literal["speed"] = "speed"
    factor: Annotated[Drawn, within(0.25, 4)] = Drawn(low=0.9, high=1.1, choices=(0.9, 1.1))


def change_speed(waveform: Tensor, factor: float) -> Tensor:
    """(round(T / factor),) samples, at least one: the waveform resampled by soxr (band-limited, polyphase)."""
    resampled = soxr.resample(waveform.numpy(), factor * SAMPLE_RATE, SAMPLE_RATE, quality="HQ")
    return torch.from_numpy(resampled) if len(resampled) else waveform[:1].clone()


class Speed(Step[SpeedSettings]):
    """Changes speed and pitch, and with them the length."""

    settings_class = SpeedSettings

    def draw(self, place: Place, generator: Generator) -> Parameters:
        """A factor."""
        return {"factor": self.settings.factor.draw(generator)}

    def apply(self, waveform: Tensor, parameters: Parameters, batch: Sequence[Tensor]) -> Tensor:
        """(T / factor,) within one sample."""
        return change_speed(waveform, float(parameters["factor"]))
