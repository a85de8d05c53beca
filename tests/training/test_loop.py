"""The loop: it learns, repeats itself, resumes to the same result, and chooses its epoch on the right part."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.training.toy import LABELS, SemiToySystem, Speech, ToySystem, toy_examples
from torch import Generator, nn

from serenade.core.errors import TrainingError, UsageError
from serenade.core.labels import LabelSet
from serenade.training.batches import split_segments
from serenade.training.buckets import padding_waste
from serenade.training.loop import Trained, score, train
from serenade.training.schedule import learning_rate
from serenade.training.settings import TrainingSettings
from serenade.training.steps import Steps, make_optimiser
from serenade.training.system import Batch, Example, RateGroup

CPU = torch.device("cpu")
CYCLES = TrainingSettings(epochs=6, batch_size=8, learning_rate=0.02, schedule="cyclic", half_cycle_epochs=1)
SETTINGS = TrainingSettings(epochs=6, batch_size=8, learning_rate=0.01, weight_average=0.9)
SGD = TrainingSettings(
    epochs=6, batch_size=8, optimiser="sgd", learning_rate=0.05, weight_decay=1e-4, learning_rate_drops=(3, 5)
)
PLAIN_SGD = SGD.model_copy(update={"momentum": 0.0})


def run(folder: Path | None = None, settings: TrainingSettings = SETTINGS, seed: int = 1) -> tuple[ToySystem, Trained]:
    system = ToySystem(LABELS, seed)
    trained = train(
        system, toy_examples(), toy_examples(12, seed=5), settings, seed=seed, device=CPU, folder=folder, key="toy"
    )
    return system, trained


def weights(system: ToySystem) -> list[torch.Tensor]:
    return list(system.network.state_dict().values())


def without_times(trained: Trained) -> list[dict[str, object]]:
    return [{k: v for k, v in entry.items() if not k.endswith("seconds")} for entry in trained.epochs]


class Killed(Exception):
    pass


def test_training_separates_two_clouds() -> None:
    system, _ = run(settings=TrainingSettings(epochs=30, batch_size=8, learning_rate=0.02))
    assert score(system, toy_examples(40, seed=9), CPU).ua > 0.85


def test_batches_hold_items_of_similar_length_where_asked() -> None:
    class Whole(ToySystem):
        def __init__(self, labels: LabelSet) -> None:
            super().__init__(labels)
            self.seen: list[tuple[list[int], list[str]]] = []

        def training_items(self, examples: Sequence[Example], generator: Generator) -> list[Example]:
            return list(examples)

        def collate(self, items: Sequence[Example]) -> Batch:
            self.seen.append(([len(item.inputs["audio"]) for item in items], [item.utterance.id for item in items]))
            return super().collate(split_segments(items))

    def batches_of(similar: bool) -> list[list[int]]:
        system = Whole(LABELS)
        settings = TrainingSettings(epochs=1, batch_size=6, selection="last", similar_lengths=similar)
        train(system, toy_examples(96), [], settings, seed=0, device=torch.device("cpu"))
        assert sorted(name for _, names in system.seen for name in names) == sorted(f"u{n:02}" for n in range(96))
        return [lengths for lengths, _ in system.seen]

    assert padding_waste(batches_of(True)) < 0.05
    assert padding_waste(batches_of(False)) > 0.2


def test_same_seed_gives_identical_weights_and_another_seed_does_not() -> None:
    first, second, other = run()[0], run()[0], run(seed=2)[0]
    assert all(torch.equal(a, b) for a, b in zip(weights(first), weights(second), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(weights(first), weights(other), strict=True))


@pytest.mark.parametrize(
    ("killed_after", "settings"), [(1, SETTINGS), (3, SETTINGS), (5, SETTINGS), (3, SGD), (3, PLAIN_SGD), (3, CYCLES)]
)
def test_killed_and_resumed_run_ends_like_an_unbroken_one(
    tmp_path: Path, killed_after: int, settings: TrainingSettings
) -> None:
    whole, expected = run(settings=settings)

    def kill(entry: object) -> None:
        if entry["epoch"] == killed_after:  # type: ignore[index] # a mapping
            raise Killed

    system = ToySystem(LABELS, 1)
    with pytest.raises(Killed):
        train(
            system,
            toy_examples(),
            toy_examples(12, seed=5),
            settings,
            seed=1,
            device=CPU,
            folder=tmp_path,
            key="toy",
            on_epoch=kill,
        )
    resumed, trained = run(tmp_path, settings=settings)
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(resumed), strict=True))
    assert without_times(trained) == without_times(expected)
    assert trained.chosen_epoch == expected.chosen_epoch
    assert (tmp_path / "log.jsonl").read_text().count("\n") == settings.epochs


def test_state_of_another_run_or_a_damaged_one_is_not_taken_up(tmp_path: Path) -> None:
    run(tmp_path)
    state = tmp_path / "state.safetensors"
    state.write_bytes(state.read_bytes()[:100])
    _, trained = run(tmp_path)
    assert len(trained.epochs) == SETTINGS.epochs


def test_validation_selection_keeps_the_best_epoch(tmp_path: Path) -> None:
    system, trained = run()
    merits = [(e["selection"]["wa"] + e["selection"]["ua"], -e["selection"]["loss"]) for e in trained.epochs]
    assert trained.chosen_epoch == 1 + merits.index(max(merits))
    again = score(system, toy_examples(12, seed=5), CPU)
    assert again.ua == pytest.approx(trained.epochs[trained.chosen_epoch - 1]["selection"]["ua"])


def test_last_epoch_is_kept_when_asked_for() -> None:
    _, trained = run(settings=SETTINGS.model_copy(update={"selection": "last"}))
    assert trained.chosen_epoch == SETTINGS.epochs


def test_patience_stops_early() -> None:
    settings = TrainingSettings(epochs=50, batch_size=8, learning_rate=0.02, patience=3)
    _, trained = run(settings=settings)
    assert len(trained.epochs) == trained.chosen_epoch + 3 < 50


def test_score_of_an_utterance_does_not_depend_on_its_batch() -> None:
    system, _ = run()
    examples = toy_examples(20, seed=3)
    together = score(system, examples, CPU).probabilities
    alone = np.concatenate([score(system, [example], CPU).probabilities for example in examples])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_learning_rate_in_the_50th_epoch_is_the_papers() -> None:
    assert learning_rate(TrainingSettings(), 1) == 1e-3
    assert learning_rate(TrainingSettings(), 50) == pytest.approx(8.1e-5, rel=0.01)
    assert learning_rate(TrainingSettings(min_learning_rate=5e-4), 500) >= 5e-4 * 0.95


def test_learning_rate_of_the_attention_pooling_recipe() -> None:
    settings = TrainingSettings(learning_rate=0.05, learning_rate_decay=1.0, learning_rate_drops=(21, 31, 41))
    rates = [learning_rate(settings, epoch) for epoch in range(1, 51)]
    assert rates == pytest.approx([0.05] * 20 + [5e-3] * 10 + [5e-4] * 10 + [5e-5] * 10)


def test_stochastic_gradient_descent_is_nesterovs() -> None:
    """Two steps by hand: v <- momentum v + g + decay w, w <- w - rate (g + decay w + momentum v)."""
    network = torch.nn.Linear(3, 1, bias=False).double()
    settings = TrainingSettings(optimiser="sgd", learning_rate=0.1, weight_decay=0.01)
    optimiser = make_optimiser(network.parameters(), settings)
    weight, velocity = network.weight.detach().clone(), torch.zeros(1, 3, dtype=torch.float64)
    for gradient in torch.randn(2, 1, 3, dtype=torch.float64):
        network.weight.grad = gradient.clone()
        optimiser.step()
        pull = gradient + 0.01 * weight
        velocity = 0.9 * velocity + pull
        weight = weight - 0.1 * (pull + 0.9 * velocity)
    torch.testing.assert_close(network.weight.detach(), weight)


def test_no_validation_part_is_an_error_unless_the_last_epoch_is_kept() -> None:
    with pytest.raises(TrainingError, match="no validation part to choose the epoch on"):
        train(ToySystem(LABELS), toy_examples(), [], SETTINGS, seed=0, device=CPU)


def test_a_loss_that_is_not_finite_stops_training() -> None:
    examples = toy_examples()
    examples[3].inputs["audio"].fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"emotion loss is not finite.*epoch 1.*learning_rate"):
        train(ToySystem(LABELS), examples, toy_examples(4), SETTINGS, seed=0, device=CPU)


class MeanToySystem(ToySystem):
    """Its loss is a plain mean over items, without batch normalisation, so that parts of a batch add up to it."""

    def __init__(self, labels: LabelSet, seed: int = 0) -> None:
        super().__init__(labels, seed)
        torch.manual_seed(seed)
        self.network = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))

    def losses(self, batch: Batch, generator: torch.Generator) -> dict[str, torch.Tensor]:
        return {"emotion": nn.functional.cross_entropy(self.network(batch.inputs["audio"]), batch.targets)}


class TwoRateSystem(MeanToySystem):
    """Whose first layer learns at a tenth of the rate, and whose last bias stays."""

    def rate_groups(self) -> list[RateGroup]:
        return [RateGroup(list(self.network[0].parameters()), 0.1), RateGroup([self.network[2].weight], 1.0)]


def test_parts_of_a_batch_give_the_same_training_as_the_whole() -> None:
    whole, parts = MeanToySystem(LABELS, 1), MeanToySystem(LABELS, 1)
    for system, size in ((whole, None), (parts, 3)):
        settings = TrainingSettings(epochs=4, batch_size=8, learning_rate=0.02, micro_batch_size=size)
        train(system, toy_examples(), toy_examples(12, seed=5), settings, seed=1, device=CPU)
    for one, other in zip(weights(whole), weights(parts), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_parts_are_refused_where_losses_are_of_whole_batches() -> None:
    settings = TrainingSettings(epochs=1, batch_size=8, micro_batch_size=4)
    with pytest.raises(UsageError, match="of whole batches"):
        train(
            SemiToySystem(LABELS),
            toy_examples(),
            toy_examples(4),
            settings,
            seed=0,
            device=CPU,
            unlabelled=Speech(9),  # type: ignore[arg-type] # a toy
        )


def test_groups_of_parameters_learn_at_rates_of_their_own() -> None:
    """One step of plain gradient descent moves every group by its own rate, and nothing else."""
    system = TwoRateSystem(LABELS, 1)
    before = [parameter.detach().clone() for parameter in system.network.parameters()]
    settings = TrainingSettings(optimiser="sgd", momentum=0.0, weight_decay=0.0, learning_rate=0.5, batch_size=24)
    steps = Steps(system, settings, CPU)
    batch = system.collate(system.training_items(toy_examples(), torch.Generator()))
    steps.set_learning_rate(0.5)
    steps.step([(batch, 1.0)], torch.Generator())
    gradients = [parameter.grad for parameter in system.network.parameters()]
    for old, gradient, new, rate in zip(
        before, gradients, system.network.parameters(), (0.05, 0.05, 0.5, 0), strict=True
    ):
        assert gradient is not None
        torch.testing.assert_close(new.detach(), old - rate * gradient)


def test_groups_are_resumed_like_everything_else(tmp_path: Path) -> None:
    def fit(folder: Path | None, epochs: int) -> TwoRateSystem:
        system = TwoRateSystem(LABELS, 1)
        settings = TrainingSettings(epochs=epochs, batch_size=8, learning_rate=0.02, selection="last")
        train(system, toy_examples(), [], settings, seed=1, device=CPU, folder=folder, key="k")
        return system

    fit(tmp_path, 2)
    for one, other in zip(weights(fit(None, 5)), weights(fit(tmp_path, 5)), strict=True):
        assert torch.equal(one, other)
