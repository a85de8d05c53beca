"""Training step and evaluation of GLAM on a CPU against the plain float32 graph of its specification.

    python benchmarks/training_step.py --threads 2

All ways take turns in one process, round after round, and each round gives one ratio per way; shown are the medians.
So a busy machine disturbs all ways alike; still, with more threads than idle processors the waiting threads are
measured, not the network. The plain graph is `tests/models/plain_glam.py`, in the layout and precision PyTorch has by
default.
"""

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.models.plain_glam import plain_logits

from serenade.models.glam import Glam

HEIGHT, WIDTH, CLASSES = 26, 57, 4


@dataclass(frozen=True)
class Way:
    """One way to compute the same network."""

    name: str
    plain: bool = False
    channels_last: bool = False
    bfloat16: bool = False


WAYS = (
    Way("plain float32", plain=True),
    Way("plain bfloat16 + channels last", plain=True, channels_last=True, bfloat16=True),
    Way("float32"),
    Way("float32 + channels last", channels_last=True),
    Way("bfloat16 + channels last", channels_last=True, bfloat16=True),
)


def forward(way: Way, network: Glam, x: Tensor) -> Tensor:
    """(B, K) logits."""
    with torch.autocast("cpu", torch.bfloat16, enabled=way.bfloat16):
        return plain_logits(network, x) if way.plain else network(x)


def step(way: Way, network: Glam, x: Tensor, targets: Tensor) -> Tensor:
    """Forward and backward; gradients are left on the network."""
    network.zero_grad()
    logits = forward(way, network, x)
    functional.cross_entropy(logits.float(), targets).backward()
    return logits.detach().float()


def gradients(network: nn.Module) -> Tensor:
    """All gradients in one vector."""
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


def time_in_turns(
    works: dict[str, Callable[[], object]], rounds: int, warm: int = 3
) -> dict[str, list[tuple[float, float]]]:
    """Wall and CPU seconds of each work in each round, after warm rounds that are not counted."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for _ in range(rounds + warm):
        for name, work in works.items():
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {name: seconds[warm:] for name, seconds in times.items()}


def medians(times: list[tuple[float, float]], base: list[tuple[float, float]]) -> list[float]:
    """Median milliseconds (wall, CPU) and median of the rounds' ratios to the base (wall, CPU)."""
    milliseconds = [1e3 * statistics.median(t[i] for t in times) for i in (0, 1)]
    return milliseconds + [statistics.median(t[i] / b[i] for t, b in zip(times, base, strict=True)) for i in (0, 1)]


def networks_for(start: Glam) -> dict[str, Glam]:
    """The same weights for every way, in its layout."""
    made = {way.name: copy.deepcopy(start) for way in WAYS}
    for way in WAYS:
        if way.channels_last:
            made[way.name].to(memory_format=torch.channels_last)
    return made


def training_table(start: Glam, batch: int, rounds: int) -> None:
    """Print time and difference of the training step."""
    x, targets = torch.randn(batch, 1, HEIGHT, WIDTH), torch.randint(CLASSES, (batch,))
    networks = networks_for(start)
    exact = copy.deepcopy(start).double()
    logits = step(WAYS[0], exact, x.double(), targets)
    print(f"\nTraining step, batch {batch}, {HEIGHT} x {WIDTH}, {torch.get_num_threads()} threads, {rounds} rounds\n")
    print("| way | wall ms | CPU ms | wall ratio | CPU ratio | largest logit error | relative gradient error |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    errors = {}
    for way in WAYS:
        error = (step(way, networks[way.name], x, targets) - logits).abs().max()
        off = (gradients(networks[way.name]).double() - gradients(exact)).norm() / gradients(exact).norm()
        errors[way.name] = f"{error:.1e} | {off:.1e}"
    works = {way.name: lambda way=way: step(way, networks[way.name], x, targets) for way in WAYS}
    times = time_in_turns(works, rounds)
    for name, seconds in times.items():
        wall, cpu, wall_ratio, cpu_ratio = medians(seconds, times[WAYS[0].name])
        print(f"| {name} | {wall:.0f} | {cpu:.0f} | {wall_ratio:.3f} | {cpu_ratio:.3f} | {errors[name]} |")


def evaluation_table(start: Glam, batch: int, rounds: int) -> None:
    """Print time and difference of the evaluation."""
    x = torch.randn(batch, 1, HEIGHT, WIDTH)
    networks = {name: network.eval() for name, network in networks_for(start).items()}
    with torch.inference_mode():
        expected = forward(WAYS[0], copy.deepcopy(start).double().eval(), x.double()).float()
        works = {way.name: lambda way=way: forward(way, networks[way.name], x) for way in WAYS}
        errors = {name: (work().float() - expected).abs().max() for name, work in works.items()}
        times = time_in_turns(works, rounds)
    for name, seconds in times.items():
        wall, cpu, wall_ratio, cpu_ratio = medians(seconds, times[WAYS[0].name])
        print(
            f"| {batch} | {name} | {wall / batch:.2f} | {cpu / batch:.2f} | {wall_ratio:.3f} | {cpu_ratio:.3f} "
            f"| {errors[name]:.1e} |"
        )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32, help="examples per training step")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--evaluation", type=int, nargs="*", default=[1, 8, 64], help="batch sizes of the evaluation")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    start = Glam(CLASSES, HEIGHT, WIDTH)
    print(f"torch {torch.__version__}")
    training_table(start, options.batch, options.rounds)
    if options.evaluation:
        print(f"\nEvaluation, {options.threads} threads\n")
        print(
            "| batch | way | wall ms per segment | CPU ms per segment | wall ratio | CPU ratio | largest logit error |"
        )
        print("| ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    for batch in options.evaluation:
        evaluation_table(start, batch, options.rounds)


if __name__ == "__main__":
    main()
