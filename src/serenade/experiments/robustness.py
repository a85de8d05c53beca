"""What runs reach under conditions: figures of every condition, and what it costs against the clean recordings."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from serenade.evaluation import METRICS
from serenade.evaluation.intervals import cluster_bootstrap, cluster_metric
from serenade.experiments.comparison import compare_results
from serenade.experiments.conditions import CLEAN, Condition
from serenade.experiments.results import Results
from serenade.experiments.statistics import mean_and_std, plain_values
from serenade.experiments.summary import seed_counts, speakers_are_known

__all__ = ["robustness_of"]

_FORMAT = 1
_SHOWN = ("ua", "wa", "macro_f1", "weighted_f1")


def robustness_of(tested: Sequence[tuple[Path, Sequence[tuple[Condition, Results]]]], about: Sequence[str]) -> Any:
    """All runs under all conditions as plain values.

    Args:
        tested: a run and what `conditional.evaluate_run` gave for it.
        about: what the conditions are made of, in sentences.

    Returns:
        ``runs``, each with ``name``, ``system``, ``corpora``, ``labels``, ``split``, ``leaky``, ``protocol``,
        ``synthetic``, ``complete`` and ``conditions``: ``text``, ``kind``, ``sweep``, ``value``, ``metrics`` (mean, std
        over seeds, low and high over speakers), ``change`` of UA against clean on the same utterances with interval and
        p, ``tested`` and ``left_out``.
    """
    runs = [{**_head(run, found[0][1]), "conditions": _conditions(found)} for run, found in tested]
    return plain_values({"format": _FORMAT, "about": about, "runs": runs})


def _head(run: Path, results: Results) -> dict[str, Any]:
    record = next(iter(results.records.values()))
    return {
        "name": run.resolve().name,
        "system": results.system,
        "corpora": results.corpora,
        "labels": results.labels,
        "seeds": len(results.done_seeds),
        "split": results.split.name,
        "leaky": results.split.leaky,
        "protocol": record.protocol,
        "synthetic": "synthetic" in results.corpora,
        "complete": not results.missing,
        "notes": record.notes,
    }


def _conditions(found: Sequence[tuple[Condition, Results]]) -> list[dict[str, Any]]:
    clean = next((results for condition, results in found if condition == CLEAN), None)
    return [
        {
            "text": condition.text,
            "kind": condition.kind,
            "sweep": condition.sweep,
            "value": condition.value,
            "metrics": _metrics(results),
            "change": None if clean is None or condition == CLEAN else _change(clean, results),
            "tested": len({score.id for record in results.records.values() for score in record.scores}),
            "left_out": {} if condition == CLEAN else dict(Counter(item.reason for item in results.left_out)),
        }
        for condition, results in found
    ]


def _metrics(results: Results) -> dict[str, Any]:
    by_seed = [results.scores(seed) for seed in results.done_seeds]
    speakers = sorted({results.speaker(name) for scores in by_seed for name in scores.ids})
    counts = seed_counts(results, by_seed, speakers)
    figures = {}
    for name in _SHOWN:
        metric = METRICS.resolve(name)
        interval = None
        if speakers_are_known(speakers):
            interval = cluster_bootstrap(cluster_metric(metric, counts), len(speakers))
        bounds = {"low": interval.low if interval else None, "high": interval.high if interval else None}
        figures[name] = {**mean_and_std(metric(counts.sum(1))), **bounds}
    return figures


def _change(clean: Results, changed: Results) -> dict[str, Any]:
    """Points of UA against clean, on the utterances that both tested."""
    ua = compare_results(clean, changed, common=True)["metrics"]["ua"]
    return {key: ua[key] for key in ("difference", "low", "high", "p")}
