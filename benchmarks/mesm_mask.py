"""What learning MESM's mask brings where words say which of two things counts.

    python benchmarks/mesm_mask.py --seeds 5
    python benchmarks/mesm_mask.py --network --seeds 1

Every picture of noise holds a red and a green spot, each bright or dark, drawn independently. The words are "red" or
"green"; yes is right where the named spot is bright. Words alone say nothing, and a picture alone gives three right
answers of four (where both spots agree, and half of the others): so much FE2E can reach, which only adds what both say.

Without more: one block by itself, attention and choice over 36 cells, scored by a sum over the cells kept, so that
nothing but the choice can tell the spots apart. With --network: a small MESM and FE2E as a whole, pictures of 16 x 48.
There a fixed mask tells the words too, by what it keeps, and the layers above may learn to read that.

New pictures in every step; shown are the accuracy on others and the share of the named and of the other spot (with
--network: cells of either half in the last block) that is kept. One thread.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from serenade.models.mesm import Fe2e, Frames, Mesm
from serenade.models.mesm_settings import Fe2eSettings, MesmSettings
from serenade.nn.cross_modal import CrossModalAttention, MaskGradient, Selection, select_cells
from serenade.nn.sparse_conv import Sites

MASKS: tuple[MaskGradient, ...] = ("none", "straight_through", "scaled")
SIDE, HEIGHT, WIDTH = 6, 16, 48
TESTED, SETTLED = 500, 50


def drawn(count: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """(N, 2) brightness of the red and the green spot, (N,) which is named, (N, 1) answers."""
    bright = torch.randint(2, (count, 2), generator=generator)
    named = torch.randint(2, (count,), generator=generator)
    return bright, named, bright.gather(1, named[:, None]).float()


class Block(nn.Module):
    """Attention, choice, and one score per cell."""

    def __init__(self, mask: MaskGradient, top_p: float) -> None:
        super().__init__()
        self.attention, self.score = CrossModalAttention(3, 8, 2), nn.Linear(3, 1)
        self.mask: MaskGradient = mask
        self.top_p = top_p

    def forward(self, cells: Tensor, words: Tensor) -> tuple[Tensor, Selection]:
        """(N, 1) scores of (N, 36, 3) cells and (N, 2) words."""
        sites = Sites(torch.ones(len(cells), SIDE, SIDE, dtype=torch.bool))
        rows = cells.flatten(0, 1)
        attention = self.attention(rows, sites, words, torch.arange(len(cells)))
        kept, selection = select_cells(rows, sites, attention, self.top_p, self.mask)
        return kept.new_zeros(len(cells), 1).index_add(0, selection.kept.frames, self.score(kept)), selection


def cells_of(count: int, generator: Generator) -> tuple[tuple[Tensor, Tensor], Tensor, Tensor, Tensor]:
    """Inputs of a block, answers, (N, 36) masks of the named and of the other spot."""
    bright, named, answers = drawn(count, generator)
    cells = 0.3 * torch.randn(count, SIDE**2, 3, generator=generator)
    places = torch.rand(count, SIDE**2, generator=generator).argsort(1)[:, :2]
    rows = torch.arange(count)
    for colour in range(2):
        spots = functional.one_hot(torch.full((count,), colour), 3) * 2.0
        spots[:, 2] = 4.0 * bright[:, colour] - 2.0
        cells[rows, places[:, colour]] = spots
    where = functional.one_hot(places, SIDE**2).bool()
    words = functional.one_hot(named, 2).float()
    return (cells, words), answers, where[rows, named], where[rows, 1 - named]


def pictures_of(count: int, generator: Generator) -> tuple[dict[str, Any], Tensor, Tensor]:
    """Inputs of a network, answers, (N,) which half holds the named spot."""
    bright, named, answers = drawn(count, generator)
    red_half = torch.randint(2, (count,), generator=generator)
    values = 0.3 * torch.randn(count, 3, HEIGHT, WIDTH, generator=generator)
    for colour in range(2):
        for half in range(2):
            rows = ((red_half if colour == 0 else 1 - red_half) == half).nonzero().flatten()
            begin = 4 if half == 0 else WIDTH - 12
            values[rows, colour, 4:12, begin : begin + 8] += 2.0
            values[rows, 2, 4:12, begin : begin + 8] += (4.0 * bright[rows, colour] - 2.0)[:, None, None]
    faces = Frames(values, torch.ones(count, dtype=torch.int64))
    words = functional.one_hot(named, 2).float()
    return {"text": words, "face": faces}, answers, torch.where(named == 0, red_half, 1 - red_half)


def network(row: str, top_p: float) -> Fe2e | Mesm:
    sizes = Fe2eSettings(
        modalities=("text", "face"),
        text_dim=2,
        face_shape=(3, HEIGHT, WIDTH),
        channels=(8, 8, 8, 8),
        projection_dim=16,
        branch_dim=8,
        num_layers=1,
        num_heads=2,
        feed_forward=16,
        dropout=0.0,
    )
    if row == "FE2E":
        return Fe2e(1, sizes)
    return Mesm(1, MesmSettings(shared=sizes, top_p=top_p, mask_gradient=row))  # type: ignore[arg-type]


def learn(parameters: Any, rate: float, steps: int, loss_of: Callable[[], Tensor]) -> None:
    optimiser = torch.optim.Adam(parameters, rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        loss_of().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()


def of_block(row: str, seed: int, steps: int, top_p: float) -> tuple[float, float, float]:
    torch.manual_seed(seed)
    generator, block = Generator().manual_seed(seed), Block(row, top_p)  # type: ignore[arg-type]

    def loss() -> Tensor:
        given, answers, _, _ = cells_of(64, generator)
        return functional.binary_cross_entropy_with_logits(block(*given)[0], answers)

    learn(block.parameters(), 0.02, steps, loss)
    given, answers, named, other = cells_of(TESTED, generator)
    with torch.inference_mode():
        scores, selection = block(*given)
    kept = selection.kept.mask.flatten(1)
    return right(scores, answers), float(kept[named].float().mean()), float(kept[other].float().mean())


def of_network(row: str, seed: int, steps: int, top_p: float) -> tuple[float, float, float]:
    torch.manual_seed(seed)
    generator, trained = Generator().manual_seed(seed), network(row, top_p)

    def loss() -> Tensor:
        given, answers, _ = pictures_of(32, generator)
        return functional.binary_cross_entropy_with_logits(trained(**given), answers)

    learn(trained.parameters(), 0.01, steps, loss)
    with torch.no_grad():
        for _ in range(SETTLED):  # for the running means of the normalisation, which follow slowly in sparse parts
            trained(**pictures_of(64, generator)[0])
    trained.eval()
    with torch.inference_mode():
        given, answers, half = pictures_of(TESTED, generator)
        accuracy = right(trained(**given), answers)
        if isinstance(trained, Fe2e):
            return accuracy, 1.0, 1.0
        kept = trained.selections(**given)["face"][-1].kept.mask.float()
    middle = kept.shape[2] // 2
    halves = torch.stack([kept[:, :, :middle].sum((1, 2)), kept[:, :, -middle:].sum((1, 2))], dim=1)
    rows = torch.arange(TESTED)
    return accuracy, float(halves[rows, half].mean()), float(halves[rows, 1 - half].mean())


def right(scores: Tensor, answers: Tensor) -> float:
    return float(((scores > 0) == (answers > 0)).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", action="store_true")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--top-p", type=float)
    parser.add_argument("--rows", help="some of none,straight_through,scaled and, with --network, FE2E")
    given = parser.parse_args()
    rows = given.rows.split(",") if given.rows else [*MASKS, *(["FE2E"] if given.network else [])]
    torch.set_num_threads(1)
    measure, share = (of_network, 0.3) if given.network else (of_block, 0.5)
    print(f"{'mask':<18}{'acc.':>6}{'named':>7}{'other':>7}   accuracy by seed")
    for row in rows:
        began = time.process_time()
        found = [measure(row, seed, given.steps, given.top_p or share) for seed in range(given.seeds)]
        accuracy, named, other = (sum(values) / len(found) for values in zip(*found, strict=True))
        each = " ".join(f"{100 * values[0]:5.1f}" for values in found)
        print(
            f"{row:<18}{100 * accuracy:>6.1f}{named:>7.2f}{other:>7.2f}   {each}   {time.process_time() - began:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
