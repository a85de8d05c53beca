"""The learning rate of every epoch, which epoch is best, and when to stop: pure functions of settings and history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serenade.training.settings import TrainingSettings

__all__ = ["Merit", "Plan", "learning_rate", "merit", "plan_epoch"]

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
    impatient = settings.patience is not None and chosen_epoch > 0 and done - chosen_epoch >= settings.patience
    return Plan(learning_rate(settings, done + 1), stop=impatient)


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

    The decay is no longer applied once the rate is below the minimum.
    """
    rate = settings.learning_rate
    for _ in range(epoch - 1):
        if rate >= settings.min_learning_rate:
            rate *= settings.learning_rate_decay
    drops = sum(epoch >= drop for drop in settings.learning_rate_drops)
    return float(rate / settings.learning_rate_drop**drops)


def merit(entry: Mapping[str, Any], settings: TrainingSettings) -> Merit:
    """What makes an epoch better than another; equal ones are as good, and the earlier one is kept."""
    figures = entry["selection"]
    if settings.criterion == "ua":
        return (figures["ua"],)
    return (figures["wa"] + figures["ua"]) / 2, -figures["loss"]
