"""The mathematics under the front ends: windows, short-time power spectra, mel filters, the cosine transform.

Tables are computed in float64 and kept in float32.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from serenade.core.errors import SettingsError, UsageError
from serenade.core.wording import counted

__all__ = [
    "FactoredDft",
    "Padding",
    "PowerSpectrum",
    "Window",
    "cosine_transform",
    "htk_centres",
    "htk_filters",
    "htk_triangles",
    "overlapping",
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
        exportable: compute the transform by matrix products, which every engine can load, instead of by FFT.
    """

    window: Tensor

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
        self.transform = FactoredDft(fft_length) if exportable else None

    @property
    def num_bins(self) -> int:
        """B, frequencies from 0 to half the sample rate."""
        return self.fft_length // 2 + 1

    def num_frames(self, num_samples: int) -> int:
        """L, frames of that many samples."""
        if self.padding is not None:
            return 1 + num_samples // self.hop_length
        return 1 + max(0, (num_samples - self.window_length + self.hop_length - 1) // self.hop_length)

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
        if self.transform is not None:
            count = (padded.shape[1] - self.window_length) // self.hop_length + 1
            windowed = overlapping(padded, self.window_length, self.hop_length, count) * self.window
            frames = F.pad(windowed, (0, self.fft_length - self.window_length))
            power: Tensor = self.transform(frames)
            return power.transpose(1, 2)
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
                found=counted(num_samples, "sample"),
                expected=f"more than {half}",
                hint='Use padding = "constant" or longer segments',
            )
        return F.pad(waveforms, (half, half), mode=self.padding)


def overlapping(samples: Tensor, length: int, step: int, count: int) -> Tensor:
    """Stretches of a signal by slices and a join, which every engine has and copies in long runs.

    Args:
        samples: (N, T), T at least length + (count - 1) step.
        length: of a stretch.
        step: from stretch to stretch.
        count: how many; may be symbolic.

    Returns:
        (N, count, length).
    """
    unit = math.gcd(length, step)
    blocks = samples[:, : length + (count - 1) * step].reshape(samples.shape[0], -1, unit)
    stride = step // unit
    parts = [blocks[:, place : place + (count - 1) * stride + 1 : stride] for place in range(length // unit)]
    return torch.cat(parts, dim=2)


class FactoredDft(nn.Module):
    """|DFT|² of real frames by two products with small matrices, one step of Cooley and Tukey's factoring.

    With N = P Q, n = Q p + q and k = r + P s (Math. Comp. 19, 1965, equation 3):

        X[r + P s] = sum_q W_N^(q r) (sum_p x[Q p + q] W_P^(p r)) W_Q^(q s),  W_M = exp(-2 pi i / M)

    For 2048 points that is a twelfth of the work of one product with the whole matrix.

    Args:
        length: N; a prime one has no factors and takes the whole matrix.
    """

    outer: Tensor
    twiddle: Tensor
    inner: Tensor

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length
        self.p = max(p for p in range(1, math.isqrt(length) + 1) if length % p == 0)
        self.q = length // self.p
        self.kept = self.q // 2 + 1  # values of s: all frequencies up to the half lie in them
        place = torch.arange(self.q)
        turns = torch.outer(torch.arange(self.p), torch.arange(self.p))
        self.register_buffer("outer", _roots(turns, self.p), persistent=False)
        self.register_buffer("twiddle", _roots(torch.outer(torch.arange(self.p), place), length), persistent=False)
        cosine, sine = _roots(torch.outer(place, torch.arange(self.kept)), self.q)
        # (2Q, 2S): real and imaginary part beside each other, on both sides of the product
        inner = torch.cat([torch.cat([cosine, sine], dim=1), torch.cat([-sine, cosine], dim=1)], dim=0)
        self.register_buffer("inner", inner, persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """(N, L, length) to (N, L, B), B = length / 2 + 1 rounded down."""
        grid = frames.reshape(*frames.shape[:2], self.p, self.q)  # (N, L, P, Q)
        real, imaginary = torch.matmul(self.outer[0], grid), torch.matmul(self.outer[1], grid)
        cosine, sine = self.twiddle[0], self.twiddle[1]
        turned = torch.cat([real * cosine - imaginary * sine, real * sine + imaginary * cosine], dim=3)
        spectrum = torch.matmul(turned, self.inner)  # (N, L, P, 2S)
        power = spectrum[..., : self.kept].square() + spectrum[..., self.kept :].square()
        return power.transpose(2, 3).flatten(2)[..., : self.length // 2 + 1]


def _roots(turns: Tensor, length: int) -> Tensor:
    """(2, ...) real and imaginary part of exp(-2 pi i turns / length), float32."""
    angles = 2 * math.pi * (turns % length).double() / length  # exact: integers before the division
    return torch.stack([angles.cos(), -angles.sin()]).float()
