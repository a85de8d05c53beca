"""MHCNN, AACNN and the attention-pooling family as the specifications write them, one operation after the other."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from serenade.models.aacnn import Aacnn
from serenade.models.apcnn import Apcnn, AttentionPooling, OneLayerCnn
from serenade.models.mhcnn import Mhcnn
from serenade.nn.trunk import TimeFrequencyTrunk


def plain_logits(network: nn.Module, x: Tensor) -> Tensor:
    """(B, 1, F, L) features to (B, K) logits with the weights and the mode of a network."""
    if isinstance(network, Mhcnn):
        return plain_mhcnn(network, x)
    if isinstance(network, Aacnn):
        return plain_aacnn(network, x)
    if isinstance(network, Apcnn):
        return plain_apcnn(network, x)
    assert isinstance(network, OneLayerCnn)
    out = functional.relu(network.norm(network.convolution(x)))
    return network.classifier(functional.adaptive_avg_pool2d(out, 1).flatten(1))


def plain_trunk(trunk: TimeFrequencyTrunk, x: Tensor) -> Tensor:
    """Convolution, batch norm, ReLU, and pooling where there is one."""
    tall = functional.relu(trunk.tall_norm(trunk.tall(x)))
    wide = functional.relu(trunk.wide_norm(trunk.wide(x)))
    x = torch.cat([tall, wide], dim=1 if trunk.join == "channels" else 2)
    if trunk.pool_stem:
        x = functional.max_pool2d(x, 2)
    for place, (convolution, norm) in enumerate(zip(trunk.convolutions, trunk.norms, strict=True)):
        x = functional.relu(norm(convolution(x)))
        if place < 2:
            x = functional.max_pool2d(x, 2)
    return x


def plain_mhcnn(network: Mhcnn, x: Tensor) -> Tensor:
    """Head by head: softmax over channels of Q * K, times V; heads joined on the height, ReLU, mean, linear."""
    x = plain_trunk(network.trunk, x)
    fusion, heads = network.fusion, []
    for head in range(fusion.heads):
        rows = slice(head * fusion.hidden, (head + 1) * fusion.hidden)
        query, key, value = (
            functional.conv2d(x, projection.weight[rows], projection.bias[rows])
            for projection in (fusion.query, fusion.key, fusion.value)
        )
        heads.append((query * key).softmax(dim=1) * value)
    joined = functional.relu(torch.cat(heads, dim=2))
    return network.classifier(functional.adaptive_avg_pool2d(joined, 1).flatten(1))


def plain_aacnn(network: Aacnn, x: Tensor) -> Tensor:
    """Runs of 1 to 3 cells of the flattened map: mean keys, summed values; attention, ReLU, flatten, linear."""
    assert network.attention is not None
    cells = plain_trunk(network.trunk, x).permute(0, 2, 3, 1).flatten(1, 2)  # (B, N, 80)
    sums = [
        sum(cells[:, start : cells.shape[1] - length + 1 + start] for start in range(length))
        for length in range(1, network.attention.max_width + 1)
    ]
    keys = torch.cat([total / length for length, total in enumerate(sums, start=1)], dim=1)
    weights = torch.matmul(cells, keys.transpose(1, 2)).softmax(dim=-1)
    weights = functional.dropout(weights, network.attention.dropout.p, network.training)
    attended = torch.matmul(weights, torch.cat(sums, dim=1))
    return network.classifier(functional.relu(attended).flatten(1))


def plain_apcnn(network: Apcnn, x: Tensor) -> Tensor:
    """Trunk, then the product of a class-specific map and a class-agnostic one, or what stands in its place."""
    x, head = plain_trunk(network.trunk, x), network.head
    if not isinstance(head, AttentionPooling):
        return head(x)
    top_down, bottom_up = head.top_down(x).flatten(2), head.bottom_up(x).flatten(2)  # (B, K, N), (B, 1, N)
    if head.kind.startswith("paper"):
        bottom_up = bottom_up.softmax(dim=2)
    if head.kind == "class_softmax":
        top_down = top_down.softmax(dim=1)
    product = top_down * bottom_up
    return product.sum(dim=2) if head.kind == "paper" else product.mean(dim=2)
