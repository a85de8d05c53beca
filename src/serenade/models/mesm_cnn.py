"""The CNNs of FE2E and MESM, which see a face or a piece of the spectrogram: dense, or where the words attend to.

W. Dai, S. Cahyawijaya, Z. Liu, P. Fung, "Multimodal End-to-End Sparse Model for Emotion Recognition", NAACL 2021.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from serenade.models.mesm_settings import CellOrder, Fe2eSettings, MesmSettings, Modality
from serenade.nn.cross_modal import CrossModalAttention, MaskGradient, Selection, select_cells
from serenade.nn.sparse_conv import ActiveBatchNorm, Sites, SubmanifoldConv2d, max_pool_sites

__all__ = ["DenseUpper", "FeatureCost", "SparseUpper", "conv_costs", "dense_cost", "low_level"]

_STEM_KERNEL = 5


@dataclass(frozen=True)
class FeatureCost:
    """Multiplications with addition of the CNN of one modality, over all frames given.

    Args:
        frames: number of frames.
        low_level: of the part that is never sparse.
        upper: of the six convolutions above it.
        attention: of the cross-modal attention; 0 in a dense network.
    """

    frames: int
    low_level: int
    upper: int
    attention: int = 0

    @property
    def multiply_adds(self) -> int:
        """All of it."""
        return self.low_level + self.upper + self.attention

    @property
    def flops(self) -> int:
        """Operations: two per multiplication with addition."""
        return 2 * self.multiply_adds


def _vgg(before: int, after: int) -> list[nn.Module]:
    return [
        nn.Conv2d(before, after, 3, padding=1),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
        nn.Conv2d(after, after, 3, padding=1),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    ]


def low_level(channels_in: int, width: int) -> nn.Sequential:
    """Rows 1 to 4 of the CNN: a 5x5 convolution, pooling, two VGG blocks of the same width."""
    return nn.Sequential(
        nn.Conv2d(channels_in, width, _STEM_KERNEL, padding=_STEM_KERNEL // 2),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        *_vgg(width, width),
        *_vgg(width, width),
    )


def conv_costs(layers: nn.Sequential, height: int, width: int) -> int:
    """Multiplications with addition of dense convolutions that keep the size, and of poolings that halve it."""
    total = 0
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            total += height * width * layer.weight.numel()
        elif isinstance(layer, nn.MaxPool2d):
            height, width = height // 2, width // 2
    return total


def dense_cost(settings: Fe2eSettings, modality: Modality) -> FeatureCost:
    """Multiplications with addition of one frame in the CNN of the dense network; without weights or inputs."""
    _, height, width = settings.shape_of(modality)
    with torch.device("meta"):
        low = low_level(settings.shape_of(modality)[0], settings.channels[0])
        upper = DenseUpper(settings).layers
    return FeatureCost(1, conv_costs(low, height, width), conv_costs(upper, height // 2, width // 2))


class DenseUpper(nn.Module):
    """Rows 5 to 10 of the CNN: three VGG blocks, each followed by pooling."""

    def __init__(self, settings: Fe2eSettings) -> None:
        super().__init__()
        steps = [[*_vgg(before, after), nn.MaxPool2d(2)] for before, after in pairwise(settings.channels)]
        self.layers = nn.Sequential(*(layer for step in steps for layer in step))

    def forward(self, maps: Tensor) -> Tensor:
        """(S, C, H, W) maps to (S, D, H / 8, W / 8)."""
        out: Tensor = self.layers(maps)
        return out


class _SparseBlock(nn.Module):
    """Attention, selection, two submanifold convolutions, pooling."""

    def __init__(self, before: int, after: int, settings: MesmSettings) -> None:
        super().__init__()
        self.attention = CrossModalAttention(before, before, settings.shared.text_dim)
        self.first = SubmanifoldConv2d(before, after)
        self.first_norm = ActiveBatchNorm(after)
        self.second = SubmanifoldConv2d(after, after)
        self.second_norm = ActiveBatchNorm(after)
        self.top_p = settings.top_p
        self.mask_gradient: MaskGradient = settings.mask_gradient

    def choose(self, rows: Tensor, sites: Sites, text: Tensor, utterances: Tensor) -> tuple[Tensor, Selection]:
        """The rows kept and where they are; without gradients where the attention is not to learn."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.mask_gradient != "none"):
            attention = self.attention(rows, sites, text, utterances)
        return select_cells(rows, sites, attention, self.top_p, self.mask_gradient)

    def convolve(self, rows: Tensor, sites: Sites) -> tuple[Tensor, Sites]:
        """Both convolutions, normalised and rectified, then pooling."""
        rows = functional.relu(self.first_norm(self.first(rows, sites)))
        rows = functional.relu(self.second_norm(self.second(rows, sites)))
        return max_pool_sites(rows, sites)


class SparseUpper(nn.Module):
    """Three cross-modal sparse blocks; what is inactive at the end is zero."""

    def __init__(self, settings: MesmSettings) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            _SparseBlock(before, after, settings) for before, after in pairwise(settings.shared.channels)
        )
        self.cell_order: CellOrder = settings.cell_order

    def forward(self, maps: Tensor, text: Tensor, utterances: Tensor) -> tuple[Tensor, list[Selection]]:
        """(S, C, H, W) maps to (S, D, H / 8, W / 8), and what each block has looked at.

        Args:
            maps: of all frames.
            text: (B, text_dim) text vectors.
            utterances: (S,) int64, the text vector of each frame.
        """
        sites = Sites(torch.ones(maps.shape[0], *maps.shape[2:], dtype=torch.bool, device=maps.device))
        rows, selections = sites.gather(maps), list[Selection]()
        for number, block in enumerate(self.blocks):
            assert isinstance(block, _SparseBlock)
            rows, selection = block.choose(rows, sites, text, utterances)
            if number == 0 and self.cell_order == "released":
                rows = _dealt_out(rows, selection.kept)
            rows, sites = block.convolve(rows, selection.kept)
            selections.append(selection)
        return sites.scatter(rows), selections

    def costs(self, selections: list[Selection], utterances: int) -> tuple[int, int]:
        """Multiplications with addition of the convolutions and of the attention."""
        upper = attention = 0
        for block, selection in zip(self.blocks, selections, strict=True):
            assert isinstance(block, _SparseBlock)
            upper += block.first.multiply_adds(selection.kept) + block.second.multiply_adds(selection.kept)
            attention += block.attention.multiply_adds(selection.before, utterances)
        return upper, attention


def _dealt_out(rows: Tensor, sites: Sites) -> Tensor:
    """The i-th row, by frame, row and column, goes to the i-th cell, by row, column and frame: as released."""
    by_place = sites.mask.permute(1, 2, 0)
    numbers = torch.zeros_like(sites.mask, dtype=torch.int64)
    numbers[sites.mask] = torch.arange(len(rows), device=rows.device)
    receivers = numbers.permute(1, 2, 0)[by_place]
    return rows[receivers.argsort()]
