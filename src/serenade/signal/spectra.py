"""The mathematics under the front ends: windows, short-time power spectra, mel filters, the cosine transform.

Tables are computed in float64 and kept in float32.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from serenade.core.errors import SettingsError, UsageError

__all__ = [
    "Padding",
    "PowerSpectrum",
    "Window",
    "cosine_transform",
    "htk_centres",
    "htk_filters",
    "htk_triangles",
    "slaney_centres",
    "slaney_filters",
    "window_of",
]

_FRAMES_AT_ONCE = (
    4096  # of a clip: an hour of speech at once would be 1.8 GB of frames and spectra (1024 samples, 16 ms)
)

Padding = Literal["constant", "reflect"]
Window = Literal["hann", "hamming", "rectangular"]


def window_of(name: Window, length: int) -> Tensor:
    """(length,) float64 window; Hann and Hamming are periodic, as is usual for spectra."""
    if name == "rectangular":
        return torch.ones(length, dtype=torch.float64)
    phase = 2 * math.pi * torch.arange(length, dtype=torch.float64) / length
    return 0.5 - 0.5 * phase.cos() if name == "hann" else 0.54 - 0.46 * phase.cos()


def slaney_filters(num_bands: int, fft_length: int, sample_rate: int, low_hz: float, high_hz: float) -> Tensor:
    """Triangles on Slaney's mel scale (linear up to 1 kHz, logarithmic above), each of equal area.

    Returns:
        (num_bands, fft_length // 2 + 1) float64, one filter a row.

    Raises:
        SettingsError: a filter holds no frequency of the transform.
    """
    edges = _slaney_edges(num_bands + 2, low_hz, high_hz)
    triangles = _triangles(edges, fft_length, sample_rate)
    return _without_empty(triangles * (2 / (edges[2:] - edges[:-2]))[:, None])


def _slaney_edges(count: int, low_hz: float, high_hz: float) -> Tensor:
    """Frequencies evenly spaced on Slaney's mel scale: 3 mel per 200 Hz up to 1 kHz, then 27 mel per factor 6.4."""
    step = math.log(6.4) / 27

    def to_mel(hz: float) -> float:
        return 3 * hz / 200 if hz < 1000 else 15 + math.log(hz / 1000) / step

    mels = torch.linspace(to_mel(low_hz), to_mel(high_hz), count, dtype=torch.float64)
    return torch.where(mels < 15, mels * 200 / 3, 1000 * ((mels - 15) * step).exp())


def htk_filters(num_bands: int, fft_length: int, sample_rate: int, low_hz: float, high_hz: float) -> Tensor:
    """Triangles of height 1 on the HTK mel scale, whose corners are rounded down to bins of the transform.

    Returns:
        (num_bands, fft_length // 2 + 1) float64, one filter a row.

    Raises:
        SettingsError: a filter holds no frequency of the transform.
    """
    corners = ((fft_length + 1) * _htk_edges(num_bands + 2, low_hz, high_hz) / sample_rate).floor()
    bins = torch.arange(fft_length // 2 + 1, dtype=torch.float64)
    left, centre, right = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    # Where two corners fall on one bin that flank has no bin; the division by zero must not show.
    rising = torch.where(bins < centre, (bins - left) / (centre - left).clamp_min(1), 1.0)
    falling = torch.where(bins >= centre, (right - bins) / (right - centre).clamp_min(1), 1.0)
    inside = (bins >= left) & (bins < right)
    return _without_empty(torch.where(inside, torch.minimum(rising, falling), 0.0))


def htk_triangles(num_bands: int, fft_length: int, sample_rate: int, low_hz: float, high_hz: float) -> Tensor:
    """Triangles of height 1 on the HTK mel scale, their corners where they are; narrow ones may hold no frequency.

    Returns:
        (num_bands, fft_length // 2 + 1) float64, one filter a row.
    """
    return _triangles(_htk_edges(num_bands + 2, low_hz, high_hz), fft_length, sample_rate)


def _triangles(edges: Tensor, fft_length: int, sample_rate: int) -> Tensor:
    """(bands, bins) triangles of height 1, each from one edge over the next to the one after it."""
    bins = torch.arange(fft_length // 2 + 1, dtype=torch.float64) * sample_rate / fft_length
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp_min(0)


def _htk_edges(count: int, low_hz: float, high_hz: float) -> Tensor:
    """Frequencies evenly spaced on the HTK mel scale."""
    low_mel, high_mel = (2595 * math.log10(1 + hz / 700) for hz in (low_hz, high_hz))
    mels = torch.linspace(low_mel, high_mel, count, dtype=torch.float64)
    return torch.as_tensor(700 * (10 ** (mels / 2595) - 1))


def slaney_centres(num_bands: int, low_hz: float, high_hz: float) -> Tensor:
    """(num_bands,) float64: the frequencies at which `slaney_filters` peak."""
    return _slaney_edges(num_bands + 2, low_hz, high_hz)[1:-1]


def htk_centres(num_bands: int, low_hz: float, high_hz: float) -> Tensor:
    """(num_bands,) float64: the frequencies at which `htk_filters` peak, before they are rounded down to bins."""
    return _htk_edges(num_bands + 2, low_hz, high_hz)[1:-1]


def _without_empty(filters: Tensor) -> Tensor:
    empty = (filters.amax(dim=1) <= 0).nonzero().flatten().tolist()
    if empty:
        raise SettingsError(
            f"{len(empty)} of {len(filters)} mel bands hold no frequency of the transform",
            found=f"first empty band: {empty[0]}",
            hint="Use fewer bands (num_bands), a longer transform (fft_length) or a wider range",
        )
    return filters


def cosine_transform(num_coefficients: int, num_bands: int) -> Tensor:
    """(num_coefficients, num_bands) float64: the first rows of the orthonormal DCT-II."""
    row = torch.arange(num_coefficients, dtype=torch.float64)[:, None]
    column = torch.arange(num_bands, dtype=torch.float64)[None, :]
    table = math.sqrt(2 / num_bands) * (math.pi * row * (2 * column + 1) / (2 * num_bands)).cos()
    table[0] /= math.sqrt(2)
    return table


class PowerSpectrum(nn.Module):
    """|DFT|² of windowed frames.

    Args:
        window: form of the window.
        window_length: samples of a frame.
        hop_length: samples from one frame to the next.
        fft_length: length of the transform; frames are filled up with zeros.
        padding: with which samples the frames are centred on multiples of the hop (half a frame on each side); None
            for frames that begin with the first sample, the last one filled up with zeros.
        exportable: compute the transform as a convolution, which every engine can load, instead of by FFT.
    """

    window: Tensor
    kernel: Tensor

    def __init__(
        self,
        *,
        window: Window,
        window_length: int,
        hop_length: int,
        fft_length: int,
        padding: Padding | None,
        exportable: bool,
    ) -> None:
        super().__init__()
        self.window_length, self.hop_length, self.fft_length = window_length, hop_length, fft_length
        self.padding, self.exportable = padding, exportable
        weights = window_of(window, window_length)
        self.register_buffer("window", weights.float(), persistent=False)
        if exportable:
            self.register_buffer("kernel", _dft_kernel(weights, fft_length).float(), persistent=False)

    @property
    def num_bins(self) -> int:
        """B, frequencies from 0 to half the sample rate."""
        return self.fft_length // 2 + 1

    def num_frames(self, num_samples: int) -> int:
        """L, frames of that many samples."""
        if self.padding is not None:
            return 1 + num_samples // self.hop_length
        return 1 + max(0, -(-(num_samples - self.window_length) // self.hop_length))

    def forward(self, waveforms: Tensor) -> Tensor:
        """Power spectra.

        Args:
            waveforms: (N, T) with T at least 1.

        Returns:
            (N, B, L).

        Raises:
            UsageError: a waveform is too short to be reflected at its ends.
        """
        padded = self._pad(waveforms)
        if self.exportable:
            parts = F.conv1d(padded.unsqueeze(1), self.kernel, stride=self.hop_length)  # (N, 2B, L)
            real, imaginary = parts.chunk(2, dim=1)
            return real.square() + imaginary.square()
        frames = padded.unfold(1, self.window_length, self.hop_length)  # (N, L, window_length), a view
        blocks = [self._power(block) for block in torch.split(frames, _FRAMES_AT_ONCE, dim=1)]
        return (blocks[0] if len(blocks) == 1 else torch.cat(blocks, dim=1)).transpose(1, 2)

    def _power(self, frames: Tensor) -> Tensor:
        """(N, L, window_length) to (N, L, B)."""
        spectra = torch.fft.rfft(frames * self.window, n=self.fft_length)
        return torch.addcmul(spectra.real.square(), spectra.imag, spectra.imag)

    def _pad(self, waveforms: Tensor) -> Tensor:
        num_samples, half = waveforms.shape[1], self.window_length // 2
        if self.padding is None:
            wanted = self.window_length + (self.num_frames(num_samples) - 1) * self.hop_length
            return F.pad(waveforms, (0, wanted - num_samples))
        if self.padding == "reflect" and num_samples <= half:
            raise UsageError(
                "the waveform is too short to be reflected at its ends",
                found=f"{num_samples} samples",
                expected=f"more than {half}",
                hint='Use padding = "constant" or longer segments',
            )
        return F.pad(waveforms, (half, half), mode=self.padding)


def _dft_kernel(weights: Tensor, fft_length: int) -> Tensor:
    """(2B, 1, window_length) float64: cosine rows, then sine rows, times the window."""
    bins = torch.arange(fft_length // 2 + 1)
    turns = torch.outer(bins, torch.arange(len(weights))) % fft_length  # exact: integers before the division
    angles = 2 * math.pi * turns.double() / fft_length
    return (torch.cat([angles.cos(), angles.sin()]) * weights).unsqueeze(1)
