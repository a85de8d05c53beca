"""Is run B better than run A on the same utterances?

A difference is B minus A of the pooled metric, each averaged over its seeds. Its interval resamples speakers, its p
value swaps the two runs speaker by speaker; both keep the utterances of a speaker together. The permutation test works
on confusion counts averaged over seeds, so that runs with different numbers of seeds can be compared: for WA and UA its
statistic is exactly the difference shown, for the F1 scores nearly.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serenade.core.errors import UsageError
from serenade.core.wording import counted
from serenade.evaluation import METRICS
from serenade.evaluation.intervals import Interval, cluster_bootstrap, cluster_metric
from serenade.evaluation.metrics import Counts
from serenade.evaluation.significance import Test, mcnemar, permutation_test, wilcoxon
from serenade.experiments.results import Results, Scores, read_results
from serenade.experiments.statistics import mean_and_std, plain_values
from serenade.experiments.summary import seed_counts, speakers_are_known

__all__ = ["compare", "compare_results"]

_FEWEST_FOLDS = 6
"""Folds below which Wilcoxon's test cannot reach a p of 0.05."""


def compare(first: Path, second: Path, *, common: bool = False) -> dict[str, Any]:
    """Paired differences of two runs, second minus first.

    Args:
        first: folder of run A.
        second: folder of run B.
        common: compare on the utterances that both tested, instead of refusing runs that tested different ones.

    Returns:
        ``a`` and ``b`` (what a table says of each run), ``data`` (what was compared), ``metrics`` (per metric: the two
        values, difference, interval, p), ``mcnemar`` and ``notes``, as plain values.

    Raises:
        UsageError: a folder is not a run; the runs have different classes, or tested different utterances.
        SerenadeError: a file of a run is damaged.
    """
    return compare_results(read_results(first), read_results(second), common=common)


def compare_results(first: Results, second: Results, *, common: bool = False) -> dict[str, Any]:
    """As `compare`, of results already read."""
    if sorted(first.labels) != sorted(second.labels):
        raise UsageError(
            "the two runs have different classes, so their figures cannot be compared",
            where=f"{first.run} and {second.run}",
            found=f"{', '.join(first.labels)} and {', '.join(second.labels)}",
        )
    one, other = _scores(first, first.labels), _scores(second, first.labels)
    kept = _shared_ids(first, second, one, other, common)
    only_first, only_second = len(set(one[0].ids) - kept), len(set(other[0].ids) - kept)
    one, other = _only(one, kept), _only(other, kept)
    values = {
        "a": _head(first),
        "b": _head(second),
        "data": {"utterances": len(kept), "only_a": only_first, "only_b": only_second, "common": common},
        "metrics": _differences(first, one, other, _same_folds(first, second, one, other)),
        "mcnemar": _mcnemar(one, other),
        "notes": _notes(first, second, only_first + only_second),
    }
    plain: dict[str, Any] = plain_values(values)
    return plain


def _head(results: Results) -> dict[str, Any]:
    return {
        "name": results.run.resolve().name,
        "run": str(results.run),
        "system": results.system,
        "corpora": results.corpora,
        "synthetic": "synthetic" in results.corpora,
        "split": results.split.name,
        "leaky": results.split.leaky,
        "protocol": next(iter(results.records.values())).protocol,
        "seeds": len(results.done_seeds),
        "complete": not results.missing,
    }


def _scores(results: Results, labels: Sequence[str]) -> list[Scores]:
    """Scores of every seed, classes in the order of the labels."""
    order = [results.labels.index(label) for label in labels]
    to_new = np.argsort(order)
    by_seed = [results.scores(seed) for seed in results.done_seeds]
    return [Scores(s.ids, s.folds, to_new[s.truth], s.probabilities[:, order]) for s in by_seed]


def _shared_ids(
    first: Results, second: Results, one: Sequence[Scores], other: Sequence[Scores], common: bool
) -> set[str]:
    """The utterances compared; those of every seed of both runs."""
    sets = [set(scores.ids) for scores in (*one, *other)]
    shared, everything = set.intersection(*sets), set.union(*sets)
    if shared != everything and not common:
        raise UsageError(
            "the two runs did not test the same utterances",
            where=f"{first.run} and {second.run}",
            found=f"{len(shared)} in common, {len(everything - shared)} not tested in every seed of both, "
            f"such as {min(everything - shared)}",
            hint="Finish both runs over the same data and split, or add --common to compare on the common ones",
        )
    if not shared:
        raise UsageError("the two runs have no tested utterance in common", where=f"{first.run} and {second.run}")
    different = [name for name in sorted(shared) if _identity(first, name) != _identity(second, name)]
    if different:
        name = different[0]
        raise UsageError(
            f"{len(different)} utterances of the same name differ in class or speaker, so the runs are of other data",
            where=name,
            found=f"{' of '.join(_identity(first, name))} and {' of '.join(_identity(second, name))}",
        )
    return shared


def _identity(results: Results, name: str) -> tuple[str, str]:
    utterance = results.utterances[name]
    return str(utterance.emotion), utterance.speaker


def _only(by_seed: Sequence[Scores], kept: set[str]) -> list[Scores]:
    return [scores.where(np.array([name in kept for name in scores.ids])) for scores in by_seed]


def _same_folds(first: Results, second: Results, one: Sequence[Scores], other: Sequence[Scores]) -> list[str]:
    """Folds of one name that test the same utterances in both runs; empty if any fold does not."""
    tested = [
        {fold.name: {n for n, f in zip(s.ids, s.folds, strict=True) if f == fold.name} for fold in results.split.folds}
        for results, s in ((first, one[0]), (second, other[0]))
    ]
    return [name for name, ids in tested[0].items() if ids] if tested[0] == tested[1] else []


def _differences(
    first: Results, one: Sequence[Scores], other: Sequence[Scores], folds: Sequence[str]
) -> dict[str, dict[str, Any]]:
    speakers = sorted({first.speaker(name) for name in one[0].ids})
    counts = seed_counts(first, one, speakers), seed_counts(first, other, speakers)
    known = speakers_are_known(speakers)
    return {name: _difference(name, *counts, known) | _over_folds(name, one, other, folds) for name in METRICS}


def _difference(name: str, one: Counts, other: Counts, known: bool) -> dict[str, Any]:
    """A metric of both runs and the difference; counts are (R, S, K, K), with R of each run."""
    metric = METRICS.resolve(name)
    values = metric(one.sum(1)), metric(other.sum(1))
    interval: Interval | None = None
    test = Test(float("nan"), 0, exact=True)
    if known:
        before, after = cluster_metric(metric, one), cluster_metric(metric, other)
        interval = cluster_bootstrap(lambda weights: after(weights) - before(weights), one.shape[1])
        test = permutation_test(metric, one.mean(0), other.mean(0))
    return {
        "a": mean_and_std(values[0]),
        "b": mean_and_std(values[1]),
        "difference": values[1].mean() - values[0].mean(),
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "level": interval.level if interval else None,
        "speakers": one.shape[1],
        "p": test.p,
        "exact": test.exact,
    }


def _over_folds(name: str, one: Sequence[Scores], other: Sequence[Scores], folds: Sequence[str]) -> dict[str, Any]:
    """Wilcoxon's test over folds, where there are enough of them and they are the same."""
    if len(folds) < _FEWEST_FOLDS:
        return {"wilcoxon_p": None, "folds": len(folds)}
    test = wilcoxon(_fold_values(name, other, folds) - _fold_values(name, one, folds))
    return {"wilcoxon_p": test.p, "folds": len(folds)}


def _fold_values(name: str, by_seed: Sequence[Scores], folds: Sequence[str]) -> NDArray[np.float64]:
    """(folds,) a metric in each fold, averaged over seeds."""
    counts = np.array(
        [[s.where(np.array([f == fold for f in s.folds])).counts() for fold in folds] for s in by_seed]
    )  # (R, folds, K, K)
    return np.asarray(METRICS.resolve(name)(counts).mean(0))


def _mcnemar(one: Sequence[Scores], other: Sequence[Scores]) -> dict[str, Any]:
    """McNemar's test on the classes called by probabilities averaged over seeds."""
    right = _right(one), _right(other)
    names = sorted(right[0])
    first, second = np.array([right[0][n] for n in names]), np.array([right[1][n] for n in names])
    test = mcnemar(first, second)
    return {
        "p": test.p,
        "disagree": test.n,
        "only_a": int((first & ~second).sum()),
        "only_b": int((second & ~first).sum()),
    }


def _right(by_seed: Sequence[Scores]) -> dict[str, bool]:
    """Whether each utterance is called rightly by the mean of its probabilities."""
    total: dict[str, NDArray[np.float64]] = {}
    truth: dict[str, int] = {}
    for scores in by_seed:
        for name, row, target in zip(scores.ids, scores.probabilities, scores.truth, strict=True):
            total[name] = total[name] + row if name in total else row
            truth[name] = int(target)
    return {name: int(row.argmax()) == truth[name] for name, row in total.items()}


def _notes(first: Results, second: Results, left_out: int) -> list[str]:
    notes = []
    for results in (first, second):
        name = results.run.resolve().name
        if results.split.leaky is not None:
            notes.append(f"{name} is LEAKY: {results.split.leaky}. Its figures are too high.")
        record = next(iter(results.records.values()))
        if record.protocol is not None:
            notes.append(f"{name} is TRANSDUCTIVE: {record.protocol}.")
        notes += [f"{name}: {note}" for note in record.notes]
        if results.missing:
            notes.append(f"{name} is not finished: {counted(len(results.missing), 'job')} missing.")
        if max(Counter(results.scores(results.done_seeds[0]).ids).values()) > 1:
            notes.append(f"{name} tests some utterances in several folds; they count as often.")
    if left_out:
        notes.append(f"{left_out} utterances were tested in only one of the runs and are not compared.")
    if first.split.name != second.split.name:
        notes.append(
            f"The splits differ ({first.split.name} and {second.split.name}), so the training data differ too."
        )
    if not speakers_are_known([u.speaker for u in first.utterances.values()]):
        notes.append("Speakers are not known, so there are no intervals and no test over speakers.")
    return notes
