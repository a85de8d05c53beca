"""Fitting the temperature of a model: on the validation part of its fold, or on the folds of models made like it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from serenade.core.wording import counted
from serenade.evaluation.calibration import fit_temperature
from serenade.experiments.results import read_results
from serenade.training.description import Calibration
from serenade.training.loop import score
from serenade.training.system import Example, System

__all__ = ["calibrate", "calibration_of_run"]

_LEAST = 30  # predictions; of fewer a temperature says little
_BOUNDS = (0.2, 10.0)  # beyond, the few predictions were all right or all wrong


def calibrate(system: System, validation: Sequence[Example], device: torch.device) -> Calibration | None:
    """The calibration of a trained system by speech that its weights were not fitted to.

    The validation part may have chosen the epoch; that leaves a small optimism in the temperature.

    Args:
        system: on `device`.
        validation: labelled examples.
        device: where to compute.

    Returns:
        None where there are too few examples to fit anything to.
    """
    labelled = [example for example in validation if example.target is not None]
    if len(labelled) < _LEAST:
        return None
    truth = np.array([example.target for example in labelled])
    return _fitted(score(system, labelled, device).probabilities, truth, "the validation part of its fold")


def calibration_of_run(run: Path) -> Calibration | None:
    """The calibration of a model trained on everything: by the tested folds of a run of models made like it.

    Every prediction of the run is of speech that its model never heard, so the pooled folds stand for new speech.

    Args:
        run: the run folder.

    Returns:
        None where too few predictions are there.

    Raises:
        UsageError: the folder is not a run, or no job of it is finished.
    """
    results = read_results(run)
    by_seed = [results.scores(seed) for seed in results.done_seeds]
    truth = np.concatenate([scores.truth for scores in by_seed])
    if len(truth) < _LEAST:
        return None
    probabilities = np.concatenate([scores.probabilities for scores in by_seed])
    folds, seeds = len(results.split.folds), len(by_seed)
    told = f"the tested parts of {counted(folds, 'fold')} of {results.split.name}" + (
        f", {counted(seeds, 'seed')}" if seeds > 1 else ""
    )
    return _fitted(probabilities, truth, told)


def _fitted(
    probabilities: "np.typing.NDArray[np.floating]", truth: "np.typing.NDArray[np.int64]", on: str
) -> Calibration:
    low, high = _BOUNDS
    return Calibration(min(high, max(low, fit_temperature(probabilities, truth))), on, len(truth))
