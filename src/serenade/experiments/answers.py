"""Runs of systems that answer yes or no for every emotion: their answers read back, their figures, what they cost."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch.utils.flop_counter import FlopCounterMode

from serenade.core.errors import UsageError
from serenade.core.labels import LabelSet
from serenade.evaluation.intervals import Statistic, cluster_bootstrap
from serenade.evaluation.multi_label import (
    accuracy,
    area_under_curve,
    decide,
    exact_match,
    f1,
    intersection_match,
    mean_of_defined,
    subset_match,
    weighted_accuracy,
)
from serenade.experiments.data import make_examples
from serenade.experiments.results import Results, read_results
from serenade.experiments.summary import speakers_are_known
from serenade.models.mesm_cnn import dense_cost
from serenade.models.mesm_settings import Modality
from serenade.systems import load_system
from serenade.systems.mesm import MesmSystem
from serenade.training.answers import answers_of
from serenade.training.cache import FeatureCache

__all__ = [
    "METRICS",
    "Answers",
    "Cost",
    "answers_of_seed",
    "cost_of_run",
    "figures_of_run",
    "speaker_intervals",
]

METRICS = ("accuracy", "weighted_accuracy", "f1", "auc")
_COSTED = 8  # test utterances that FLOPs and time are counted on
_PASSES = 3


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers to test utterances, folds one after the other.

    Args:
        ids: (N,) utterance ids.
        truth: (N, K) bool.
        probabilities: (N, K) of yes.
        decided: (N, K) bool, by the thresholds of each fold's model.
        branches: (N, K) scores of each branch by itself, 0 where its modality is missing; empty of a network without.
    """

    ids: tuple[str, ...]
    truth: NDArray[np.bool_]
    probabilities: NDArray[np.float64]
    decided: NDArray[np.bool_]
    branches: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def branch_areas(self) -> dict[str, float | None]:
        """The mean area under the curve of each branch by itself, over the utterances that have its modality."""
        areas = {}
        for name, scores in self.branches.items():
            there = scores.any(axis=1)
            area = mean_of_defined(area_under_curve(self.truth[there], scores[there])) if there.any() else np.nan
            areas[name] = _plain(area)
        return areas

    def figures(self) -> dict[str, Any]:
        """Every metric by emotion and as their mean, None where it is not defined; matches of whole answers."""
        by_name = {
            "accuracy": accuracy(self.truth, self.decided),
            "weighted_accuracy": weighted_accuracy(self.truth, self.decided),
            "f1": f1(self.truth, self.decided),
            "auc": area_under_curve(self.truth, self.probabilities),
        }
        figures = {
            name: {"classes": [_plain(value) for value in values], "mean": _plain(mean_of_defined(values))}
            for name, values in by_name.items()
        }
        matches = {"exact_match": exact_match, "subset_match": subset_match, "intersection_match": intersection_match}
        whole = {name: match(self.truth, self.decided) for name, match in matches.items()}
        return {**figures, **whole, "tested": len(self.ids)}


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def answers_of_seed(results: Results, seed: int) -> Answers:
    """The answers of all folds of a seed that are done.

    Raises:
        UsageError: the run is of a system that does not answer so.
    """
    labels = LabelSet(results.labels)
    ids, truth, probabilities, decided = list[str](), list[Any](), list[Any](), list[Any]()
    branches: dict[str, list[NDArray[np.float32]]] = {}
    for (fold, of_seed), record in results.records.items():
        if of_seed != seed:
            continue
        fusion = record.settings.get("fusion")
        if not isinstance(fusion, Mapping):  # of other systems the word means something else
            raise UsageError("this run is of a system without thresholds", where=results.run, found=record.system)
        folder = results.folders[(fold, seed)]
        every = np.load(folder / str(record.embeddings))
        scores = torch.from_numpy(every[:, : len(labels)]).double()
        for place, name in enumerate(_branches(record.settings, every.shape[1] // len(labels)), start=1):
            branches.setdefault(name, []).append(every[:, place * len(labels) : (place + 1) * len(labels)])
        values = (scores.sigmoid() if fusion["loss"] == "bce" else scores.softmax(dim=1)).numpy()
        names = [score.id for score in record.scores]
        ids += names
        truth += [answers_of(results.utterances[name], labels, fusion["answers"]).numpy() > 0 for name in names]
        probabilities.append(values)
        decided.append(decide(values, _thresholds(folder / "model")))
    joined = {name: np.concatenate(parts) for name, parts in branches.items()}
    return Answers(tuple(ids), np.array(truth), np.concatenate(probabilities), np.concatenate(decided), joined)


def _branches(settings: Mapping[str, Any], blocks: int) -> Sequence[str]:
    """The modalities whose scores stand behind the fused ones, in their order; none of a network of one branch."""
    names: Sequence[str] = settings.get("modalities") or settings["network"]["modalities"]
    return names if blocks == 1 + len(names) > 2 else ()


def _thresholds(model: Path) -> NDArray[np.float64]:
    with safe_open(model / "weights.safetensors", "pt") as weights:
        stored: NDArray[np.float64] = weights.get_tensor("thresholds").double().numpy()
    return stored


def figures_of_run(run: Path) -> dict[str, Any]:
    """Figures of a run, means over its seeds, with what must be said beside them.

    Raises:
        UsageError: nothing is finished, or the run is of another kind of system.
    """
    results = read_results(run)
    of_seeds = [answers_of_seed(results, seed) for seed in results.done_seeds]
    by_seed, answers = [found.figures() for found in of_seeds], of_seeds[0]
    first = next(iter(results.records.values()))
    return {
        "labels": list(results.labels),
        "seeds": len(by_seed),
        "tested": by_seed[0]["tested"],
        "figures": _mean(by_seed),
        "branches": _mean([found.branch_areas() for found in of_seeds]),
        "intervals": speaker_intervals(of_seeds, {name: results.speaker(name) for name in answers.ids}),
        "always_no": Answers(
            answers.ids, answers.truth, np.zeros_like(answers.probabilities), np.zeros_like(answers.decided)
        ).figures(),
        "split": results.split.name,
        "leaky": results.split.leaky,
        "complete": not results.missing,
        "synthetic": any(name.startswith("synthetic") for name in results.corpora),
        "version": first.versions["serenade"],
        "train_s": sum(record.timing.get("cpu_s", 0.0) for record in results.records.values()),
    }


def speaker_intervals(of_seeds: Sequence[Answers], speakers: Mapping[str, str]) -> dict[str, tuple[float, float]]:
    """95 % intervals of the mean accuracy, weighted accuracy and F1, by drawing speakers with all their utterances.

    Draws in which all answers to an emotion should be yes, or no, are left out: they would measure something else.

    Args:
        of_seeds: answers of each seed to the same utterances.
        speakers: by utterance id.

    Returns:
        Lower and upper bound by metric; empty where the speakers are not known or there is one only.
    """
    names = sorted(set(speakers.values()))
    if not speakers_are_known(names):
        return {}
    counts = np.stack([_counts_by_speaker(answers, speakers, names) for answers in of_seeds])
    found = {name: cluster_bootstrap(_mean_over_emotions(name, counts), len(names)) for name in METRICS[:3]}
    return {name: (interval.low, interval.high) for name, interval in found.items() if interval is not None}


def _counts_by_speaker(answers: Answers, speakers: Mapping[str, str], names: Sequence[str]) -> NDArray[np.float64]:
    """(4, S, K) true and false positives, false and true negatives."""
    truth, decided = answers.truth, answers.decided
    of = np.array([[speakers[name] == speaker for name in answers.ids] for speaker in names], dtype=np.float64)
    return np.stack([of @ kind for kind in (truth & decided, ~truth & decided, truth & ~decided, ~truth & ~decided)])


def _mean_over_emotions(name: str, counts: NDArray[np.float64]) -> Statistic:
    """A metric of (R, 4, S, K) counts as a statistic of speakers' weights: the mean over emotions and seeds."""
    whole = counts.sum(2, keepdims=True)

    def statistic(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        tp, fp, fn, tn = np.moveaxis(np.einsum("bs,rcsk->brck", weights, counts), 2, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            values = {
                "accuracy": (tp + tn) / (tp + fp + fn + tn),
                "weighted_accuracy": (tp / (tp + fn) + tn / (fp + tn)) / 2,
                "f1": np.nan_to_num(2 * tp / (2 * tp + fp + fn)),
            }[name]
        both = ((whole[:, 0] + whole[:, 2]) > 0) & ((whole[:, 1] + whole[:, 3]) > 0)  # (R, 1, K)
        lacking = (((tp + fn == 0) | (fp + tn == 0)) & both[:, 0]).any((1, 2))
        kept = values if name != "weighted_accuracy" else np.where(both[:, 0], values, np.nan)
        counted = ~np.isnan(kept)
        means = np.where(counted, kept, 0.0).sum(2) / np.maximum(counted.sum(2), 1)  # where nothing counts: lacking
        return np.where(lacking | ~counted.any((1, 2)), np.nan, means.mean(1))

    return statistic


def _mean(values: Sequence[Any]) -> Any:
    """Means of equal trees of numbers; None where one of them is."""
    first = values[0]
    if isinstance(first, Mapping):
        return {key: _mean([value[key] for value in values]) for key in first}
    if isinstance(first, list):
        return [_mean(list(each)) for each in zip(*values, strict=True)]
    return None if any(value is None for value in values) else float(np.mean(values))


@dataclass(frozen=True, slots=True)
class Cost:
    """What scoring takes, over some test utterances.

    Args:
        flops: operations of the CNN parts and the attention.
        per_frame: the same of one face and of one piece of sound, by modality.
        text_flops: operations of the text encoder, all matrix products of it.
        dense_flops: what the dense network would take.
        seconds: processor time of scoring, the least of several passes.
        utterances: how many.
    """

    flops: int
    per_frame: Mapping[str, float]
    text_flops: int
    dense_flops: int
    seconds: float
    utterances: int


def cost_of_run(run: Path) -> Cost | None:
    """The cost of the first finished model of a run of FE2E or MESM; None of another system."""
    results = read_results(run)
    (fold, seed), record = next(iter(results.records.items()))
    system = load_system(results.folders[(fold, seed)] / "model")
    if not isinstance(system, MesmSystem) or not set(system.network.modalities) - {"text"}:
        return None
    chosen = [results.utterances[score.id] for score in record.scores[:_COSTED]]
    batch = system.collate(make_examples(chosen, system, FeatureCache(), training=False))
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counter:
            given = system.network.given(batch.inputs)  # all that it computes is the text vector
        costs = system.network.body.feature_costs(**given)
        spent = []
        for _ in range(_PASSES):
            began = time.process_time()
            system.predict(batch)
            spent.append(time.process_time() - began)
    sizes = system.settings.network
    frames: tuple[Modality, ...] = ("face", "audio")
    dense = sum(dense_cost(sizes, name).flops * costs[name].frames for name in frames if name in costs)
    return Cost(
        flops=sum(cost.flops for cost in costs.values()),
        per_frame={name: cost.flops / cost.frames for name, cost in costs.items() if cost.frames},
        text_flops=counter.get_total_flops(),
        dense_flops=dense,
        seconds=min(spent),
        utterances=len(chosen),
    )
