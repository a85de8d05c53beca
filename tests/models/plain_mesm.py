"""MESM and FE2E once more, plainly: masked dense maps, loops over frames, no sparse code of ours."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

State = Mapping[str, Tensor]


def conv_norm_relu(x: Tensor, state: State, conv: str, norm: str) -> Tensor:
    """A dense convolution, normalised by the batch."""
    x = functional.conv2d(
        x, state[f"{conv}.weight"], state[f"{conv}.bias"], padding=state[f"{conv}.weight"].shape[2] // 2
    )
    return functional.batch_norm(
        x, None, None, state[f"{norm}.weight"], state[f"{norm}.bias"], training=True, eps=1e-5
    ).relu()  # fmt: skip


def low_level(x: Tensor, state: State, name: str) -> Tensor:
    x = functional.max_pool2d(conv_norm_relu(x, state, f"{name}.0", f"{name}.1"), 2)
    for place in (4, 7, 10, 13):
        x = conv_norm_relu(x, state, f"{name}.{place}", f"{name}.{place + 1}")
    return x


def dense_upper(x: Tensor, state: State, name: str) -> Tensor:
    for place in (0, 7, 14):
        x = conv_norm_relu(x, state, f"{name}.{place}", f"{name}.{place + 1}")
        x = conv_norm_relu(x, state, f"{name}.{place + 3}", f"{name}.{place + 4}")
        x = functional.max_pool2d(x, 2)
    return x


def attend(x: Tensor, mask: Tensor, query: Tensor, state: State, name: str) -> Tensor:
    """Shares of attention (C, H, W) to (H, W) of one frame over its active cells."""
    u = torch.tanh(
        torch.einsum("kc,chw->khw", state[f"{name}.cells.weight"], x)
        + state[f"{name}.cells.bias"][:, None, None]
        + (state[f"{name}.text.weight"] @ query)[:, None, None]
    )
    e = torch.einsum("k,khw->hw", state[f"{name}.score.weight"][0], u) + state[f"{name}.score.bias"]
    e = e.masked_fill(~mask, float("-inf"))
    return e.flatten().softmax(0).view_as(e)


def choose(shares: Tensor, mask: Tensor, p: float) -> Tensor:
    kept, total = torch.zeros_like(mask), 0.0
    for place in shares.detach().flatten().argsort(descending=True).tolist():
        if total >= p:
            break
        total += float(shares.detach().flatten()[place])
        kept.view(-1)[place] = True
    return kept & mask


def masked_conv(x: Tensor, mask: Tensor, state: State, conv: str, norm: str) -> Tensor:
    """y = m conv(m x), statistics over m = 1, y = m relu(y)."""
    weight = state[f"{conv}.weight"]
    kernel = torch.stack([torch.stack([weight[3 * r + c].T for c in range(3)], -1) for r in range(3)], -2)
    m = mask[:, None].to(x.dtype)
    y = m * functional.conv2d(m * x, kernel, padding=1)
    mean = y.sum((0, 2, 3), keepdim=True) / m.sum()
    variance = (m * (y - mean) ** 2).sum((0, 2, 3), keepdim=True) / m.sum()
    y = (y - mean) / (variance + 1e-4).sqrt()
    return m * (y * state[f"{norm}.weight"][:, None, None] + state[f"{norm}.bias"][:, None, None]).relu()


def released_order(x: Tensor, mask: Tensor) -> Tensor:
    """i-th place by (row, column, frame) receives the i-th feature by (frame, row, column)."""
    features = [x[s, :, h, w] for s, h, w in mask.nonzero().tolist()]
    places = sorted(mask.nonzero().tolist(), key=lambda place: (place[1], place[2], place[0]))
    out = torch.zeros_like(x)
    for (s, h, w), feature in zip(places, features, strict=True):
        out[s, :, h, w] = feature
    return out


def sparse_upper(
    x: Tensor, queries: Tensor, state: State, name: str, p: float, gradient: str = "none", *, released: bool = False
) -> tuple[Tensor, list[Tensor]]:
    """(S, C, H, W) maps and (S, D) the text vector of each frame."""
    mask = torch.ones(x.shape[0], *x.shape[2:], dtype=torch.bool)
    masks = []
    for block in range(3):
        part = f"{name}.blocks.{block}"
        pairs = list(zip(x, mask, queries, strict=True))
        shares = torch.stack([attend(*pair, state, f"{part}.attention") for pair in pairs])
        mask = torch.stack([choose(a, m, p) for a, m in zip(shares, mask, strict=True)])
        masks.append(mask)
        if gradient == "straight_through":
            x = x * torch.where(mask, shares / shares.detach().clamp_min(1e-300), 0)[:, None]
        if gradient == "scaled":
            x = x * (shares * mask.sum((1, 2), keepdim=True))[:, None]
        if released and block == 0:
            x = released_order(x, mask)
        x = masked_conv(x, mask, state, f"{part}.first", f"{part}.first_norm")
        x = masked_conv(x, mask, state, f"{part}.second", f"{part}.second_norm")
        x, mask = functional.max_pool2d(x, 2), functional.max_pool2d(mask.float(), 2).bool()
    return x, masks
