"""Convolution, normalisation and pooling of maps of which only some cells are active.

Submanifold sparse convolution as in MESM (Dai et al., NAACL 2021, section "Sparse CNN"; Graham and van der Maaten,
arXiv 1706.01307): the output is active exactly where the input is, inactive neighbours count as zero. A batch of maps
is kept as rows, one per active cell, and the `Sites` they belong to.

There are two exact ways: `gather_conv` does only the work of the pairs of active cells, `masked_dense_conv` convolves
the zero-filled maps. `submanifold_conv` takes the quicker one (`benchmarks/sparse_conv.py`).
"""

from functools import cached_property
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from serenade.core.errors import UsageError

__all__ = [
    "ActiveBatchNorm",
    "Sites",
    "SubmanifoldConv2d",
    "gather_conv",
    "masked_dense_conv",
    "max_pool_sites",
    "submanifold_conv",
]

_OFFSETS = 9  # of a 3x3 kernel, numbered 3 * row + column
_CENTRE = 4
# Cells of a map from so many on, and the share of all its pairs from which on convolving the whole is quicker: measured
# on a CPU with the channels of MESM's blocks, which have the more the smaller the map is.
_BREAK_EVEN = ((512, 0.5), (128, 0.6), (0, 0.8))
# Where a matrix has no more weights than these, a gathered row is worth little work: the whole is quicker from here on.
_SMALL_MATRICES = ((300, 0.14), (1100, 0.3))

_Rule = tuple[Tensor, Tensor]
"""Rows of outputs and of their inputs at one offset: (P,) int64 each."""


class Sites:
    """The active cells of a batch of maps, counted by frame, row and column, and the rule book of a 3x3 kernel.

    What is asked for once is kept, so that all layers on the same cells share it.

    Args:
        mask: (S, H, W) bool, true where a cell is active.

    Raises:
        UsageError: the mask has another shape or type.
    """

    def __init__(self, mask: Tensor) -> None:
        if mask.ndim != 3 or mask.dtype != torch.bool:
            raise UsageError(
                "this cannot be a mask of active cells",
                found=f"{tuple(mask.shape)} {mask.dtype}",
                expected="(frames, height, width) torch.bool",
            )
        self.mask = mask

    @cached_property
    def places(self) -> Tensor:
        """(N,) int64: where each active cell lies in the flattened mask."""
        return self.mask.flatten().nonzero().squeeze(1)

    @cached_property
    def frames(self) -> Tensor:
        """(N,) int64: the map that each active cell belongs to."""
        height, width = self.mask.shape[1:]
        return self.places // (height * width)

    @cached_property
    def is_full(self) -> bool:
        """Whether every cell is active."""
        return len(self.places) == self.mask.numel()

    @cached_property
    def pairs(self) -> int:
        """Pairs of an active cell and an active neighbour within the 3x3 window, itself included."""
        height, width = self.mask.shape[1:]
        padded = functional.pad(self.mask, (1, 1, 1, 1))
        half = [self.mask & padded[:, r : r + height, c : c + width] for r, c in map(_row_column, range(_CENTRE))]
        return len(self.places) + 2 * int(torch.stack(half).sum())

    @cached_property
    def rules(self) -> list[_Rule]:
        """For each offset but the centre, which rows add to which, ordered by offset with the centre left out.

        Opposite offsets are each other's mirror, so only half are searched.
        """
        height, width = self.mask.shape[1:]
        numbers = torch.full_like(self.mask, -1, dtype=torch.int64).flatten()
        numbers[self.places] = torch.arange(len(self.places), device=self.mask.device)
        padded = functional.pad(numbers.view(self.mask.shape), (1, 1, 1, 1), value=-1)
        half = []
        for row, column in map(_row_column, range(_CENTRE)):
            inputs = padded[:, row : row + height, column : column + width].flatten()[self.places]
            outputs = (inputs >= 0).nonzero().squeeze(1)
            half.append((outputs, inputs[outputs]))
        return half + [(inputs, outputs) for outputs, inputs in reversed(half)]

    def gather(self, maps: Tensor) -> Tensor:
        """(S, C, H, W) maps to the (N, C) rows of the active cells."""
        rows = maps.permute(0, 2, 3, 1).flatten(0, 2)
        return rows if self.is_full else rows.index_select(0, self.places)

    def scatter(self, rows: Tensor, fill: float = 0.0) -> Tensor:
        """(N, C) rows to (S, C, H, W) maps, in channels-last order.

        Args:
            rows: one per active cell.
            fill: value of the inactive cells.
        """
        whole = rows
        if not self.is_full:
            whole = rows.new_full((self.mask.numel(), rows.shape[1]), fill).index_copy_(0, self.places, rows)
        return whole.view(*self.mask.shape, rows.shape[1]).permute(0, 3, 1, 2)

    def check(self, rows: Tensor, channels: int) -> None:
        """Pass if there is a row per active cell with so many channels.

        Raises:
            UsageError: there is not.
        """
        if rows.shape != (len(self.places), channels):
            raise UsageError(
                "the features do not fit the active cells or the layer",
                found=tuple(rows.shape),
                expected=f"(active cells, channels) = ({len(self.places)}, {channels})",
            )


def _row_column(offset: int) -> tuple[int, int]:
    return divmod(offset, 3)


def _off_centre(weight: Tensor) -> list[Tensor]:
    return [matrix for offset, matrix in enumerate(weight) if offset != _CENTRE]


class _GatherConv(torch.autograd.Function):
    """Keeps only rows and weights for the backward pass; autograd would keep every gathered copy."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, sites: Sites) -> Tensor:
        ctx.save_for_backward(rows, weight)
        ctx.sites = sites
        out = rows @ weight[_CENTRE]
        for (outputs, inputs), matrix in zip(sites.rules, _off_centre(weight), strict=True):
            out.index_add_(0, outputs, rows.index_select(0, inputs) @ matrix)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        rows, weight = ctx.saved_tensors
        of_rows = gradient @ weight[_CENTRE].T
        of_weights = torch.empty_like(weight)
        of_weights[_CENTRE] = rows.T @ gradient
        parts = zip(ctx.sites.rules, _off_centre(weight), _off_centre(of_weights), strict=True)
        for (outputs, inputs), matrix, of_matrix in parts:
            picked = gradient.index_select(0, outputs)
            torch.mm(rows.index_select(0, inputs).T, picked, out=of_matrix)
            of_rows.index_add_(0, inputs, picked @ matrix.T)
        return of_rows, of_weights, None


def gather_conv(rows: Tensor, weight: Tensor, sites: Sites) -> Tensor:
    """3x3 convolution by gathering, per kernel offset, the rows whose neighbour is active.

    Args:
        rows: (N, C) features of the active cells.
        weight: (9, C, D), a matrix per offset ``3 * row + column``.
        sites: the cells.

    Returns:
        (N, D) features of the same cells.
    """
    if torch.is_autocast_enabled(rows.device.type):
        dtype = torch.get_autocast_dtype(rows.device.type)
        rows, weight = rows.to(dtype), weight.to(dtype)
    out: Tensor = _GatherConv.apply(rows, weight, sites)  # type: ignore[no-untyped-call]  # torch left it so
    return out


def masked_dense_conv(rows: Tensor, weight: Tensor, sites: Sites) -> Tensor:
    """What `gather_conv` gives, ``m conv(m x)``, by convolving the zero-filled maps as a whole.

    Args:
        rows: (N, C) features of the active cells.
        weight: (9, C, D).
        sites: the cells.

    Returns:
        (N, D) features of the same cells.
    """
    inputs, outputs = weight.shape[1:]
    # one transposition of a matrix, for which torch is quick, and the channels-last order that the maps have
    kernel = weight.flatten(0, 1).T.contiguous().view(outputs, 3, 3, inputs).permute(0, 3, 1, 2)
    return sites.gather(functional.conv2d(sites.scatter(rows), kernel, padding=1))


def submanifold_conv(rows: Tensor, weight: Tensor, sites: Sites) -> Tensor:
    """`gather_conv` where few pairs of cells are active, else `masked_dense_conv`; arguments as for both."""
    cells = sites.mask[:1].numel()
    share = next(share for least, share in _BREAK_EVEN if cells >= least)
    share = next((small for most, small in _SMALL_MATRICES if weight[0].numel() <= most), share)
    sparse = sites.pairs < share * _OFFSETS * sites.mask.numel()
    return gather_conv(rows, weight, sites) if sparse else masked_dense_conv(rows, weight, sites)


class SubmanifoldConv2d(nn.Module):
    """3x3 convolution without bias whose output is active exactly where its input is.

    Weights start normal with standard deviation ``sqrt(2 / (9 C))``, as in SparseConvNet.

    Args:
        in_channels: C.
        out_channels: D.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        start = torch.randn(_OFFSETS, in_channels, out_channels) * sqrt(2 / (_OFFSETS * in_channels))
        self.weight = nn.Parameter(start)

    def forward(self, rows: Tensor, sites: Sites) -> Tensor:
        """(N, C) features of the active cells to (N, D).

        Raises:
            UsageError: the features do not fit the cells or this layer.
        """
        sites.check(rows, self.weight.shape[1])
        return submanifold_conv(rows, self.weight, sites)

    def multiply_adds(self, sites: Sites) -> int:
        """Multiplications with addition of one pass: pairs of active cells times ``C D``."""
        return sites.pairs * self.weight[0].numel()


class ActiveBatchNorm(nn.BatchNorm1d):
    """Batch normalisation over the active cells of the whole batch, with SparseConvNet's constants.

    No cell leaves the running statistics as they are; the variance of one cell is 0.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-4, momentum=0.01)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # the name in torch
        """(N, C) features of the active cells, normalised."""
        if len(input) == 0:
            return input
        if len(input) == 1 and self.training:  # torch refuses one value; a copy has the same mean and variance
            return super().forward(input.expand(2, -1))[:1]
        return super().forward(input)


def max_pool_sites(rows: Tensor, sites: Sites) -> tuple[Tensor, Sites]:
    """2x2 max pooling with stride 2: a cell is active if one of its four was, its value the maximum of those.

    A last odd row or column is left out, as in dense pooling.

    Args:
        rows: (N, C) features of the active cells.
        sites: the cells.

    Returns:
        (M, C) features and the coarser cells.
    """
    height, width = (size // 2 for size in sites.mask.shape[1:])
    windows = sites.mask[:, : 2 * height, : 2 * width].reshape(-1, height, 2, width, 2)
    pooled = Sites(windows.any(4).any(2))
    if len(pooled.places) == 0:
        return rows.new_zeros(0, rows.shape[1]), pooled
    return pooled.gather(functional.max_pool2d(sites.scatter(rows, float("-inf")), 2)), pooled
