"""What each network of the CNN family costs: parameters, multiply-adds, time, and the memory of a training step.

    python benchmarks/model_cost.py --threads 1 size speech training memory

* **size**: parameters, and multiply-adds of one segment. The rule: multiply-adds of convolutions and matrix products,
  as torch's own counter sees them when one segment is scored; biases, norms, sums and softmaxes are left out.
* **speech**: CPU milliseconds from sound to scores per second of speech, of a whole system with the overlap of its
  preset, without reading the file; and of one segment through the network.
* **training**: forward and backward of each network against the plain graph of its equations
  (`tests/models/plain_glam.py`, `plain_rivals.py`), run eagerly in the layout and precision PyTorch has by default.
  Both take turns in one process; shown are the medians of the rounds and of their ratios, so a busy machine disturbs
  both alike. ``ours`` is what the training loop does in float32 (channels last), ``bf16`` its bfloat16.
* **memory**: growth of the process's peak in one training step of the attention-pooling network on 400 x 200, by batch,
  each in a process of its own.
"""

import argparse
import copy
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.training_step import medians, time_in_turns
from tests.models import plain_glam, plain_rivals

from serenade.core.labels import LabelSet
from serenade.models.aacnn import Aacnn, AacnnNetworkSettings
from serenade.models.apcnn import Apcnn, ApcnnNetworkSettings, OneLayerCnn
from serenade.models.glam import Glam, GlamNetworkSettings
from serenade.models.mhcnn import Mhcnn
from serenade.systems import PRESETS, make_system, system_settings
from serenade.training.system import Example

CLASSES = 4
SPEECH_S = 8.0
SYSTEMS = (
    "glam",
    "mhcnn",
    "aacnn",
    "apcnn",
    "attention-pooling",
    "attention-pooling-gap",
    "attention-pooling-bilinear",
)


@dataclass(frozen=True)
class Network:
    """A network and what it is fed with.

    Args:
        make: one with drawn weights.
        size: F and L of its input.
        batch: items of a training step.
        plain: the plain graph of it; None where there is none.
    """

    make: Callable[[], nn.Module]
    size: tuple[int, int]
    batch: int = 32
    plain: Callable[[nn.Module, Tensor], Tensor] | None = plain_rivals.plain_logits


def _glam(width: int = 57, **changes: object) -> Callable[[], nn.Module]:
    return lambda: Glam(CLASSES, 26, width, GlamNetworkSettings.model_validate(changes))


def _aacnn(**changes: object) -> Callable[[], nn.Module]:
    return lambda: Aacnn(CLASSES, 26, 63, AacnnNetworkSettings.model_validate(changes))


def _apcnn(**changes: object) -> Callable[[], nn.Module]:
    return lambda: Apcnn(CLASSES, ApcnnNetworkSettings.model_validate(changes))


SHORT, LONG, SPECTROGRAM = (26, 57), (26, 63), (400, 200)
NETWORKS = {
    "GLAM": Network(_glam(), SHORT, plain=plain_glam.plain_logits),
    "GLAM, 2 s": Network(_glam(63), LONG, plain=None),
    "GLAM, stem of 5": Network(_glam(stem_kernel=5), SHORT, plain=None),
    "GLAM without multi-scale": Network(_glam(block="single_3"), SHORT, plain=None),
    "GLAM without shortcut": Network(_glam(block="no_shortcut"), SHORT, plain=None),
    "multi-scale only": Network(_glam(fusion="none"), SHORT, plain=None),
    "multi-scale + heads": Network(_glam(fusion="heads"), SHORT, plain=None),
    "multi-scale + areas": Network(_glam(fusion="area"), SHORT, plain=None),
    "MHCNN": Network(lambda: Mhcnn(CLASSES, *LONG), LONG),
    "AACNN": Network(_aacnn(), LONG),
    "AACNN, 8+8 trunk": Network(_aacnn(stem_join="channels"), LONG, plain=None),
    "AACNN without attention": Network(_aacnn(attention=False), LONG, plain=None),
    "APCNN on MFCC": Network(_apcnn(pool_stem=False), SHORT),
    "APCNN": Network(_apcnn(), SPECTROGRAM, batch=16),
    "APCNN, two poolings": Network(_apcnn(head="class_softmax", pool_stem=False), SPECTROGRAM, batch=16),
    "CNN_TF_GAP": Network(_apcnn(head="gap"), SPECTROGRAM, batch=16),
    "CNN_TF_Bilinear": Network(_apcnn(head="bilinear"), SPECTROGRAM, batch=16),
    "one layer, 10 x 2": Network(lambda: OneLayerCnn(CLASSES, 10, 2), SPECTROGRAM, batch=16),
}


def multiply_adds(network: nn.Module, height: int, width: int) -> int:
    """Of one segment, by the rule above."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network.eval()(torch.zeros(1, 1, height, width))
    return int(counter.get_total_flops()) // 2  # a multiply-add is two operations


def size_table(names: list[str]) -> None:
    """Print parameters and multiply-adds."""
    print("\n| network | input | parameters | multiply-adds per segment, million |\n| --- | --- | ---: | ---: |")
    for name in names:
        entry = NETWORKS[name]
        network = entry.make()
        parameters = sum(p.numel() for p in network.parameters())
        size = " x ".join(map(str, entry.size))
        print(f"| {name} | {size} | {parameters:,} | {multiply_adds(network, *entry.size) / 1e6:.1f} |")


def speech_table(rounds: int) -> None:
    """Print CPU time from sound to scores."""
    print(f"\nSound of {SPEECH_S:g} s, {torch.get_num_threads()} threads, median of {rounds} rounds\n")
    print("| preset | segments | CPU ms per second of speech | of it the network | CPU ms per segment, network |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for preset in SYSTEMS:
        segments, whole, network = speech_cost(preset, rounds)
        print(
            f"| {preset} | {segments} | {whole / SPEECH_S:.1f} | {network / SPEECH_S:.1f} | {network / segments:.2f} |"
        )


def speech_cost(preset: str, rounds: int) -> tuple[int, float, float]:
    """Segments of `SPEECH_S` seconds of sound, and CPU ms from sound to scores: all of it, and the network alone."""
    sound = 0.1 * torch.randn(int(16_000 * SPEECH_S))
    labels = LabelSet(("angry", "happy", "neutral", "sad"))
    system = make_system(PRESETS[preset], system_settings(preset, {}).model_dump(), labels)
    batch = system.collate([_example(system.extract(sound, training=False))])

    def whole() -> None:
        with torch.inference_mode():
            system.predict(system.collate([_example(system.extract(sound, training=False))]))

    def network() -> None:
        with torch.inference_mode():
            system.predict(batch)

    times = time_in_turns({"whole": whole, "network": network}, rounds)
    all_of_it, inside = (1e3 * statistics.median(cpu for _, cpu in times[k]) for k in ("whole", "network"))
    return len(batch.inputs["audio"]), all_of_it, inside


def _example(inputs: dict[str, Tensor]) -> Example:
    from serenade.core.records import Utterance

    return Example(Utterance("u", Path("u.wav"), "none", "s", None), inputs, None)


def training_step(network: nn.Module, forward: Callable[[Tensor], Tensor], x: Tensor, targets: Tensor) -> Tensor:
    """Logits of a forward pass; gradients are left on the network."""
    network.zero_grad()
    logits = forward(x).float()
    functional.cross_entropy(logits, targets).backward()
    return logits.detach()


def in_bfloat16(network: nn.Module, x: Tensor) -> Tensor:
    """(B, K) logits under the training loop's autocast."""
    with torch.autocast("cpu", torch.bfloat16):
        logits: Tensor = network(x)
    return logits


def training_table(names: list[str], rounds: int) -> None:
    """Print the training step against the plain graph."""
    print(f"\nTraining step, {torch.get_num_threads()} threads, {rounds} rounds\n")
    print("| network | input | batch | way | wall ms | CPU ms | wall ratio | CPU ratio | largest logit difference |")
    print("| --- | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    for name in names:
        entry = NETWORKS[name]
        if entry.plain is None:
            continue
        x, targets = torch.randn(entry.batch, 1, *entry.size), torch.randint(CLASSES, (entry.batch,))
        first = entry.make()
        for module in first.modules():  # drawn at random, so that the ways could not be compared
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        plain, ours, half = (copy.deepcopy(first) for _ in range(3))
        for network in (ours, half):
            network.to(memory_format=torch.channels_last)
        works = {
            "plain": lambda: training_step(plain, lambda x: entry.plain(plain, x), x, targets),  # type: ignore[misc] # noqa: B023
            "ours": lambda: training_step(ours, ours, x, targets),  # noqa: B023
            "bf16": lambda: training_step(half, lambda x: in_bfloat16(half, x), x, targets),  # noqa: B023
        }
        expected = works["plain"]()
        errors = {way: float((work() - expected).abs().max()) for way, work in works.items()}
        times = time_in_turns(works, rounds)
        for way, seconds in times.items():
            wall, cpu, wall_ratio, cpu_ratio = medians(seconds, times["plain"])
            size = " x ".join(map(str, entry.size))
            print(
                f"| {name} | {size} | {entry.batch} | {way} | {wall:.0f} | {cpu:.0f} | {wall_ratio:.3f} "
                f"| {cpu_ratio:.3f} | {errors[way]:.0e} |",
                flush=True,
            )


def peak_growth_mb(way: str, batch: int) -> float:
    """Megabytes by which one training step of APCNN raises the peak of this process."""
    entry = NETWORKS["APCNN"]
    assert entry.plain is not None
    network = entry.make()
    small = torch.randn(2, 1, 40, 40), torch.zeros(2, dtype=torch.long)
    training_step(network, network, *small)  # libraries are loaded by now
    if way != "plain":
        network.to(memory_format=torch.channels_last)
    forward: Callable[[Tensor], Tensor] = network
    if way != "ours":
        half = way == "bf16"
        forward = (lambda x: in_bfloat16(network, x)) if half else (lambda x: entry.plain(network, x))  # type: ignore[misc]
    x, targets = torch.randn(batch, 1, *entry.size), torch.zeros(batch, dtype=torch.long)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    training_step(network, forward, x, targets)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def memory_table(batches: list[int]) -> None:
    """Print the peak of a training step, each in a process of its own."""
    print("\nAPCNN on 400 x 200, growth of the peak in one training step, MB\n")
    print("| batch | plain | ours | bf16 |\n| ---: | ---: | ---: | ---: |")
    for batch in batches:
        command = [sys.executable, __file__, "memory", "--threads", str(torch.get_num_threads()), "--peak"]
        grown = [
            float(subprocess.run([*command, way, str(batch)], check=True, capture_output=True, text=True).stdout)
            for way in ("plain", "ours", "bf16")
        ]
        print(f"| {batch} | {' | '.join(f'{mb:,.0f}' for mb in grown)} |", flush=True)


def main() -> None:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="+", choices=["size", "speech", "training", "memory"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 16, 32, 64], help="of the memory table")
    parser.add_argument("--peak", nargs=2, metavar=("WAY", "BATCH"), help=argparse.SUPPRESS)  # of one process
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    if options.peak is not None:
        print(peak_growth_mb(options.peak[0], int(options.peak[1])))
        return
    started = time.time()
    print(f"torch {torch.__version__}")
    if "size" in options.tables:
        size_table(options.networks)
    if "speech" in options.tables:
        speech_table(options.rounds)
    if "training" in options.tables:
        training_table(options.networks, options.rounds)
    if "memory" in options.tables:
        memory_table(options.batches)
    print(f"\n{time.time() - started:.0f} s")


if __name__ == "__main__":
    main()
