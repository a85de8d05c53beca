"""What padded sequences need: which steps are valid, and softmax weights, statistics and errors over those alone."""

import torch
from torch import Tensor

__all__ = [
    "attentive_pool",
    "masked_mean",
    "masked_mean_squares",
    "masked_softmax",
    "masked_statistics",
    "valid_steps",
]

_LEAST_VARIANCE = 1e-8  # the square root's gradient is infinite at 0, which one valid step would give


def valid_steps(lengths: Tensor, steps: int) -> Tensor:
    """(B, steps) bool: which steps of padded sequences are valid.

    Args:
        lengths: (B,) int64 valid steps.
        steps: padded length.
    """
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def masked_softmax(scores: Tensor, lengths: Tensor | None) -> Tensor:
    """Softmax over the valid steps; padding gets exactly 0.

    Args:
        scores: (B, L) unnormalised weights.
        lengths: (B,) int64 valid steps, at least 1; None where all are valid.

    Returns:
        (B, L) weights that sum to 1 over the valid steps.
    """
    if lengths is not None:
        scores = scores.masked_fill(~valid_steps(lengths, scores.shape[1]), float("-inf"))
    return scores.softmax(dim=1)


def attentive_pool(frames: Tensor, scores: Tensor, lengths: Tensor | None) -> Tensor:
    """Average frames with softmax weights over the valid part of each sequence.

    Args:
        frames: (B, L, D) frame vectors, finite also where they are padding.
        scores: (B, L) unnormalised weights.
        lengths: (B,) int64 valid frames, at least 1; None where all are valid.

    Returns:
        (B, D) one vector per sequence; padding has no influence.
    """
    return torch.einsum("bl,bld->bd", masked_softmax(scores, lengths), frames)


def masked_mean(frames: Tensor, lengths: Tensor) -> Tensor:
    """Mean of the valid frames of each sequence.

    Args:
        frames: (B, L, D) frame vectors; what stands in the padding does not count.
        lengths: (B,) int64 valid frames, at least 1.

    Returns:
        (B, D) one vector per sequence.
    """
    mask = valid_steps(lengths, frames.shape[1])[:, :, None]
    return torch.where(mask, frames, 0.0).sum(dim=1) / lengths[:, None]


def masked_statistics(frames: Tensor, lengths: Tensor) -> Tensor:
    """Mean and standard deviation (over n, not n - 1) of the valid frames of each sequence.

    Args:
        frames: (B, L, D) frame vectors, finite also where they are padding.
        lengths: (B,) int64 valid frames, at least 1.

    Returns:
        (B, 2 D) means, then deviations; padding has no influence. A deviation is at least 1e-4.
    """
    mask = valid_steps(lengths, frames.shape[1])[:, :, None]
    count = lengths[:, None]
    mean = masked_mean(frames, lengths)
    deviations = torch.where(mask, frames - mean[:, None], 0.0)
    variance = deviations.square().sum(dim=1) / count
    return torch.cat([mean, variance.clamp_min(_LEAST_VARIANCE).sqrt()], dim=1)


def masked_mean_squares(predictions: Tensor, targets: Tensor, lengths: Tensor) -> Tensor:
    """Mean squared error over the valid cells of each example, then the mean of the examples.

    Args:
        predictions: (B, F, L).
        targets: (B, F, L).
        lengths: (B,) int64 valid frames, at least 1.
    """
    valid = valid_steps(lengths, targets.shape[2])[:, None]
    errors = torch.where(valid, predictions.float() - targets, 0.0).square().sum(dim=(1, 2))
    return (errors / (lengths * targets.shape[1])).mean()
