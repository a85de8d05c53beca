"""From the layers of an upstream to one sequence of frames: the last, a given one, or a learned weighted sum."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from serenade.core.errors import UsageError
from serenade.core.wording import counted

__all__ = ["ChosenLayer", "LayerChoice", "WeightedLayers", "layer_mix", "layers_needed"]

LayerChoice = Literal["last", "weighted"] | int
"""The last layer, the learned weighted sum, or the number of a layer: 0 is the input of block 1, L the output."""


class ChosenLayer(nn.Module):
    """One layer as it is.

    Args:
        place: its number, from 0.
    """

    def __init__(self, place: int) -> None:
        super().__init__()
        self.place = place

    def forward(self, layers: Sequence[Tensor]) -> Tensor:
        """Layers, each (B, L, D), to one of them."""
        return layers[self.place]


class WeightedLayers(nn.Module):
    """SUPERB's sum: one learned scalar per layer, from zero, softmax over the layers; nothing is normalised before.

    S. Yang et al., "SUPERB: Speech processing Universal PERformance Benchmark", Interspeech 2021, arXiv 2105.01051.

    Args:
        num_layers: L + 1 for an upstream of L blocks.
    """

    def __init__(self, num_layers: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(num_layers))

    def forward(self, layers: Sequence[Tensor]) -> Tensor:
        """Layers, each (B, L, D), to their weighted sum.

        Raises:
            UsageError: there are more or fewer layers than weights.
        """
        if len(layers) != len(self.scores):
            raise UsageError(
                "the weighted sum was made for another upstream",
                found=counted(len(layers), "layer"),
                expected=counted(len(self.scores), "layer"),
            )
        weights = self.scores.softmax(dim=0)
        mixed = weights[0] * layers[0]
        for weight, layer in zip(weights[1:], layers[1:], strict=True):
            mixed = mixed + weight * layer
        return mixed


def layer_mix(choice: LayerChoice, num_layers: int) -> ChosenLayer | WeightedLayers:
    """The module that makes one sequence of frames of an upstream's layers.

    Args:
        choice: "last", "weighted" or a layer's number.
        num_layers: L + 1 for an upstream of L blocks.

    Raises:
        UsageError: the upstream has no such layer.
    """
    if choice == "weighted":
        return WeightedLayers(num_layers)
    (place,) = layers_needed(choice, num_layers)
    return ChosenLayer(place)


def layers_needed(choice: LayerChoice, num_layers: int) -> list[int]:
    """The numbers of the layers that a choice looks at.

    Args:
        choice: "last", "weighted" (all) or a layer's number.
        num_layers: L + 1 for an upstream of L blocks.

    Raises:
        UsageError: the upstream has no such layer.
    """
    if choice == "weighted":
        return list(range(num_layers))
    place = num_layers - 1 if choice == "last" else choice
    if not 0 <= place < num_layers:
        raise UsageError(
            "the upstream has no such layer", found=place, expected=f"0 to {num_layers - 1}, last or weighted"
        )
    return [place]
