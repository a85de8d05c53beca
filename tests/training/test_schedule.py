"""Restore and halve on scripted validation scores, against a plain state machine and by hand."""

from collections.abc import Sequence

import pytest
import torch

from serenade.core.errors import SettingsError
from serenade.core.settings import make_settings
from serenade.training.schedule import Plan, learning_rate, merit, plan_epoch, step_rate
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
    by_f1, answered = TrainingSettings(criterion="f1"), {"selection": {"f1": 1.0, "loss": 1.5}}
    assert merit({"selection": {"f1": 1.0, "loss": 0.4}}, by_f1) > merit(answered, by_f1)
    assert merit({"selection": {"f1": 0.9, "loss": 0.1}}, by_f1) < merit(answered, by_f1)


@pytest.mark.parametrize("clash", ["selection = 'last'", "patience = 3", "weight_average = 0.9"])
def test_what_cannot_go_with_it_is_refused(clash: str) -> None:
    name, _, value = clash.partition(" = ")
    with pytest.raises(SettingsError, match=f"restore_and_halve cannot be had with {name}"):
        make_settings(TrainingSettings, {"schedule": "restore_and_halve"}, [f"{name}={value}"])


def test_new_bob_lowers_the_rate_after_epochs_that_do_not_improve_enough() -> None:
    settings = TrainingSettings(schedule="new_bob", learning_rate=1.0, learning_rate_decay=0.9, criterion="wa")
    accuracies = [0.500, 0.600, 0.6005, 0.600, 0.700, 0.700]  # errors 0.5 0.4 0.3995 0.4 0.3 0.3
    history = [{"epoch": n, "selection": {"wa": wa}} for n, wa in enumerate(accuracies, start=1)]
    rates = [plan_epoch(settings, history[:done], 1).learning_rate for done in range(len(history) + 1)]
    assert rates == pytest.approx([1, 1, 1, 0.9, 0.81, 0.81, 0.729])


def test_a_cycle_is_speechbrains() -> None:
    """``base + (top - base) max(0, 1 - x) gamma^step`` with ``x = |step / size - 2 cycle + 1|``."""
    settings = TrainingSettings(
        schedule="cyclic", learning_rate=1e-4, min_learning_rate=1e-6, half_cycle_epochs=4, cycle_decay=0.9998
    )
    per_epoch, size = 7, 28
    for step in range(300):
        cycle = 1 + step // (2 * size)
        x = abs(step / size - 2 * cycle + 1)
        expected = 1e-6 + (1e-4 - 1e-6) * max(0.0, 1 - x) * 0.9998**step
        rate = learning_rate(settings, 1 + step // per_epoch)
        assert step_rate(settings, rate, step, per_epoch) == pytest.approx(expected, rel=1e-12)


def test_warm_up_rises_in_a_line_over_its_share_of_all_steps() -> None:
    settings = TrainingSettings(epochs=10, learning_rate=1.0, learning_rate_decay=1.0, warmup_share=0.1)
    rates = [step_rate(settings, 1.0, step, 5) for step in range(8)]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1])
    assert step_rate(TrainingSettings(), 0.5, 0, 5) == 0.5


@pytest.mark.parametrize("schedule", ["new_bob", "cyclic"])
def test_drops_do_not_go_with_schedules_of_their_own(schedule: str) -> None:
    with pytest.raises(SettingsError, match="learning_rate_drops"):
        make_settings(TrainingSettings, {"schedule": schedule, "learning_rate_drops": [3]})
