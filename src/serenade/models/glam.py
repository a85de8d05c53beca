"""GLAM: multi-scale convolution and a global-aware fusion block on MFCC.

W. Zhu, X. Li, "Speech Emotion Recognition with Global-Aware Fusion on Multi-scale Feature Representation",
ICASSP 2022, doi 10.1109/ICASSP43922.2022.9747517. Figure 1 and section 2; where the drawing leaves something open the
authors' released network decides, and the drawing's reading is an option of `GlamNetworkSettings`. So are the
ablations of the paper's Table 2 and of the released code: other stems, blocks and fusions.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from serenade.core.errors import UsageError
from serenade.core.settings import Settings
from serenade.nn.area_attention import AreaAttention, area_map
from serenade.nn.attention_maps import AttentionMap
from serenade.nn.checks import require_input_size
from serenade.nn.conv import conv2d_plus_input, few_products_conv2d, project_rows
from serenade.nn.head_fusion import HeadFusion

__all__ = [
    "ChannelAttention",
    "Glam",
    "GlamNetworkSettings",
    "GlobalAwareBlock",
    "MultiScaleBlock",
    "SingleScaleBlock",
    "StemBranch",
    "StemGate",
]

_STEM_CHANNELS = 16
_TOP_CHANNELS = 128
_MIXED_KERNELS = (3, 5)
_HEADS, _HEAD_CHANNELS = 4, 64  # MHCNN's, for the ablation
_AREA_WIDTH, _AREA_DROPOUT = 3, 0.5  # AACNN's, for the ablation
_CELL_MAPS: dict[str, tuple[str, str, Literal["one"], Literal["range"]]] = {
    "gate": (
        "gate of the global-aware block",
        "Mean gate through which the block writes into a cell, from -1 to 1; 0.76 before training.",
        "one",
        "range",
    ),
    "update": (
        "change by the global-aware block",
        "Mean magnitude over channels of what the block adds to a cell.",
        "one",
        "range",
    ),
    "attention": (
        "attention between channels",
        "Its mean part of the gate before the tanh, for what is written into a cell.",
        "one",
        "range",
    ),
}
_GATE_INIT_RANGE = 1e-3  # the spatial gating unit starts as a nearly constant gate (Liu et al., gMLP, 2021)


class GlamNetworkSettings(Settings):
    """Choices inside the network; the defaults are GLAM, the others its ablations."""

    stem_kernel: Literal[3, 5] = 3
    stem: Literal["plain", "mixed", "gated"] = Field(
        "plain",
        description="both branches with one kernel; half of each with kernel 3 and half with 5 (mixed); or the first "
        "branch gated by the second instead of joined on the height (gated)",
    )
    block: Literal["multi_scale", "no_shortcut", "single_3", "single_5"] = Field(
        "multi_scale",
        description="multi-scale, without adding the input, or one convolution (3x3, 5x5) with the input added twice",
    )
    fusion: Literal["global_aware", "attentive", "heads", "area", "none"] = Field(
        "global_aware",
        description="the gMLP block; with an attention over channels in its gate (attentive, aMLP); MHCNN's heads; "
        "AACNN's area attention; or nothing (multi-scale only)",
    )
    gate: Literal["tanh", "identity"] = "tanh"
    multi_scale_relu: bool = True
    fusion_relu: bool = True


class MultiScaleBlock(nn.Module):
    """Convolve at two scales, add the input to each, join on channels, normalise (Figure 1, "Multi-scale block").

    ``out = ReLU(BN(concat(conv3x3(x) + x, conv5x5(x) + x)))``: (B, C, H, W) to (B, 2C, H, W).

    Args:
        channels: C.
        relu: whether the normalised sum passes a ReLU; the drawing shows none.
        pool: whether a 2x2 maximum pooling follows: (B, 2C, H // 2, W // 2).
        shortcut: whether the input is added.
    """

    def __init__(self, channels: int, *, relu: bool = True, pool: bool = False, shortcut: bool = True) -> None:
        super().__init__()
        self.conv3 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv5 = nn.Conv2d(channels, channels, 5, padding=2)
        self.norm = nn.BatchNorm2d(2 * channels)
        self.relu = relu
        self.pool = pool
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, 2C, H, W), or half of both axes where it pools."""
        if self.shortcut:
            sums = [conv2d_plus_input(x, conv.weight, conv.bias) for conv in (self.conv3, self.conv5)]
        else:
            sums = [self.conv3(x), self.conv5(x)]
        if self.pool:
            # Normalisation, pooling and ReLU know no other channel, and ReLU keeps the order: join and rectify last,
            # when a quarter is left
            sums = [functional.max_pool2d(half, 2) for half in self._normalise_halves(sums)]
        out = torch.cat(sums, dim=1)
        if not self.pool:
            out = self.norm(out)
        return functional.relu(out, inplace=True) if self.relu else out

    def _normalise_halves(self, halves: list[Tensor]) -> list[Tensor]:
        """What `norm` makes of the joined halves, without joining them: 2 x (B, C, H, W)."""
        norm = self.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.num_batches_tracked is not None
        if self.training:
            norm.num_batches_tracked.add_(1)
        # as in nn.BatchNorm2d: no momentum means the plain average over all batches
        momentum = norm.momentum if norm.momentum is not None else 1 / max(1, int(norm.num_batches_tracked))
        states = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        return [
            functional.batch_norm(half, mean, variance, weight, bias, self.training, momentum, norm.eps)
            for half, mean, variance, weight, bias in zip(halves, *(state.chunk(2) for state in states), strict=True)
        ]


class SingleScaleBlock(nn.Module):
    """The ablation without scales: ``ReLU(BN(conv(x) + concat(x, x)))``, (B, C, H, W) to (B, 2C, H, W).

    Args:
        channels: C.
        kernel: 3 or 5.
        relu: whether the normalised sum passes a ReLU.
        pool: whether a 2x2 maximum pooling follows.
    """

    def __init__(self, channels: int, kernel: int, *, relu: bool = True, pool: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 2 * channels, kernel, padding=kernel // 2)
        self.norm = nn.BatchNorm2d(2 * channels)
        self.relu = relu
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, 2C, H, W), or half of both axes where it pools."""
        out = self.norm(self.conv(x) + torch.cat([x, x], dim=1))
        if self.pool:
            out = functional.max_pool2d(out, 2)
        return functional.relu(out, inplace=True) if self.relu else out


class ChannelAttention(nn.Module):
    """One head of attention between rows, for the gate of a gMLP block (aMLP; Liu et al., 2021, section 4.3).

    Args:
        width: values per row at the input.
        out_width: values per row at the output.
        hidden: inner size.
    """

    def __init__(self, width: int, out_width: int, hidden: int = 64) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * hidden, bias=False)
        self.out = nn.Linear(hidden, out_width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, rows, width) to (B, rows, out_width)."""
        query, key, value = self.qkv(x).chunk(3, dim=-1)
        attended: Tensor = self.out(functional.scaled_dot_product_attention(query, key, value))
        return attended


class GlobalAwareBlock(nn.Module):
    """One gMLP block over channels: every channel sees every other through a learned gate (section 2.3).

    With rows = channels and f = 4 ``width``::

        V  = GELU(LayerNorm(X) W1 + b1)        (B, rows, f), split in halves V1, V2
        G  = S LayerNorm(V2) + s               mixes rows
        Y  = X + (phi(G) * V1) W2 + b2

    Args:
        rows: number of channels.
        width: values per channel.
        gate: phi; tanh in the released network, none drawn in the paper.
        attention: whether an attention between rows is added to G (aMLP).
    """

    def __init__(
        self, rows: int, width: int, *, gate: Literal["tanh", "identity"] = "tanh", attention: bool = False
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.project_in = nn.Linear(width, 4 * width)
        self.gate_norm = nn.LayerNorm(2 * width)
        self.gate_weight = nn.Parameter(torch.empty(rows, rows))
        self.gate_bias = nn.Parameter(torch.ones(rows))
        self.project_out = nn.Linear(2 * width, width)
        self.gate = gate
        self.attention = ChannelAttention(width, 2 * width) if attention else None
        bound = _GATE_INIT_RANGE / rows
        nn.init.uniform_(self.gate_weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """(B, rows, width) to the same shape."""
        value, gate = self._value_and_gate(self.norm(x))
        return x + project_rows(gate * value, self.project_out.weight, self.project_out.bias)

    def _value_and_gate(self, normed: Tensor) -> tuple[Tensor, Tensor]:
        """(B, rows, width) normalised rows to V1 and phi(G), each (B, rows, 2 width)."""
        hidden = functional.gelu(project_rows(normed, self.project_in.weight, self.project_in.bias))
        value, gate = hidden.chunk(2, dim=-1)
        gate = functional.conv1d(self.gate_norm(gate), self.gate_weight[:, :, None], self.gate_bias)
        if self.attention is not None:
            gate = gate + self.attention(normed)
        return value, torch.tanh(gate) if self.gate == "tanh" else gate

    def cell_maps(self, x: Tensor) -> dict[str, Tensor]:
        """The gates brought back to the cells.

        The 2 ``width`` columns of a gate are hidden units, which have no place on the map; W2 says how much each of
        them writes into each cell. So a cell's gate is the mean of all gates of all rows (channels), weighted by what
        would flow through them into the cell: ``sum |V1| |W2| phi(G) / sum |V1| |W2|``.

        Args:
            x: (B, rows, width).

        Returns:
            Each (B, width): ``gate``; ``update``, the mean magnitude over rows of what the block adds to a cell; with
            an attention between rows ``attention``, its part of G before phi, averaged like the gates.
        """
        normed = self.norm(x)
        value, gate = self._value_and_gate(normed)
        magnitude, reach = value.abs(), self.project_out.weight.abs().T  # (B, rows, 2 width), (2 width, width)
        flow = magnitude.sum(1) @ reach

        def averaged(parts: Tensor) -> Tensor:
            return ((parts * magnitude).sum(1) @ reach) / flow.clamp_min(torch.finfo(flow.dtype).tiny)

        added = functional.linear(gate * value, self.project_out.weight, self.project_out.bias)
        maps = {"gate": averaged(gate), "update": added.abs().mean(1)}
        return maps if self.attention is None else maps | {"attention": averaged(self.attention(normed))}


class StemBranch(nn.Module):
    """Two convolutions of kernels 3 and 5 along one axis, half of the channels each, joined on channels.

    Args:
        along: "height" or "width".
    """

    def __init__(self, along: Literal["height", "width"]) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            _stem_convolution(kernel, along, _STEM_CHANNELS // 2) for kernel in _MIXED_KERNELS
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, H, W) to (B, 16, H, W)."""
        return torch.cat([convolution(x) for convolution in self.convolutions], dim=1)


def _stem_convolution(kernel: int, along: Literal["height", "width"], channels: int = _STEM_CHANNELS) -> nn.Conv2d:
    if along == "height":
        return nn.Conv2d(1, channels, (kernel, 1), padding=(kernel // 2, 0))
    return nn.Conv2d(1, channels, (1, kernel), padding=(0, kernel // 2))


class StemGate(nn.Module):
    """One branch gates the other instead of standing beside it: ``phi(S LayerNorm(b) + s) * a``.

    Args:
        channels: C of both branches.
        cells: H W.
    """

    def __init__(self, channels: int, cells: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(cells)
        self.weight = nn.Parameter(torch.empty(channels, channels))
        self.bias = nn.Parameter(torch.ones(channels))
        bound = _GATE_INIT_RANGE / channels
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Two (B, C, H, W) to one."""
        return self.gates(b) * a

    def gates(self, b: Tensor) -> Tensor:
        """(B, C, H, W) phi(S LayerNorm(b) + s)."""
        gate = functional.conv1d(self.norm(b.flatten(2)), self.weight[:, :, None], self.bias)
        return torch.tanh(gate).reshape(b.shape)


class Glam(nn.Module):
    """The whole network: two-branch stem, three multi-scale blocks, 5x5 convolution, global-aware block, classifier.

    Tied to its input size: the global-aware block and the classifier have one weight per cell.

    Args:
        num_classes: K.
        height: F, feature axis of the input (26 for MFCC).
        width: L, frames of the input (57 for 1.8 s).
        settings: choices inside the network.

    Raises:
        UsageError: the input is too small to be pooled twice.
    """

    def __init__(self, num_classes: int, height: int, width: int, settings: GlamNetworkSettings | None = None) -> None:
        super().__init__()
        settings = settings if settings is not None else GlamNetworkSettings()
        cells = (height // (4 if settings.stem == "gated" else 2)) * (width // 4)
        if cells < 1:
            least = "4 x 4" if settings.stem == "gated" else "2 x 4"
            raise UsageError(f"GLAM needs an input of at least {least}", found=f"{height} x {width}")
        self.height, self.width = height, width
        self.stem_a = _stem(settings, "height")
        self.stem_a_norm = nn.BatchNorm2d(_STEM_CHANNELS)
        self.stem_b = _stem(settings, "width")
        self.stem_b_norm = nn.BatchNorm2d(_STEM_CHANNELS)
        self.stem_gate = StemGate(_STEM_CHANNELS, height * width) if settings.stem == "gated" else None
        self.block1 = _block(_STEM_CHANNELS, settings, pool=True)
        self.block2 = _block(2 * _STEM_CHANNELS, settings, pool=True)
        self.block3 = _block(4 * _STEM_CHANNELS, settings, pool=False)
        self.top = nn.Conv2d(_TOP_CHANNELS, _TOP_CHANNELS, 5, padding=2)
        self.top_norm = nn.BatchNorm2d(_TOP_CHANNELS)
        self.fusion = _fusion(cells, settings)
        self.fusion_relu = settings.fusion_relu
        heads = self.fusion.heads * self.fusion.hidden if isinstance(self.fusion, HeadFusion) else _TOP_CHANNELS
        self.embedding_dim = heads * cells
        self.classifier = nn.Linear(self.embedding_dim, num_classes)

    def embed(self, x: Tensor) -> Tensor:
        """The classifier's input.

        Args:
            x: (B, 1, F, L) features of the size the network was made for.

        Returns:
            (B, D) with D = 128 * floor(F/2) * floor(L/4); twice that with the fusion "heads", and floor(F/4) with a
            gated stem.

        Raises:
            UsageError: the input has another size.
        """
        return self._fuse(self.cells(x))

    def _branches(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, F, L) features to the two branches of the stem, each (B, 16, F, L)."""
        require_input_size(x, self.height, self.width, "GLAM")
        a = functional.relu(self.stem_a_norm(self.stem_a(x)), inplace=True)  # (B, 16, F, L)
        b = functional.relu(self.stem_b_norm(self.stem_b(x)), inplace=True)
        return a, b

    def cells(self, x: Tensor) -> Tensor:
        """(B, 1, F, L) features to (B, 128, H, W), the input of the fusion.

        Raises:
            UsageError: the input has another size than the network was made for.
        """
        a, b = self._branches(x)
        x = torch.cat([a, b], dim=2) if self.stem_gate is None else self.stem_gate(a, b)
        x = self.block1(x)  # (B, 32, F, L//2), half as high with a gated stem
        x = self.block2(x)  # (B, 64, F//2, L//4)
        x = self.block3(x)  # (B, 128, F//2, L//4)
        x = few_products_conv2d(x, self.top.weight, self.top.bias)
        x = x.contiguous()  # rows of cells from here on, also backward: mixed layouts make the normalisation slow
        return functional.relu(self.top_norm(x), inplace=True)

    @property
    def stacked(self) -> int:
        """How often the height of the cells runs through the feature axis: the branches lie one below the other."""
        return 2 if self.stem_gate is None else 1

    def scores_of_cells(self, cells: Tensor) -> Tensor:
        """(B, 128, H, W) to (B, K) logits."""
        out: Tensor = self.classifier(self._fuse(cells))
        return out

    def attention_maps(self, x: Tensor) -> dict[str, AttentionMap]:
        """What the fusion, and the gate of the stem where there is one, attend to.

        ``gate`` and ``update`` of the global-aware block, with ``attention`` in the form aMLP; ``areas`` or the maps of
        the heads in the ablations; ``stem`` of a gated stem. Nothing with the fusion "none" and a plain stem.

        Args:
            x: (B, 1, F, L) features.

        Raises:
            UsageError: the input has another size than the network was made for.
        """
        maps = self._fusion_maps(self.cells(x))
        if self.stem_gate is not None:
            gates = self.stem_gate.gates(self._branches(x)[1]).mean(dim=1, keepdim=True)
            maps["stem"] = AttentionMap(gates, "stem gate", "Mean gate over the channels of the stem.", scale="range")
        return maps

    def _fusion_maps(self, cells: Tensor) -> dict[str, AttentionMap]:
        if isinstance(self.fusion, HeadFusion):
            return self.fusion.attention_maps(cells, self.stacked)
        if isinstance(self.fusion, AreaAttention):
            return {"areas": area_map(self.fusion, cells.permute(0, 2, 3, 1), self.stacked)}
        if not isinstance(self.fusion, GlobalAwareBlock):
            return {}
        shape = (len(cells), 1, *cells.shape[2:])
        return {
            name: AttentionMap(values.reshape(shape), *_CELL_MAPS[name], stacked=self.stacked)
            for name, values in self.fusion.cell_maps(cells.flatten(2)).items()
        }

    def _fuse(self, x: Tensor) -> Tensor:
        """(B, 128, H, W) to the classifier's input (B, D)."""
        if self.fusion is None:
            return x.flatten(1)
        if isinstance(self.fusion, AreaAttention):
            cells = x.permute(0, 2, 3, 1)  # flattened position by position
            x = self.fusion(cells, cells, cells)
        else:
            x = self.fusion(x if isinstance(self.fusion, HeadFusion) else x.flatten(2))
        return functional.relu(x).flatten(1) if self.fusion_relu else x.flatten(1)

    def scores_and_embeddings(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, F, L) features to (B, K) logits and the (B, D) classifier's input."""
        embeddings = self.embed(x)
        return self.classifier(embeddings), embeddings

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, F, L) features to (B, K) logits."""
        out: Tensor = self.classifier(self.embed(x))
        return out


def _stem(settings: GlamNetworkSettings, along: Literal["height", "width"]) -> nn.Module:
    return StemBranch(along) if settings.stem == "mixed" else _stem_convolution(settings.stem_kernel, along)


def _block(channels: int, settings: GlamNetworkSettings, *, pool: bool) -> nn.Module:
    relu = settings.multi_scale_relu
    if settings.block.startswith("single"):
        return SingleScaleBlock(channels, 3 if settings.block == "single_3" else 5, relu=relu, pool=pool)
    return MultiScaleBlock(channels, relu=relu, pool=pool, shortcut=settings.block == "multi_scale")


def _fusion(cells: int, settings: GlamNetworkSettings) -> nn.Module | None:
    if settings.fusion == "none":
        return None
    if settings.fusion == "heads":
        return HeadFusion(_TOP_CHANNELS, heads=_HEADS, hidden=_HEAD_CHANNELS)
    if settings.fusion == "area":
        return AreaAttention(max_width=_AREA_WIDTH, dropout=_AREA_DROPOUT)
    return GlobalAwareBlock(_TOP_CHANNELS, cells, gate=settings.gate, attention=settings.fusion == "attentive")
