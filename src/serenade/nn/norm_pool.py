"""Batch normalisation followed by 2x2 maximum pooling, without ever making the normalised map.

``max(s x + t) = s max(x) + t`` where s > 0: the pooled map is normalised, a quarter of the work. Only the statistics
need the whole map. Where memory has channels last, PyTorch's gradient of a batch normalisation is slow on a CPU: there
the training step of the attention-pooling network takes 0.45 of the time of the plain graph instead of 0.85 (CPU time,
float32, batch 16, 400 x 200, one thread; `benchmarks/model_cost.py training --networks APCNN`).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from serenade.nn.conv import exact_on_cpu

__all__ = ["normalise_and_pool"]


def normalise_and_pool(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """What `norm` makes of a map, pooled over 2x2: (B, C, H, W) to (B, C, H // 2, W // 2).

    The short way is taken in training on a CPU at full precision, with channels last in memory, while all scales are
    positive, as they are at the start. Everywhere else it is the two plain calls.

    Args:
        norm: its running statistics are updated in training, as by a call of it.
        x: (B, C, H, W).
    """
    if not _has_short_way(norm, x):
        return functional.max_pool2d(norm(x), 2)
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    out: Tensor = _NormaliseAndPool.apply(
        x, norm.weight, norm.bias, norm.running_mean, norm.running_var, norm.momentum, norm.eps
    )  # type: ignore[no-untyped-call]  # torch does not annotate it
    return out


def _has_short_way(norm: nn.BatchNorm2d, x: Tensor) -> bool:
    return (
        norm.training
        and exact_on_cpu(x)
        and x.is_contiguous(memory_format=torch.channels_last)
        and norm.momentum is not None
        and bool((norm.weight > 0).all())
    )


class _NormaliseAndPool(torch.autograd.Function):
    """Forward and gradient of `normalise_and_pool`, both with one pass less over the whole map for each plain call."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        momentum: float,
        eps: float,
    ) -> Tensor:
        mean, variance = torch.ops.aten.batch_norm_update_stats(x, running_mean, running_var, momentum)
        inverse_std = (variance + eps).rsqrt()
        pooled, places = functional.max_pool2d(x, 2, return_indices=True)
        scale = weight * inverse_std
        ctx.save_for_backward(x, pooled, places, mean, inverse_std, scale)
        return torch.addcmul(_over_map(bias - mean * scale), pooled, _over_map(scale))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, pooled, places, mean, inverse_std, scale = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        rows = _rows(gradient, 1)  # (N, C)
        ones = rows.new_ones(len(rows))
        of_bias = ones @ rows
        of_weight = (ones @ (rows * _rows(pooled, 1)) - mean * of_bias) * inverse_std
        cells = x.numel() // x.shape[1]
        # the gradient through the statistics adds slope x + offset
        slope = -scale * inverse_std * of_weight / cells
        offset = -scale * of_bias / cells - slope * mean
        of_x = torch.ops.aten.max_pool2d_with_indices_backward(
            gradient * _over_map(scale), x, [2, 2], [2, 2], [0, 0], [1, 1], False, places
        )
        width = x.shape[3]  # whole rows of the map at once: three times quicker than over a few channels
        _rows(of_x, width).addcmul_(_rows(x, width), slope.repeat(width)).add_(offset.repeat(width))
        return of_x, of_weight, of_bias, None, None, None, None


def _over_map(values: Tensor) -> Tensor:
    """(C,) to (1, C, 1, 1)."""
    return values.view(1, -1, 1, 1)


def _rows(x: Tensor, cells: int) -> Tensor:
    """(B, C, H, W) with channels last in memory as (B H W / cells, cells C), without a copy."""
    return x.permute(0, 2, 3, 1).view(-1, cells * x.shape[1])
