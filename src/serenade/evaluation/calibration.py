"""How far probabilities can be trusted: reliability, ECE, Brier score, log loss, selective risk, temperature scaling.

Probabilities are (N, K) rows that sum to 1, truth is (N,) class indices. Where N = 0 every figure is NaN.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "BINS",
    "Reliability",
    "SelectiveRisk",
    "apply_temperature",
    "brier",
    "ece",
    "fit_temperature",
    "nll",
    "reliability",
    "selective_risk",
]

BINS = 10
"""Equal-width bins of the reliability diagram and of ECE: one number, so that figure and score agree."""

_SMALLEST = 1e-12
"""Probabilities below this count as this in a logarithm (float32 softmax outputs can be 0)."""
_LOG_TEMPERATURE = (-5.0, 5.0)
"""Natural logarithm of the lowest and highest temperature tried: 0.0067 and 148."""

_Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reliability:
    """How often predictions of a given confidence are right.

    Args:
        edges: (bins + 1,) bounds; a bin holds its upper bound, the first holds 0 too.
        counts: (bins,) predictions in each bin.
        confidence: (bins,) mean confidence; NaN where the bin is empty.
        accuracy: (bins,) share of right ones; NaN where the bin is empty.
    """

    edges: _Array
    counts: _Array
    confidence: _Array
    accuracy: _Array

    @property
    def ece(self) -> float:
        """Expected calibration error: sum_b n_b / N * |accuracy_b - confidence_b|; NaN where N = 0."""
        total = float(self.counts.sum())
        if total == 0:
            return float("nan")
        gaps = np.nan_to_num(np.abs(self.accuracy - self.confidence))
        return float((self.counts * gaps).sum() / total)


def reliability(probabilities: ArrayLike, truth: ArrayLike, *, bins: int = BINS) -> Reliability:
    """Bin predictions by the probability of the class called, and count the right ones.

    Args:
        probabilities: (N, K).
        truth: (N,) class indices.
        bins: equal-width bins over 0..1.
    """
    rows, target = _checked(probabilities, truth)
    edges = np.linspace(0, 1, bins + 1)
    if not len(rows):
        empty = np.full(bins, np.nan)
        return Reliability(edges, np.zeros(bins), empty, empty.copy())
    confidence, right = rows.max(1), rows.argmax(1) == target
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins).astype(np.float64)
    sums = [np.bincount(place, weights=values, minlength=bins) for values in (confidence, right.astype(np.float64))]
    means = [np.divide(s, counts, out=np.full(bins, np.nan), where=counts > 0) for s in sums]
    return Reliability(edges, counts, means[0], means[1])


def ece(probabilities: ArrayLike, truth: ArrayLike, *, bins: int = BINS) -> float:
    """Expected calibration error of the class called: sum_b n_b / N * |accuracy_b - confidence_b|. NaN for N = 0."""
    return reliability(probabilities, truth, bins=bins).ece


def brier(probabilities: ArrayLike, truth: ArrayLike) -> float:
    """Brier score 1/N sum_n sum_k (p_nk - [k = y_n])^2, between 0 and 2. NaN for N = 0."""
    rows, target = _checked(probabilities, truth)
    if not len(rows):
        return float("nan")
    wanted = np.eye(rows.shape[1])[target]
    return float(((rows - wanted) ** 2).sum(1).mean())


def nll(probabilities: ArrayLike, truth: ArrayLike) -> float:
    """Mean negative natural logarithm of the true class's probability (at least 1e-12). NaN for N = 0."""
    rows, target = _checked(probabilities, truth)
    if not len(rows):
        return float("nan")
    return float(-np.log(np.maximum(rows[np.arange(len(rows)), target], _SMALLEST)).mean())


def apply_temperature(probabilities: ArrayLike, temperature: float) -> _Array:
    """Probabilities p^(1/T) / sum p^(1/T): softer for T > 1, sharper for T < 1, the class called unchanged.

    Args:
        probabilities: (N, K); the same as dividing the logits by T.
        temperature: T > 0.

    Raises:
        ValueError: T is not positive.
    """
    if not temperature > 0:
        raise ValueError(f"the temperature must be positive, not {temperature}")
    logs = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), _SMALLEST)) / temperature
    scaled = np.exp(logs - logs.max(-1, keepdims=True))
    return np.asarray(scaled / scaled.sum(-1, keepdims=True))


@dataclass(frozen=True, slots=True)
class SelectiveRisk:
    """How often a model is wrong on the share of its predictions that it is surest of.

    El-Yaniv and Wiener, "On the Foundations of Noise-free Selective Classification", JMLR 11, 2010.

    Args:
        coverage: (N,) share of predictions kept, from 1/N to 1.
        risk: (N,) share of the kept ones that are wrong; of equally sure ones the mean, so that order does not count.
        threshold: (N,) confidence of the least sure one kept.
    """

    coverage: _Array
    risk: _Array
    threshold: _Array

    @property
    def aurc(self) -> float:
        """Area under the curve, the mean risk over all coverages; NaN where N = 0."""
        return float(self.risk.mean()) if len(self.risk) else float("nan")


def selective_risk(probabilities: ArrayLike, truth: ArrayLike) -> SelectiveRisk:
    """The risk of the n surest predictions, for every n.

    Args:
        probabilities: (N, K).
        truth: (N,) class indices.
    """
    rows, target = _checked(probabilities, truth)
    if not len(rows):
        return SelectiveRisk(np.zeros(0), np.zeros(0), np.zeros(0))
    confidence, wrong = rows.max(1), (rows.argmax(1) != target).astype(np.float64)
    order = np.argsort(-confidence, kind="stable")
    sure, errors = confidence[order], wrong[order]
    _, place, counts = np.unique(-sure, return_inverse=True, return_counts=True)
    shared = np.bincount(place, errors) / counts  # equally sure ones share their errors
    kept = np.arange(1, len(rows) + 1)
    return SelectiveRisk(kept / len(rows), np.cumsum(shared[place]) / kept, sure)


def fit_temperature(probabilities: ArrayLike, truth: ArrayLike) -> float:
    """The temperature that minimises the log loss (Guo et al. 2017). Fit it on validation data, never on test data.

    The log loss is convex in 1/T, so its slope changes sign once; that place is found by bisection.

    Args:
        probabilities: (N, K), N at least 1.
        truth: (N,) class indices.

    Returns:
        T between 0.0067 and 148; the bounds are reached where all (or none) of the predictions are right.

    Raises:
        ValueError: there is nothing to fit on.
    """
    rows, target = _checked(probabilities, truth)
    if not len(rows):
        raise ValueError("a temperature needs at least one prediction to be fitted to")
    logs = np.log(np.maximum(rows, _SMALLEST))
    wanted = logs[np.arange(len(rows)), target]
    low, high = _LOG_TEMPERATURE
    for _ in range(60):
        middle = (low + high) / 2
        expected = (apply_temperature(rows, float(np.exp(middle))) * logs).sum(1)
        # d NLL / d (1/T) = mean(E_p[log p] - log p_y): positive means that 1/T is too large
        if (expected - wanted).mean() > 0:
            low = middle
        else:
            high = middle
    return float(np.exp((low + high) / 2))


def _checked(probabilities: ArrayLike, truth: ArrayLike) -> tuple[_Array, NDArray[np.int64]]:
    rows, target = np.asarray(probabilities, dtype=np.float64), np.asarray(truth, dtype=np.int64)
    if len(rows) != len(target) or (len(rows) and rows.ndim != 2):
        raise ValueError(f"probabilities {rows.shape} do not fit truth {target.shape}")
    return rows, target
