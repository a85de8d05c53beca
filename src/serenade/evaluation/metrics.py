"""Metrics of single-label classification, as pure functions of confusion counts.

Counts are n_ij: utterances of true class i that were called class j. Every metric takes an array ``(..., K, K)`` and
returns ``(...)``, so that one call evaluates all folds, seeds or bootstrap samples. Counts need not be whole numbers.

Where nothing was counted a metric is NaN. A class that a test fold does not hold is treated as scikit-learn treats it:
it has no recall and does not enter UA; it enters the F1 averages only if something was called by its name.

The names follow the speech emotion literature: WA ("weighted accuracy") is plain accuracy, UA ("unweighted accuracy",
also UAR, balanced accuracy) is the mean recall of the classes.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Counts",
    "Metric",
    "Values",
    "class_names_to_indices",
    "confusion",
    "f1_per_class",
    "macro_f1",
    "micro_f1",
    "precision_per_class",
    "recall_per_class",
    "ua",
    "wa",
    "weighted_f1",
]

Counts = NDArray[np.float64]
"""(..., K, K) confusion counts, rows true, columns predicted."""
Values = NDArray[np.float64]
"""(...) one value of a metric per table of counts."""
Metric = Callable[[ArrayLike], Values]
"""What the table `serenade.evaluation.METRICS` holds."""


def confusion(truth: ArrayLike, predicted: ArrayLike, num_classes: int) -> Counts:
    """Confusion counts n_ij of class indices.

    Args:
        truth: (N,) true class indices.
        predicted: (N,) predicted class indices.
        num_classes: K.

    Returns:
        (K, K) counts, rows true, columns predicted; all 0 for N = 0.

    Raises:
        ValueError: the arrays differ in length or hold an index outside 0..K-1.
    """
    rows, columns = np.asarray(truth, dtype=np.int64).ravel(), np.asarray(predicted, dtype=np.int64).ravel()
    if rows.shape != columns.shape:
        raise ValueError(f"{rows.size} true but {columns.size} predicted classes")
    if rows.size and (min(rows.min(), columns.min()) < 0 or max(rows.max(), columns.max()) >= num_classes):
        raise ValueError(f"a class index is outside 0..{num_classes - 1}")
    flat = np.bincount(rows * num_classes + columns, minlength=num_classes * num_classes)
    return flat.reshape(num_classes, num_classes).astype(np.float64)


def class_names_to_indices(names: Sequence[str], labels: Sequence[str]) -> NDArray[np.int64]:
    """(N,) indices of class names.

    Raises:
        KeyError: a name that is not among the labels.
    """
    index = {label: place for place, label in enumerate(labels)}
    return np.array([index[name] for name in names], dtype=np.int64)


def wa(counts: ArrayLike) -> Values:
    """Accuracy, sum_i n_ii / N. NaN where N = 0."""
    table = np.asarray(counts, dtype=np.float64)
    return _ratio(_diagonal(table).sum(-1), table.sum((-2, -1)))


def ua(counts: ArrayLike) -> Values:
    """Mean recall of the classes that occur in the truth. NaN where N = 0.

    This is UAR and balanced accuracy. One over the number of classes is chance level where all classes occur.
    """
    return _mean_of_defined(recall_per_class(counts))


def macro_f1(counts: ArrayLike) -> Values:
    """Mean F1 of the classes that occur in the truth or in the predictions. NaN where N = 0."""
    return _mean_of_defined(f1_per_class(counts))


def weighted_f1(counts: ArrayLike) -> Values:
    """F1 of the classes weighted by their support, sum_i support_i / N * F1_i. NaN where N = 0.

    Some published tables, GLAM's among them, carry this figure under the name "micro F1".
    """
    table = np.asarray(counts, dtype=np.float64)
    support = table.sum(-1)
    weighted = np.nan_to_num(f1_per_class(table)) * support  # a class without F1 has no support
    return _ratio(weighted.sum(-1), support.sum(-1))


def micro_f1(counts: ArrayLike) -> Values:
    """F1 of true positives, false positives and false negatives summed over all classes. NaN where N = 0.

    2 TP / (2 TP + FP + FN). Each error of a single-label task is one false positive and one false negative, so this
    equals `wa`; it is given under its own name because tables ask for it.
    """
    table = np.asarray(counts, dtype=np.float64)
    hits, total = _diagonal(table).sum(-1), table.sum((-2, -1))
    errors = total - hits
    return _ratio(2 * hits, 2 * hits + errors + errors)


def recall_per_class(counts: ArrayLike) -> Values:
    """(..., K) recalls n_ii / sum_j n_ij. NaN for a class without truth."""
    table = np.asarray(counts, dtype=np.float64)
    return _ratio(_diagonal(table), table.sum(-1))


def precision_per_class(counts: ArrayLike) -> Values:
    """(..., K) precisions n_jj / sum_i n_ij. NaN for a class that was never predicted."""
    table = np.asarray(counts, dtype=np.float64)
    return _ratio(_diagonal(table), table.sum(-2))


def f1_per_class(counts: ArrayLike) -> Values:
    """(..., K) F1_i = 2 n_ii / (sum_j n_ij + sum_j n_ji). NaN for a class neither true nor predicted."""
    table = np.asarray(counts, dtype=np.float64)
    return _ratio(2 * _diagonal(table), table.sum(-1) + table.sum(-2))


def _diagonal(table: Counts) -> Values:
    return np.asarray(np.diagonal(table, axis1=-2, axis2=-1), dtype=np.float64)


def _ratio(part: Values, whole: Values) -> Values:
    """Quotients, NaN where the whole is 0."""
    return np.asarray(np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0))


def _mean_of_defined(values: Values) -> Values:
    """Means along the last axis over what is not NaN; NaN where all are."""
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0.0).sum(-1), defined.sum(-1).astype(np.float64))
