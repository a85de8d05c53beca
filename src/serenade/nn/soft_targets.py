"""Cross-entropy against shares of the classes: labels, mixtures of two, or the votes of raters."""

from torch import Tensor
from torch.nn import functional

__all__ = ["class_shares", "soft_cross_entropy"]


def class_shares(targets: Tensor, num_classes: int) -> Tensor:
    """(B, K) float32 one-hot rows of (B,) class indices; zeros where a target is -1."""
    one_hot = functional.one_hot(targets.clamp_min(0), num_classes).float()
    return one_hot * (targets >= 0)[:, None]


def soft_cross_entropy(logits: Tensor, shares: Tensor, weights: Tensor) -> Tensor:
    """``- sum_ik w_k s_ik log softmax(logits_i)_k / sum_ik w_k s_ik``: with equal weights the mean over the batch.

    For the shares lambda and 1 - lambda of a mixture this is ``lambda CE(y_i) + (1 - lambda) CE(y_j)``.

    Args:
        logits: (B, K).
        shares: (B, K), rows sum to 1.
        weights: (K,) of the classes.
    """
    weighted = shares * weights
    return -(weighted * logits.float().log_softmax(dim=1)).sum() / weighted.sum()
