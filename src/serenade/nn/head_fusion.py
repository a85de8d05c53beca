"""Head fusion: several gates of one map, put together.

M. Xu, F. Zhang, S. U. Khan, "Improve Accuracy of Speech Emotion Recognition with Attention Head Fusion", CCWC 2020;
M. Xu, F. Zhang, W. Zhang, "Head Fusion: Improving the Accuracy and Robustness of Speech Emotion Recognition on the
IEMOCAP and RAVDESS Dataset", IEEE Access 2021. The released network gates every position by a softmax over channels;
the paper describes attention between positions. Both are here.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from serenade.nn.attention_maps import AttentionMap, entropy_focus

__all__ = ["HeadFusion"]


class HeadFusion(nn.Module):
    """n heads over a map: (B, C, H, W) to (B, h, n H, W), the heads one below the other.

    Args:
        channels: C.
        heads: n.
        hidden: h, channels of each head.
        attention: "channel" is ``softmax over channels of (Q * K), times V`` elementwise, as released; "matrix" is
            ``softmax(Q K^T / sqrt(h)) V`` between positions, as described in the papers.
        join: heads one below the other on "height", or side by side on "width": (B, h, H, n W).
    """

    def __init__(
        self,
        channels: int,
        *,
        heads: int = 4,
        hidden: int = 64,
        attention: Literal["channel", "matrix"] = "channel",
        join: Literal["height", "width"] = "height",
    ) -> None:
        super().__init__()
        self.heads, self.hidden, self.attention, self.join = heads, hidden, attention, join
        self.query = nn.Conv2d(channels, heads * hidden, 1)
        self.key = nn.Conv2d(channels, heads * hidden, 1)
        self.value = nn.Conv2d(channels, heads * hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, h, n H, W), or (B, h, H, n W) joined on the width."""
        split = (x.shape[0], self.heads, self.hidden, *x.shape[2:])
        query, key, value = (projection(x).reshape(split) for projection in (self.query, self.key, self.value))
        out = self.gates(query, key) * value if self.attention == "channel" else _between(query, key, value)
        if self.join == "width":
            return out.permute(0, 2, 3, 1, 4).flatten(3)
        return out.transpose(1, 2).flatten(2, 3)

    def attention_maps(self, x: Tensor, stacked: int) -> dict[str, AttentionMap]:
        """What each head does in each cell.

        With the attention "channel" every cell has gates of its own over the channels, which always average 1 / h: what
        differs is how unevenly they are open. With "matrix" it is the share of attention that a cell gets from all
        positions.

        Args:
            x: (B, C, H, W).
            stacked: how often H runs through the feature axis.

        Returns:
            One map (B, n, H, W) per head: ``gates`` or ``attention``; and ``passed``, the mean magnitude over channels
            of what the head lets through.
        """
        split = (x.shape[0], self.heads, self.hidden, *x.shape[2:])
        query, key, value = (projection(x).reshape(split) for projection in (self.query, self.key, self.value))
        if self.attention == "channel":
            gates = self.gates(query, key)
            name, passed = "gates", gates * value
            shown = AttentionMap(
                entropy_focus(gates, 2),
                "channel gates",
                "How selective the head is: 0 all its channels are open alike, 1 a single one is.",
                groups="head",
                scale="range",
                stacked=stacked,
            )
        else:
            name, passed = "attention", _between(query, key, value)
            q, k = (part.flatten(3).transpose(2, 3) for part in (query, key))  # (B, n, H W, h)
            weights = torch.matmul(q, k.transpose(2, 3)).div(self.hidden**0.5).softmax(dim=3)
            shown = AttentionMap(
                weights.mean(dim=2).reshape(*split[:2], *x.shape[2:]),
                "attention",
                "Share of its attention that the head gives a cell, over all positions; sums to 1 over a segment.",
                groups="head",
                stacked=stacked,
            )
        through = AttentionMap(
            passed.abs().mean(dim=2),
            "passed on",
            "Mean magnitude of what the head lets through.",
            groups="head",
            scale="range",
            stacked=stacked,
        )
        return {name: shown, "passed": through}

    @staticmethod
    def gates(query: Tensor, key: Tensor) -> Tensor:
        """(B, n, h, H, W) softmax over the channels of each head of the product of query and key."""
        return (query * key).softmax(dim=2)


def _between(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """(B, n, h, H, W) scaled dot-product attention between positions, head by head."""
    q, k, v = (part.flatten(3).transpose(2, 3) for part in (query, key, value))  # (B, n, H W, h)
    out = functional.scaled_dot_product_attention(q, k, v)
    return out.transpose(2, 3).reshape(query.shape)
