"""Figures over repeats and speakers, and paired differences: what the MTL-AUG protocol states of a run.

Of one repeat (seed) UA is the mean over the held-out speakers of each speaker's UA, over the classes that the speaker
has; pooled UA counts all test utterances of the repeat together. Mean and standard deviation (n - 1) are over repeats.

A difference is that of the mean over speakers, same speakers and same repeats of both runs. Its interval resamples
speakers, its p value is Wilcoxon's signed-rank test over repeats, the same seed making a pair.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from serenade.evaluation import METRICS
from serenade.evaluation.intervals import cluster_bootstrap, cluster_metric
from serenade.evaluation.metrics import ua
from serenade.evaluation.significance import wilcoxon
from serenade.experiments.results import Results, Scores
from serenade.experiments.statistics import mean_and_std, plain_values
from serenade.experiments.summary import seed_counts, speakers_are_known

__all__ = ["Ordering", "Verdict", "figures_of", "of_folds", "order"]

Verdict = Literal["holds", "not shown", "reversed"]


def of_folds(results: Results, folds: Sequence[str]) -> Results | None:
    """Only the folds of these names; None where no job of them is finished."""
    kept = tuple(fold for fold in results.split.folds if fold.name in folds)
    records = {key: record for key, record in results.records.items() if key[0] in folds}
    return replace(results, split=replace(results.split, folds=kept), records=records) if records else None


def figures_of(results: Results) -> dict[str, Any]:
    """What the table says of a run, as plain values between 0 and 1.

    Returns:
        ``ua_speakers`` (mean, std over repeats, std_speakers: that over speakers, averaged over repeats), ``ua`` and
        ``wa`` (pooled: mean, std, low and high over speakers), ``repeats``, ``speakers`` (None where they are not
        known) and ``tested`` (utterances).
    """
    by_seed = [results.scores(seed) for seed in results.done_seeds]
    speakers = sorted({results.speaker(name) for scores in by_seed for name in scores.ids})
    of_speakers = _speaker_uas(results, by_seed, speakers)
    known = speakers_are_known(speakers)
    values = {
        "ua_speakers": {
            **mean_and_std(_mean(of_speakers, 1)),
            "std_speakers": _spread(of_speakers),
        },
        "ua": _pooled("ua", results, by_seed, speakers, known),
        "wa": _pooled("wa", results, by_seed, speakers, known),
        "repeats": len(by_seed),
        "speakers": len(speakers) if known else None,
        "tested": len({name for scores in by_seed for name in scores.ids}),
    }
    plain: dict[str, Any] = plain_values(values)
    return plain


def _speaker_uas(results: Results, by_seed: Sequence[Scores], speakers: Sequence[str]) -> NDArray[np.float64]:
    """(R, S) UA of every repeat and speaker, NaN where the speaker was not tested."""
    return np.asarray(ua(seed_counts(results, by_seed, speakers)))


def _spread(of_speakers: NDArray[np.float64]) -> float | None:
    """Standard deviation over speakers, averaged over repeats; None where there is none."""
    spreads = [spread for row in of_speakers if (spread := mean_and_std(row)["std"]) is not None]
    return float(np.mean(spreads)) if spreads else None


def _pooled(
    name: str, results: Results, by_seed: Sequence[Scores], speakers: Sequence[str], known: bool
) -> Mapping[str, Any]:
    metric = METRICS.resolve(name)
    counts = seed_counts(results, by_seed, speakers)
    interval = cluster_bootstrap(cluster_metric(metric, counts), len(speakers)) if known else None
    bounds = {"low": interval.low if interval else None, "high": interval.high if interval else None}
    return {**mean_and_std(metric(counts.sum(1))), **bounds}


def _mean(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Means over what is defined; NaN where nothing is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of nothing defined
        return np.asarray(np.nanmean(values, axis))


@dataclass(frozen=True, slots=True)
class Ordering:
    """Whether one run is better than another.

    Args:
        difference: of UA (mean over speakers), the first minus the second, between -1 and 1.
        low: lower bound over speakers; None where there is no interval.
        high: upper bound.
        p: Wilcoxon's two-sided p over repeats; None where all repeats are equal.
        repeats: seeds that both have.
        least_p: the smallest p that so many repeats allow.
        speakers: on whose utterances they were compared.
        verdict: holds: the interval is above 0; reversed: below 0; not shown: it covers 0, or there is none.
    """

    difference: float
    low: float | None
    high: float | None
    p: float | None
    repeats: int
    least_p: float
    speakers: int
    verdict: Verdict


def order(better: Results, worse: Results) -> Ordering | None:
    """Compare two runs on what both have tested: the same folds, repeats and utterances.

    Args:
        better: the run that is said to be better.
        worse: the other.

    Returns:
        The comparison; None where they have nothing in common.
    """
    seeds = [seed for seed in better.done_seeds if seed in worse.done_seeds]
    pairs = [pair for seed in seeds if len((pair := _common(better.scores(seed), worse.scores(seed)))[0].ids)]
    if not pairs:
        return None
    speakers = sorted({better.speaker(name) for scores, _ in pairs for name in scores.ids})
    first = _speaker_uas(better, [pair[0] for pair in pairs], speakers)
    second = _speaker_uas(better, [pair[1] for pair in pairs], speakers)
    differences = first - second  # (R, S)
    of_speakers = _mean(differences, 0)
    interval = None
    if speakers_are_known(speakers):
        interval = cluster_bootstrap(lambda weights: weights @ of_speakers / weights.sum(1), len(speakers))
    low, high = (interval.low, interval.high) if interval else (None, None)
    test = wilcoxon(_mean(differences, 1))
    return Ordering(
        difference=float(of_speakers.mean()),
        low=low,
        high=high,
        p=None if np.isnan(test.p) else test.p,
        repeats=len(pairs),
        least_p=min(1.0, 2.0 ** (1 - len(pairs))),
        speakers=len(speakers),
        verdict=_verdict(low, high),
    )


def _common(one: Scores, other: Scores) -> tuple[Scores, Scores]:
    """What both tested in the same fold."""
    shared = set(zip(one.ids, one.folds, strict=True)) & set(zip(other.ids, other.folds, strict=True))
    first, second = (
        scores.where(np.array([key in shared for key in zip(scores.ids, scores.folds, strict=True)], dtype=bool))
        for scores in (one, other)
    )
    return first, second


def _verdict(low: float | None, high: float | None) -> Verdict:
    if low is not None and low > 0:
        return "holds"
    return "reversed" if high is not None and high < 0 else "not shown"
