"""wav2vec 2.0, HuBERT, WavLM and data2vec-audio: convolutions over samples, then a transformer.

Their networks are those of the Transformers library. What is changed, so that no frame depends on the batch:

* Models whose first convolution is followed by group normalisation (all base models but data2vec's) take its mean and
  variance over the whole padded time axis. Here they are taken over the valid steps alone. A single utterance comes out
  as from the library, so trained weights stay right.
* All models get the mask in the transformer, and positional convolutions see zeros beyond the end of an utterance,
  also between the several layers that data2vec has.

``padding="library"`` undoes both: it follows the library's rule (no mask with group normalisation), to compare with.
"""

import warnings
from collections.abc import Callable, Mapping
from threading import get_ident
from typing import Any, Literal

import torch
from torch import Tensor, nn

from serenade.models.upstreams.upstream import Frames, Upstream, plain_config
from serenade.nn.masking import valid_steps

__all__ = ["PaddingRule", "WaveformUpstream", "normalise_rows"]

_LEAST_VARIANCE = 1e-7  # added to the variance of a waveform, as the library does

PaddingRule = Literal["exact", "library"]


class WaveformUpstream(Upstream):
    """An upstream that takes samples.

    Args:
        network: a base model of the library, without a head.
        kind: its architecture.
        sample_rate: of its waveforms in hertz.
        normalise: whether it was trained on waveforms of zero mean and unit variance.
        padding: exact, or the library's rule.
    """

    def __init__(
        self, network: nn.Module, *, kind: str, sample_rate: int, normalise: bool, padding: PaddingRule = "exact"
    ) -> None:
        super().__init__()
        config: Any = network.config
        self.network, self.kind, self.sample_rate, self.normalise, self.padding = (
            network,
            kind,
            sample_rate,
            normalise,
            padding,
        )
        self.kernels, self.strides = tuple(config.conv_kernel), tuple(config.conv_stride)
        self.dim, self.num_layers = config.hidden_size, config.num_hidden_layers + 1
        self.hop_length, self.least_samples = _reach(self.kernels, self.strides)
        self._valid_frames = _AtHand()
        if padding == "exact":
            self._make_exact()

    def _make_exact(self) -> None:
        network: Any = self.network
        if self._has_group_norm():
            first = network.feature_extractor.conv_layers[0]
            first.layer_norm = _ValidGroupNorm.like(first.layer_norm)
        positions = network.encoder.pos_conv_embed
        inner = list(getattr(positions, "layers", []))[:-1]  # data2vec has several
        if getattr(positions, "batch_norm", None) is not None:  # some HuBERT models have it before the convolution
            inner.append(positions.batch_norm)
        for module in inner:
            module.register_forward_hook(self._zero_padding())

    def _zero_padding(self) -> Callable[[nn.Module, Any, Tensor], Tensor]:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
            frames = self._valid_frames.get()
            if frames is None:  # one utterance, without padding
                return output
            return output.masked_fill(~valid_steps(frames, output.shape[2])[:, None], 0)

        return hook

    def _traits(self) -> Mapping[str, object]:
        return {"config": plain_config(self.network), "normalise": self.normalise, "padding": self.padding}

    def num_frames(self, lengths: Tensor) -> Tensor:
        """``floor((n - kernel) / stride) + 1`` through all convolutions; 0 below the receptive field."""
        frames = lengths
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            frames = _after(frames, kernel, stride)
        return frames

    def _normalise(self, waveform: Tensor) -> Tensor:
        if not self.normalise:
            return waveform
        return normalise_rows(waveform)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Frames:
        """Frames of a batch.

        Args:
            waveforms: (B, T), each from `prepare`; what stands beyond its length does not count.
            lengths: (B,) int64 samples, at least `least_samples`.
        """
        inside = valid_steps(lengths, waveforms.shape[1])
        frames = self.num_frames(lengths)
        self._valid_frames.set(frames)
        self._tell_group_norm(_after(lengths, self.kernels[0], self.strides[0]))
        masked = self.padding == "exact" or not self._has_group_norm()
        mask = inside.long() if masked and not bool(inside.all()) else None
        # WavLM's attention mixes a mask of truth values with a bias of numbers; to catch it is not safe among threads
        warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask and attn_mask")
        found = self.network(waveforms.masked_fill(~inside, 0), attention_mask=mask, output_hidden_states=True)
        # the library's last entry is not the network's output where the final normalisation stands behind the blocks
        return self._frames([*found.hidden_states[:-1], found.last_hidden_state], frames)

    def forget_batch(self) -> None:
        """Until the next batch `network` alone takes single utterances without padding, as an export does."""
        self._valid_frames.set(None)
        self._tell_group_norm(None)

    def _tell_group_norm(self, lengths: Tensor | None) -> None:
        """Let the first normalisation know the valid steps of the batch at hand."""
        network: Any = self.network
        norm = getattr(network.feature_extractor.conv_layers[0], "layer_norm", None)
        if isinstance(norm, _ValidGroupNorm):
            norm.lengths.set(lengths)

    def _has_group_norm(self) -> bool:
        network: Any = self.network
        return getattr(network.config, "feat_extract_norm", None) == "group"  # data2vec has no choice


def normalise_rows(waveforms: Tensor) -> Tensor:
    """Waveforms (..., T) with zero mean and unit variance each."""
    means, variances = waveforms.mean(-1, keepdim=True), waveforms.var(-1, correction=0, keepdim=True)
    return (waveforms - means) / (variances + _LEAST_VARIANCE).sqrt()


def _after(lengths: Tensor, kernel: int, stride: int) -> Tensor:
    """Steps of a convolution without padding; never below 0."""
    return ((lengths - kernel).div(stride, rounding_mode="floor") + 1).clamp_min(0)


def _reach(kernels: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, int]:
    """Samples from frame to frame, and samples that one frame sees."""
    hop, field = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        field += (kernel - 1) * hop
        hop *= stride
    return hop, field


class _AtHand:
    """(B,) valid steps of the batch at hand, in each thread its own: recordings may be scored in several at once.

    A thread without a batch gets the last one of all: autograd computes again in a thread of its own.
    """

    def __init__(self) -> None:
        self._of_threads: dict[int, Tensor | None] = {}
        self._last: Tensor | None = None

    def set(self, lengths: Tensor | None) -> None:
        self._of_threads[get_ident()] = self._last = lengths

    def get(self) -> Tensor | None:
        return self._of_threads.get(get_ident(), self._last)


class _ValidGroupNorm(nn.GroupNorm):
    """Group normalisation, one group per channel, whose statistics are of the valid steps: (B, C, L) to itself."""

    def __init__(self, groups: int, channels: int, *, eps: float, affine: bool) -> None:
        super().__init__(groups, channels, eps=eps, affine=affine)
        self.lengths = _AtHand()

    @classmethod
    def like(cls, norm: nn.GroupNorm) -> "_ValidGroupNorm":
        return cls(norm.num_groups, norm.num_channels, eps=norm.eps, affine=norm.affine)

    def forward(self, x: Tensor) -> Tensor:
        lengths = self.lengths.get()
        if lengths is None:  # one utterance, without padding
            return super().forward(x)
        valid = valid_steps(lengths, x.shape[2])[:, None]  # (B, 1, L)
        if bool(valid.all()):
            return super().forward(x)
        count = lengths[:, None, None]
        mean = x.masked_fill(~valid, 0).sum(dim=2, keepdim=True) / count
        variance = (x - mean).masked_fill(~valid, 0).square().sum(dim=2, keepdim=True) / count
        scale = self.weight[:, None] * (variance + self.eps).rsqrt()
        return torch.addcmul(self.bias[:, None] - mean * scale, x, scale)
