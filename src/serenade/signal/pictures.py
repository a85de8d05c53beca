"""Sound as a picture, to orient the eye."""

import numpy as np
import torch
from torch import Tensor

from serenade.core.explanations import Picture
from serenade.signal.audio import SAMPLE_RATE
from serenade.signal.spectra import PowerSpectrum

__all__ = ["FLOOR_DB", "level_picture"]

FLOOR_DB = -140.0
"""Level of digital silence in a picture."""

_WINDOW, _HOP = 640, 160  # 40 ms and 10 ms: harmonics of a voice stay apart
_STEP_HZ = 2000


def level_picture(waveform: Tensor, title: str) -> Picture:
    """A spectrogram in dB, up to 8 kHz; a full sine reaches about 0 dB.

    Args:
        waveform: (T,) at 16 kHz, T at least 1.
        title: what it shows.
    """
    spectrum = PowerSpectrum(
        window="hann", window_length=_WINDOW, hop_length=_HOP, fft_length=_WINDOW, padding="constant", exportable=False
    )
    with torch.inference_mode():
        power = spectrum(waveform.unsqueeze(0))[0] * (4 / _WINDOW) ** 2  # (F, L)
        levels = 10 * power.clamp_min(10 ** (FLOOR_DB / 10)).log10()
    bins = np.arange(0, SAMPLE_RATE // 2 + 1, _STEP_HZ) * _WINDOW / SAMPLE_RATE
    ticks = {float(row): f"{row * SAMPLE_RATE / _WINDOW:g}" for row in bins}
    half = _HOP / 2 / SAMPLE_RATE
    return Picture(title, levels.numpy(), (-half, levels.shape[1] * 2 * half - half), "Hz", ticks)
