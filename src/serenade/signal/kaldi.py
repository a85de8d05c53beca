"""Log mel filter banks as Kaldi defines them, and differences over time, as SUPERB's baseline puts them together.

D. Povey et al., "The Kaldi Speech Recognition Toolkit", ASRU 2011. S. Yang et al., "SUPERB: Speech processing Universal
PERformance Benchmark", Interspeech 2021, arXiv 2105.01051.
"""

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from serenade.signal.audio import SAMPLE_RATE
from serenade.signal.spectra import FactoredDft, overlapping

__all__ = ["HOP", "WINDOW", "SuperbFilterBank", "kaldi_filter_bank", "superb_filter_bank"]

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
    return _bands(waveform.unfold(0, WINDOW, HOP)[None], _povey_window(), _filters(), _power)[0]


def superb_filter_bank(waveform: Tensor) -> Tensor:
    """Kaldi's filter bank with first and second differences, each of zero mean and unit deviation over the recording.

    Args:
        waveform: (T,) at 16 kHz, T at least 400.

    Returns:
        (L, 240); the deviation divides by L - 1, and a single frame is all 0.
    """
    return _normalised_with_differences(kaldi_filter_bank(waveform)[None])[0]


class SuperbFilterBank(nn.Module):
    """`superb_filter_bank` of a batch by operations that `torch.export` and other engines have."""

    window: Tensor
    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.transform = FactoredDft(_FFT)
        self.register_buffer("window", _povey_window(), persistent=False)
        self.register_buffer("filters", _filters(), persistent=False)

    def forward(self, waveforms: Tensor) -> Tensor:
        """(B, T) at 16 kHz, T at least 400, none of it padding, to (B, L, 240)."""
        frames = overlapping(waveforms, WINDOW, HOP, (waveforms.shape[1] - WINDOW) // HOP + 1)
        return _normalised_with_differences(_bands(frames, self.window, self.filters, self._power))

    def _power(self, frames: Tensor) -> Tensor:
        power: Tensor = self.transform(functional.pad(frames, (0, _FFT - WINDOW)))
        return power


def _bands(frames: Tensor, window: Tensor, filters: Tensor, power: Callable[[Tensor], Tensor]) -> Tensor:
    """(B, L, 400) samples to (B, L, 80) log energies; `power` makes (B, L, 257) power spectra of windowed frames."""
    frames = frames - frames.mean(dim=2, keepdim=True)
    before = torch.cat([frames[:, :, :1], frames[:, :, :-1]], dim=2)
    emphasised = (frames - _PRE_EMPHASIS * before) * window.to(frames)
    energies = torch.matmul(power(emphasised), filters.to(frames))
    logarithms: Tensor = energies.clamp_min(torch.finfo(torch.float32).eps).log()
    return logarithms


def _power(frames: Tensor) -> Tensor:
    spectra: Tensor = torch.fft.rfft(frames, n=_FFT)
    return spectra.real.square() + spectra.imag.square()


def _normalised_with_differences(bands: Tensor) -> Tensor:
    """(B, L, D) to (B, L, 3 D), every recording by itself."""
    first = _differences(bands)
    frames = torch.cat([bands, first, _differences(first)], dim=2)
    centred = frames - frames.mean(dim=1, keepdim=True)
    others = torch.ones_like(frames[:, :, :1]).sum(dim=1, keepdim=True) - 1  # an exporter takes L for 2 or more
    deviation = (centred.square().sum(dim=1, keepdim=True) / others.clamp_min(1)).sqrt()
    normalised: Tensor = centred / deviation.clamp_min(_LEAST_DEVIATION)  # added, an exporter would take it for 0
    return normalised


def _differences(frames: Tensor) -> Tensor:
    """(B, L, D) slopes of a line through each frame and its two neighbours to each side; ends are repeated."""
    length = frames.shape[1]
    padded = functional.pad(frames.transpose(1, 2), (_REACH, _REACH), mode="replicate").transpose(1, 2)
    slopes = sum(
        step * (padded[:, _REACH + step : _REACH + step + length] - padded[:, _REACH - step : _REACH - step + length])
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
