"""Metrics of several yes-or-no answers per utterance, and the thresholds that turn probabilities into them.

As in "Multimodal End-to-End Sparse Model for Emotion Recognition" (Dai et al., NAACL 2021): per emotion the threshold
with the best F1 on validation is applied to test; accuracy is reported for IEMOCAP, weighted accuracy for CMU-MOSEI.

A metric is NaN where it is not defined. `mean_of_defined` averages the others.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from serenade.core.errors import UsageError

__all__ = [
    "THRESHOLDS",
    "accuracy",
    "area_under_curve",
    "best_thresholds",
    "decide",
    "exact_match",
    "f1",
    "intersection_match",
    "mean_of_defined",
    "precision",
    "recall",
    "subset_match",
    "weighted_accuracy",
    "weighted_f1",
]

_Values = NDArray[np.float64]
_Answers = NDArray[np.bool_]

THRESHOLDS: tuple[float, ...] = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""What `best_thresholds` chooses from: 0.05, 0.10, ..., 0.95."""


def best_thresholds(truth: ArrayLike, probabilities: ArrayLike) -> _Values:
    """(K,) of `THRESHOLDS` with the best F1 on these utterances, the smallest of equals.

    Args:
        truth: (N, K) 0 or 1.
        probabilities: (N, K), of each emotion by itself.

    Raises:
        UsageError: the shapes differ, or there is no utterance.
    """
    answers, values = _pair(truth, probabilities)
    scores = np.stack([f1(answers, decide(values, np.full(values.shape[1], t))) for t in THRESHOLDS])
    chosen: _Values = np.asarray(THRESHOLDS)[scores.argmax(axis=0)]
    return chosen


def decide(probabilities: ArrayLike, thresholds: ArrayLike) -> _Answers:
    """(N, K) yes where a probability is above the emotion's threshold."""
    decided: _Answers = np.asarray(probabilities, dtype=np.float64) > np.asarray(thresholds, dtype=np.float64)
    return decided


def accuracy(truth: ArrayLike, decided: ArrayLike) -> _Values:
    """(K,) share of right answers, ``(TP + TN) / N``."""
    tp, fp, fn, tn = _counts(truth, decided)
    return _ratio(tp + tn, tp + fp + fn + tn)


def weighted_accuracy(truth: ArrayLike, decided: ArrayLike) -> _Values:
    """(K,) ``(TP / P + TN / N) / 2``, the balanced accuracy; NaN where all answers should be yes, or no."""
    tp, fp, fn, tn = _counts(truth, decided)
    return (_ratio(tp, tp + fn) + _ratio(tn, tn + fp)) / 2


def recall(truth: ArrayLike, decided: ArrayLike) -> _Values:
    """(K,) ``TP / P``; NaN where no answer should be yes."""
    tp, _, fn, _ = _counts(truth, decided)
    return _ratio(tp, tp + fn)


def precision(truth: ArrayLike, decided: ArrayLike) -> _Values:
    """(K,) ``TP / (TP + FP)``; NaN where no answer is yes."""
    tp, fp, _, _ = _counts(truth, decided)
    return _ratio(tp, tp + fp)


def f1(truth: ArrayLike, decided: ArrayLike) -> _Values:
    """(K,) ``2 TP / (2 TP + FP + FN)`` of the answer yes; 0 where none is yes and none should be."""
    tp, fp, fn, _ = _counts(truth, decided)
    return np.nan_to_num(_ratio(2 * tp, 2 * tp + fp + fn))


def weighted_f1(truth: ArrayLike, decided: ArrayLike) -> _Values:
    """(K,) F1 of the answer yes and of the answer no, averaged by how often each is true."""
    answers, given = _pair(truth, decided)
    yes = answers.mean(axis=0)
    result: _Values = yes * f1(answers, given) + (1 - yes) * f1(~answers, given <= 0)
    return result


def area_under_curve(truth: ArrayLike, probabilities: ArrayLike) -> _Values:
    """(K,) chance that a yes has a higher probability than a no, equals counting half; NaN without either."""
    answers, values = _pair(truth, probabilities)
    return np.array([_area(answers[:, k], values[:, k]) for k in range(values.shape[1])])


def exact_match(truth: ArrayLike, decided: ArrayLike) -> float:
    """Share of utterances of which every answer is right."""
    answers, given = _pair(truth, decided)
    return float((answers == given.astype(bool)).all(axis=1).mean())


def subset_match(truth: ArrayLike, decided: ArrayLike) -> float:
    """Share of utterances with at least one yes and no wrong yes."""
    answers, given = _pair(truth, decided)
    says = given.astype(bool)
    return float((says.any(axis=1) & (answers | ~says).all(axis=1)).mean())


def intersection_match(truth: ArrayLike, decided: ArrayLike) -> float:
    """Share of utterances with at least one right yes, or with every answer right.

    The released code means this too, but looks no further than the first wrong yes, so that its figure depends on the
    order of the emotions.
    """
    answers, given = _pair(truth, decided)
    says = given.astype(bool)
    return float(((answers & says).any(axis=1) | (answers == says).all(axis=1)).mean())


def mean_of_defined(values: ArrayLike) -> float:
    """The plain mean of what is not NaN; NaN where nothing is left."""
    numbers = np.asarray(values, dtype=np.float64)
    defined = numbers[~np.isnan(numbers)]
    return float(defined.mean()) if len(defined) else float("nan")


def _area(answers: _Answers, values: _Values) -> float:
    yes, no = int(answers.sum()), int((~answers).sum())
    if yes == 0 or no == 0:
        return float("nan")
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]  # equals share the mean of their ranks
    return float((ranks[answers].sum() - yes * (yes + 1) / 2) / (yes * no))


def _counts(truth: ArrayLike, decided: ArrayLike) -> tuple[_Values, _Values, _Values, _Values]:
    """(K,) true and false positives, false and true negatives."""
    answers, given = _pair(truth, decided)
    says = given.astype(bool)
    pairs = ((answers, says), (~answers, says), (answers, ~says), (~answers, ~says))
    tp, fp, fn, tn = ((a & b).sum(axis=0).astype(np.float64) for a, b in pairs)
    return tp, fp, fn, tn


def _pair(truth: ArrayLike, given: ArrayLike) -> tuple[_Answers, _Values]:
    answers, values = np.asarray(truth), np.asarray(given, dtype=np.float64)
    if answers.shape != values.shape or answers.ndim != 2 or len(answers) == 0:
        raise UsageError(
            "truth and answers do not fit",
            found=f"{answers.shape} and {values.shape}",
            expected="two tables of one size, a row for each of one or more utterances, a column per emotion",
        )
    return answers > 0.5, values


def _ratio(above: _Values, below: _Values) -> _Values:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
