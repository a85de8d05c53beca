"""The summary of a run: every figure that a report shows, computed from the records.

How a figure over folds and seeds is made:

* **pooled**: the scores of all folds of one seed are put together and the metric is computed once. Mean and standard
  deviation are over seeds; the interval is over speakers (`evaluation.intervals`), each draw averaged over seeds.
* **fold mean**: the metric is computed in each fold and averaged over the folds of one seed. ``std_seeds`` is the
  standard deviation of this mean over seeds, ``std_folds`` that of the folds, each averaged over seeds.

Standard deviations divide by n - 1; for a single value there is none (None). UA of a fold is over the classes that
occur in it: a fold with one speaker may lack some.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serenade.core.errors import MissingExtraError
from serenade.core.files import write_json
from serenade.core.label_maps import parse_label_map
from serenade.core.records import UNKNOWN_SPEAKER
from serenade.core.wording import counted
from serenade.corpora import CORPORA
from serenade.evaluation import METRICS
from serenade.evaluation.calibration import apply_temperature, brier, fit_temperature, nll, reliability, selective_risk
from serenade.evaluation.distributions import (
    agreement_with_raters,
    jensen_shannon_distance,
    kl_divergence,
    rater_agreement,
    soft_cross_entropy,
    vote_shares,
)
from serenade.evaluation.intervals import cluster_bootstrap, cluster_metric
from serenade.evaluation.metrics import Counts, f1_per_class, precision_per_class, recall_per_class, ua, wa
from serenade.experiments.card import unlabelled_sentence
from serenade.experiments.folder import RunFolder
from serenade.experiments.projection import project
from serenade.experiments.results import Results, Scores, read_results
from serenade.experiments.statistics import defined_means, mean_and_std, plain_values, spread

__all__ = [
    "FORMAT",
    "seed_counts",
    "speakers_are_known",
    "summarise",
    "summary_of",
]

FORMAT = 1
"""Version of summary.json."""
_WORST = 24
"""Utterances listed as the worst."""

_Array = NDArray[np.float64]
_COVERAGES = np.linspace(0.05, 1.0, 20)
_EVEN_ODDS = 0.5


def summarise(run: Path, *, maps: bool = True) -> dict[str, Any]:
    """Compute the summary of a run, finished or not, and write it to summary.json.

    Args:
        run: the run folder.
        maps: whether the maps of embeddings are made, which takes longer than all the rest.

    Returns:
        What was written.

    Raises:
        UsageError: the folder is not a run, or no job of it is finished.
        SerenadeError: a file of it is damaged.
        StorageError: the summary cannot be written.
    """
    summary = summary_of(read_results(run), maps=maps)
    write_json(run / "summary.json", summary)
    return summary


def summary_of(results: Results, *, maps: bool = True) -> dict[str, Any]:
    """The summary of results as plain values; what is not defined is None.

    Args:
        results: of a run.
        maps: whether the maps of embeddings are made, which takes longer than all the rest.
    """
    by_seed = [results.scores(seed) for seed in results.done_seeds]
    drawn, notes = _maps(results) if maps else (None, [])
    summary = {
        "format": FORMAT,
        "name": results.run.resolve().name,
        **_head(results),
        "state": _state(results),
        "data": _data(results, by_seed[0]),
        "chance": _chance(by_seed[0], results.labels),
        "metrics": _metrics(results, by_seed),
        "folds": _folds(results),
        "classes": _classes(results, by_seed),
        "confusion": _mean([scores.counts() for scores in by_seed]),
        "calibration": _calibration(by_seed),
        "votes": _votes(results, by_seed),
        "curves": _curves(results),
        "speakers": _groups(results, by_seed, results.speaker),
        "genders": _groups(results, by_seed, lambda name: results.utterances[name].gender or "unknown"),
        "worst": _worst(results, by_seed),
        "maps": drawn,
        "notes": [*_notes(results), *notes],
    }
    plain: dict[str, Any] = plain_values(summary)
    return plain


def _head(results: Results) -> dict[str, Any]:
    first = next(iter(results.records.values()))
    split = results.split
    return {
        "system": results.system,
        "corpora": results.corpora,
        "corpus_titles": [CORPORA.resolve(name).title if name in CORPORA else name for name in results.corpora],
        "synthetic": "synthetic" in results.corpora,
        "labels": results.labels,
        "seeds": results.done_seeds,
        "split": {
            "name": split.name,
            "folds": len(split.folds),
            "leaky": split.leaky,
            "select_on_test": split.select_on_test,
            "notes": split.notes,
        },
        "protocol": first.protocol,
        "unlabelled": _unlabelled(results),
        "leaks": _leaks(results),
        "settings": first.settings,
        "experiment": results.experiment,
        "versions": first.versions,
        "timing": _timing(results),
    }


def _unlabelled(results: Results) -> dict[str, Any] | None:
    """The unlabelled speech that all folds learnt from, with titles and what was left out; None where there is none."""
    stated = next(iter(results.records.values())).unlabelled
    if stated is None:
        return None
    titles = [CORPORA.resolve(name).title if name in CORPORA else name for name in stated["corpora"]]
    left_out = Counter(item.reason for item in RunFolder(results.run).read_unlabelled_left_out())
    return {**stated, "titles": titles, "left_out": dict(left_out.most_common())}


def _leaks(results: Results) -> dict[str, Any] | None:
    """What the check of the split found, without the lists of offenders; None where no check is stored."""
    if results.leaks is None:
        return None
    findings = [{key: f[key] for key in ("kind", "severity", "message")} for f in results.leaks["findings"]]
    return {"findings": findings, "majority": results.leaks["majority"]}


def _state(results: Results) -> dict[str, Any]:
    missing = results.missing
    return {
        "complete": not missing,
        "done": len(results.records),
        "jobs": len(results.records) + len(missing),
        "missing": [{"fold": fold, "seed": seed} for fold, seed in missing],
    }


def _timing(results: Results) -> dict[str, Any]:
    """Sums over jobs, and the share of wall time in the network weighted by wall time."""
    timings = [record.timing for record in results.records.values()]
    wall = sum(timing.get("wall_s", 0.0) for timing in timings)
    network = sum(timing.get("wall_s", 0.0) * timing.get("network_share", 0.0) for timing in timings)
    return {
        "wall_s": wall,
        "cpu_s": sum(timing.get("cpu_s", 0.0) for timing in timings),
        "network_share": network / wall if wall else None,
        "jobs": len(timings),
    }


def _data(results: Results, scores: Scores) -> dict[str, Any]:
    used = results.utterances.values()
    durations = [utterance.duration_s for utterance in used]
    classes = Counter(utterance.emotion for utterance in used if utterance.emotion is not None)
    return {
        "utterances": len(used),
        "tested": len(set(scores.ids)),
        "speakers": len({results.speaker(name) for name in results.utterances}),
        "minutes": None if None in durations else sum(d for d in durations if d is not None) / 60,
        "classes": {label: classes.get(label, 0) for label in results.labels},
        "left_out": dict(Counter(item.reason for item in results.left_out).most_common()),
        "fingerprint": next(iter(results.records.values())).data,
    }


def _chance(scores: Scores, labels: Sequence[str]) -> dict[str, Any]:
    """What blind guessing reaches: UA by any constant or uniform guess, WA by always naming the commonest class."""
    support = np.bincount(scores.truth, minlength=len(labels))
    commonest = int(support.argmax())
    return {
        "ua": 1 / np.count_nonzero(support),
        "wa": support[commonest] / support.sum(),
        "majority": labels[commonest],
    }


def _metrics(results: Results, by_seed: Sequence[Scores]) -> dict[str, Any]:
    speakers = sorted({results.speaker(name) for scores in by_seed for name in scores.ids})
    counts = seed_counts(results, by_seed, speakers)
    return {name: _metric(results, name, counts, speakers) for name in METRICS}


def _metric(results: Results, name: str, counts: Counts, speakers: Sequence[str]) -> dict[str, Any]:
    metric = METRICS.resolve(name)
    pooled = metric(counts.sum(1))
    interval = None
    if speakers_are_known(speakers):
        interval = cluster_bootstrap(cluster_metric(metric, counts), len(speakers))
    in_folds = np.array([[_in_fold(results, name, fold.name, seed) for fold in results.split.folds]
                         for seed in results.done_seeds])  # fmt: skip
    fold_means = np.nanmean(in_folds, 1)
    return {
        "pooled": {
            **mean_and_std(pooled),
            "per_seed": pooled,
            "low": interval.low if interval else None,
            "high": interval.high if interval else None,
            "level": interval.level if interval else None,
            "clusters": interval.clusters if interval else len(speakers),
        },
        "fold_mean": {
            "mean": fold_means.mean(),
            "std_seeds": spread(fold_means),
            "std_folds": spread(defined_means(in_folds)),
            "per_seed": fold_means,
        },
    }


def _in_fold(results: Results, name: str, fold: str, seed: int) -> float:
    """A metric in a fold under a seed, NaN where that job is not done."""
    if (fold, seed) not in results.records:
        return float("nan")
    return float(METRICS.resolve(name)(results.scores(seed, fold).counts()))


def seed_counts(results: Results, by_seed: Sequence[Scores], speakers: Sequence[str]) -> Counts:
    """(R, S, K, K) confusion counts of every seed and speaker."""
    return np.array([scores.counts_by(results.speaker, speakers) for scores in by_seed])


def speakers_are_known(speakers: Iterable[str]) -> bool:
    """Whether every name is that of a person; with several corpora the corpus's name stands before it."""
    return all(speaker.rpartition("/")[2] != UNKNOWN_SPEAKER for speaker in speakers)


def _folds(results: Results) -> list[dict[str, Any]]:
    """Each fold's size, speakers and metrics over seeds."""
    rows = []
    for fold in results.split.folds:
        values = {
            name: mean_and_std([_in_fold(results, name, fold.name, seed) for seed in results.done_seeds])
            for name in METRICS
        }
        chosen = [record.chosen_epoch for (name, _), record in results.records.items() if name == fold.name]
        rows.append(
            {
                "fold": fold.name,
                "train": len(fold.train),
                "validation": len(fold.validation),
                "test": len(fold.test),
                "speakers": sorted({results.speaker(name) for name in fold.test if name in results.utterances}),
                "chosen_epochs": chosen,
                "metrics": values,
            }
        )
    return rows


def _classes(results: Results, by_seed: Sequence[Scores]) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each class, pooled over folds, over seeds."""
    counts = np.array([scores.counts() for scores in by_seed])
    tables = {"precision": precision_per_class(counts), "recall": recall_per_class(counts), "f1": f1_per_class(counts)}
    support = counts.sum(-1).mean(0)
    return [
        {
            "label": label,
            "support": support[place],
            **{name: mean_and_std(values[:, place]) for name, values in tables.items()},
        }
        for place, label in enumerate(results.labels)
    ]


def _calibration(by_seed: Sequence[Scores]) -> dict[str, Any]:
    """Reliability of the scores of all seeds together; ECE, Brier score and log loss over seeds."""
    everything = np.concatenate([scores.probabilities for scores in by_seed])
    binned = reliability(everything, np.concatenate([scores.truth for scores in by_seed]))
    per_seed = [(s.probabilities, s.truth) for s in by_seed]
    return {
        "edges": binned.edges,
        "counts": binned.counts / len(by_seed),
        "confidence": binned.confidence,
        "accuracy": binned.accuracy,
        "ece": mean_and_std([reliability(*pair).ece for pair in per_seed]),
        "brier": mean_and_std([brier(*pair) for pair in per_seed]),
        "nll": mean_and_std([nll(*pair) for pair in per_seed]),
        "scaled_ece": mean_and_std([reliability(_scaled(scores), scores.truth).ece for scores in by_seed]),
        "selective": _selective([(_scaled(scores), scores.truth) for scores in by_seed]),
    }


def _scaled(scores: Scores) -> _Array:
    """(N, K) probabilities of every fold by the temperature that fits the other folds; as they are of a single fold."""
    folds = np.array(scores.folds)
    scaled = scores.probabilities.copy()
    for fold in dict.fromkeys(scores.folds) if len(set(scores.folds)) > 1 else ():
        others = folds != fold
        temperature = fit_temperature(scores.probabilities[others], scores.truth[others])
        scaled[~others] = apply_temperature(scores.probabilities[~others], temperature)
    return scaled


def _selective(per_seed: Sequence[tuple[_Array, Any]]) -> dict[str, Any]:
    """The risk of the surest predictions at fixed coverages, and the coverage at which a class is surer than even."""
    curves = [selective_risk(*pair) for pair in per_seed]
    sure = [float((probabilities.max(1) >= _EVEN_ODDS).mean()) for probabilities, _ in per_seed]
    risks = [np.interp(_COVERAGES, curve.coverage, curve.risk) for curve in curves]
    return {
        "coverage": _COVERAGES,
        "risk": np.mean(risks, axis=0),
        "aurc": mean_and_std([curve.aurc for curve in curves]),
        "even_odds": mean_and_std(sure),
    }


def _votes(results: Results, by_seed: Sequence[Scores]) -> dict[str, Any] | None:
    """Scores against the votes of raters, over seeds; None where no tested utterance has votes for the classes."""
    shares = {name: vote_shares(results.utterances[name].votes, results.labels) for name in by_seed[0].ids}
    rated = {name: row for name, row in shares.items() if row is not None}
    if not rated:
        return None
    pairs = []
    for scores in by_seed:
        kept = scores.where(np.array([name in rated for name in scores.ids]))
        pairs.append((np.array([rated[name] for name in kept.ids]), kept.probabilities))
    votes = [[results.utterances[name].votes.get(label, 0.0) for label in results.labels] for name in rated]
    figures = {
        "agreement": agreement_with_raters,
        "kl_divergence": kl_divergence,
        "jensen_shannon_distance": jensen_shannon_distance,
        "cross_entropy": soft_cross_entropy,
    }
    return {
        "utterances": len(rated),
        "rater_agreement": rater_agreement(votes),
        **{name: mean_and_std([figure(*pair) for pair in pairs]) for name, figure in figures.items()},
    }


def _curves(results: Results) -> dict[str, Any]:
    """Mean, lowest and highest of every figure of the epochs over the jobs that reached the epoch."""
    histories = [[_numbers(entry) for entry in record.epochs] for record in results.records.values()]
    names = sorted({name for history in histories for entry in history for name in entry} - {"epoch"})
    length = max((len(history) for history in histories), default=0)
    series = {}
    for name in names:
        values = np.full((len(histories), length), np.nan)
        for row, history in enumerate(histories):
            values[row, : len(history)] = [entry.get(name, np.nan) for entry in history]
        series[name] = {"mean": defined_means(values), "low": _reach(np.fmin, values), "high": _reach(np.fmax, values)}
    return {
        "epochs": list(range(1, length + 1)),
        "jobs": [sum(len(history) > epoch for history in histories) for epoch in range(length)],
        "series": series,
    }


def _reach(extreme: np.ufunc, values: _Array) -> _Array:
    """Lowest or highest along the first axis without the NaNs; NaN where there is nothing else."""
    return np.asarray(extreme.reduce(values, axis=0))


def _numbers(entry: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers of an epoch's entry under names like ``losses/emotion``."""
    found: dict[str, float] = {}
    for name, value in entry.items():
        if isinstance(value, Mapping):
            found |= _numbers(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            found[f"{prefix}{name}"] = float(value)
    return found


def _groups(results: Results, by_seed: Sequence[Scores], key: Callable[[str], str]) -> list[dict[str, Any]]:
    """WA and UA of every group of utterances, over seeds, the weakest first."""
    groups = sorted({key(name) for scores in by_seed for name in scores.ids})
    counts = np.array([scores.counts_by(key, groups) for scores in by_seed])  # (R, S, K, K)
    members = {key(name): name for scores in by_seed for name in scores.ids}
    rows = [
        {
            "name": group,
            "gender": results.utterances[members[group]].gender,
            "utterances": counts[:, place].sum((-2, -1)).mean(),
            "wa": mean_and_std(wa(counts[:, place])),
            "ua": mean_and_std(ua(counts[:, place])),
        }
        for place, group in enumerate(groups)
    ]
    return sorted(rows, key=lambda row: row["ua"]["mean"])


def _worst(results: Results, by_seed: Sequence[Scores]) -> list[dict[str, Any]]:
    """Of the utterances taken for something else, those with the highest mean loss over seeds."""
    losses: dict[str, list[float]] = {}
    rows: dict[str, list[_Array]] = {}
    for scores in by_seed:
        for name, loss, row in zip(scores.ids, scores.losses, scores.probabilities, strict=True):
            losses.setdefault(name, []).append(float(loss))
            rows.setdefault(name, []).append(row)
    ranked = sorted(losses, key=lambda name: (-float(np.mean(losses[name])), name))
    described = (_one_worst(results, name, losses[name], np.array(rows[name])) for name in ranked)
    return list(islice((entry for entry in described if entry["predicted"] != entry["truth"]), _WORST))


def _one_worst(results: Results, name: str, losses: Sequence[float], rows: _Array) -> dict[str, Any]:
    """One of the worst utterances: rows (R, K) are its probabilities under the seeds."""
    utterance, mean = results.utterances[name], rows.mean(0)
    truth = results.labels.index(str(utterance.emotion))
    called = int(mean.argmax())
    return {
        "id": name,
        "audio": str(utterance.audio),
        "start_s": utterance.start_s,
        "end_s": utterance.end_s,
        "duration_s": utterance.duration_s,
        "speaker": results.speaker(name),
        "gender": utterance.gender,
        "text": utterance.text,
        "truth": results.labels[truth],
        "predicted": results.labels[called],
        "probability": mean[called],
        "truth_probability": mean[truth],
        "loss": float(np.mean(losses)),
        "wrong": int((rows.argmax(1) != truth).sum()),
        "seeds": len(rows),
    }


def _maps(results: Results) -> tuple[dict[str, Any] | None, list[str]]:
    """The maps of embeddings, or a note why there are none."""
    try:
        return project(results), []
    except MissingExtraError as error:
        return None, [f"No map of the embeddings: {error}"]


def _notes(results: Results) -> list[str]:
    """What a reader must know of the figures."""
    record = next(iter(results.records.values()))
    notes = [*results.split.notes, *_selection(results.experiment), *_choices(results.run), *record.notes]
    if record.unlabelled is not None:
        notes.append(unlabelled_sentence(record.unlabelled))
    if results.missing:
        notes.append(
            f"This run is not finished: {len(results.missing)} of {len(results.missing) + len(results.records)} jobs "
            "are missing; its figures are those of the finished ones."
        )
    unscored = sum(
        len(next(fold for fold in results.split.folds if fold.name == name).test) - len(record.scores)
        for (name, seed), record in results.records.items()
        if seed == results.done_seeds[0]
    )
    if unscored:
        shortcoming = "shorter than a segment of this system, or without anything that it looks at"
        notes.append(f"Not scored: {counted(unscored, 'test utterance')}, {shortcoming}.")
    if not speakers_are_known(utterance.speaker for utterance in results.utterances.values()):
        notes.append("Speakers are not known, so there are no intervals over speakers.")
    return notes


def _choices(run: Path) -> list[str]:
    """What the folds of a nested run have chosen on their inner folds."""
    chosen = Counter(choice["candidate"] for choice in RunFolder(run).read_choices().values())
    return [f"{count} of {chosen.total()} folds chose {name}." for name, count in chosen.most_common()]


def _selection(experiment: Mapping[str, Any]) -> list[str]:
    """What the data were narrowed to: it changes a figure as much as the system does."""
    notes = [f"Only utterances with {name} = {value}." for name, value in experiment.get("where", {}).items()]
    if experiment.get("label_map") is not None:
        notes.append(f"Classes were mapped: {parse_label_map(experiment['label_map'])}.")
    return notes


def _mean(tables: Sequence[_Array]) -> _Array:
    return np.asarray(np.mean(tables, axis=0))
