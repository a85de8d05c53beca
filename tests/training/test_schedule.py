"""Restore and halve on scripted validation scores, against a plain state machine and by hand."""

from collections.abc import Sequence

import pytest
import torch

from serenade.core.errors import SettingsError
from serenade.core.settings import make_settings
from serenade.training.schedule import Plan, merit, plan_epoch
from serenade.training.settings import TrainingSettings

PAPER = TrainingSettings(
    epochs=100,
    learning_rate=1e-4,
    min_learning_rate=1e-5,
    schedule="restore_and_halve",
    restore_after=5,
    criterion="ua",
)


def plans(scores: Sequence[float], settings: TrainingSettings = PAPER) -> list[Plan]:
    """The plan of every epoch from the first to the one after the last score."""
    history = [{"epoch": n, "selection": {"ua": ua, "wa": 0.0, "loss": 0.0}} for n, ua in enumerate(scores, start=1)]
    return [plan_epoch(settings, history[:done], 1) for done in range(len(history) + 1)]


def test_five_epochs_without_a_new_best_halve_the_rate_and_restore() -> None:
    found = plans([0.3, 0.5, 0.4, 0.4, 0.5, 0.4, 0.49, 0.6, 0.1])
    assert [plan.learning_rate for plan in found] == [1e-4] * 7 + [5e-5] * 3
    assert [number for number, plan in enumerate(found, start=1) if plan.restore] == [8]  # 3 to 7 were no better
    assert not any(plan.stop for plan in found)


def test_it_stops_after_the_fourth_halving() -> None:
    found = plans([0.5] + [0.4] * 20)
    assert [number for number, plan in enumerate(found, start=1) if plan.restore] == [7, 12, 17, 22]
    assert [plan.learning_rate for plan in found if plan.restore] == [5e-5, 2.5e-5, 1.25e-5, 6.25e-6]
    assert [number for number, plan in enumerate(found, start=1) if plan.stop] == [22]


def test_an_equal_score_is_no_new_best_and_a_new_one_counts_anew() -> None:
    assert plans([0.5] * 6)[-1].restore
    assert not plans([0.5] * 5)[-1].restore
    assert not plans([0.5, 0.5, 0.5, 0.5, 0.5, 0.51])[-1].restore
    assert plans([0.5, 0.5, 0.5, 0.5, 0.5, 0.51] + [0.51] * 5)[-1].restore


def test_it_does_what_a_plain_state_machine_does_on_random_scores() -> None:
    generator = torch.Generator().manual_seed(3)
    for _ in range(200):
        scores = (torch.randint(0, 8, (60,), generator=generator) / 8).tolist()
        rate, best, since, expected = 1e-4, -1.0, 0, [Plan(1e-4)]
        for score in scores:
            since += 1
            if score > best:
                best, since = score, 0
            if restore := since == 5:
                rate, since = rate / 2, 0
            expected.append(Plan(rate, restore=restore, stop=rate < 1e-5))
        assert plans(scores) == expected


def test_the_merit_is_what_the_settings_say() -> None:
    entry = {"selection": {"ua": 0.5, "wa": 0.7, "loss": 1.5}}
    assert merit(entry, PAPER) == (0.5,)
    assert merit(entry, TrainingSettings()) == (0.6, -1.5)


@pytest.mark.parametrize("clash", ["selection = 'last'", "patience = 3", "weight_average = 0.9"])
def test_what_cannot_go_with_it_is_refused(clash: str) -> None:
    name, _, value = clash.partition(" = ")
    with pytest.raises(SettingsError, match=f"restore_and_halve cannot be had with {name}"):
        make_settings(TrainingSettings, {"schedule": "restore_and_halve"}, [f"{name}={value}"])
