"""Another pitch at the same speed: stretched in time by WSOLA, then played at another speed.

WSOLA (Verhelst and Roelands, ICASSP 1993) builds the longer or shorter sound of overlapping pieces, each taken from
where it continues the piece before best. Formants move with the pitch, as in speed perturbation.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from serenade.signal.augmentation.drawn import Drawn, within
from serenade.signal.augmentation.speed import change_speed
from serenade.signal.augmentation.step import Parameters, Place, Step, StepSettings, fitted

__all__ = ["Pitch", "PitchSettings", "change_pitch", "stretch"]

_PIECE = 640  # 40 ms at 16 kHz
_HOP = _PIECE // 2
_REACH = 200  # samples to either side that are searched: one period of 80 Hz


class PitchSettings(StepSettings):
    """Semitones up; negative ones go down."""

    kind: Literal["pitch"] = "pitch"
    semitones: Annotated[Drawn, within(-12, 12)] = Drawn(low=-2, high=2)


def stretch(waveform: Tensor, factor: float) -> Tensor:
    """(round(factor T),) the same sound, longer by a factor, at its own pitch."""
    length = max(1, round(factor * len(waveform)))
    count = -(-length // _HOP) + 1
    places = np.round(np.arange(count) * _HOP / factor).astype(int) + _REACH  # in the padded waveform
    padded = np.pad(waveform.numpy().astype(np.float64), (_REACH + _HOP, _REACH + 2 * _PIECE + _HOP))
    result, window = np.zeros((count + 1) * _HOP), np.hanning(_PIECE + 1)[:-1]
    start = places[0]
    for number, place in enumerate(places):
        if number > 0:
            start = place + _best_offset(padded, place, padded[start + _HOP : start + _HOP + _PIECE])
        result[number * _HOP : number * _HOP + _PIECE] += window * padded[start : start + _PIECE]
    return torch.from_numpy(result[_HOP : _HOP + length].astype(np.float32))


def _best_offset(padded: NDArray[np.float64], place: int, wanted: NDArray[np.float64]) -> int:
    """How far from a place the piece lies that is most like the one wanted, by normalised correlation."""
    searched = padded[place - _REACH : place + _REACH + _PIECE]
    products = np.correlate(searched, wanted, mode="valid")
    energies = np.cumsum(np.concatenate([[0.0], searched**2]))
    scores = products / np.sqrt(np.maximum(energies[_PIECE:] - energies[:-_PIECE], 1e-12))
    return int(scores.argmax()) - _REACH if scores.any() else 0


def change_pitch(waveform: Tensor, semitones: float) -> Tensor:
    """(T,) every frequency ``2^(semitones / 12)`` times what it was."""
    factor = 2 ** (semitones / 12)
    return fitted(change_speed(stretch(waveform, factor), factor), len(waveform))


class Pitch(Step[PitchSettings]):
    """Changes the pitch and keeps the length."""

    settings_class = PitchSettings

    def draw(self, place: Place, generator: Generator) -> Parameters:
        """A number of semitones."""
        return {"semitones": self.settings.semitones.draw(generator)}

    def apply(self, waveform: Tensor, parameters: Parameters, batch: Sequence[Tensor]) -> Tensor:
        """(T,)."""
        return change_pitch(waveform, float(parameters["semitones"]))
