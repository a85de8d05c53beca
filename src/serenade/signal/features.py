"""Front ends: what a network sees of a waveform.

Each is a module from (N, T) waveforms at 16 kHz to (N, F, L) features. A clip's features depend on that clip alone:
wherever something is relative to a maximum, it is the maximum of the clip and not of the batch. Nothing is trained and
nothing is stored with the weights.
"""

import math
from abc import ABC, abstractmethod
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from serenade.core.errors import UsageError
from serenade.core.settings import Settings
from serenade.signal import FRONT_ENDS
from serenade.signal.audio import SAMPLE_RATE
from serenade.signal.spectra import (
    Padding,
    PowerSpectrum,
    Window,
    cosine_transform,
    htk_filters,
    slaney_filters,
)

__all__ = [
    "FilterBank",
    "FilterBankSettings",
    "FrontEnd",
    "FrontEndSettings",
    "LogMel",
    "LogMelSettings",
    "Mfcc",
    "MfccSettings",
    "MuLawSpectrogram",
    "MuLawSpectrogramSettings",
    "Spectrogram",
    "SpectrogramSettings",
    "build_front_end",
]

# Clips computed at once on a CPU hold about this much in frames, so that they stay in its second-level cache: for 1.8 s
# MFCC one pass over 256 clips reaches about 1,100x real time, passes over 2 clips 3,500x (benchmarks/features.py).
_CACHED_BYTES = 2**20
_LEAST_EXTENT = 1e-12  # of a spectrogram that is scaled to its own extent


def _check_band(low_hz: float, high_hz: float) -> None:
    if not low_hz < high_hz:
        raise ValueError(f"low_hz must be below high_hz: found {low_hz} and {high_hz}")


class MfccSettings(Settings):
    """26 MFCC as librosa computes them at 16 kHz: the input of GLAM, MHCNN and AACNN."""

    kind: Literal["mfcc"] = "mfcc"
    num_coefficients: int = Field(default=26, ge=1, description="cepstral coefficients kept, from coefficient 0 on")
    fft_length: int = Field(default=2048, ge=64, multiple_of=2, description="samples of a frame and of its transform")
    hop_length: int = Field(default=512, ge=1, description="samples from one frame to the next")
    num_bands: int = Field(default=128, ge=1, description="mel bands (Slaney's scale, equal area)")
    low_hz: float = Field(default=0.0, ge=0)
    high_hz: float = Field(default=SAMPLE_RATE / 2, gt=0, le=SAMPLE_RATE / 2)
    padding: Padding = Field(default="constant", description="librosa pads with zeros from 0.9 on, before it reflected")
    floor: float = Field(default=1e-10, gt=0, description="least power")
    top_db: float = Field(default=80.0, gt=0, description="decibels are cut off this far below the maximum of the clip")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_band(self.low_hz, self.high_hz)
        if self.num_coefficients > self.num_bands:
            raise ValueError(f"num_coefficients must be at most num_bands: found {self.num_coefficients}")
        return self


class LogMelSettings(Settings):
    """Logarithm of a librosa mel spectrogram: 128 bands, 50 ms Hann windows, 25 ms hop."""

    kind: Literal["log_mel"] = "log_mel"
    num_bands: int = Field(default=128, ge=1, description="mel bands (Slaney's scale, equal area)")
    window: Window = "hann"
    window_length: int = Field(default=800, ge=16, multiple_of=2, description="samples of a frame")
    hop_length: int = Field(default=400, ge=1, description="samples from one frame to the next")
    fft_length: int = Field(
        default=800, ge=16, multiple_of=2, description="length of the transform, at least the window's"
    )
    low_hz: float = Field(default=0.0, ge=0)
    high_hz: float = Field(default=SAMPLE_RATE / 2, gt=0, le=SAMPLE_RATE / 2)
    padding: Padding = "constant"
    log: Literal["log10", "natural"] = "log10"
    floor: float = Field(default=1e-10, gt=0, description="least power, so that digital silence has a logarithm")
    floor_by: Literal["clamp", "add"] = Field(
        default="clamp", description="how the floor enters: no power is below it, or it is added to every power"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_band(self.low_hz, self.high_hz)
        _check_window(self.window_length, self.fft_length)
        return self


class FilterBankSettings(Settings):
    """Natural logarithm of 40 mel filters up to 4 kHz, 40 ms rectangular windows, 10 ms hop, pre-emphasis 0.97."""

    kind: Literal["filter_bank"] = "filter_bank"
    num_bands: int = Field(default=40, ge=1, description="mel bands (HTK scale, height 1, corners on bins)")
    window: Window = "rectangular"
    window_length: int = Field(default=640, ge=16, description="samples of a frame")
    hop_length: int = Field(default=160, ge=1, description="samples from one frame to the next")
    fft_length: int = Field(
        default=1024, ge=16, multiple_of=2, description="length of the transform, at least the window's"
    )
    low_hz: float = Field(default=0.0, ge=0)
    high_hz: float = Field(default=4000.0, gt=0, le=SAMPLE_RATE / 2)
    pre_emphasis: float = Field(
        default=0.97, ge=0, lt=1, description="share of the sample before that is taken off; 0 is none"
    )
    floor: float = Field(default=2.0**-52, gt=0, description="least energy of a band")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_band(self.low_hz, self.high_hz)
        _check_window(self.window_length, self.fft_length)
        return self


class SpectrogramSettings(Settings):
    """Log power of the lowest 400 bins relative to the clip's maximum: 40 ms rectangular windows, 10 ms hop, 5 Hz bins.

    The published transform has 3198 points, so 400 bins end at 1996 Hz; ``fft_length=1600`` gives 10 Hz bins to 4 kHz.
    """

    kind: Literal["spectrogram"] = "spectrogram"
    num_bins: int = Field(default=400, ge=1, description="lowest bins kept")
    window: Window = "rectangular"
    window_length: int = Field(default=640, ge=16, description="samples of a frame")
    hop_length: int = Field(default=160, ge=1, description="samples from one frame to the next")
    fft_length: int = Field(
        default=3198, ge=16, multiple_of=2, description="length of the transform, at least the window's"
    )
    floor: float = Field(default=1e-30, ge=1e-37, description="least power (in float32)")

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_window(self.window_length, self.fft_length)
        _check_bins(self.num_bins, self.fft_length)
        return self


class MuLawSpectrogramSettings(Settings):
    """Magnitudes of the lowest 400 bins (0 to 4 kHz in steps of 10 Hz), spread by the mu-law.

    P. Li et al., Interspeech 2018, section 3: 40 ms Hamming windows, 10 ms hop, a linear map to [-1, 1] and
    ``F(x) = sign(x) ln(1 + mu |x|) / ln(1 + mu)``. The law spreads small values only if silence is mapped to 0:
    ``scale`` says how; "minmax" is the literal text, "reference" the code of GLAM's authors.
    """

    kind: Literal["mu_law"] = "mu_law"
    num_bins: int = Field(default=400, ge=1, description="lowest bins kept")
    window: Window = "hamming"
    window_length: int = Field(default=640, ge=16, description="samples of a frame")
    hop_length: int = Field(default=160, ge=1, description="samples from one frame to the next")
    fft_length: int = Field(
        default=1600, ge=16, multiple_of=2, description="length of the transform, at least the window's"
    )
    pad_end: int = Field(
        default=480, ge=0, description="zeros put behind a clip; 480 make 200 frames of 2 s, without them it is 197"
    )
    mu: float = Field(default=255.0, gt=0)
    scale: Literal["max", "minmax", "reference"] = Field(
        default="max",
        description="x = S / max S; or 2 (S - min S) / (max S - min S) - 1; or 2 S / max S - 1, max over all bins",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_window(self.window_length, self.fft_length)
        _check_bins(self.num_bins, self.fft_length)
        return self


def _check_bins(num_bins: int, fft_length: int) -> None:
    if num_bins > fft_length // 2 + 1:
        raise ValueError(f"num_bins must be at most fft_length / 2 + 1: found {num_bins}")


def _check_window(window_length: int, fft_length: int) -> None:
    if window_length > fft_length:
        raise ValueError(f"window_length must be at most fft_length: found {window_length} and {fft_length}")


FrontEndSettings = Annotated[
    MfccSettings | LogMelSettings | FilterBankSettings | SpectrogramSettings | MuLawSpectrogramSettings,
    Field(discriminator="kind"),
]


class FrontEnd(nn.Module, ABC):
    """Waveforms to features; the kinds say how power spectra become features.

    Args:
        spectrum: power spectra of frames.
        num_features: F.
    """

    def __init__(self, spectrum: PowerSpectrum, num_features: int) -> None:
        super().__init__()
        self.spectrum, self.num_features = spectrum, num_features

    def shape(self, num_samples: int) -> tuple[int, int]:
        """(F, L) of the features of that many samples."""
        return self.num_features, self.spectrum.num_frames(num_samples)

    def forward(self, waveforms: Tensor) -> Tensor:
        """Features.

        Args:
            waveforms: (N, T) at 16 kHz, T at least 1.

        Returns:
            (N, F, L); a clip's features are the same in any batch.

        Raises:
            UsageError: the waveforms have another shape, or are too short to be reflected at their ends.
        """
        if self.spectrum.exportable:
            return self.features(waveforms)
        if waveforms.ndim != 2 or waveforms.shape[1] < 1:
            raise UsageError("a front end takes (N, T) waveforms", found=f"shape {tuple(waveforms.shape)}")
        clips, num_samples = waveforms.shape
        if clips == 0:
            return waveforms.new_zeros(0, *self.shape(num_samples))
        with torch.autocast(waveforms.device.type, enabled=False):
            waveforms = waveforms.float()
            if waveforms.device.type != "cpu":
                return self.features(waveforms)
            clip_bytes = 4 * self.spectrum.fft_length * self.spectrum.num_frames(num_samples)
            at_once = max(1, _CACHED_BYTES // clip_bytes)
            return torch.cat([self.features(part) for part in torch.split(waveforms, at_once)])

    @abstractmethod
    def features(self, waveforms: Tensor) -> Tensor:
        """(N, F, L) of (N, T), all clips in one pass."""


class Mfcc(FrontEnd):
    """Mel-frequency cepstral coefficients."""

    filters: Tensor
    cosines: Tensor

    def __init__(self, settings: MfccSettings, *, exportable: bool = False) -> None:
        spectrum = PowerSpectrum(
            window="hann",
            window_length=settings.fft_length,
            hop_length=settings.hop_length,
            fft_length=settings.fft_length,
            padding=settings.padding,
            exportable=exportable,
        )
        super().__init__(spectrum, settings.num_coefficients)
        self.floor, self.top_db = settings.floor, settings.top_db
        filters = slaney_filters(
            settings.num_bands, settings.fft_length, SAMPLE_RATE, settings.low_hz, settings.high_hz
        )
        self.register_buffer("filters", filters.float(), persistent=False)
        cosines = cosine_transform(settings.num_coefficients, settings.num_bands)
        self.register_buffer("cosines", cosines.float(), persistent=False)

    def features(self, waveforms: Tensor) -> Tensor:
        """(N, F, L) of (N, T), all clips in one pass."""
        power = torch.matmul(self.filters, self.spectrum(waveforms))  # (N, bands, L)
        decibels = 10 * power.clamp_min(self.floor).log10()
        loudest = decibels.amax(dim=(1, 2), keepdim=True)
        return torch.matmul(self.cosines, torch.maximum(decibels, loudest - self.top_db))


_Windowed = LogMelSettings | FilterBankSettings | SpectrogramSettings | MuLawSpectrogramSettings


def _spectrum(settings: _Windowed, padding: Padding | None, exportable: bool) -> PowerSpectrum:
    return PowerSpectrum(
        window=settings.window,
        window_length=settings.window_length,
        hop_length=settings.hop_length,
        fft_length=settings.fft_length,
        padding=padding,
        exportable=exportable,
    )


class LogMel(FrontEnd):
    """Logarithmic mel spectrogram."""

    filters: Tensor

    def __init__(self, settings: LogMelSettings, *, exportable: bool = False) -> None:
        super().__init__(_spectrum(settings, settings.padding, exportable), settings.num_bands)
        self.floor, self.floor_by, self.log = settings.floor, settings.floor_by, settings.log
        filters = slaney_filters(
            settings.num_bands, settings.fft_length, SAMPLE_RATE, settings.low_hz, settings.high_hz
        )
        self.register_buffer("filters", filters.float(), persistent=False)

    def features(self, waveforms: Tensor) -> Tensor:
        """(N, F, L) of (N, T), all clips in one pass."""
        power = torch.matmul(self.filters, self.spectrum(waveforms))
        floored = power.clamp_min(self.floor) if self.floor_by == "clamp" else power + self.floor
        return floored.log10() if self.log == "log10" else floored.log()


class FilterBank(FrontEnd):
    """Log energies of mel filters, in the way of python_speech_features."""

    filters: Tensor

    def __init__(self, settings: FilterBankSettings, *, exportable: bool = False) -> None:
        super().__init__(_spectrum(settings, None, exportable), settings.num_bands)
        self.floor, self.pre_emphasis = settings.floor, settings.pre_emphasis
        filters = htk_filters(settings.num_bands, settings.fft_length, SAMPLE_RATE, settings.low_hz, settings.high_hz)
        self.register_buffer("filters", (filters / settings.fft_length).float(), persistent=False)

    def features(self, waveforms: Tensor) -> Tensor:
        """(N, F, L) of (N, T), all clips in one pass."""
        emphasised = waveforms[:, 1:] - self.pre_emphasis * waveforms[:, :-1]
        emphasised = torch.cat([waveforms[:, :1], emphasised], dim=1)
        energies = torch.matmul(self.filters, self.spectrum(emphasised))
        return energies.clamp_min(self.floor).log()


class Spectrogram(FrontEnd):
    """Log power below the clip's maximum, 0 dB at most."""

    def __init__(self, settings: SpectrogramSettings, *, exportable: bool = False) -> None:
        super().__init__(_spectrum(settings, None, exportable), settings.num_bins)
        self.floor = settings.floor

    def features(self, waveforms: Tensor) -> Tensor:
        """(N, F, L) of (N, T), all clips in one pass."""
        power = self.spectrum(waveforms) / self.spectrum.fft_length
        decibels = 10 * power.clamp_min(self.floor).log10()
        below_loudest = torch.sub(decibels, decibels.amax(dim=(1, 2), keepdim=True))
        return below_loudest[:, : self.num_features]


class MuLawSpectrogram(FrontEnd):
    """Magnitude spectrogram through a mu-law, relative to the clip's maximum."""

    def __init__(self, settings: MuLawSpectrogramSettings, *, exportable: bool = False) -> None:
        super().__init__(_spectrum(settings, None, exportable), settings.num_bins)
        self.pad_end, self.mu, self.scale = settings.pad_end, settings.mu, settings.scale

    def shape(self, num_samples: int) -> tuple[int, int]:
        """(F, L) of the features of that many samples."""
        return super().shape(num_samples + self.pad_end)

    def features(self, waveforms: Tensor) -> Tensor:
        """(N, F, L) of (N, T), all clips in one pass."""
        magnitude = self.spectrum(nn.functional.pad(waveforms, (0, self.pad_end))).sqrt()
        kept = magnitude[:, : self.num_features]
        highest = (magnitude if self.scale == "reference" else kept).amax(dim=(1, 2), keepdim=True)
        lowest = kept.amin(dim=(1, 2), keepdim=True) if self.scale == "minmax" else 0.0
        share = (kept - lowest) / (highest - lowest).clamp_min(_LEAST_EXTENT)  # silence stays at 0
        x = share if self.scale == "max" else 2 * share - 1
        spread: Tensor = x.sign() * torch.log1p(self.mu * x.abs()) / math.log1p(self.mu)
        return spread


def build_front_end(settings: FrontEndSettings, *, exportable: bool = False) -> FrontEnd:
    """The front end of the settings' kind.

    Args:
        settings: settings of one kind.
        exportable: compute the transform by matrix products, so that `torch.export` and other engines can take it;
            slower.

    Raises:
        SettingsError: a mel band holds no frequency of the transform.
    """
    front_end: FrontEnd = FRONT_ENDS.resolve(settings.kind)(settings, exportable=exportable)
    return front_end
