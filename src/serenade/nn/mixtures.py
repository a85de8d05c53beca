"""Gaussian mixtures with diagonal covariances, one per class, as tensors: fitted elsewhere, scored with torch alone."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["NEVER", "GaussianMixtures"]

NEVER = -1e4
"""Log-likelihood of a class that nobody taught."""


class GaussianMixtures(nn.Module):
    """Log-likelihoods of frames under one mixture per class.

    Args:
        num_classes: K.
        components: M, components of each mixture; a class fitted with fewer leaves the rest at weight 0.
        width: D.
    """

    log_weights: Tensor
    means: Tensor
    precisions: Tensor

    def __init__(self, num_classes: int, components: int, width: int) -> None:
        super().__init__()
        # float64, as the difference of large squares is what counts
        shape = (num_classes, components, width)
        log_weights = torch.full(shape[:2], -math.log(components), dtype=torch.float64)
        self.register_buffer("log_weights", log_weights)
        self.register_buffer("means", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("precisions", torch.ones(shape, dtype=torch.float64))

    def take(self, label: int, weights: Tensor, means: Tensor, variances: Tensor) -> None:
        """Set the mixture of a class.

        Args:
            label: class index.
            weights: (m,) that sum to 1, m at most M.
            means: (m, D).
            variances: (m, D).
        """
        count = len(weights)
        self.log_weights[label] = NEVER
        self.log_weights[label, :count] = weights.log().to(self.log_weights)
        self.means[label, :count] = means.to(self.means)
        self.precisions[label, :count] = variances.reciprocal().to(self.precisions)

    def forget(self, labels: Sequence[int]) -> None:
        """Make classes impossible: nobody taught them."""
        self.log_weights[list(labels)] = NEVER

    def forward(self, frames: Tensor) -> Tensor:
        """(N, K) float64 log-likelihoods of (N, D) frames, natural logarithm."""
        classes, components, width = self.means.shape
        precisions = self.precisions.reshape(-1, width)
        means = self.means.reshape(-1, width)
        x = frames.double()
        distances = x.square() @ precisions.T - 2 * x @ (means * precisions).T + (means.square() * precisions).sum(1)
        constants = precisions.log().sum(1) - width * math.log(2 * math.pi)
        of_components = 0.5 * (constants - distances).reshape(x.shape[0], classes, components) + self.log_weights
        return of_components.logsumexp(dim=2)
