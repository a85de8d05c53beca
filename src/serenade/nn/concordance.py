"""The concordance correlation coefficient as a loss for dimensional attributes.

L. I. Lin, "A concordance correlation coefficient to evaluate reproducibility", Biometrics 1989, doi 10.2307/2532051.
"""

import torch
from torch import Tensor

__all__ = ["concordance", "concordance_loss"]

_LEAST_SPREAD = 1e-8  # of the denominator: equal constants on both sides


def concordance(predictions: Tensor, targets: Tensor) -> Tensor:
    """``2 cov(p, t) / (var p + var t + (mean p - mean t)^2)``, moments over n and not n - 1.

    Args:
        predictions: (n,) with n at least 1.
        targets: (n,).

    Returns:
        Scalar in [-1, 1]; 0 where nothing varies.
    """
    p, t = predictions.float(), targets.float()
    p_off, t_off = p - p.mean(), t - t.mean()
    spread = p_off.square().mean() + t_off.square().mean() + (p.mean() - t.mean()).square()
    return 2 * (p_off * t_off).mean() / spread.clamp_min(_LEAST_SPREAD)


def concordance_loss(predictions: Tensor, targets: Tensor) -> Tensor | None:
    """Mean of ``1 - CCC`` over the attributes that a batch states.

    Args:
        predictions: (B, A), one column per attribute.
        targets: (B, A), NaN where an attribute is not stated.

    Returns:
        Scalar; None where no attribute is stated at least twice, for one value does not vary.
    """
    stated = ~targets.isnan()
    terms = [
        1 - concordance(predictions[known, column], targets[known, column])
        for column, known in enumerate(stated.unbind(dim=1))
        if int(known.sum()) > 1
    ]
    return torch.stack(terms).mean() if terms else None
