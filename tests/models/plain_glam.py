"""GLAM as its specification writes it, one operation after the other: what the quick network is compared with."""

import torch
from torch import Tensor
from torch.nn import functional

from serenade.models.glam import Glam, GlobalAwareBlock, MultiScaleBlock


def plain_logits(network: Glam, x: Tensor) -> Tensor:
    """(B, 1, F, L) features to (B, K) logits with the weights and the mode of a network."""
    a = functional.relu(network.stem_a_norm(network.stem_a(x)))
    b = functional.relu(network.stem_b_norm(network.stem_b(x)))
    x = functional.max_pool2d(plain_multi_scale(network.block1, torch.cat([a, b], dim=2)), 2)
    x = functional.max_pool2d(plain_multi_scale(network.block2, x), 2)
    x = plain_multi_scale(network.block3, x)
    x = functional.relu(network.top_norm(network.top(x)))
    x = plain_global_aware(network.fusion, x.flatten(2))
    return network.classifier((functional.relu(x) if network.fusion_relu else x).flatten(1))


def plain_multi_scale(block: MultiScaleBlock, x: Tensor) -> Tensor:
    """``ReLU(BN(concat(conv3x3(x) + x, conv5x5(x) + x)))``, not pooled."""
    out = block.norm(torch.cat([block.conv3(x) + x, block.conv5(x) + x], dim=1))
    return functional.relu(out) if block.relu else out


def plain_global_aware(block: GlobalAwareBlock, x: Tensor) -> Tensor:
    """The gMLP block over channels."""
    value, gate = functional.gelu(block.project_in(block.norm(x))).chunk(2, dim=-1)
    gate = torch.matmul(block.gate_weight, block.gate_norm(gate)) + block.gate_bias[:, None]
    gate = torch.tanh(gate) if block.gate == "tanh" else gate
    return x + block.project_out(gate * value)
