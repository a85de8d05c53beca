"""The convolutional trunk that the older networks share: a tall and a wide first layer, then four of 3x3.

P. Li, Y. Song, I. McLoughlin, W. Guo, L. Dai, "An Attention Pooling based Representation Learning Method for Speech
Emotion Recognition", Interspeech 2018, Figure 1; M. Xu, F. Zhang, S. U. Khan (CCWC 2020) and M. Xu, F. Zhang, X. Cui,
W. Zhang (ICASSP 2021) for the form that joins on the height.
"""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from serenade.core.errors import UsageError
from serenade.nn.norm_pool import normalise_and_pool

__all__ = ["TRUNK_CHANNELS", "TimeFrequencyTrunk"]

TRUNK_CHANNELS = 80
_TALL, _TALL_PADDING = (10, 2), (4, 0)  # frequency-specific: both give (H - 1) x (W - 1)
_WIDE, _WIDE_PADDING = (2, 8), (0, 3)  # time-specific
_JOINED_CHANNELS = 16
_WIDTHS = (32, 48, 64, TRUNK_CHANNELS)
_POOLED = (True, True, False, False)  # after which of them


class TimeFrequencyTrunk(nn.Module):
    """Frequency-specific and time-specific filters side by side, then four 3x3 convolutions, each normalised.

    Args:
        join: the two branches are put together on "channels" (8 each) or on "height" (16 each).
        pool_stem: whether a 2x2 maximum pooling follows the join, as the paper of 2018 draws it.
    """

    def __init__(self, *, join: Literal["channels", "height"] = "channels", pool_stem: bool = False) -> None:
        super().__init__()
        each = _JOINED_CHANNELS // 2 if join == "channels" else _JOINED_CHANNELS
        self.tall = nn.Conv2d(1, each, _TALL, padding=_TALL_PADDING)
        self.tall_norm = nn.BatchNorm2d(each)
        self.wide = nn.Conv2d(1, each, _WIDE, padding=_WIDE_PADDING)
        self.wide_norm = nn.BatchNorm2d(each)
        self.join, self.pool_stem = join, pool_stem
        widths = (_JOINED_CHANNELS, *_WIDTHS)
        pairs = pairwise(widths)
        self.convolutions = nn.ModuleList(nn.Conv2d(before, after, 3, padding=1) for before, after in pairs)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in _WIDTHS)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """H and W for an input of F x L: (F - 1) // 4 and (L - 1) // 4, halved once more with `pool_stem`.

        Joined on the height, H is 2 (F - 1) // 4.

        Raises:
            UsageError: nothing would be left.
        """
        shrunk = 8 if self.pool_stem else 4
        rows = (2 if self.join == "height" else 1) * (height - 1) // shrunk
        columns = (width - 1) // shrunk
        if rows < 1 or columns < 1:
            least = shrunk + 1
            raise UsageError(
                "the input is too small for the network's poolings",
                found=f"{height} x {width}",
                expected=f"at least {least} x {least}",
            )
        return rows, columns

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, F, L) features to (B, 80, H, W).

        For H and W see `output_size`.

        Raises:
            UsageError: the input is too small.
        """
        self.output_size(*x.shape[2:])
        first = self.pool_stem and self.join == "channels"  # pooling knows no other channel, but it knows other rows
        branches = [
            _normalise(self.tall_norm, self.tall(x), pool=first),
            _normalise(self.wide_norm, self.wide(x), pool=first),
        ]
        x = torch.cat(branches, dim=1 if self.join == "channels" else 2)
        if self.pool_stem and not first:
            x = functional.max_pool2d(x, 2)
        x = functional.relu(x, inplace=True)
        for convolution, norm, pooled in zip(self.convolutions, self.norms, _POOLED, strict=True):
            x = functional.relu(_normalise(norm, convolution(x), pool=pooled), inplace=True)
        return x


def _normalise(norm: nn.Module, x: Tensor, *, pool: bool) -> Tensor:
    """Normalised and, where asked for, pooled; ReLU comes after, which is the same on a quarter of the cells."""
    assert isinstance(norm, nn.BatchNorm2d)
    if pool:
        return normalise_and_pool(norm, x)
    out: Tensor = norm(x)
    return out
