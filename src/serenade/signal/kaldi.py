"""Log mel filter banks as Kaldi defines them, and differences over time, as SUPERB's baseline puts them together.

D. Povey et al., "The Kaldi Speech Recognition Toolkit", ASRU 2011. S. Yang et al., "SUPERB: Speech processing Universal
PERformance Benchmark", Interspeech 2021, arXiv 2105.01051.
"""

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from serenade.signal.audio import SAMPLE_RATE

__all__ = ["HOP", "WINDOW", "kaldi_filter_bank", "superb_filter_bank"]

WINDOW = 400
"""Samples of a frame, 25 ms."""

HOP = 160
"""Samples from frame to frame, 10 ms."""

_FFT = 512
_BANDS = 80
_LOW_HZ, _HIGH_HZ = 20.0, 8000.0
_PRE_EMPHASIS = 0.97
_POVEY = 0.85  # power of a Hann window
_REACH = 2  # frames to each side that a difference looks at
_LEAST_DEVIATION = 1e-10


def kaldi_filter_bank(waveform: Tensor) -> Tensor:
    """80 log energies of 25 ms every 10 ms, without dither; frames lie within the recording ("snip edges").

    Args:
        waveform: (T,) at 16 kHz, T at least 400; values in [-1, 1] are not scaled to 16 bits.

    Returns:
        (L, 80) natural logarithms, L = 1 + (T - 400) // 160.
    """
    frames = waveform.unfold(0, WINDOW, HOP)
    frames = frames - frames.mean(dim=1, keepdim=True)
    before = functional.pad(frames[:, None], (1, 0), mode="replicate")[:, 0, :-1]
    emphasised = (frames - _PRE_EMPHASIS * before) * _povey_window().to(waveform)
    spectra = torch.fft.rfft(emphasised, n=_FFT)
    power = spectra.real.square() + spectra.imag.square()
    energies = torch.matmul(power, _filters().to(waveform))
    return energies.clamp_min(torch.finfo(torch.float32).eps).log()


def superb_filter_bank(waveform: Tensor) -> Tensor:
    """Kaldi's filter bank with first and second differences, each of zero mean and unit deviation over the recording.

    Args:
        waveform: (T,) at 16 kHz, T at least 400.

    Returns:
        (L, 240); the deviation divides by L - 1, and a single frame is all 0.
    """
    bands = kaldi_filter_bank(waveform)
    first = _differences(bands)
    frames = torch.cat([bands, first, _differences(first)], dim=1)
    centred = frames - frames.mean(dim=0)
    deviation = (centred.square().sum(dim=0) / max(1, len(frames) - 1)).sqrt()
    return centred / (deviation + _LEAST_DEVIATION)


def _differences(frames: Tensor) -> Tensor:
    """(L, D) slopes of a line through each frame and its two neighbours to each side; ends are repeated."""
    padded = functional.pad(frames.T[None], (_REACH, _REACH), mode="replicate")[0].T
    length = len(frames)
    slopes = sum(
        step * (padded[_REACH + step : _REACH + step + length] - padded[_REACH - step : _REACH - step + length])
        for step in range(1, _REACH + 1)
    )
    assert isinstance(slopes, Tensor)
    return slopes / (2 * sum(step * step for step in range(1, _REACH + 1)))


@cache
def _povey_window() -> Tensor:
    """(400,)"""
    phase = 2 * math.pi * torch.arange(WINDOW, dtype=torch.float64) / (WINDOW - 1)
    return ((0.5 - 0.5 * phase.cos()) ** _POVEY).float()


@cache
def _filters() -> Tensor:
    """(257, 80): triangles that are straight on Kaldi's mel scale, 1127 ln(1 + f / 700); the last bin is not used."""
    low, high = (1127 * math.log1p(hz / 700) for hz in (_LOW_HZ, _HIGH_HZ))
    edges = torch.linspace(low, high, _BANDS + 2, dtype=torch.float64)
    hertz = torch.arange(_FFT // 2 + 1, dtype=torch.float64) * SAMPLE_RATE / _FFT
    mels = 1127 * torch.log1p(hertz / 700)[:, None]
    rising = (mels - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mels) / (edges[2:] - edges[1:-1])
    filters = torch.minimum(rising, falling).clamp_min(0)
    filters[-1] = 0
    return filters.float()
