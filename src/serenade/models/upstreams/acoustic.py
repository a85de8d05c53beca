"""Upstreams without weights: filter banks, log-mel, MFCC, and functionals as one frame per recording.

They stand behind the same interface as networks that were trained beforehand, so that the two can be compared.
"""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from serenade.models.upstreams.upstream import Frames, Upstream
from serenade.signal import SIGNAL_VERSION
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

__all__ = [
    "FunctionalsUpstream",
    "SpectralUpstream",
    "filter_bank",
    "log_mel",
    "mfcc",
    "opensmile_compare",
    "opensmile_egemaps",
    "statistics",
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


class FunctionalsUpstream(Upstream):
    """Functionals of a whole recording as its only frame, one layer.

    Args:
        kind: its name.
        compute: (T,) at 16 kHz to (D,).
        dim: D.
        version: of what computes them.
    """

    def __init__(self, kind: str, compute: Callable[[Tensor], Tensor], dim: int, version: str) -> None:
        super().__init__()
        self.kind, self.compute, self.dim, self.version = kind, compute, dim, version
        self.num_layers, self.sample_rate, self.hop_length, self.least_samples = 1, SAMPLE_RATE, None, 1

    def _traits(self) -> Mapping[str, object]:
        return {"version": self.version}

    def num_frames(self, lengths: Tensor) -> Tensor:
        """1; 0 for no sample."""
        return (lengths > 0).long()

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Frames:
        """(B, 1, D): one frame each.

        Args:
            waveforms: (B, T), each from `prepare`; what stands beyond its length does not count.
            lengths: (B,) int64 samples, at least 1.
        """
        rows = [self.compute(row[:n]) for row, n in zip(waveforms, lengths.tolist(), strict=True)]
        return Frames((torch.stack(rows)[:, None],), self.num_frames(lengths))


def filter_bank() -> Upstream:
    """80 log mel bands of 25 ms every 10 ms up to 8 kHz, natural logarithm, the mean of each band taken off."""
    settings = LogMelSettings(
        num_bands=80, window="hamming", window_length=400, hop_length=160, fft_length=512, log="natural"
    )
    return SpectralUpstream("filter-bank", settings, subtract_mean=True)


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
    compute = partial(recording_statistics, front_end)
    version = f"{SIGNAL_VERSION} {settings.model_dump_json()}"
    return FunctionalsUpstream("functionals", compute, STATISTICS * front_end.num_features, version)


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
    compute = partial(opensmile_functionals, feature_set=feature_set)
    return FunctionalsUpstream(kind, compute, opensmile_width(feature_set), opensmile_version())
