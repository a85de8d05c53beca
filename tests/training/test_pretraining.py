"""The loop of pretraining: it learns, goes on exactly where it was, and stops at numbers that are not finite."""

from pathlib import Path

import pytest
import torch

from serenade.core.errors import TrainingError
from serenade.models.upstreams.masked_mel import MaskedMelSettings, MaskedPredictor
from serenade.training.pretraining import Piece, PretrainingSettings, evaluate, pretrain

CPU = torch.device("cpu")
TINY = MaskedMelSettings(
    num_bands=8, width=32, num_blocks=2, num_heads=2, feed_forward=64, position_kernel=9, position_groups=4
)
CYCLE = 4  # of the toy speech: steps of one sound after the other


def toy_pieces(count: int, seed: int, *, noise: float = 0.2) -> list[Piece]:
    """Four sounds that follow each other in a cycle, each four steps long: what is hidden can be told."""
    generator = torch.Generator().manual_seed(seed)
    sounds = torch.randn(CYCLE, 16, generator=torch.Generator().manual_seed(9))
    pieces = []
    for _ in range(count):
        length = int(torch.randint(30, 50, (1,), generator=generator))
        start = int(torch.randint(4 * CYCLE, (1,), generator=generator))
        clusters = (torch.arange(length) + start) // 4 % CYCLE
        pieces.append(Piece(sounds[clusters] + noise * torch.randn(length, 16, generator=generator), clusters))
    return pieces


def network() -> MaskedPredictor:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return MaskedPredictor(TINY, CYCLE)


def settings(**changes: object) -> PretrainingSettings:
    values = {"steps": 90, "batch_size": 4, "learning_rate": 3e-3, "report_every": 30, "mask_span": 5}
    return PretrainingSettings.model_validate({**values, **changes})


def test_it_learns_what_can_be_told_from_the_context(tmp_path: Path) -> None:
    net = network()
    held_out = toy_pieces(8, seed=2)
    before = evaluate(net, held_out, settings(), seed=0, device=CPU)
    log = pretrain(net, toy_pieces(20, seed=1), held_out, settings(), seed=0, device=CPU, folder=tmp_path, key="k")
    after = log[-1]["held_out"]
    assert before["clusters"] > 0.9 * before["chance"]
    assert after["clusters"] < 0.5 * after["chance"]
    assert after["accuracy"] > after["majority"] + 0.3
    assert after["mels"] < 0.7 * before["mels"]
    assert [entry["step"] for entry in log] == [30, 60, 90]


class _Killed(Exception):
    pass


def run_until_killed(folder: Path, at: int, **changes: object) -> None:
    def reported(done: int, _: object) -> None:
        if done == at:
            raise _Killed

    with pytest.raises(_Killed):
        pretrain(
            network(), toy_pieces(10, seed=1), toy_pieces(2, seed=2), settings(**changes),
            seed=0, device=CPU, folder=folder, key="k", reported=reported,
        )  # fmt: skip


@pytest.mark.parametrize("precision", ["float32", pytest.param("bfloat16", marks=pytest.mark.slow)])
def test_a_killed_run_goes_on_as_if_it_had_not_been(tmp_path: Path, precision: str) -> None:
    chosen = settings(steps=20, report_every=6, precision=precision)
    pieces, held_out = toy_pieces(10, seed=1), toy_pieces(2, seed=2)
    whole = network()
    log = pretrain(whole, pieces, held_out, chosen, seed=0, device=CPU, folder=tmp_path / "whole", key="k")
    for at in (3, 9, 19):  # before the first state, and at places between two states
        run_until_killed(tmp_path / "parts", at, steps=20, report_every=6, precision=precision)
    parts = network()
    first_seen: list[int] = []
    resumed = pretrain(
        parts, pieces, held_out, chosen, seed=0, device=CPU, folder=tmp_path / "parts", key="k",
        reported=lambda done, _: first_seen.append(done),
    )  # fmt: skip
    assert first_seen[0] == 18
    for one, other in zip(log, resumed, strict=True):
        for part in ("step", "learning_rate", "training", "held_out", "frames"):
            assert one[part] == other[part]
    for (name, a), b in zip(whole.state_dict().items(), parts.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_a_state_of_another_run_is_not_taken_up(tmp_path: Path) -> None:
    run_until_killed(tmp_path, 9, steps=20, report_every=6)
    seen: list[int] = []
    pretrain(
        network(), toy_pieces(10, seed=1), [], settings(steps=8), seed=0, device=CPU, folder=tmp_path, key="other",
        reported=lambda done, _: seen.append(done),
    )  # fmt: skip
    assert seen[0] == 0


def test_a_loss_that_is_no_number_stops_it(tmp_path: Path) -> None:
    pieces = toy_pieces(3, seed=1)
    broken = [*pieces, Piece(torch.full((30, 16), float("nan")), torch.zeros(30, dtype=torch.int64))]
    with pytest.raises(TrainingError, match=r"the loss is no finite number: step \d"):
        pretrain(network(), broken, [], settings(), seed=0, device=CPU, folder=tmp_path, key="k")


def test_the_rate_rises_and_falls(tmp_path: Path) -> None:
    chosen = settings(steps=10, warm_up=0.2, report_every=1, learning_rate=1e-3)
    log = pretrain(network(), toy_pieces(3, seed=1), [], chosen, seed=0, device=CPU, folder=tmp_path, key="k")
    expected = [5e-4, 1e-3, *(1e-3 * left / 8 for left in (8, 7, 6, 5, 4, 3, 2, 1))]
    assert [entry["learning_rate"] for entry in log] == pytest.approx(expected)
