"""Aggregators: frames of any upstream to one vector per utterance.

Each is made from the width D of the frames, tells its `output_dim`, and maps ``(frames, lengths)`` to
``(B, output_dim)``. In evaluation an utterance has the same vector alone and in any padded batch.
"""

from typing import Protocol

from pydantic import Field
from torch import Tensor, nn

from serenade.core.names import NameTable
from serenade.core.settings import Settings
from serenade.nn.masking import attentive_pool, masked_mean, masked_statistics
from serenade.nn.recurrent import PackedBlstm

__all__ = [
    "AGGREGATORS",
    "Aggregator",
    "AttentionPooling",
    "BlstmPooling",
    "BlstmPoolingSettings",
    "MeanPooling",
    "StatisticsPooling",
]


class Aggregator(Protocol):
    """What a downstream needs of an aggregator."""

    output_dim: int

    def __call__(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Frames (B, L, D), of which (B,) int64 `lengths`, at least 1, are valid, to (B, output_dim)."""
        ...


AGGREGATORS: NameTable[type[nn.Module]] = NameTable(
    "aggregator",
    [
        ("mean", "serenade.nn.aggregators:MeanPooling"),
        ("statistics", "serenade.nn.aggregators:StatisticsPooling"),
        ("attention", "serenade.nn.aggregators:AttentionPooling"),
        ("blstm", "serenade.nn.aggregators:BlstmPooling"),
        ("ecapa", "serenade.nn.ecapa:EcapaTdnn"),
    ],
)


class MeanPooling(nn.Module):
    """Mean of the valid frames.

    Args:
        width: D of the frames.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.output_dim = width

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Frames (B, L, D) and valid lengths (B,) to (B, D)."""
        return masked_mean(frames, lengths)


class StatisticsPooling(nn.Module):
    """Mean and standard deviation (over n, at least 1e-4) of the valid frames side by side.

    Args:
        width: D of the frames.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.output_dim = 2 * width

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Frames (B, L, D) and valid lengths (B,) to (B, 2 D)."""
        return masked_statistics(frames, lengths)


class AttentionPooling(nn.Module):
    """Mean of the valid frames with softmax weights; a frame's score is one learned linear map of it.

    Args:
        width: D of the frames.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.output_dim = width
        self.score = nn.Linear(width, 1, bias=False)  # softmax does not see a bias

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Frames (B, L, D), finite also in the padding, and valid lengths (B,) to (B, D)."""
        return attentive_pool(frames, self.score(frames).squeeze(2), lengths)


class BlstmPoolingSettings(Settings):
    """Size of the BLSTM aggregator."""

    units: int = Field(128, ge=1, description="of the BLSTM, per direction")


class BlstmPooling(nn.Module):
    """One bidirectional LSTM layer over the valid frames, then the mean of its states.

    Args:
        width: D of the frames.
        settings: size.
    """

    def __init__(self, width: int, settings: BlstmPoolingSettings | None = None) -> None:
        super().__init__()
        settings = BlstmPoolingSettings() if settings is None else settings
        self.blstm = PackedBlstm(width, settings.units)
        self.output_dim = 2 * settings.units

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Frames (B, L, D) and valid lengths (B,) to (B, 2 units)."""
        return masked_mean(self.blstm(frames, lengths), lengths)
