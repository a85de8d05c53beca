"""Band limits: what a small loudspeaker or a narrow channel leaves of a sound."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Literal, Self

import torch
from pydantic import model_validator
from torch import Generator, Tensor

from serenade.signal.audio import SAMPLE_RATE
from serenade.signal.augmentation.drawn import Drawn, within
from serenade.signal.augmentation.step import Parameters, Place, Step, StepSettings
from serenade.signal.convolution import convolve

__all__ = ["Band", "BandSettings", "limit_band"]

# Kaiser's formulas for a window of 60 dB
_ATTENUATION_DB = 60.0
_BETA = 0.1102 * (_ATTENUATION_DB - 8.7)
_TRANSITION_HZ = 120.0


class BandSettings(StepSettings):
    """Lowest and highest frequency that pass."""

    kind: Literal["band"] = "band"
    low_hz: Annotated[Drawn, within(0, SAMPLE_RATE / 2)] = Drawn(low=0, high=300)
    high_hz: Annotated[Drawn, within(0, SAMPLE_RATE / 2)] = Drawn(low=3000, high=SAMPLE_RATE / 2)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.low_hz.high >= self.high_hz.low:
            raise ValueError("low_hz must be below high_hz")
        return self


@lru_cache(maxsize=8)
def _filter(low_hz: float, high_hz: float, sample_rate: int) -> Tensor:
    """(K,) float64 windowed sinc of linear phase, K odd; its response is 1/2 at both edges."""
    width = 2 * math.pi * _TRANSITION_HZ / sample_rate
    half = math.ceil((_ATTENUATION_DB - 7.95) / (2.285 * width) / 2)
    places = torch.arange(-half, half + 1, dtype=torch.float64)

    def low_pass(hz: float) -> Tensor:
        if hz >= sample_rate / 2:
            return (places == 0).double()
        share = 2 * hz / sample_rate
        return share * torch.sinc(share * places)

    window = torch.kaiser_window(2 * half + 1, periodic=False, beta=_BETA, dtype=torch.float64)
    return (low_pass(high_hz) - low_pass(low_hz)) * window


def limit_band(waveform: Tensor, low_hz: float, high_hz: float, sample_rate: int = SAMPLE_RATE) -> Tensor:
    """(T,) without what lies outside a band, not delayed; -6 dB at its edges, -60 dB from 60 Hz beyond them on."""
    taps = _filter(low_hz, high_hz, sample_rate).to(waveform.dtype)
    half = len(taps) // 2
    return convolve(torch.nn.functional.pad(waveform, (0, half)), taps)[half:]


class Band(Step[BandSettings]):
    """Keeps one band of frequencies."""

    settings_class = BandSettings

    def draw(self, place: Place, generator: Generator) -> Parameters:
        """Two edges."""
        return {"low_hz": self.settings.low_hz.draw(generator), "high_hz": self.settings.high_hz.draw(generator)}

    def apply(self, waveform: Tensor, parameters: Parameters, batch: Sequence[Tensor]) -> Tensor:
        """(T,)."""
        return limit_band(waveform, float(parameters["low_hz"]), float(parameters["high_hz"]))
