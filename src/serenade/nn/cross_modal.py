"""Attention of words over the cells of a picture, and the choice of the cells that hold most of it.

Dai et al., "Multimodal End-to-End Sparse Model for Emotion Recognition", NAACL 2021, section "Cross-Modal Attention".
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from serenade.core.errors import UsageError
from serenade.nn.sparse_conv import Sites

__all__ = ["CrossModalAttention", "MaskGradient", "Selection", "kept_area", "nucleus", "select_cells"]

MaskGradient = Literal["none", "straight_through", "scaled"]


@dataclass(frozen=True)
class Selection:
    """What one block looked at.

    Args:
        attention: (S, H, W) shares of attention, which sum to 1 over the cells of a frame; 0 where a cell was inactive.
        before: the cells that were active.
        kept: those that are still.
    """

    attention: Tensor
    before: Sites
    kept: Sites


def nucleus(weights: Tensor, top_p: float) -> Tensor:
    """The smallest set of the largest weights that sums to at least `top_p`.

    With the weights in descending order and ``c_i`` their running sum, all with ``c_i < p`` are kept and the next one;
    all, where rounding leaves the whole sum below p.

    Args:
        weights: (S, M), not negative, each row summing to about 1.
        top_p: p, above 0 and at most 1.

    Returns:
        (S, M) bool.

    Raises:
        UsageError: p is out of bounds.
    """
    if not 0 < top_p <= 1:
        raise UsageError("top_p is a share of attention", found=top_p, expected="above 0 and at most 1")
    ordered, order = weights.sort(dim=1, descending=True)
    reached = ordered.cumsum(dim=1) >= top_p
    kept = torch.ones_like(reached)
    kept[:, 1:] = ~reached[:, :-1]
    return torch.zeros_like(kept).scatter(1, order, kept)


class CrossModalAttention(nn.Module):
    """``u = tanh(W_x x + b_x + W_q q)``, ``a = softmax(w_a u + b_a)`` over the active cells of each frame.

    Args:
        channels: C of a cell.
        width: k of the common space.
        text_dim: D of the text vector.
    """

    def __init__(self, channels: int, width: int, text_dim: int) -> None:
        super().__init__()
        self.cells = nn.Linear(channels, width)
        self.text = nn.Linear(text_dim, width, bias=False)
        self.score = nn.Linear(width, 1)

    def forward(self, rows: Tensor, sites: Sites, text: Tensor, utterances: Tensor) -> Tensor:
        """The logarithm of each frame's shares of attention.

        Args:
            rows: (N, C) features of the active cells.
            sites: the cells.
            text: (B, D) text vectors.
            utterances: (S,) int64, the text vector of each frame.

        Returns:
            (S, H W), minus infinity where a cell is inactive; of a frame without active cells everywhere.
        """
        queries = self.text(text).index_select(0, utterances)  # (S, k)
        if sites.is_full:  # every cell of a frame has its query: nothing needs to be looked up
            of_frames = self.cells(rows).view(len(queries), -1, queries.shape[1])
            whole: Tensor = self.score(torch.tanh(of_frames + queries[:, None])).squeeze(2)
            return whole.log_softmax(dim=1)
        scores = self.score(torch.tanh(self.cells(rows) + queries.index_select(0, sites.frames))).squeeze(1)
        spread = scores.new_full((sites.mask.numel(),), float("-inf")).index_copy(0, sites.places, scores)
        return _log_softmax(spread.view(len(sites.mask), -1), sites.mask.flatten(1).any(1))

    def multiply_adds(self, sites: Sites, utterances: int) -> int:
        """Multiplications with addition of one pass: ``cells (C k + k) + D k`` per utterance.

        Args:
            sites: the cells attended to.
            utterances: number of text vectors.
        """
        width = self.score.in_features
        return len(sites.places) * (self.cells.weight.numel() + width) + utterances * self.text.weight.numel()


def _log_softmax(scores: Tensor, filled: Tensor) -> Tensor:
    """Over the rows that hold a finite score; the others stay minus infinity, without a gradient that is not finite."""
    safe = torch.where(filled[:, None], scores, 0.0)
    return safe.log_softmax(dim=1).masked_fill(~filled[:, None], float("-inf"))


def select_cells(
    rows: Tensor, sites: Sites, log_attention: Tensor, top_p: float, gradient: MaskGradient = "none"
) -> tuple[Tensor, Selection]:
    """Keep the cells that hold most of each frame's attention.

    What is kept goes on unchanged with ``none``, the published form, in which nothing teaches the attention. With
    ``straight_through`` it is unchanged too, but multiplied by ``a / stop_gradient(a)``. With ``scaled`` it is
    multiplied by ``a`` times the number of cells kept in its frame.

    Args:
        rows: (N, C) features of the active cells.
        sites: the cells.
        log_attention: (S, H W) as `CrossModalAttention` gives it.
        top_p: share of attention to keep.
        gradient: what the attention is taught through.

    Returns:
        (M, C) features of the cells kept, and the selection.
    """
    attention = log_attention.detach().exp()
    mask = nucleus(attention, top_p).view_as(sites.mask) & sites.mask
    kept = Sites(mask)
    rows = rows.index_select(0, mask.flatten()[sites.places].nonzero().squeeze(1))
    if gradient != "none":
        logs = log_attention.flatten()[kept.places]
        counts = mask.flatten(1).sum(1).to(logs.dtype)[kept.frames]
        shift = logs.detach() if gradient == "straight_through" else -counts.log()
        rows = rows * (logs - shift).exp()[:, None].to(rows.dtype)
    return rows, Selection(attention.view_as(sites.mask), sites, kept)


def kept_area(selections: list[Selection], height: int, width: int) -> list[Tensor]:
    """What each block has kept, over the frame it looked at: inside what the blocks before have kept.

    Args:
        selections: of the blocks of one branch, the first block first.
        height: of the frame.
        width: of the frame.

    Returns:
        A (S, height, width) bool mask per block, each inside the one before.
    """
    areas: list[Tensor] = []
    for selection in selections:
        spread = functional.interpolate(selection.kept.mask[:, None].float(), (height, width), mode="nearest")
        area = spread.squeeze(1).bool()
        areas.append(area & areas[-1] if areas else area)
    return areas
