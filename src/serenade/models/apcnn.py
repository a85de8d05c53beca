"""The attention-pooling family: one trunk on a spectrogram, three ways to turn its map into scores.

P. Li, Y. Song, I. McLoughlin, W. Guo, L. Dai, "An Attention Pooling based Representation Learning Method for Speech
Emotion Recognition", Interspeech 2018, sections 2 and 3. CNN_TF_GAP, CNN_TF_Bilinear and CNN_TF_Att.pooling are
`Apcnn` with the heads ``gap``, ``bilinear`` and ``paper``; `OneLayerCnn` is the network of the filter-shape study.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from serenade.core.settings import Settings
from serenade.nn.attention_maps import AttentionMap
from serenade.nn.trunk import TRUNK_CHANNELS, TimeFrequencyTrunk

__all__ = ["Apcnn", "ApcnnNetworkSettings", "AttentionPooling", "BilinearPooling", "OneLayerCnn", "PoolingHead"]

PoolingHead = Literal["paper", "paper_mean", "product", "class_softmax"]

_ROOT_FLOOR = 1e-8  # the square root's gradient is infinite at 0
_NORM_FLOOR = 1e-12
_ONE_LAYER_CHANNELS = 16


class ApcnnNetworkSettings(Settings):
    """Choices inside the network."""

    head: Literal["paper", "paper_mean", "product", "class_softmax", "gap", "bilinear"] = Field(
        "paper",
        description="attention pooling by the equation (paper), with a mean for the sum (paper_mean), without softmax "
        "(product) or with a softmax over classes (class_softmax); or gap, or bilinear",
    )
    head_bias: bool = Field(True, description="biases in the two attention maps")
    normalise_first: bool = Field(False, description="bilinear: L2 before the square root, as the text lists it")
    pool_stem: bool = Field(True, description="pool after the first layer, as drawn; the re-implementations do not")


class AttentionPooling(nn.Module):
    """Scores from the product of a class-specific and a class-agnostic map (section 2.3).

    ``score_k = (X a_k)^T (X b)``: with T the top-down maps X a_k and M the bottom-up map X b over all cells,

    ===============  ===================================================
    ``paper``        ``sum of T softmax_cells(M)``
    ``paper_mean``   ``mean of T softmax_cells(M)``
    ``product``      ``mean of T M``
    ``class_softmax`` ``mean of softmax_classes(T) M``
    ===============  ===================================================

    Args:
        channels: C.
        num_classes: K.
        kind: one of the four.
        bias: whether the maps have biases.
    """

    def __init__(self, channels: int, num_classes: int, kind: PoolingHead = "paper", *, bias: bool = True) -> None:
        super().__init__()
        self.top_down = nn.Conv2d(channels, num_classes, 1, bias=bias)
        self.bottom_up = nn.Conv2d(channels, 1, 1, bias=bias)
        self.kind = kind

    def maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) to the maps as they are multiplied: top-down (B, K, H, W) and bottom-up (B, 1, H, W)."""
        top_down, bottom_up = self.top_down(x), self.bottom_up(x)
        if self.kind in ("paper", "paper_mean"):
            bottom_up = bottom_up.flatten(2).softmax(dim=2).reshape(bottom_up.shape)
        if self.kind == "class_softmax":
            top_down = top_down.softmax(dim=1)
        return top_down, bottom_up

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, K) scores."""
        top_down, bottom_up = self.maps(x)
        product = top_down * bottom_up
        return product.sum(dim=(2, 3)) if self.kind == "paper" else product.mean(dim=(2, 3))

    def attention_maps(self, x: Tensor) -> dict[str, AttentionMap]:
        """(B, C, H, W) to the two maps and their product, whose sum over the cells is the score of the class."""
        top_down, bottom_up = self.maps(x)
        shares = self.kind in ("paper", "paper_mean")
        per_class = self.kind == "class_softmax"
        product = top_down * bottom_up
        return {
            "bottom_up": AttentionMap(
                bottom_up,
                "bottom-up attention",
                "Where it looks, whatever the class: "
                + ("shares of attention, which sum to 1 over a segment." if shares else "a score per cell."),
                scale="share" if shares else "signed",
            ),
            "top_down": AttentionMap(
                top_down,
                "top-down attention",
                "What speaks for the class, wherever it looks: "
                + ("share of the class among all classes in a cell." if per_class else "a score per cell."),
                groups="class",
                scale="share" if per_class else "signed",
            ),
            "product": AttentionMap(
                product if self.kind == "paper" else product / product[0, 0].numel(),
                "product of both",
                "What a cell adds to the score of the class; the sum over a segment is its score.",
                groups="class",
                scale="signed",
            ),
        }


class BilinearPooling(nn.Module):
    """Second-order statistics of a map: ``X^T X``, signed square root, L2 norm (section 2.2).

    Args:
        normalise_first: L2 before the root, the order of the paper's text; bilinear networks usually do it last.
    """

    def __init__(self, *, normalise_first: bool = False) -> None:
        super().__init__()
        self.normalise_first = normalise_first

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C C)."""
        cells = x.flatten(2)  # (B, C, N)
        second = torch.matmul(cells, cells.transpose(1, 2)).flatten(1)
        if self.normalise_first:
            return _signed_root(functional.normalize(second, eps=_NORM_FLOOR))
        return functional.normalize(_signed_root(second), eps=_NORM_FLOOR)


def _signed_root(x: Tensor) -> Tensor:
    return x.sign() * (x.abs() + _ROOT_FLOOR).sqrt()


class Apcnn(nn.Module):
    """Trunk and one of the heads; takes inputs of any size from 9 x 9 on (5 x 5 without `pool_stem`).

    Args:
        num_classes: K.
        settings: choices inside the network.
    """

    def __init__(self, num_classes: int, settings: ApcnnNetworkSettings | None = None) -> None:
        super().__init__()
        settings = settings if settings is not None else ApcnnNetworkSettings()
        self.trunk = TimeFrequencyTrunk(pool_stem=settings.pool_stem)
        self.embedding_dim = TRUNK_CHANNELS
        self.head: nn.Module
        if settings.head == "gap":
            self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(TRUNK_CHANNELS, num_classes))
        elif settings.head == "bilinear":
            pooling = BilinearPooling(normalise_first=settings.normalise_first)
            self.head = nn.Sequential(pooling, nn.Linear(TRUNK_CHANNELS**2, num_classes))
        else:
            self.head = AttentionPooling(TRUNK_CHANNELS, num_classes, settings.head, bias=settings.head_bias)

    stacked = 1

    def cells(self, x: Tensor) -> Tensor:
        """(B, 1, F, L) features to (B, 80, H, W).

        Raises:
            UsageError: the input is too small.
        """
        out: Tensor = self.trunk(x)
        return out

    def scores_of_cells(self, cells: Tensor) -> Tensor:
        """(B, 80, H, W) to (B, K) logits."""
        out: Tensor = self.head(cells)
        return out

    def attention_maps(self, x: Tensor) -> dict[str, AttentionMap]:
        """``bottom_up``, ``top_down`` and ``product`` of (B, 1, F, L) features; nothing with the heads gap, bilinear.

        Raises:
            UsageError: the input is too small.
        """
        return self.head.attention_maps(self.trunk(x)) if isinstance(self.head, AttentionPooling) else {}

    def scores_and_embeddings(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, F, L) features to (B, K) logits and (B, 80) means of the trunk's cells.

        Raises:
            UsageError: the input is too small.
        """
        cells = self.trunk(x)
        return self.head(cells), cells.mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, F, L) features to (B, K) logits.

        Raises:
            UsageError: the input is too small.
        """
        out: Tensor = self.head(self.trunk(x))
        return out


class OneLayerCnn(nn.Module):
    """One convolution of one filter shape, normalised, averaged, classified (section 4, the filter-shape study).

    Args:
        num_classes: K.
        filter_height: bins of the filter.
        filter_width: frames of the filter.
    """

    def __init__(self, num_classes: int, filter_height: int, filter_width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, _ONE_LAYER_CHANNELS, (filter_height, filter_width))
        self.norm = nn.BatchNorm2d(_ONE_LAYER_CHANNELS)
        self.embedding_dim = _ONE_LAYER_CHANNELS
        self.classifier = nn.Linear(_ONE_LAYER_CHANNELS, num_classes)

    stacked = 1

    def cells(self, x: Tensor) -> Tensor:
        """(B, 1, F, L) features to (B, 16, H, W)."""
        return functional.relu(self.norm(self.convolution(x)), inplace=True)

    def scores_of_cells(self, cells: Tensor) -> Tensor:
        """(B, 16, H, W) to (B, K) logits."""
        out: Tensor = self.classifier(cells.mean(dim=(2, 3)))
        return out

    def embed(self, x: Tensor) -> Tensor:
        """(B, 1, F, L) features to (B, 16)."""
        return self.cells(x).mean(dim=(2, 3))

    def scores_and_embeddings(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, F, L) features to (B, K) logits and the (B, D) classifier's input."""
        embeddings = self.embed(x)
        return self.classifier(embeddings), embeddings

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, F, L) features to (B, K) logits."""
        out: Tensor = self.classifier(self.embed(x))
        return out
