"""ECAPA-TDNN as an aggregator: frames to one utterance vector.

B. Desplanques, J. Thienpondt, K. Demuynck, "ECAPA-TDNN: Emphasized Channel Attention, Propagation and Aggregation in
TDNN Based Speaker Verification", Interspeech 2020, arXiv 2005.07143; layers and order as in SpeechBrain's widely used
version, where a block gets the output of the block before it and not the sum of all earlier ones.

With 80-dimensional frames 6,194,048 parameters, with 768 7,955,328 and with 1024 8,610,688.
"""

from typing import Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from serenade.core.errors import UsageError
from serenade.core.settings import Settings
from serenade.nn.masking import valid_steps

__all__ = ["EcapaSettings", "EcapaTdnn"]

_SCALE = 8  # groups of channels in a Res2 step
_DILATIONS = (2, 3, 4)  # of the three SE-Res2 blocks
_LEAST_VARIANCE = 1e-12
_LEAST_REFLECTED = max(_DILATIONS) + 1  # frames: a reflection needs more of them than it adds


class EcapaSettings(Settings):
    """Sizes of ECAPA-TDNN, and what stands beyond the ends of an utterance."""

    channels: int = Field(512, ge=_SCALE, description="C of the frame layers, a multiple of 8")
    squeeze_channels: int = Field(128, ge=1, description="of the squeeze-excitation")
    attention_channels: int = Field(128, ge=1, description="of the attentive statistics pooling")
    embedding_dim: int = Field(192, ge=1, description="E of the utterance vector")
    dropout: float = Field(0.0, ge=0, lt=1, description="of whole channels after each layer outside the Res2 steps")
    padding: Literal["zeros", "reflect"] = Field(
        "zeros",
        description="zeros: exact whatever the batch, from one frame up; reflect: as SpeechBrain, for its weights",
    )

    @field_validator("channels")
    @classmethod
    def _divisible(cls, channels: int) -> int:
        if channels % _SCALE:
            raise ValueError(f"channels must be a multiple of {_SCALE}: found {channels}")
        return channels


class EcapaTdnn(nn.Module):
    """ECAPA-TDNN: three SE-Res2 blocks, their outputs side by side, attentive statistics, one linear layer.

    With zero padding, frames beyond the valid length are set to zero before every convolution that looks sideways, and
    the batch normalisations of training count valid frames only. With reflect padding both see the padding of the
    batch, as SpeechBrain's do: then an utterance's vector depends a little on its batch.

    Args:
        width: D of the frames.
        settings: sizes and padding.
    """

    def __init__(self, width: int, settings: EcapaSettings | None = None) -> None:
        super().__init__()
        settings = EcapaSettings() if settings is None else settings
        self.settings, self.output_dim = settings, settings.embedding_dim
        channels, gathered = settings.channels, 3 * settings.channels
        self.first = _Unit(width, channels, settings, kernel=5)
        self.blocks = nn.ModuleList(_SeRes2Block(settings, dilation) for dilation in _DILATIONS)
        self.gather = _Unit(gathered, gathered, settings)
        self.pooling = _AttentiveStatistics(gathered, settings)
        self.norm = nn.BatchNorm1d(2 * gathered)
        self.embedding = nn.Linear(2 * gathered, settings.embedding_dim)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Frames to utterance vectors.

        Args:
            frames: (B, L, D); with zero padding, what stands beyond the valid length does not count.
            lengths: (B,) int64 valid frames, at least 1.

        Returns:
            (B, E).

        Raises:
            UsageError: fewer than 5 frames with reflect padding.
        """
        exact = self.settings.padding == "zeros"
        if not exact and frames.shape[1] < _LEAST_REFLECTED:
            raise UsageError(
                "ECAPA-TDNN with reflect padding cannot take so few frames",
                found=frames.shape[1],
                expected=f"at least {_LEAST_REFLECTED}",
                hint="Use padding = zeros, which takes any number from 1",
            )
        valid = valid_steps(lengths, frames.shape[1])[:, None]  # (B, 1, L)
        x = frames.transpose(1, 2)  # (B, D, L)
        x = self.first(x, valid)
        outputs = []
        for block in self.blocks:
            x = block(x, valid)
            outputs.append(x)
        x = self.gather(torch.cat(outputs, dim=1), valid)  # (B, 3 C, L)
        embeddings: Tensor = self.embedding(self.norm(self.pooling(x, valid)))
        return embeddings


class _Unit(nn.Module):
    """Convolution that keeps the length, ReLU, batch normalisation, channel dropout: (B, C, L) to (B, C', L)."""

    def __init__(
        self, inputs: int, outputs: int, settings: EcapaSettings, *, kernel: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        reach = dilation * (kernel // 2)
        self.conv = nn.Conv1d(inputs, outputs, kernel, dilation=dilation, padding=reach, padding_mode=settings.padding)
        self.norm = nn.BatchNorm1d(outputs)
        self.dropout = nn.Dropout1d(settings.dropout)
        self.exact = settings.padding == "zeros"
        self.looks_sideways = kernel > 1

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        if self.exact and self.looks_sideways:
            x = x.masked_fill(~valid, 0)
        x = self.conv(x).relu()
        x = _normalise_valid(self.norm, x, valid) if self.exact and self.training else self.norm(x)
        dropped: Tensor = self.dropout(x)
        return dropped


def _normalise_valid(norm: nn.BatchNorm1d, x: Tensor, valid: Tensor) -> Tensor:
    """Batch normalisation of (B, C, L) whose statistics are of the valid frames; padding becomes 0."""
    steps = x.transpose(1, 2)  # (B, L, C)
    inside = valid[:, 0]  # (B, L)
    normalised = torch.zeros_like(steps)
    normalised[inside] = norm(steps[inside])
    return normalised.transpose(1, 2)


class _SeRes2Block(nn.Module):
    """Unit, Res2 step, unit, squeeze-excitation, plus the input: (B, C, L) to itself."""

    def __init__(self, settings: EcapaSettings, dilation: int) -> None:
        super().__init__()
        channels, group = settings.channels, settings.channels // _SCALE
        without_dropout = settings.model_copy(update={"dropout": 0.0})
        self.before = _Unit(channels, channels, settings)
        self.steps = nn.ModuleList(
            _Unit(group, group, without_dropout, kernel=3, dilation=dilation) for _ in range(_SCALE - 1)
        )
        self.after = _Unit(channels, channels, settings)
        self.squeeze = nn.Linear(channels, settings.squeeze_channels)
        self.excite = nn.Linear(settings.squeeze_channels, channels)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        y = self.after(self._res2(self.before(x, valid), valid), valid)
        mean = y.masked_fill(~valid, 0).sum(dim=2) / valid.sum(dim=2)  # (B, C)
        gate = self.excite(self.squeeze(mean).relu()).sigmoid()
        out: Tensor = x + gate[:, :, None] * y
        return out

    def _res2(self, x: Tensor, valid: Tensor) -> Tensor:
        """Each group of channels but the first through a unit, together with what the group before it became."""
        first, second, *others = x.chunk(_SCALE, dim=1)
        outputs = [first, self.steps[0](second, valid)]
        for step, group in zip(list(self.steps)[1:], others, strict=True):
            outputs.append(step(group + outputs[-1], valid))
        return torch.cat(outputs, dim=1)


class _AttentiveStatistics(nn.Module):
    """Mean and deviation weighted by attention, channel by channel, with global context: (B, C, L) to (B, 2 C)."""

    def __init__(self, channels: int, settings: EcapaSettings) -> None:
        super().__init__()
        self.context = _Unit(3 * channels, settings.attention_channels, settings.model_copy(update={"dropout": 0.0}))
        self.scores = nn.Conv1d(settings.attention_channels, channels, 1)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        plain = valid / valid.sum(dim=2, keepdim=True)  # (B, 1, L), 1 / N on valid frames
        about = _weighted_statistics(x, plain)[:, :, None].expand(-1, -1, x.shape[2])
        scores = self.scores(self.context(torch.cat([x, about], dim=1), valid).tanh())
        return _weighted_statistics(x, scores.masked_fill(~valid, float("-inf")).softmax(dim=2))


def _weighted_statistics(x: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean and standard deviation over time: (B, C, L) and (B, 1 or C, L) to (B, 2 C)."""
    mean = (weights * x).sum(dim=2)
    variance = (weights * (x - mean[:, :, None]).square()).sum(dim=2)
    return torch.cat([mean, variance.clamp_min(_LEAST_VARIANCE).sqrt()], dim=1)
