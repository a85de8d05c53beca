"""Choosing settings on inner folds: every candidate is trained on them, and each outer fold takes its best one.

The tested part of an outer fold is in none of its inner folds, so it has no say in the choice. A candidate's trainings
on all inner folds are a run of their own, in ``RUN/candidates/N``; what was chosen stands in ``RUN/choices.json``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np

from serenade.core.errors import UsageError
from serenade.core.records import Fold, RunRecord, Split
from serenade.core.settings import merge
from serenade.evaluation.metrics import class_names_to_indices, confusion, ua
from serenade.evaluation.nested import inner_name
from serenade.experiments.folder import JobKey, RunFolder
from serenade.experiments.settings import ExperimentSettings
from serenade.systems import system_settings

__all__ = ["Candidate", "Choice", "candidates_of", "choose", "with_candidate"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One choice of settings.

    Args:
        name: its settings in words.
        changes: tables laid over the system's settings.
    """

    name: str
    changes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Choice:
    """What an outer fold has chosen.

    Args:
        candidate: the name of the best.
        changes: its changes to the system's settings.
        inner_ua: mean UA of every candidate over inner folds and seeds.
    """

    candidate: str
    changes: Mapping[str, Any]
    inner_ua: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain values only."""
        return asdict(self)


def candidates_of(settings: ExperimentSettings) -> list[Candidate]:
    """All combinations of the values in the grid, in its order; none where there is no grid.

    Raises:
        SettingsError: the system does not take one of them.
    """
    if not settings.grid:
        return []
    found = []
    for values in product(*settings.grid.values()):
        pairs = list(zip(settings.grid, values, strict=True))
        changes = merge({}, *(_nested_table(key, value) for key, value in pairs))
        system_settings(settings.preset, merge(settings.system, changes))
        found.append(Candidate(", ".join(f"{key}={value}" for key, value in pairs), changes))
    return found


def with_candidate(settings: ExperimentSettings, candidate: Candidate) -> ExperimentSettings:
    """The settings of a run with one candidate and nothing to choose."""
    system = system_settings(settings.preset, merge(settings.system, candidate.changes))
    plain = system.model_dump(mode="json", exclude_none=True)
    return settings.model_copy(update={"system": plain, "grid": {}})


def choose(split: Split, candidates: Sequence[Candidate], runs: Sequence[RunFolder], seeds: int) -> dict[str, Choice]:
    """The best candidate of every outer fold, by the mean UA over its inner folds and all seeds; the first of equals.

    Args:
        split: nested.
        candidates: what there is to choose from.
        runs: the finished run of every candidate over all inner folds.
        seeds: of the run.

    Returns:
        By the name of the outer fold.

    Raises:
        UsageError: a fold has no inner folds.
    """
    return {fold.name: _choose_for(fold, candidates, runs, seeds) for fold in split.folds}


def _choose_for(fold: Fold, candidates: Sequence[Candidate], runs: Sequence[RunFolder], seeds: int) -> Choice:
    if not fold.inner:
        raise UsageError("there are no inner folds to choose settings on", where=f"fold {fold.name}")
    keys = [JobKey(inner_name(fold, inner), seed) for inner in fold.inner for seed in range(seeds)]
    scores = [float(np.mean([_ua(run.read_record(key)) for key in keys])) for run in runs]
    best = candidates[int(np.argmax(scores))]
    by_name = {candidate.name: score for candidate, score in zip(candidates, scores, strict=True)}
    return Choice(best.name, best.changes, by_name)


def _ua(record: RunRecord) -> float:
    truth = class_names_to_indices([score.truth for score in record.scores], record.labels)
    called = [int(np.argmax(score.probabilities)) for score in record.scores]
    return float(ua(confusion(truth, called, len(record.labels))))


def _nested_table(key: str, value: Any) -> dict[str, Any]:
    """``training.epochs`` and 3 as tables in tables."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)
