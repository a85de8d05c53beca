"""Upstreams without weights: filter banks, log-mel, MFCC, and functionals as one frame per recording.

They stand behind the same interface as networks that were trained beforehand, so that the two can be compared.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from serenade.models.upstreams.upstream import Frames, Upstream
from serenade.signal import SIGNAL_VERSION, kaldi
from serenade.signal.audio import SAMPLE_RATE
from serenade.signal.features import FrontEndSettings, LogMelSettings, MfccSettings, build_front_end
from serenade.signal.functionals import (
    STATISTICS,
    FeatureSet,
    opensmile_functionals,
    opensmile_version,
    opensmile_width,
    recording_statistics,
)
from serenade.signal.kaldi import superb_filter_bank

__all__ = [
    "ComputedUpstream",
    "SpectralUpstream",
    "filter_bank",
    "log_mel",
    "mfcc",
    "opensmile_compare",
    "opensmile_egemaps",
    "statistics",
    "superb",
]


class SpectralUpstream(Upstream):
    """Frames of a front end, one layer.

    Args:
        kind: its name.
        settings: of the front end.
        subtract_mean: whether the mean of each band over the utterance is taken off.
    """

    def __init__(self, kind: str, settings: FrontEndSettings, *, subtract_mean: bool = False) -> None:
        super().__init__()
        self.kind, self.settings, self.subtract_mean = kind, settings, subtract_mean
        self.front_end = build_front_end(settings)
        self.dim, self.num_layers = self.front_end.num_features, 1
        self.sample_rate, self.hop_length, self.least_samples = SAMPLE_RATE, settings.hop_length, 1

    def _traits(self) -> Mapping[str, object]:
        return {
            "settings": self.settings.model_dump(mode="json"),
            "subtract_mean": self.subtract_mean,
            "version": SIGNAL_VERSION,
        }

    def num_frames(self, lengths: Tensor) -> Tensor:
        """As many as the front end makes; 0 for no sample."""
        frames = [self.front_end.shape(int(n))[1] if n > 0 else 0 for n in lengths.flatten()]
        return torch.tensor(frames, device=lengths.device).reshape(lengths.shape)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Frames:
        """Frames of a batch, each utterance computed by itself.

        Args:
            waveforms: (B, T), each from `prepare`; what stands beyond its length does not count.
            lengths: (B,) int64 samples, at least 1.
        """
        frames = [
            self._frames_of(waveform[:n]) for waveform, n in zip(waveforms, lengths.tolist(), strict=True)
        ]  # each (L, F)
        return Frames((pad_sequence(frames, batch_first=True),), self.num_frames(lengths))

    def _frames_of(self, waveform: Tensor) -> Tensor:
        frames: Tensor = self.front_end(waveform[None])[0].T
        return frames - frames.mean(dim=0) if self.subtract_mean else frames


class ComputedUpstream(Upstream):
    """Frames, or one frame, that a function computes of each recording by itself, one layer.

    Args:
        kind: its name.
        compute: (T,) at 16 kHz to (L, D).
        dim: D.
        version: of what is computed.
        hop_length: samples from frame to frame where frames lie within the recording; None for one frame of all of it.
        least_samples: of a frame; the shortest recording where there is but one.
    """

    def __init__(
        self,
        kind: str,
        compute: Callable[[Tensor], Tensor],
        dim: int,
        version: str,
        *,
        hop_length: int | None = None,
        least_samples: int = 1,
    ) -> None:
        super().__init__()
        self.kind, self.compute, self.dim, self.version = kind, compute, dim, version
        self.num_layers, self.sample_rate = 1, SAMPLE_RATE
        self.hop_length, self.least_samples = hop_length, least_samples

    def _traits(self) -> Mapping[str, object]:
        return {"version": self.version}

    def num_frames(self, lengths: Tensor) -> Tensor:
        """``floor((n - least_samples) / hop_length) + 1``, or 1; 0 for what is too short."""
        if self.hop_length is None:
            return (lengths >= self.least_samples).long()
        spare = lengths - self.least_samples
        return (spare.div(self.hop_length, rounding_mode="floor") + 1).clamp_min(0)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Frames:
        """Frames of a batch.

        Args:
            waveforms: (B, T), each from `prepare`; what stands beyond its length does not count.
            lengths: (B,) int64 samples, at least `least_samples`.
        """
        rows = [self.compute(row[:n].cpu()) for row, n in zip(waveforms, lengths.tolist(), strict=True)]
        return Frames((pad_sequence(rows, batch_first=True).to(waveforms.device),), self.num_frames(lengths))


def filter_bank() -> Upstream:
    """80 log mel bands of 25 ms every 10 ms up to 8 kHz, natural logarithm, the mean of each band taken off."""
    settings = LogMelSettings(
        num_bands=80, window="hamming", window_length=400, hop_length=160, fft_length=512, log="natural"
    )
    return SpectralUpstream("filter-bank", settings, subtract_mean=True)


def superb() -> Upstream:
    """SUPERB's filter bank: 80 log bands as Kaldi defines them, first and second differences, all normalised."""
    return ComputedUpstream(
        "filter-bank-superb",
        superb_filter_bank,
        240,
        str(SIGNAL_VERSION),
        hop_length=kaldi.HOP,
        least_samples=kaldi.WINDOW,
    )


def log_mel() -> Upstream:
    """`LogMelSettings` as they are: 128 bands of 50 ms every 25 ms."""
    return SpectralUpstream("log-mel", LogMelSettings())


def mfcc() -> Upstream:
    """`MfccSettings` as they are: 26 coefficients of 128 ms every 32 ms."""
    return SpectralUpstream("mfcc", MfccSettings())


def statistics() -> Upstream:
    """Ten statistics over time of each log-mel band: what the baseline classifies."""
    settings = LogMelSettings()
    front_end = build_front_end(settings)

    def compute(waveform: Tensor) -> Tensor:
        return recording_statistics(front_end, waveform)[None]

    version = f"{SIGNAL_VERSION} {settings.model_dump_json()}"
    return ComputedUpstream("functionals", compute, STATISTICS * front_end.num_features, version)


def opensmile_egemaps() -> Upstream:
    """openSMILE's 88 functionals of eGeMAPSv02.

    Raises:
        MissingPluginError: openSMILE is not installed.
    """
    return _opensmile("egemaps", "eGeMAPSv02")


def opensmile_compare() -> Upstream:
    """openSMILE's 6,373 functionals of ComParE 2016.

    Raises:
        MissingPluginError: openSMILE is not installed.
    """
    return _opensmile("compare", "ComParE_2016")


def _opensmile(kind: str, feature_set: FeatureSet) -> Upstream:
    def compute(waveform: Tensor) -> Tensor:
        return opensmile_functionals(waveform, feature_set)[None]

    return ComputedUpstream(kind, compute, opensmile_width(feature_set), opensmile_version())
