"""Unlabelled speech, steps and phases: against plain loops, resumed, in bounded memory."""

import threading
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
import torch
from tests.training.toy import LABELS, AdversarialToySystem, SemiToySystem, Speech, ToySystem, toy_examples
from torch import Tensor, nn

from serenade.core.errors import UsageError
from serenade.core.records import Utterance
from serenade.core.seeding import derive_seed
from serenade.training.batches import batches, collate, split_segments
from serenade.training.loop import Trained, train
from serenade.training.settings import TrainingSettings
from serenade.training.system import AlternatingSystem, Example, SemiSupervisedSystem, SteppingSystem
from serenade.training.unlabelled import ahead, endless

CPU = torch.device("cpu")
HALVING = TrainingSettings(
    epochs=14,
    batch_size=8,
    learning_rate=0.05,
    weight_decay=0,
    schedule="restore_and_halve",
    restore_after=2,
    min_learning_rate=0.004,
    criterion="ua",
    clip_norm=0.5,
    unlabelled_batch_size=5,
)


class Killed(Exception):
    pass


def run(
    system: ToySystem, settings: TrainingSettings, folder: Path | None = None, kill_after: int | None = None
) -> Trained:
    def kill(entry: object) -> None:
        if entry["epoch"] == kill_after:  # type: ignore[index] # a mapping
            raise Killed

    return train(
        system,
        toy_examples(),
        toy_examples(30, seed=5),
        settings,
        seed=1,
        device=CPU,
        unlabelled=Speech(17) if isinstance(system, SemiToySystem) else None,
        folder=folder,
        key="toy",
        on_epoch=kill,
    )


def weights(system: ToySystem) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in system.network.state_dict().items()}


def assert_equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def without_times(trained: Trained) -> list[dict[str, object]]:
    return [{k: v for k, v in entry.items() if not k.endswith("seconds")} for entry in trained.epochs]


def test_toys_are_what_they_stand_for() -> None:
    semi, adversarial = SemiToySystem(LABELS), AdversarialToySystem(LABELS)
    assert isinstance(semi, SemiSupervisedSystem)
    assert isinstance(semi, SteppingSystem)
    assert isinstance(adversarial, AlternatingSystem)
    assert not isinstance(adversarial, SemiSupervisedSystem)


# ------------------------------------------------------------------------------------------------ the stream


@pytest.mark.parametrize("length", [1, 2, 7, 100])
def test_every_pass_holds_every_place_once_in_another_order(length: int) -> None:
    places = list(islice(endless(length, seed=3), 5 * length))
    turns = [tuple(places[start : start + length]) for start in range(0, len(places), length)]
    assert all(sorted(turn) == list(range(length)) for turn in turns)
    if length > 5:
        assert len(set(turns)) == 5
        assert places != list(islice(endless(length, seed=4), 5 * length))


@pytest.mark.parametrize("start", [0, 1, 6, 7, 8, 20])
def test_a_stream_goes_on_anywhere(start: int) -> None:
    assert list(islice(endless(7, 3, start), 30)) == list(islice(endless(7, 3), start, start + 30))


def test_training_goes_through_all_unlabelled_speech_evenly_and_puts_it_behind_the_labelled() -> None:
    system, speech = SemiToySystem(LABELS), Speech(17)
    settings = TrainingSettings(epochs=3, batch_size=8, unlabelled_batch_size=5)
    trained = train(system, toy_examples(), toy_examples(6), settings, seed=1, device=CPU, unlabelled=speech)
    steps = sum(entry["steps"] for entry in trained.epochs)
    drawn = [name for ids in system.seen for name in ids if name.startswith("free")]
    assert len(drawn) == 5 * steps
    passes = [drawn[start : start + 17] for start in range(0, len(drawn), 17)]
    assert all(max(Counter(part).values()) == 1 for part in passes)
    assert all(len(set(part)) == 17 for part in passes[:-1])
    assert all(
        [name.startswith("free") for name in ids] == sorted(name.startswith("free") for name in ids)
        for ids in system.seen
    )
    assert system.met == speech.utterances


def test_unlabelled_speech_is_asked_for_where_it_is_needed_and_refused_where_it_is_not() -> None:
    settings = TrainingSettings(epochs=1)
    with pytest.raises(UsageError, match=r"none is given.*--unlabelled NAME=PATH"):
        train(SemiToySystem(LABELS), toy_examples(), toy_examples(4), settings, seed=0, device=CPU)
    with pytest.raises(UsageError, match="does not learn from unlabelled speech"):
        train(ToySystem(LABELS), toy_examples(), toy_examples(4), settings, seed=0, device=CPU, unlabelled=Speech(3))


# ------------------------------------------------------------------------------------------------ ahead


def test_items_made_ahead_come_in_order_and_no_more_than_asked_for_are_held() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            yield number

    taken = []
    for number in ahead(items(), 3):
        taken.append(number)
        assert len(made) <= len(taken) + 3
    assert taken == list(range(20))


def test_an_error_comes_where_its_item_would_have_and_closing_ends_the_thread() -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("broken")

    found = ahead(items(), 4)
    assert [next(found), next(found)] == [1, 2]
    with pytest.raises(ValueError, match="broken"):
        next(found)
    before = threading.active_count()
    stopped = ahead(iter(range(100)), 2)
    next(stopped)
    stopped.close()
    assert threading.active_count() == before


class BigSpeech:
    """Examples of 2 MB each, far more than should ever be in memory."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.utterances = [Utterance("big", Path("big.wav"), "toy", "s", None)]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        big = bytearray(2**21)  # tracemalloc sees Python's memory and not torch's
        features = torch.frombuffer(big, dtype=torch.float32)[:2].reshape(1, 2)
        return Example(self.utterances[0], {"audio": features}, None)


def test_memory_does_not_grow_with_the_unlabelled_speech() -> None:
    def peak(count: int) -> int:
        settings = TrainingSettings(epochs=1, batch_size=2, unlabelled_batch_size=4)
        tracemalloc.start()
        train(
            SemiToySystem(LABELS),
            toy_examples(60),
            toy_examples(4),
            settings,
            seed=1,
            device=CPU,
            unlabelled=BigSpeech(count),
        )
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    few, many = peak(4), peak(1000)  # the second run goes through 240 examples of 2 MB, 480 MB in all
    assert many < 1.5 * few
    assert many < 2**21 * 4 * 6


# ------------------------------------------------------------------------------------------------ the loop


@pytest.mark.parametrize("kill_after", [1, 4, 7, 9])
@pytest.mark.parametrize("kind", [SemiToySystem, AdversarialToySystem])
def test_killed_and_resumed_run_ends_like_an_unbroken_one(
    tmp_path: Path, kind: type[ToySystem], kill_after: int
) -> None:
    whole = kind(LABELS, 1)
    expected = run(whole, HALVING)
    with pytest.raises(Killed):
        run(kind(LABELS, 1), HALVING, tmp_path, kill_after)
    resumed = kind(LABELS, 1)
    trained = run(resumed, HALVING, tmp_path)
    assert_equal(weights(whole), weights(resumed))
    assert without_times(trained) == without_times(expected)
    assert any("restored_epoch" in entry for entry in expected.epochs)


@pytest.mark.parametrize("kind", [SemiToySystem, AdversarialToySystem])
def test_training_is_what_a_plain_loop_does(kind: type[ToySystem]) -> None:
    """Order, joined batches, clipping, one Adam per phase, the hook, the best epoch, restored weights: written out."""
    system = kind(LABELS, 1)
    trained = run(system, HALVING)
    plain = kind(LABELS, 1)
    history, best = plainly(plain, HALVING)
    assert len(trained.epochs) == len(history)
    for entry, (rate, ua) in zip(trained.epochs, history, strict=True):
        assert entry["learning_rate"] == pytest.approx(rate)
        assert entry["selection"]["ua"] == pytest.approx(ua)
    for name, tensor in weights(system).items():
        torch.testing.assert_close(tensor, best[name], rtol=1e-4, atol=1e-5)


def plainly(system: ToySystem, settings: TrainingSettings) -> tuple[list[tuple[float, float]], dict[str, Tensor]]:
    """Rate and validation UA of every epoch, and the best weights."""
    network, speech = system.network, Speech(17)
    groups: list[tuple[object, list[nn.Parameter]]] = [(system.losses, list(network.parameters()))]
    if isinstance(system, AdversarialToySystem):
        groups = [(phase.losses, list(phase.parameters)) for phase in system.phases()]

    def fresh(rate: float) -> list[torch.optim.Adam]:
        return [torch.optim.Adam(parameters, lr=rate, betas=(0.9, 0.999)) for _, parameters in groups]

    places: list[int] = []
    for turn in range(100):
        order = torch.Generator().manual_seed(derive_seed(1, "unlabelled order", turn))
        places += torch.randperm(17, generator=order).tolist()
    rate, adams, since = settings.learning_rate, fresh(settings.learning_rate), 0
    best, best_ua, history = weights(system), -1.0, []
    for epoch in range(1, settings.epochs + 1):
        if since == settings.restore_after:
            rate, since = rate / 2, 0
            if rate < settings.min_learning_rate:
                break
            network.load_state_dict(best)
            adams = fresh(rate)
        torch.manual_seed(derive_seed(1, "dropout", epoch))
        generator = torch.Generator().manual_seed(derive_seed(1, "epoch", epoch))
        items = split_segments(toy_examples())
        order = torch.randperm(len(items), generator=generator).tolist()
        network.train()
        for chunk in batches(items, settings.batch_size, order):
            free = []
            if isinstance(system, SemiToySystem):
                free = [speech[places.pop(0)] for _ in range(settings.unlabelled_batch_size)]
            batch = collate([*chunk, *free])
            for (losses, parameters), adam in zip(groups, adams, strict=True):
                for parameter in network.parameters():
                    parameter.grad = None
                sum(losses(batch, generator).values()).backward()  # type: ignore[operator]
                norm = torch.stack([p.grad.norm() for p in parameters if p.grad is not None]).norm()
                for parameter in parameters:
                    if parameter.grad is not None and norm > settings.clip_norm:
                        parameter.grad *= settings.clip_norm / norm
                adam.step()
            if isinstance(system, SemiToySystem):
                with torch.no_grad():
                    system.after_step()
        with torch.no_grad():
            batch = collate(toy_examples(30, seed=5))
            right = system.predict(batch).probabilities.argmax(1) == batch.targets
        ua = float(torch.stack([right[batch.targets == k].double().mean() for k in (0, 1)]).mean())
        history.append((rate, ua))
        since += 1
        if ua > best_ua:
            best, best_ua, since = weights(system), ua, 0
    return history, best


def test_examples_are_augmented_anew_in_every_epoch_from_seeds_of_their_own() -> None:
    drawn: list[tuple[str, float]] = []

    def augment(example: Example, generator: torch.Generator) -> Example:
        shift = torch.rand((), generator=generator)
        drawn.append((example.utterance.id, float(shift)))
        return Example(example.utterance, {"audio": example.inputs["audio"] + shift}, example.target)

    def go(epochs: int) -> SemiToySystem:
        system = SemiToySystem(LABELS, 1)
        settings = TrainingSettings(epochs=epochs, batch_size=8, unlabelled_batch_size=5)
        train(
            system,
            toy_examples(),
            toy_examples(6),
            settings,
            seed=1,
            device=CPU,
            unlabelled=Speech(170),
            augment=augment,
        )
        return system

    system = go(2)
    labelled = [entry for entry in drawn if not entry[0].startswith("free")]
    assert {name for name, _ in labelled} == {example.utterance.id for example in toy_examples()}
    for name, shift in drawn:
        places = (1, 2, 3)  # the third epoch may have been begun ahead
        wanted = [
            float(torch.rand((), generator=torch.Generator().manual_seed(derive_seed(1, "augmentation", epoch, name))))
            for epoch in places
        ]
        assert shift in wanted
    assert len(set(drawn)) == len(drawn)
    first = dict(weights(system))
    assert_equal(first, weights(go(2)))
