"""The learning rate of every epoch, which epoch is best, and when to stop: pure functions of settings and history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Any

from serenade.training.settings import TrainingSettings

__all__ = ["Merit", "Plan", "learning_rate", "merit", "plan_epoch", "ranking", "step_rate"]

Merit = tuple[float, ...]
"""What makes an epoch better than another: the greater one."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the next epoch begins with.

    Args:
        learning_rate: of the epoch.
        restore: whether it begins with the best weights so far and a fresh optimiser.
        stop: whether it is not done at all.
    """

    learning_rate: float
    restore: bool = False
    stop: bool = False


def plan_epoch(settings: TrainingSettings, history: Sequence[Mapping[str, Any]], chosen_epoch: int) -> Plan:
    """The plan of the epoch after `history`.

    Args:
        settings: of the loop.
        history: one entry per finished epoch, with ``selection`` where there is a validation part.
        chosen_epoch: the best epoch so far, counted from 1; 0 before the first.
    """
    if settings.schedule == "restore_and_halve":
        return _restore_and_halve(settings, [merit(entry, settings) for entry in history])
    done = len(history)
    rate = _new_bob(settings, history) if settings.schedule == "new_bob" else learning_rate(settings, done + 1)
    impatient = settings.patience is not None and chosen_epoch > 0 and done - chosen_epoch >= settings.patience
    return Plan(rate, stop=impatient)


def _new_bob(settings: TrainingSettings, history: Sequence[Mapping[str, Any]]) -> float:
    """The rate after `history`: lower after every epoch whose error is not enough below that of the one before."""
    errors = [1 - entry["selection"]["wa"] for entry in history]
    rate = settings.learning_rate
    for before, after in pairwise(errors):
        improvement = (before - after) / before if before > 0 else 0.0
        if improvement <= settings.least_improvement and rate >= settings.min_learning_rate:
            rate *= settings.learning_rate_decay
    return rate


def _restore_and_halve(settings: TrainingSettings, merits: Sequence[Merit]) -> Plan:
    """Epochs without a new best are counted from the best one, and anew after every halving."""
    best: Merit | None = None
    waited, halvings = 0, 0
    for value in merits:
        if waited == settings.restore_after:
            waited = 0
        if best is None or value > best:
            best, waited = value, 0
            continue
        waited += 1
        halvings += waited == settings.restore_after
    rate = settings.learning_rate / 2**halvings
    return Plan(rate, restore=waited == settings.restore_after, stop=rate < settings.min_learning_rate)


def learning_rate(settings: TrainingSettings, epoch: int) -> float:
    """The rate of a 1-based epoch: multiplied by the decay after every epoch, divided at the drops, above the minimum.

    The decay is no longer applied once the rate is below the minimum. With schedule = cyclic it is the top of a cycle.
    """
    if settings.schedule == "cyclic":
        return settings.learning_rate
    rate = settings.learning_rate
    for _ in range(epoch - 1):
        if rate >= settings.min_learning_rate:
            rate *= settings.learning_rate_decay
    drops = sum(epoch >= drop for drop in settings.learning_rate_drops)
    return float(rate / settings.learning_rate_drop**drops)


def step_rate(settings: TrainingSettings, rate: float, step: int, steps_per_epoch: int) -> float:
    """The rate of one step: that of its epoch but for cycles and warm-up.

    A cycle is that of L. Smith, "Cyclical Learning Rates for Training Neural Networks", 2017 (exp_range): with the
    height h = 1 - |x - 1|, x counted in half cycles and taken modulo 2, ``min + (top - min) h decay^step``.

    Args:
        settings: of the loop.
        rate: of the epoch.
        step: counted from 0 over all epochs.
        steps_per_epoch: of this epoch.
    """
    if settings.schedule == "cyclic":
        place = step / (settings.half_cycle_epochs * steps_per_epoch) % 2
        low = settings.min_learning_rate
        rate = low + (rate - low) * (1 - abs(place - 1)) * settings.cycle_decay**step
    warmup = settings.warmup_share * settings.epochs * steps_per_epoch
    return rate if step + 1 >= warmup else rate * (step + 1) / warmup


def ranking(settings: TrainingSettings, history: Sequence[Mapping[str, Any]]) -> list[int]:
    """The 1-based epochs, best first; with selection = last, latest first."""
    epochs = range(len(history), 0, -1)
    if settings.selection == "last":
        return list(epochs)
    return sorted(epochs, key=lambda epoch: (merit(history[epoch - 1], settings), -epoch), reverse=True)


def merit(entry: Mapping[str, Any], settings: TrainingSettings) -> Merit:
    """What makes an epoch better than another; equal ones are as good, and the earlier one is kept."""
    figures = {"wa": -inf, "ua": -inf, "loss": inf, **entry["selection"]}  # unknown where no utterance has one class
    if settings.criterion == "wa":
        return figures["wa"], -figures["loss"], entry["epoch"]
    if settings.criterion == "ua":
        return (figures["ua"],)
    if settings.criterion == "f1":  # thresholds soon part a few easy utterances, long before the classes are in order
        return figures["f1"], -figures["loss"]
    return (figures["wa"] + figures["ua"]) / 2, -figures["loss"]
