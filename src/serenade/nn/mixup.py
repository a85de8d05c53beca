"""Mixup: training on convex mixtures of examples (Zhang et al., ICLR 2018; GLAM section 2.4)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional

__all__ = ["Mixture", "draw_mixture", "mixed_cross_entropy"]


@dataclass(frozen=True, slots=True)
class Mixture:
    """One mixture of a batch with a permutation of itself.

    Args:
        share: lambda in [0, 1], the share of the example itself.
        partners: (B,) int64, the example each one is mixed with.
    """

    share: float
    partners: Tensor

    def mix(self, x: Tensor) -> Tensor:
        """``lambda x + (1 - lambda) x[partners]``, any shape (B, ...)."""
        return torch.lerp(x[self.partners], x, self.share)


def draw_mixture(batch_size: int, alpha: float, generator: Generator) -> Mixture | None:
    """One lambda ~ Beta(alpha, alpha) and a random permutation per batch; None where alpha is 0.

    Args:
        batch_size: B.
        alpha: both parameters of the Beta distribution; 0 switches mixup off.
        generator: source of randomness, on the CPU.
    """
    if alpha == 0:
        return None
    seed = int(torch.randint(2**62, (), generator=generator))
    share = float(np.random.default_rng(seed).beta(alpha, alpha))
    return Mixture(share, torch.randperm(batch_size, generator=generator))


def mixed_cross_entropy(logits: Tensor, targets: Tensor, mixture: Mixture | None) -> Tensor:
    """``lambda CE(f(x'), y) + (1 - lambda) CE(f(x'), y[partners])``, mean over the batch.

    Args:
        logits: (B, K).
        targets: (B,) int64 class indices, or (B, K) shares of the classes.
        mixture: the one the inputs were mixed with; None gives plain cross-entropy.
    """
    logits = logits.float()
    if mixture is None:
        return functional.cross_entropy(logits, targets)
    own = functional.cross_entropy(logits, targets)
    partners = functional.cross_entropy(logits, targets[mixture.partners.to(targets.device)])
    return mixture.share * own + (1 - mixture.share) * partners
