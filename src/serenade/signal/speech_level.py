"""How loud speech is while somebody speaks: the active speech level of ITU-T P.56.

The mean power of a recording falls with every pause in it. The active speech level is the mean power over the time in
which there is speech, pauses up to a fifth of a second included, and pauses at the ends do not change it.
"""

import math
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from serenade.core.errors import AudioError
from serenade.signal.audio import SAMPLE_RATE

__all__ = ["SpeechLevel", "active_level_db", "is_silent", "power_level_db", "speech_level_db"]

SpeechLevel = Literal["active", "whole"]
"""What the level of speech is: ITU-T P.56's active level, or the mean square over the whole of it."""

# ITU-T P.56 (12/2011), method B, table 1
_TIME_CONSTANT_S = 0.03
_HANGOVER_S = 0.2
_MARGIN_DB = 15.9
# 2^-15 to 2^-1 in the standard, which is for 16-bit samples; floats may be quieter and louder
_THRESHOLDS = 2.0 ** torch.arange(-30, 9, dtype=torch.float64)

_BLOCK = 128  # samples; longer and shorter ones take more time
_STEPS = torch.arange(_BLOCK, dtype=torch.float64)
_DECAY = math.exp(-1 / (_TIME_CONSTANT_S * SAMPLE_RATE))
_DECAYS = _DECAY ** (_STEPS + 1)
_DECAY_OF_BLOCK = float(_DECAYS[-1])
_WITHIN = (1 - _DECAY) * (_DECAY ** (_STEPS - _STEPS[:, None])).triu()
_SILENT_POWER = 1e-10  # -100 dB, the power of half a step of 16 bits


def is_silent(waveform: Tensor) -> bool:
    """Whether there is nothing to hear: a mean square below -100 dB of full scale, or no samples."""
    return len(waveform) == 0 or float(waveform.double().square().mean()) < _SILENT_POWER


def power_level_db(waveform: Tensor) -> float:
    """Mean square of all samples in dB; 0 dB is a square wave of amplitude 1, minus infinity is digital silence."""
    power = float(waveform.double().square().mean())
    return 10 * math.log10(power) if power > 0 else -math.inf


def active_level_db(waveform: Tensor) -> float:
    """The active speech level of ITU-T P.56, method B, in dB; 0 dB is a square wave of amplitude 1.

    The envelope is the magnitude smoothed twice with 30 ms. For each of a ladder of thresholds, time counts as active
    while the envelope has been above it within the last 0.2 s. The level is the power over the active time at the
    threshold that lies 15.9 dB below that level, interpolated between the two rungs around it. What is too short a
    click for any threshold to lie so far below it gets the power over the active time of the highest one it reaches.

    Args:
        waveform: (T,) at 16 kHz.

    Raises:
        AudioError: it is silent.
    """
    if is_silent(waveform):
        raise AudioError("silence has no speech level", reason="silent", where="audio in memory")
    samples = waveform.double()
    energy = float(samples.square().sum())
    held = _held_maximum(_envelope(samples), math.ceil(_HANGOVER_S * SAMPLE_RATE) + 1)
    rungs = [(c, 10 * math.log10(energy / active)) for c, active in _active_time(held) if active > 0]
    margins = [level - 20 * math.log10(threshold) for threshold, level in rungs]
    first = next((rung for rung, margin in enumerate(margins) if margin <= _MARGIN_DB), len(rungs) - 1)
    if first == 0 or margins[first] > _MARGIN_DB:
        return rungs[first][1]
    share = (margins[first - 1] - _MARGIN_DB) / (margins[first - 1] - margins[first])
    return rungs[first - 1][1] + share * (rungs[first][1] - rungs[first - 1][1])


def speech_level_db(waveform: Tensor, level: SpeechLevel = "active") -> float:
    """The level of speech in dB, by either measure.

    Raises:
        AudioError: it is silent.
    """
    if level == "active":
        return active_level_db(waveform)
    if is_silent(waveform):
        raise AudioError("silence has no speech level", reason="silent", where="audio in memory")
    return power_level_db(waveform)


def _envelope(samples: Tensor) -> Tensor:
    """The magnitude through two first-order averages."""
    return _smoothed(_smoothed(samples.abs()))


def _smoothed(values: Tensor) -> Tensor:
    """``y[n] = g y[n - 1] + (1 - g) x[n]``: within blocks as a matrix product, from block to block as it stands."""
    count = len(values)
    rows = torch.nn.functional.pad(values, (0, -count % _BLOCK)).reshape(-1, _BLOCK)
    smoothed = rows @ _WITHIN
    carried, before = 0.0, []
    for last in smoothed[:, -1].tolist():
        before.append(carried)
        carried = last + _DECAY_OF_BLOCK * carried
    smoothed += torch.tensor(before, dtype=torch.float64)[:, None] * _DECAYS
    return smoothed.ravel()[:count]


def _held_maximum(values: Tensor, length: int) -> Tensor:
    """The maximum of each value and the `length` - 1 before it, by two running maxima a block (van Herk, 1992)."""
    blocks = -(-len(values) // length)
    padded = torch.nn.functional.pad(values, (length - 1, (blocks + 1) * length - len(values)))
    rows = padded[: (blocks + 1) * length].reshape(-1, length).numpy()
    from_start = np.maximum.accumulate(rows, axis=1).ravel()  # ten times as fast as torch's cummax
    to_end = np.maximum.accumulate(rows[:, ::-1], axis=1)[:, ::-1].ravel()
    return torch.from_numpy(np.maximum(to_end[: len(values)], from_start[length - 1 : length - 1 + len(values)]))


def _active_time(held: Tensor) -> list[tuple[float, int]]:
    """Each threshold with the number of samples at or above it, the lowest threshold first."""
    passed = torch.bucketize(held, _THRESHOLDS, right=True)  # how many thresholds lie at or below each
    at_least = torch.bincount(passed, minlength=len(_THRESHOLDS) + 1).flip(0).cumsum(0).flip(0)[1:]
    return list(zip(_THRESHOLDS.tolist(), at_least.tolist(), strict=True))
