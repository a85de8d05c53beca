"""What a network attends to, as maps over its input: the form in which all networks give them.

A network with attention has a method ``attention_maps``; `AttentionMap` says what its numbers are, so that whatever
draws them need not know the network.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from torch import Tensor
from torch.nn import functional

__all__ = ["AttentionMap", "AttentiveNetwork", "CellNetwork", "attention_in_time", "entropy_focus", "over_input"]


@dataclass(frozen=True, slots=True)
class AttentionMap:
    """One kind of map for a batch of inputs.

    Args:
        values: (B, G, H, W) over the cells of the network's inner grid; G is 1, or a map per class or head.
        title: what it is, in a few words.
        meaning: what a number of it says, as a sentence.
        groups: what G counts.
        scale: "share" counts from 0; "signed" speaks for and against; "range" has no zero of interest, only its
            differences do.
        stacked: how often H runs through the feature axis: 2 where the network puts the maps of its two first filters
            one below the other.
    """

    values: Tensor
    title: str
    meaning: str
    groups: Literal["one", "class", "head"] = "one"
    scale: Literal["share", "signed", "range"] = "share"
    stacked: int = 1


@runtime_checkable
class AttentiveNetwork(Protocol):
    """A network that can show what it attends to."""

    def attention_maps(self, x: Tensor) -> Mapping[str, AttentionMap]:
        """Maps by name of (B, 1, F, L) features; none where its settings leave attention out."""
        ...


@runtime_checkable
class CellNetwork(Protocol):
    """A network with a last map of cells before it pools, flattens or attends: where Grad-CAM is taken."""

    @property
    def stacked(self) -> int:
        """How often the height of that map runs through the feature axis."""
        ...

    def cells(self, x: Tensor) -> Tensor:
        """(B, 1, F, L) features to (B, C, H, W) cells, after their activation."""
        ...

    def scores_of_cells(self, cells: Tensor) -> Tensor:
        """(B, C, H, W) cells to (B, K) logits: the rest of the network."""
        ...


def attention_in_time(weights: Tensor) -> AttentionMap:
    """(B, T) weights of attention pooling as a map that knows time only."""
    return AttentionMap(weights[:, None, None], "attention pooling", "The share of a step in what the network keeps.")


def over_input(values: Tensor, height: int, width: int, stacked: int = 1) -> Tensor:
    """A map brought to the size of the input, bilinearly; a cell lies in the middle of its share of the input.

    Args:
        values: (B, G, H, W).
        height: F of the input.
        width: L of the input.
        stacked: how often H runs through the feature axis.

    Returns:
        (B, G, stacked, F, L).
    """
    spread = functional.interpolate(values, size=(stacked * height, width), mode="bilinear", align_corners=False)
    return spread.reshape(*values.shape[:2], stacked, height, width)


def entropy_focus(shares: Tensor, dim: int) -> Tensor:
    """How far shares are from even: ``1 - entropy / ln n``, from 0 (all alike) to 1 (one has everything).

    Args:
        shares: sums to 1 along the axis.
        dim: the axis, which is taken away; of a single share the focus is 0.
    """
    count = shares.shape[dim]
    if count == 1:
        return shares.new_zeros(shares.sum(dim).shape)
    entropy = -(shares * shares.clamp_min(1e-30).log()).sum(dim)
    most = shares.new_tensor(float(count)).log()
    return (1 - entropy / most).clamp(0, 1)
