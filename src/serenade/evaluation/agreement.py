"""How far raters agree beyond chance: Fleiss' kappa and Krippendorff's alpha, as pure functions of counts of ratings.

Counts are n_ic: how many raters gave item i the class (or mark) c. Items may have different numbers of raters; an item
with fewer than two says nothing of agreement and does not enter.

* J. L. Fleiss, "Measuring nominal scale agreement among many raters", Psychological Bulletin 76(5), 1971.
* K. Krippendorff, "Computing Krippendorff's Alpha-Reliability", University of Pennsylvania, 2011.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from serenade.core.records import Utterance

__all__ = ["Level", "RaterAgreement", "count_ratings", "fleiss_kappa", "krippendorff_alpha", "rater_agreement"]

Level = Literal["nominal", "ordinal", "interval"]
"""What may be said of two marks: the same or not; also which is higher; also by how much."""

_PER_CENT = 100


def fleiss_kappa(counts: ArrayLike) -> float:
    """Fleiss' kappa, (P - E) / (1 - E).

    P is the mean over items of the share of pairs of raters who agree, sum_c n_ic (n_ic - 1) / (n_i (n_i - 1)), and
    E = sum_c p_c^2 with the share p_c of a class among all ratings. With the same number of raters for every item this
    is Fleiss' formula; with different ones every item has the same weight in P, and every rating in p_c.

    Args:
        counts: (N, K) ratings by item and class.

    Returns:
        1 for full agreement, 0 for as much as chance gives. NaN where no item has two ratings, or all ratings are of
        one class (E = 1).

    Raises:
        ValueError: the counts are not (N, K), or one is negative or no whole number.
    """
    table = _rated_twice(counts)
    if not table.size:
        return float("nan")
    totals = table.sum(1)  # (N,)
    agreeing = (table * (table - 1)).sum(1) / (totals * (totals - 1))  # (N,)
    by_chance = float(((table.sum(0) / table.sum()) ** 2).sum())
    if np.count_nonzero(table.sum(0)) == 1:
        return float("nan")
    return (float(agreeing.mean()) - by_chance) / (1 - by_chance)


def krippendorff_alpha(counts: ArrayLike, *, level: Level = "nominal", marks: ArrayLike | None = None) -> float:
    """Krippendorff's alpha, 1 - D_o / D_e, from the coincidences of marks within items.

    Two raters of an item make a pair; o_ck = sum_i n_ic (n_ik - [c = k]) / (n_i - 1) counts pairs of marks, n_c =
    sum_k o_ck, n = sum_c n_c. Then::

        D_o = sum_ck o_ck d_ck / n        D_e = sum_ck n_c n_k d_ck / (n (n - 1))

    with the difference d_ck = [c != k] (nominal), (v_c - v_k)^2 (interval), or (sum of n_g for all marks g from c to k,
    less (n_c + n_k) / 2)^2 (ordinal).

    Args:
        counts: (N, K) ratings by item and mark.
        level: what may be said of two marks.
        marks: (K,) the marks v in rising order; needed for interval. For ordinal the order of the columns counts.

    Returns:
        1 for full agreement, 0 for as much as chance gives. NaN where no item has two ratings, or all are the same.

    Raises:
        ValueError: the counts are not (N, K), or one is negative or no whole number; marks are missing, do not fit or
            do not rise.
    """
    table = _rated_twice(counts)
    values = _marks(marks, level, np.shape(counts)[1])
    if not table.size:
        return float("nan")
    weights = 1 / (table.sum(1) - 1)  # (N,)
    pairs = (table * weights[:, None]).T @ table  # (K, K)
    pairs -= np.diag((table * weights[:, None]).sum(0))
    totals = pairs.sum(1)  # (K,)
    n = totals.sum()
    differences = _differences(level, values, totals)
    observed = (pairs * differences).sum() / n
    expected = (np.outer(totals, totals) * differences).sum() / (n * (n - 1))
    return float(1 - observed / expected) if expected > 0 else float("nan")


def count_ratings(ratings: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Counts by item and mark from what single raters gave.

    Args:
        ratings: (R, N) the mark of every rater for every item; NaN where the rater gave none.

    Returns:
        (N, K) counts and the (K,) marks that occur, rising.

    Raises:
        ValueError: the ratings are not (R, N).
    """
    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"ratings have the shape {table.shape}, expected (raters, items)")
    marks = np.unique(table[~np.isnan(table)])
    counts = (table[:, :, None] == marks).sum(0)  # (N, K)
    return counts.astype(np.float64), marks


@dataclass(frozen=True, slots=True)
class RaterAgreement:
    """How far the raters of a corpus agree on its classes.

    Args:
        utterances: how many have at least two ratings.
        ratings: how many these have in all; a rater who gave two classes counts twice.
        fleiss_kappa: NaN where it is not defined.
        krippendorff_alpha: nominal; NaN where it is not defined.
    """

    utterances: int
    ratings: int
    fleiss_kappa: float
    krippendorff_alpha: float

    def to_json(self) -> dict[str, Any]:
        """Plain values only; None where a figure is not defined."""
        return {name: None if value != value else value for name, value in asdict(self).items()}


def rater_agreement(utterances: Sequence[Utterance]) -> RaterAgreement | None:
    """The agreement of the votes of utterances.

    Returns:
        None where not one utterance has two ratings, or votes are shares and no counts (fractions, or every utterance
        has 100 of them: per cent).
    """
    voted = [u.votes for u in utterances if u.votes]
    names = sorted({name for votes in voted for name in votes})
    sums = {round(sum(votes.values()), 6) for votes in voted}
    if sums <= {_PER_CENT} or any(count != int(count) for votes in voted for count in votes.values()):
        return None
    counts = np.array([[votes.get(name, 0) for name in names] for votes in voted], dtype=np.float64)
    table = _rated_twice(counts)
    if not table.size:
        return None
    return RaterAgreement(len(table), int(table.sum()), fleiss_kappa(table), krippendorff_alpha(table))


def _rated_twice(counts: ArrayLike) -> NDArray[np.float64]:
    """(M, K) the items with at least two ratings."""
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"counts have the shape {table.shape}, expected (items, classes)")
    if (table < 0).any() or (table != np.floor(table)).any():
        raise ValueError("counts of ratings are whole numbers from 0")
    kept: NDArray[np.float64] = table[table.sum(1) >= 2]
    return kept


def _marks(marks: ArrayLike | None, level: Level, count: int) -> NDArray[np.float64]:
    if marks is None:
        if level == "interval":
            raise ValueError("the level interval needs the marks of the columns")
        return np.arange(count, dtype=np.float64)
    values = np.asarray(marks, dtype=np.float64)
    if values.shape != (count,) or not (np.diff(values) > 0).all():
        raise ValueError(f"{count} rising marks are needed, found {values.tolist()}")
    return values


def _differences(level: Level, marks: NDArray[np.float64], totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """(K, K) squared difference of every two marks."""
    if level == "nominal":
        return 1 - np.eye(len(marks))
    # ordinal: a mark lies in the middle of its ratings, so two are apart by what lies between, half of each included
    places = marks if level == "interval" else np.cumsum(totals) - totals / 2
    squared: NDArray[np.float64] = (places[:, None] - places[None, :]) ** 2
    return squared
