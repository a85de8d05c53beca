"""Predicted probabilities against the votes of raters: emotion that listeners do not agree on is no noise.

All functions take (N, K) rows that sum to 1: ``shares``, the part of the raters who chose each class, and
``probabilities``, what a model says. Logarithms are natural; a probability counts as at least 1e-12.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "agreement_with_raters",
    "jensen_shannon_distance",
    "kl_divergence",
    "rater_agreement",
    "soft_cross_entropy",
    "vote_shares",
]

_Array = NDArray[np.float64]

_LEAST = 1e-12


def vote_shares(votes: Mapping[str, float], labels: Sequence[str]) -> _Array | None:
    """(K,) the part of the votes for each class of a label set; votes for other classes do not count.

    Args:
        votes: class to number of raters (or per cent of them).
        labels: class names in index order.

    Returns:
        None where no vote is for a class of the set.
    """
    counts = np.array([votes.get(label, 0.0) for label in labels], dtype=np.float64)
    total = counts.sum()
    return counts / total if total > 0 else None


def soft_cross_entropy(shares: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean over utterances of ``-sum_k s_k ln p_k``; NaN for no utterance."""
    s, p = _rows(shares, probabilities)
    return _mean(-(s * np.log(np.maximum(p, _LEAST))).sum(-1))


def kl_divergence(shares: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean over utterances of ``sum_k s_k ln(s_k / p_k)`` (0 ln 0 = 0); 0 is perfect; NaN for no utterance."""
    s, p = _rows(shares, probabilities)
    return _mean(_divergence(s, np.maximum(p, _LEAST)))


def jensen_shannon_distance(shares: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean over utterances of ``sqrt(JS / ln 2)``, from 0 (the same) to 1 (nothing shared); NaN for no utterance.

    JS is the mean of both rows' divergences from their average (Lin, IEEE Transactions on Information Theory, 1991).
    """
    s, p = _rows(shares, probabilities)
    middle = (s + p) / 2
    js = (_divergence(s, middle) + _divergence(p, middle)) / 2
    return _mean(np.sqrt(np.maximum(js, 0) / np.log(2)))


def agreement_with_raters(shares: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean share of the raters who chose the class that the model calls most probable; NaN for no utterance.

    A rater drawn at random agrees with the model that often. `rater_agreement` is the same among raters.
    """
    s, p = _rows(shares, probabilities)
    return _mean(s[np.arange(len(s)), p.argmax(-1)])


def rater_agreement(counts: ArrayLike) -> float:
    """How often two different raters of an utterance chose the same class.

    ``mean over utterances of sum_k n_k (n_k - 1) / (n (n - 1))``: the observed agreement in Fleiss' kappa.

    Args:
        counts: (N, K) votes; utterances with fewer than two are not looked at.

    Returns:
        NaN where no utterance has two votes.
    """
    n = np.asarray(counts, dtype=np.float64).reshape(len(np.asarray(counts)), -1)
    totals = n.sum(-1)
    n, totals = n[totals >= 2], totals[totals >= 2]
    return _mean((n * (n - 1)).sum(-1) / (totals * (totals - 1)))


def _divergence(p: _Array, q: _Array) -> _Array:
    """(N,) ``sum_k p_k ln(p_k / q_k)``, where q_k is 0 only where p_k is."""
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    return np.asarray((p * np.log(ratio)).sum(-1), dtype=np.float64)


def _rows(shares: ArrayLike, probabilities: ArrayLike) -> tuple[_Array, _Array]:
    s, p = np.asarray(shares, dtype=np.float64), np.asarray(probabilities, dtype=np.float64)
    if s.shape != p.shape or s.ndim != 2:
        raise ValueError(f"expected two (N, K) arrays of one shape, found {s.shape} and {p.shape}")
    return s, p


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else float("nan")
