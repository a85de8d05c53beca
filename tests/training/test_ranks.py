"""One network in two processes: the loss curve and the weights of one."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from tests.training.toy import LABELS, ToySystem, toy_examples
from torch import Generator, Tensor, nn

from serenade.core.errors import UsageError
from serenade.core.executor import run_together
from serenade.core.files import read_json, write_json
from serenade.core.labels import LabelSet
from serenade.training.loop import train
from serenade.training.ranks import join, leave
from serenade.training.settings import TrainingSettings
from serenade.training.system import Batch

SETTINGS = TrainingSettings(epochs=3, batch_size=7, learning_rate=0.01, clip_norm=1.0)


class PlainToy(ToySystem):
    """Without what only a whole batch has: no statistics of batches, no dropout, no mixup."""

    def __init__(self, labels: LabelSet, seed: int = 0) -> None:
        super().__init__(labels, seed)
        self.network = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))

    def losses(self, batch: Batch, generator: Generator) -> dict[str, Tensor]:
        return {"emotion": nn.functional.cross_entropy(self.network(batch.inputs["audio"]), batch.targets)}


class WholeBatchToy(PlainToy):
    """Something moves with whole batches."""

    def after_step(self) -> None: ...


@dataclass(frozen=True)
class Part:
    folder: Path
    rank: int
    size: int
    kind: type[ToySystem]


def take_part(part: Part) -> None:
    """Train, and write what each process ends with."""
    join(part.folder / "meeting", part.rank, part.size, torch.device("cpu"))
    try:
        trained = run(part.kind(LABELS), part.folder)
        weights = {name: value.tolist() for name, value in trained.items()}
        write_json(part.folder / f"rank{part.rank}.json", weights)
    finally:
        leave()


def run(system: ToySystem, folder: Path | None) -> dict[str, torch.Tensor]:
    examples = toy_examples(25)  # the last batch has four items
    train(system, examples, examples[:6], SETTINGS, seed=1, device=torch.device("cpu"), folder=folder)
    return system.network.state_dict()


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["losses"]["emotion"] for line in (folder / "log.jsonl").read_text().splitlines()]


def test_two_processes_have_the_loss_curve_of_one(tmp_path: Path) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    alone.mkdir()
    together.mkdir()
    expected = run(PlainToy(LABELS), alone)
    run_together(take_part, [Part(together, rank, 2, PlainToy) for rank in range(2)])
    assert losses(together) == pytest.approx(losses(alone), rel=1e-5)
    found = [read_json(together / f"rank{rank}.json") for rank in range(2)]
    assert found[0] == found[1]
    for name, value in expected.items():
        torch.testing.assert_close(torch.tensor(found[0][name]), value, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_statistics_of_batches_stay_together(tmp_path: Path) -> None:
    run_together(take_part, [Part(tmp_path, rank, 2, ToySystem) for rank in range(2)])
    found = [read_json(tmp_path / f"rank{rank}.json") for rank in range(2)]
    assert found[0] == found[1]


@pytest.mark.slow
def test_more_processes_than_items_have_the_loss_curve_of_one(tmp_path: Path) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    alone.mkdir()
    together.mkdir()
    run(PlainToy(LABELS), alone)
    run_together(take_part, [Part(together, rank, 9, PlainToy) for rank in range(9)])
    assert losses(together)[0] == pytest.approx(losses(alone)[0], rel=0.05)  # the last batch is another


def test_what_fails_in_one_process_ends_all_and_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="train in one process"):
        run_together(take_part, [Part(tmp_path, rank, 2, WholeBatchToy) for rank in range(2)])
