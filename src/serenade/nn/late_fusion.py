"""Late fusion: the scores of the branches of a network, weighted and added."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

__all__ = ["LateFusion"]


class LateFusion(nn.Module):
    """``sum of w_m l_m`` over the branches, one weight per modality; of one alone its scores themselves.

    Of an utterance that lacks some modalities, what is there is added and multiplied by ``M / modalities present``, so
    that scores keep their size and thresholds their meaning. The published networks have no such case.

    Dai et al., "Multimodal End-to-End Sparse Model for Emotion Recognition", NAACL 2021.

    Args:
        modalities: names of the branches, at least one.
    """

    def __init__(self, modalities: Sequence[str]) -> None:
        super().__init__()
        bound = len(modalities) ** -0.5  # the start of a linear layer from the branches to one value
        starts = {name: torch.empty(()).uniform_(-bound, bound) for name in modalities}
        self.weights = nn.ParameterDict(starts if len(modalities) > 1 else {})

    def alone(self, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """(B, K) of each branch: what the fused scores are where nothing but its modality is there, ``M w_m l_m``.

        The sign of a weight is arbitrary: a branch's own scores mean little without it.
        """
        if len(scores) == 1:
            return dict(scores)
        return {name: len(scores) * self.weights[name] * score for name, score in scores.items()}

    def forward(self, scores: Mapping[str, Tensor], present: Mapping[str, Tensor] | None = None) -> Tensor:
        """(B, K) fused scores.

        Args:
            scores: (B, K) of each branch.
            present: (B,) bool for each branch, at least one true for each utterance; None where nothing is missing.
        """
        if len(scores) == 1:
            return next(iter(scores.values()))
        weighted = torch.stack([self.weights[name] * score for name, score in scores.items()])  # (M, B, K)
        if present is None:
            return weighted.sum(0)
        there = torch.stack([present[name] for name in scores]).to(weighted.dtype)  # (M, B)
        scale = len(scores) / there.sum(0).clamp_min(1)
        return (there[..., None] * weighted).sum(0) * scale[:, None]
