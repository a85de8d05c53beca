"""Paired tests: is one system better than another on the same utterances?

* `permutation_test` swaps the two systems speaker by speaker: the test of a metric's difference to report.
* `wilcoxon` ranks the differences of folds.
* `mcnemar` counts the utterances that only one of the two gets right. It takes utterances for independent, which they
  are not within a speaker, and so is too sure; it is given because tables ask for it.

All p values are two-sided.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from serenade.evaluation.metrics import Counts, Metric

__all__ = ["PERMUTATIONS", "Test", "mcnemar", "permutation_test", "wilcoxon"]

PERMUTATIONS = 10_000
"""Drawn sign patterns where not all can be tried; with at most 13 speakers all are."""

_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Test:
    """What a paired test found.

    Args:
        p: two-sided p value; NaN where the test says nothing (no speaker, no difference to rank).
        n: how many pairs took part: speakers, folds, or utterances on which the two disagree.
        exact: whether all permutations were counted, rather than some drawn.
    """

    __test__ = False  # not a test case, though its name begins like one

    p: float
    n: int
    exact: bool


def permutation_test(
    metric: Metric, first: Counts, second: Counts, *, draws: int = PERMUTATIONS, seed: int = 0
) -> Test:
    """Whether the difference of a metric could come from swapping the systems' names, speaker by speaker.

    Args:
        metric: from confusion counts to a value.
        first: (S, K, K) counts of each speaker under the first system, averaged over its seeds.
        second: (S, K, K) the same of the second.
        draws: sign patterns drawn where 2**S is more than this.
        seed: of the draws.

    Returns:
        p = share of patterns whose absolute difference is at least the observed one. Drawn patterns count the observed
        one in, p = (hits + 1) / (draws + 1), so that p is never 0.

    Raises:
        ValueError: the two differ in shape.
    """
    if first.shape != second.shape:
        raise ValueError(f"counts differ in shape: {first.shape} and {second.shape}")
    speakers = len(first)
    if speakers == 0:
        return Test(math.nan, 0, exact=True)
    exact = 2**speakers <= draws
    swaps = _all_patterns(speakers) if exact else np.random.default_rng(seed).integers(0, 2, (draws, speakers))
    differences = np.abs(_swapped_differences(metric, first, second, swaps))
    observed = abs(float(metric(first.sum(0)) - metric(second.sum(0))))
    hits = int((differences >= observed - _ROUNDING).sum())
    return Test(hits / len(swaps) if exact else (hits + 1) / (draws + 1), speakers, exact)


def _all_patterns(speakers: int) -> NDArray[np.int64]:
    """(2**S, S) every pattern of 0 and 1."""
    return (np.arange(2**speakers)[:, None] >> np.arange(speakers)) & 1


def _swapped_differences(
    metric: Metric, first: Counts, second: Counts, swaps: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(B,) metric differences after the swaps."""
    classes = first.shape[-1]
    change = (second - first).reshape(len(first), -1)
    moved = (swaps.astype(np.float64) @ change).reshape(-1, classes, classes)
    return np.asarray(metric(first.sum(0) + moved) - metric(second.sum(0) - moved))


def wilcoxon(differences: ArrayLike) -> Test:
    """Wilcoxon's signed-rank test of paired differences, such as those of folds.

    Differences of 0 are left out, ties share their mean rank, and the p value is exact for the ranks at hand (all sign
    patterns, by dynamic programming). At least six differences are needed for a p below 0.05.

    Args:
        differences: (N,) first minus second.
    """
    values = np.asarray(differences, dtype=np.float64)
    values = values[np.abs(values) > _ROUNDING]
    if values.size == 0:
        return Test(math.nan, 0, exact=True)
    doubled = _doubled_ranks(np.abs(values))  # whole numbers also where ties share a rank of x.5
    ways = np.ones(1)
    for rank in doubled:
        without, with_rank = np.pad(ways, (0, rank)), np.pad(ways, (rank, 0))
        ways = (without + with_rank) / 2  # probabilities instead of counts: no overflow
    total = int(doubled.sum())
    observed = abs(2 * int(doubled[values > 0].sum()) - total)
    extreme = np.abs(2 * np.arange(total + 1) - total) >= observed
    return Test(min(1.0, float(ways[extreme].sum())), int(values.size), exact=True)


def _doubled_ranks(sizes: NDArray[np.float64]) -> NDArray[np.int64]:
    """(N,) twice the rank of each value, ties sharing their mean rank; values closer than rounding are ties."""
    rounded = np.round(sizes, 12)
    smaller = (rounded[:, None] > rounded[None, :]).sum(1)
    equal = (rounded[:, None] == rounded[None, :]).sum(1)
    return np.asarray(2 * smaller + equal + 1, dtype=np.int64)


def mcnemar(first_correct: ArrayLike, second_correct: ArrayLike) -> Test:
    """McNemar's exact test on utterances that only one of two systems gets right.

    p = 2 * P(X <= min(b, c)) for X ~ Binomial(b + c, 1/2), at most 1; b and c are the utterances only the first and
    only the second gets right. NaN where they agree everywhere.

    Args:
        first_correct: (N,) whether the first is right.
        second_correct: (N,) whether the second is right.

    Raises:
        ValueError: the two differ in length.
    """
    first, second = np.asarray(first_correct, dtype=bool), np.asarray(second_correct, dtype=bool)
    if first.shape != second.shape:
        raise ValueError(f"{first.size} and {second.size} utterances")
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    n = only_first + only_second
    if n == 0:
        return Test(math.nan, 0, exact=True)
    logs = [
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2)
        for k in range(min(only_first, only_second) + 1)
    ]
    return Test(min(1.0, 2 * math.fsum(math.exp(value) for value in logs)), n, exact=True)
