"""GLAM: multi-scale convolution and a global-aware fusion block on MFCC.

W. Zhu, X. Li, "Speech Emotion Recognition with Global-Aware Fusion on Multi-scale Feature Representation",
ICASSP 2022, doi 10.1109/ICASSP43922.2022.9747517. Figure 1 and section 2; where the drawing leaves something open the
authors' released network decides, and the drawing's reading is an option of `GlamNetworkSettings`.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from serenade.core.errors import UsageError
from serenade.core.settings import Settings
from serenade.nn.checks import require_input_size
from serenade.nn.conv import conv2d_plus_input, few_products_conv2d, project_rows

__all__ = ["Glam", "GlamNetworkSettings", "GlobalAwareBlock", "MultiScaleBlock"]

_STEM_CHANNELS = 16
_TOP_CHANNELS = 128
_GATE_INIT_RANGE = 1e-3  # the spatial gating unit starts as a nearly constant gate (Liu et al., gMLP, 2021)


class GlamNetworkSettings(Settings):
    """Choices inside the network."""

    stem_kernel: Literal[3, 5] = 3
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
    """

    def __init__(self, channels: int, *, relu: bool = True, pool: bool = False) -> None:
        super().__init__()
        self.conv3 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv5 = nn.Conv2d(channels, channels, 5, padding=2)
        self.norm = nn.BatchNorm2d(2 * channels)
        self.relu = relu
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, 2C, H, W), or half of both axes where it pools."""
        sums = [conv2d_plus_input(x, conv.weight, conv.bias) for conv in (self.conv3, self.conv5)]
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
    """

    def __init__(self, rows: int, width: int, *, gate: Literal["tanh", "identity"] = "tanh") -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.project_in = nn.Linear(width, 4 * width)
        self.gate_norm = nn.LayerNorm(2 * width)
        self.gate_weight = nn.Parameter(torch.empty(rows, rows))
        self.gate_bias = nn.Parameter(torch.ones(rows))
        self.project_out = nn.Linear(2 * width, width)
        self.gate = gate
        bound = _GATE_INIT_RANGE / rows
        nn.init.uniform_(self.gate_weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """(B, rows, width) to the same shape."""
        hidden = functional.gelu(project_rows(self.norm(x), self.project_in.weight, self.project_in.bias))
        value, gate = hidden.chunk(2, dim=-1)  # each (B, rows, 2 width)
        gate = functional.conv1d(self.gate_norm(gate), self.gate_weight[:, :, None], self.gate_bias)
        if self.gate == "tanh":
            gate = torch.tanh(gate)
        return x + project_rows(gate * value, self.project_out.weight, self.project_out.bias)


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
        cells = (height // 2) * (width // 4)
        if cells < 1:
            raise UsageError("GLAM needs an input of at least 2 x 4", found=f"{height} x {width}")
        kernel = settings.stem_kernel
        self.height, self.width, self.embedding_dim = height, width, _TOP_CHANNELS * cells
        self.stem_a = nn.Conv2d(1, _STEM_CHANNELS, (kernel, 1), padding=(kernel // 2, 0))
        self.stem_a_norm = nn.BatchNorm2d(_STEM_CHANNELS)
        self.stem_b = nn.Conv2d(1, _STEM_CHANNELS, (1, kernel), padding=(0, kernel // 2))
        self.stem_b_norm = nn.BatchNorm2d(_STEM_CHANNELS)
        self.block1 = MultiScaleBlock(_STEM_CHANNELS, relu=settings.multi_scale_relu, pool=True)
        self.block2 = MultiScaleBlock(2 * _STEM_CHANNELS, relu=settings.multi_scale_relu, pool=True)
        self.block3 = MultiScaleBlock(4 * _STEM_CHANNELS, relu=settings.multi_scale_relu)
        self.top = nn.Conv2d(_TOP_CHANNELS, _TOP_CHANNELS, 5, padding=2)
        self.top_norm = nn.BatchNorm2d(_TOP_CHANNELS)
        self.fusion = GlobalAwareBlock(_TOP_CHANNELS, cells, gate=settings.gate)
        self.fusion_relu = settings.fusion_relu
        self.classifier = nn.Linear(self.embedding_dim, num_classes)

    def embed(self, x: Tensor) -> Tensor:
        """The classifier's input.

        Args:
            x: (B, 1, F, L) features of the size the network was made for.

        Returns:
            (B, D) with D = 128 * floor(F/2) * floor(L/4).

        Raises:
            UsageError: the input has another size.
        """
        require_input_size(x, self.height, self.width, "GLAM")
        a = functional.relu(self.stem_a_norm(self.stem_a(x)), inplace=True)  # (B, 16, F, L)
        b = functional.relu(self.stem_b_norm(self.stem_b(x)), inplace=True)
        x = self.block1(torch.cat([a, b], dim=2))  # (B, 32, F, L//2)
        x = self.block2(x)  # (B, 64, F//2, L//4)
        x = self.block3(x)  # (B, 128, F//2, L//4)
        x = few_products_conv2d(x, self.top.weight, self.top.bias)
        x = x.contiguous()  # rows of cells from here on, also backward: mixed layouts make the normalisation slow
        x = functional.relu(self.top_norm(x), inplace=True)
        x = self.fusion(x.flatten(2))  # (B, 128, d)
        if self.fusion_relu:
            x = functional.relu(x)
        return x.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, F, L) features to (B, K) logits."""
        out: Tensor = self.classifier(self.embed(x))
        return out
