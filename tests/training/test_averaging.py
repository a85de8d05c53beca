"""The moving average of weights against a plain loop, the mean of the best epochs against a mean by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.training.toy import LABELS, AdversarialToySystem, ToySystem, toy_examples
from torch import Tensor, nn

from serenade.core.errors import CheckpointError, SettingsError, TrainingError
from serenade.core.settings import make_settings
from serenade.training.averaging import BestEpochs, WeightAverage, mean_of_states
from serenade.training.loop import Trained, score, train
from serenade.training.schedule import ranking
from serenade.training.settings import TrainingSettings
from serenade.training.system import System

CPU = torch.device("cpu")
SETTINGS = TrainingSettings(epochs=7, batch_size=8, learning_rate=0.02, criterion="wa", average_best=3)


def test_average_equals_a_plain_loop_and_ramps_up() -> None:
    network = nn.Linear(1, 1, bias=False)
    average = WeightAverage(network, 0.9)
    expected = float(network.weight.detach())
    for step in range(1, 200):
        with torch.no_grad():
            network.weight.fill_(float(step))
        average.update()
        share = min(0.9, (1 + step) / (10 + step))
        expected = share * expected + (1 - share) * step
    torch.testing.assert_close(
        average.weights()["weight"].double(), torch.full((1, 1), expected, dtype=torch.float64), rtol=1e-5, atol=0
    )


def test_network_holds_the_average_only_inside() -> None:
    network = nn.BatchNorm1d(2)
    average = WeightAverage(network, 0.5)
    with torch.no_grad():
        network.weight.fill_(3.0)
    average.update()
    with average.applied():
        inside = network.weight.detach().clone()
    assert torch.equal(inside, average.weights()["weight"])
    assert not torch.equal(inside, network.weight)
    assert torch.all(network.weight == 3.0)


def test_without_decay_it_is_the_weights() -> None:
    network = nn.Linear(2, 2)
    average = WeightAverage(network, 0.0)
    with torch.no_grad():
        network.weight.add_(1.0)
    average.update()
    assert torch.equal(average.weights()["weight"], network.weight)


# ------------------------------------------------------------------------------------------------ the best epochs


def states(count: int, seed: int = 0) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return [
        {
            "w": torch.randn(3, 4, generator=generator),
            "half": torch.randn(5, generator=generator).half(),
            "n": torch.tensor(i),
        }
        for i in range(count)
    ]


def test_mean_of_states_is_the_mean_by_hand_in_each_tensors_own_type() -> None:
    drawn = states(5)
    mean = mean_of_states(drawn)
    for name in ("w", "half"):
        stacked = np.stack([state[name].numpy().astype(np.float64) for state in drawn])
        np.testing.assert_array_equal(mean[name].numpy(), stacked.mean(axis=0).astype(drawn[0][name].numpy().dtype))
        assert mean[name].dtype == drawn[0][name].dtype
    assert mean["n"] == 0, "counts are those of the best"


def test_a_single_state_comes_back_unchanged_and_order_does_not_matter() -> None:
    drawn = states(4)
    alone = mean_of_states(drawn[:1])
    assert all(torch.equal(alone[name], drawn[0][name]) for name in alone)
    forth, back = mean_of_states(drawn), mean_of_states(drawn[::-1])
    torch.testing.assert_close(forth["w"], back["w"], rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("other", "told"), [({"w": torch.zeros(3, 5)}, "shapes"), ({"v": torch.zeros(3, 4)}, "in one of them only")]
)
def test_states_of_different_networks_are_refused(other: dict[str, Tensor], told: str) -> None:
    with pytest.raises(CheckpointError, match=f"different networks cannot be averaged.*{told}"):
        mean_of_states([{"w": torch.zeros(3, 4)}, other])


def fit(system: System, settings: TrainingSettings, folder: Path | None = None, killed_after: int = 0) -> Trained:
    def look(entry: object) -> None:
        seen.append({name: tensor.clone() for name, tensor in system.network.state_dict().items()})
        if entry["epoch"] == killed_after:  # type: ignore[index] # a mapping
            raise KeyboardInterrupt

    seen: list[dict[str, Tensor]] = []
    system.seen_states = seen  # type: ignore[attr-defined] # for the test alone
    selection = toy_examples(12, seed=5)
    return train(system, toy_examples(), selection, settings, seed=1, device=CPU, folder=folder, key="k", on_epoch=look)


@pytest.mark.parametrize("in_files", [True, False])
@pytest.mark.parametrize("make", [ToySystem, AdversarialToySystem])
def test_training_ends_with_the_plain_mean_of_the_best_epochs(
    make: type[ToySystem], in_files: bool, tmp_path: Path
) -> None:
    system = make(LABELS, 1)
    trained = fit(system, SETTINGS, tmp_path if in_files else None)
    figures = [(e["selection"]["wa"], -e["selection"]["loss"], e["epoch"]) for e in trained.epochs]
    best = [epoch for _, _, epoch in sorted(figures, reverse=True)[:3]]
    assert trained.averaged is not None
    assert trained.averaged["epochs"] == best
    assert trained.chosen_epoch == best[0]
    every = system.seen_states  # type: ignore[attr-defined]
    for name, tensor in system.network.state_dict().items():
        of_best = [every[epoch - 1][name].double() for epoch in best]
        expected = torch.stack(of_best).mean(dim=0) if tensor.is_floating_point() else of_best[0]
        torch.testing.assert_close(tensor, expected.to(tensor.dtype), rtol=0, atol=1e-7)
    again = score(system, toy_examples(12, seed=5), CPU)
    assert trained.averaged["selection"]["wa"] == again.wa
    assert len(list((tmp_path / "best").glob("*"))) == (3 if in_files else 0)


@pytest.mark.parametrize("killed_after", [1, 2, 4, 6])
def test_averaging_survives_being_killed(killed_after: int, tmp_path: Path) -> None:
    whole, broken = ToySystem(LABELS, 1), ToySystem(LABELS, 1)
    expected = fit(whole, SETTINGS)
    with pytest.raises(KeyboardInterrupt):
        fit(broken, SETTINGS, tmp_path, killed_after)
    resumed = ToySystem(LABELS, 1)
    found = fit(resumed, SETTINGS, tmp_path)
    assert found.averaged == expected.averaged
    pairs = zip(whole.network.state_dict().values(), resumed.network.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_a_state_whose_best_weights_are_gone_is_not_taken_up(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(ToySystem(LABELS, 1), SETTINGS, tmp_path, 4)
    next((tmp_path / "best").glob("*")).unlink()
    assert len(fit(ToySystem(LABELS, 1), SETTINGS, tmp_path).epochs) == 7


def test_fewer_epochs_than_wanted_are_averaged_and_counted() -> None:
    trained = fit(ToySystem(LABELS, 1), SETTINGS.model_copy(update={"epochs": 2}))
    assert trained.averaged is not None
    assert (len(trained.averaged["epochs"]), trained.averaged["asked"]) == (2, 3)


def test_without_validation_the_last_epochs_are_averaged() -> None:
    settings = SETTINGS.model_copy(update={"selection": "last"})
    system = ToySystem(LABELS, 1)
    trained = train(system, toy_examples(), [], settings, seed=1, device=CPU)
    assert trained.averaged == {"epochs": [7, 6, 5], "asked": 3}


def test_ties_go_to_the_lower_loss_then_to_the_later_epoch() -> None:
    figures = [(0.5, 1.0), (0.6, 1.2), (0.6, 1.1), (0.6, 1.1), (0.4, 0.1)]
    history = [{"epoch": n, "selection": {"wa": wa, "ua": 0, "loss": loss}} for n, (wa, loss) in enumerate(figures, 1)]
    assert ranking(SETTINGS, history) == [4, 3, 2, 1, 5]
    earlier = SETTINGS.model_copy(update={"criterion": "mean"})
    assert ranking(earlier, history) == [3, 4, 2, 1, 5], "where equal epochs are equal, the earlier one is kept"


def test_statistics_can_be_taken_anew_from_the_training_part() -> None:
    plain, again = ToySystem(LABELS, 1), ToySystem(LABELS, 1)
    fit(plain, SETTINGS)
    fit(again, SETTINGS.model_copy(update={"refresh_norms": True}))
    norms = [module for module in again.network.modules() if isinstance(module, nn.BatchNorm1d)]
    assert norms, "the toy network has one"
    assert all(norm.momentum is not None and not norm.training for norm in norms)
    old, new = plain.network.state_dict(), again.network.state_dict()
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert changed, "nothing was taken anew"
    assert all("running" in name or "num_batches" in name for name in changed)


def test_what_cannot_be_averaged_is_refused() -> None:
    with pytest.raises(SettingsError, match="refresh_norms needs average_best"):
        make_settings(TrainingSettings, {"refresh_norms": True})
    with pytest.raises(TrainingError, match="no validation part"):
        train(ToySystem(LABELS), toy_examples(), [], SETTINGS, seed=0, device=CPU)


def test_files_of_another_run_are_not_its_own(tmp_path: Path) -> None:
    BestEpochs(2, tmp_path, "one").keep(1, [1], {"w": torch.ones(1)})
    assert BestEpochs(2, tmp_path, "one").holds([1])
    assert not BestEpochs(2, tmp_path, "other").holds([1])
