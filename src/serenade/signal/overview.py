"""A recording of any length as a waveform and a spectrogram that a screen can show, made from a stream."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from serenade.core.timelines import SoundOverview
from serenade.signal.audio import SAMPLE_RATE
from serenade.signal.spectra import PowerSpectrum, slaney_filters

__all__ = ["OverviewMaker"]

_STEP, _FRAME = 320, 800  # samples of a column: 20 ms and 50 ms
_FFT, _BANDS = 1024, 48
_LOW_DB, _HIGH_DB = -90.0, -10.0
_MOST_STEPS, _MOST_FRAMES = 200_000, 80_000  # then columns are joined: what a page can hold


class OverviewMaker:
    """Takes blocks of a recording and gives its overview; memory is half a per cent of the sound's."""

    def __init__(self) -> None:
        self._spectrum = PowerSpectrum(
            window="hann", window_length=_FRAME, hop_length=_FRAME, fft_length=_FFT, padding=None, exportable=False
        )
        self._filters = slaney_filters(_BANDS, _FFT, SAMPLE_RATE, 60.0, SAMPLE_RATE / 2).float()
        self._rest = torch.zeros(0)
        self._samples = 0
        self._envelope: list[NDArray[np.int8]] = []
        self._levels: list[NDArray[np.uint8]] = []

    def add(self, block: Tensor) -> None:
        """Take in the (n,) next samples at 16 kHz."""
        self._samples += len(block)
        held = torch.cat([self._rest, block])
        unit = 2 * _FRAME  # both kinds of columns end here: 1600 = 5 * 320 = 2 * 800
        whole = len(held) // unit * unit
        self._rest = held[whole:].clone()
        if whole:
            self._draw(held[:whole])

    def finish(self) -> SoundOverview:
        """The overview of all that was added."""
        if len(self._rest):
            self._draw(torch.nn.functional.pad(self._rest, (0, -len(self._rest) % (2 * _FRAME))))
        envelope = np.concatenate(self._envelope) if self._envelope else np.zeros((1, 2), np.int8)
        levels = np.concatenate(self._levels, axis=1) if self._levels else np.zeros((_BANDS, 1), np.uint8)
        steps, frames = -(-len(envelope) // _MOST_STEPS), -(-levels.shape[1] // _MOST_FRAMES)
        return SoundOverview(
            duration_s=self._samples / SAMPLE_RATE,
            step_s=steps * _STEP / SAMPLE_RATE,
            envelope=_joined_envelope(envelope, steps),
            frame_s=frames * _FRAME / SAMPLE_RATE,
            levels=_joined_levels(levels, frames),
        )

    def _draw(self, samples: Tensor) -> None:
        columns = samples.view(-1, _STEP)
        ends = torch.stack([columns.amin(1), columns.amax(1)], 1).clamp(-1, 1)
        self._envelope.append((127 * ends).round().to(torch.int8).numpy())
        with torch.inference_mode():
            power = self._filters @ self._spectrum(samples.unsqueeze(0))[0] * (4 / _FRAME) ** 2
            levels = 10 * power.clamp_min(1e-12).log10()
        share = ((levels - _LOW_DB) / (_HIGH_DB - _LOW_DB)).clamp(0, 1)
        self._levels.append((255 * share).round().to(torch.uint8).numpy())


def _joined_envelope(envelope: NDArray[np.int8], times: int) -> NDArray[np.int8]:
    if times == 1:
        return envelope
    filled = np.pad(envelope, ((0, -len(envelope) % times), (0, 0)), mode="edge").reshape(-1, times, 2)
    return np.stack([filled[:, :, 0].min(1), filled[:, :, 1].max(1)], 1)


def _joined_levels(levels: NDArray[np.uint8], times: int) -> NDArray[np.uint8]:
    if times == 1:
        return levels
    filled = np.pad(levels, ((0, 0), (0, -levels.shape[1] % times)), mode="edge")
    joined: NDArray[np.uint8] = filled.reshape(len(levels), -1, times).mean(2).round().astype(np.uint8)
    return joined
