"""The telephone: 8 kHz, 300 to 3400 Hz, and 8 bits a sample by the laws of ITU-T G.711."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Generator, Tensor

from serenade.signal.audio import SAMPLE_RATE
from serenade.signal.augmentation.band import limit_band
from serenade.signal.augmentation.step import Parameters, Place, Step, StepSettings, fitted

__all__ = ["Law", "Telephone", "TelephoneSettings", "through_law"]

Law = Literal["mu_law", "a_law"]

_RATE = 8000
_BAND_HZ = (300.0, 3400.0)
_MU_BIAS, _MU_CLIP = 33, 8158  # of 14-bit samples
_SEGMENT_STEPS = 16


class TelephoneSettings(StepSettings):
    """The law of the coder."""

    kind: Literal["telephone"] = "telephone"
    law: Law = Field(default="mu_law", description="mu_law: North America and Japan; a_law: elsewhere")


def through_law(samples: NDArray[np.float32], law: Law) -> NDArray[np.float32]:
    """Samples coded with 8 bits by G.711 and decoded: 16 even steps in each of 8 segments that double in width."""
    sign, magnitude = np.where(samples < 0, -1.0, 1.0), np.abs(samples.astype(np.float64))
    decoded = _mu_law(magnitude) if law == "mu_law" else _a_law(magnitude)
    return (sign * decoded).astype(np.float32)


def _mu_law(magnitude: NDArray[np.float64]) -> NDArray[np.float64]:
    biased = np.minimum(np.floor(magnitude * 2**13), _MU_CLIP) + _MU_BIAS  # 14 bits; segments begin at 2^5
    step = 2.0 ** (np.floor(np.log2(biased)) - 4)
    return np.asarray(((np.floor(biased / step) + 0.5) * step - _MU_BIAS) / 2**13)


def _a_law(magnitude: NDArray[np.float64]) -> NDArray[np.float64]:
    whole = np.minimum(np.floor(magnitude * 2**12), 2**12 - 1)  # 13 bits; the first two segments have equal steps
    step = 2.0 ** (np.floor(np.log2(np.maximum(whole, 2 * _SEGMENT_STEPS))) - 4)
    return np.asarray((np.floor(whole / step) + 0.5) * step / 2**12)


class Telephone(Step[TelephoneSettings]):
    """Sends the sound through a telephone."""

    settings_class = TelephoneSettings

    def draw(self, place: Place, generator: Generator) -> Parameters:
        """The law; nothing is left to chance."""
        return {"law": self.settings.law}

    def apply(self, waveform: Tensor, parameters: Parameters, batch: Sequence[Tensor]) -> Tensor:
        """(T,)."""
        law: Law = "mu_law" if parameters["law"] == "mu_law" else "a_law"
        narrow = soxr.resample(waveform.numpy(), SAMPLE_RATE, _RATE, quality="HQ")
        if len(narrow) == 0:
            return waveform.clone()
        coded = through_law(limit_band(torch.from_numpy(narrow), *_BAND_HZ, _RATE).numpy(), law)
        wide = torch.from_numpy(soxr.resample(coded, _RATE, SAMPLE_RATE, quality="HQ"))
        return fitted(wide, len(waveform))
