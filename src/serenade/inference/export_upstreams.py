"""Systems of upstreams as modules fit for `torch.export`: waveform in, probabilities out.

All rows of a batch have one length, so nothing is padded and nothing masked. Front ends can be traced, networks of the
library that take samples, Whisper, upstreams of `serenade pretrain`, and the encoder of MTL-AUG; text, openSMILE and
whole systems cannot.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from serenade.core.errors import UsageError
from serenade.models.mtl_aug import as_sequence
from serenade.models.upstreams.acoustic import SpectralUpstream
from serenade.models.upstreams.downstream import UpstreamDownstreamNetwork
from serenade.models.upstreams.masked_mel import LogMelPairs, MaskedMelUpstream
from serenade.models.upstreams.upstream import Upstream
from serenade.models.upstreams.waveform import WaveformUpstream, normalise_rows
from serenade.models.upstreams.whisper import WhisperUpstream
from serenade.nn.aggregators import BlstmPooling
from serenade.nn.frame_fusion import frames_at_rate
from serenade.nn.layer_mix import WeightedLayers, layers_needed
from serenade.signal.audio import SAMPLE_RATE
from serenade.signal.features import LogMelSettings, build_front_end
from serenade.signal.functionals import statistics_of_batch
from serenade.signal.kaldi import SuperbFilterBank
from serenade.signal.spectra import PowerSpectrum
from serenade.systems.upstream_downstream import UpstreamDownstreamSystem
from serenade.systems.upstreams.trained import EncoderUpstream

__all__ = ["UpstreamExport"]

_most: Any = torch.sym_max  # of lengths that are symbols while a graph is made; untyped in torch
_least: Any = torch.sym_min


class UpstreamExport(nn.Module):
    """Upstreams, fusion, aggregators and the classifier.

    Args:
        system: a trained system, on the CPU.
        temperature: of the probabilities.

    Raises:
        UsageError: an upstream cannot be traced.
    """

    def __init__(self, system: UpstreamDownstreamSystem, temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = system.network, temperature
        settings = system.settings
        rates = [rate for rate in self.network.rates if rate is not None]  # all have one in early fusion
        self.ratios = [rate / rates[0] for rate in rates] if settings.frame_rates == "resample" else None
        self.branches = nn.ModuleDict(
            {name: _branch(system, name, upstream) for name, upstream in system.upstreams.items()}
        )

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T) at 16 kHz to (B, K) probabilities and (B, K) logits."""
        network: UpstreamDownstreamNetwork = self.network
        frames = {name: branch(waveform) for name, branch in self.branches.items()}
        frames = {n: network.projections[n](each) if n in network.projections else each for n, each in frames.items()}
        if network.early:
            frames = {"fused": torch.cat(self._aligned(list(frames.values())), dim=2)}
        vectors = [_pooled(network.aggregators[name], each) for name, each in frames.items()]
        logits = network.classifier(torch.cat(vectors, dim=1))
        return (logits / self.temperature).softmax(1), logits

    def _aligned(self, frames: Sequence[Tensor]) -> list[Tensor]:
        """Sequences that can stand side by side, as `concatenate_frames` makes them."""
        if self.ratios is None:
            shortest = reduce(_least, (each.shape[1] for each in frames))
            return [each[:, :shortest] for each in frames]
        count = frames[0].shape[1]
        return [
            frames_at_rate(each, _full(each), ratio, count) for each, ratio in zip(frames, self.ratios, strict=True)
        ]


def _pooled(aggregator: nn.Module, frames: Tensor) -> Tensor:
    """One vector of each sequence; none of them has padding."""
    if isinstance(aggregator, BlstmPooling):  # no graph knows packed frames
        vector: Tensor = aggregator.blstm(frames, None).mean(dim=1)
    else:
        vector = aggregator(frames, _full(frames))
    return vector


def _full(frames: Tensor) -> Tensor:
    """(B,) lengths of sequences that have no padding."""
    return torch.ones_like(frames[:, 0, 0], dtype=torch.int64) * frames.shape[1]


def _cannot(found: str) -> UsageError:
    return UsageError(
        "this system of upstreams cannot be exported",
        found=found,
        expected="front ends or networks whose every step is a tensor's: no text, openSMILE or whole system",
        hint="Use it from its model folder, in Python or over HTTP: serenade serve",
    )


def _branch(system: UpstreamDownstreamSystem, name: str, upstream: Upstream) -> nn.Module:
    settings = system.settings.branches[name]
    if system.settings.short != "pad":
        raise _cannot("recordings below one frame are refused, which no graph can")
    if upstream.sample_rate != SAMPLE_RATE:
        raise _cannot(f"an upstream for {upstream.sample_rate} Hz")
    if isinstance(upstream, SpectralUpstream):
        heard: nn.Module = _Spectral(upstream)
    elif isinstance(upstream, WaveformUpstream):
        heard = _Waveform(upstream)
    elif isinstance(upstream, WhisperUpstream):
        heard = _Whisper(upstream)
    elif isinstance(upstream, MaskedMelUpstream):
        heard = _MaskedMel(upstream)
    elif isinstance(upstream, EncoderUpstream):
        heard = _Encoder(upstream)
    elif upstream.kind == "filter-bank-superb":
        heard = _Superb(upstream.least_samples)
    elif upstream.kind == "functionals":
        heard = _Functionals()
    else:
        raise _cannot(f"the upstream {upstream.kind}")
    kept = None if settings.fine_tune else cast(torch.dtype, getattr(torch, system.settings.stored))
    mix = cast(nn.Module, system.network.branches[name].mix)
    return _Branch(heard, mix, layers_needed(settings.layers, upstream.num_layers), kept)


class _Branch(nn.Module):
    """The layers of an upstream as they are kept, mixed."""

    def __init__(self, heard: nn.Module, mix: nn.Module, layers: Sequence[int], kept: torch.dtype | None) -> None:
        super().__init__()
        self.heard, self.mix, self.layers, self.kept = heard, mix, list(layers), kept

    def forward(self, waveform: Tensor) -> Tensor:
        found: Sequence[Tensor] = self.heard(waveform)
        chosen = [found[place] for place in self.layers]
        if self.kept is not None:
            chosen = [layer.to(self.kept).float() for layer in chosen]
        mixed: Tensor = self.mix(chosen) if isinstance(self.mix, WeightedLayers) else chosen[0]
        return mixed


class _Spectral(nn.Module):
    """(B, T) to the one layer (B, L, F) of a front end."""

    def __init__(self, upstream: SpectralUpstream) -> None:
        super().__init__()
        self.front_end = build_front_end(upstream.settings, exportable=True)
        self.subtract_mean = upstream.subtract_mean

    def forward(self, waveform: Tensor) -> tuple[Tensor, ...]:
        frames = self.front_end(waveform).transpose(1, 2)
        return (frames - frames.mean(dim=1, keepdim=True) if self.subtract_mean else frames,)


class _Waveform(nn.Module):
    """(B, T) to all layers (B, L, D) of a network of the library."""

    def __init__(self, upstream: WaveformUpstream) -> None:
        super().__init__()
        upstream.forget_batch()
        self.network, self.normalise, self.least = upstream.network, upstream.normalise, upstream.least_samples

    def forward(self, waveform: Tensor) -> tuple[Tensor, ...]:
        filled = _filled(waveform, self.least)
        if self.normalise:
            filled = normalise_rows(filled)
        found = self.network(filled, output_hidden_states=True)
        return (*found.hidden_states[:-1], found.last_hidden_state)


class _Whisper(nn.Module):
    """(B, T), T at most that of a window, to all layers (B, L, D) of Whisper's encoder."""

    def __init__(self, upstream: WhisperUpstream) -> None:
        super().__init__()
        self.upstream, self.most, self.hop = upstream, upstream.most_samples, upstream.hop
        self.spectrum = PowerSpectrum(
            window="hann",
            window_length=upstream.fft_length,
            hop_length=upstream.mel_hop,
            fft_length=upstream.fft_length,
            padding="reflect",
            exportable=True,
        )

    def forward(self, waveform: Tensor) -> tuple[Tensor, ...]:
        whole = functional.pad(waveform, (0, self.most))[:, : self.most]
        found = self.upstream.network(self.upstream.log_mel_of(self.spectrum(whole)), output_hidden_states=True)
        count = (waveform.shape[1] + self.hop - 1) // self.hop  # ONNX rounds quotients towards 0
        return tuple(layer[:, :count] for layer in (*found.hidden_states[:-1], found.last_hidden_state))


class _Encoder(nn.Module):
    """(B, T) to the one layer (B, L, D) of the encoder of MTL-AUG."""

    def __init__(self, upstream: EncoderUpstream) -> None:
        super().__init__()
        self.front_end = build_front_end(upstream.settings, exportable=True)
        self.normaliser, self.encoder = upstream.network.normaliser, upstream.encoder

    def forward(self, waveform: Tensor) -> tuple[Tensor, ...]:
        features = self.normaliser(self.front_end(waveform))  # (B, F, L)
        whole = self.encoder.frames_per_step
        steps = (features.shape[2] + whole - 1) // whole  # ONNX rounds quotients towards 0
        # behind the end lies the training mean, as far as the network looks
        encoded = self.encoder(functional.pad(features, (0, self.encoder.reach))[:, None])
        return (as_sequence(encoded)[:, :steps],)


class _Superb(nn.Module):
    """(B, T) to the one layer (B, L, 240) of SUPERB's filter bank."""

    def __init__(self, least: int) -> None:
        super().__init__()
        self.bank, self.least = SuperbFilterBank(), least

    def forward(self, waveform: Tensor) -> tuple[Tensor, ...]:
        return (self.bank(_filled(waveform, self.least)),)


class _Functionals(nn.Module):
    """(B, T) to the one layer (B, 1, 10 F) of statistics over time."""

    def __init__(self) -> None:
        super().__init__()
        self.front_end = build_front_end(LogMelSettings(), exportable=True)

    def forward(self, waveform: Tensor) -> tuple[Tensor, ...]:
        return (statistics_of_batch(self.front_end, waveform)[:, None],)


class _MaskedMel(nn.Module):
    """(B, T) to all layers (B, L, D) of an upstream of `serenade pretrain`."""

    def __init__(self, upstream: MaskedMelUpstream) -> None:
        super().__init__()
        self.mels = LogMelPairs(upstream.settings.num_bands, exportable=True)
        self.encoder, self.least, self.hop = upstream.encoder, upstream.least_samples, self.mels.hop_length

    def forward(self, waveform: Tensor) -> list[Tensor]:
        filled = _filled(waveform, self.least)
        whole = self.least + (filled.shape[1] - self.least) // self.hop * self.hop  # of steps that lie inside
        layers: list[Tensor] = self.encoder(self.encoder.standardise(self.mels(filled[:, :whole])), None)
        return layers


def _filled(waveform: Tensor, least: int) -> Tensor:
    """(B, T) waveforms with silence behind them where they are shorter than a frame."""
    return functional.pad(waveform, (0, least))[:, : _most(waveform.shape[1], least)]
