"""A training step of the MTL-AUG family on one processor: seconds of processor time, and what goes before it.

    python benchmarks/mtl_aug_step.py

32 examples of 1.5 to 4 s, noise instead of speech; the least of several steps. On an Intel Xeon with AMX:

    preset                    step s   draw and collate s
    stl                         0.81                0.003
    stl, padding=batch          0.41                0.002
    mtl-aug                     1.53                0.004
    mtl-aug, padding=batch      0.80                0.003
    mtl-aug, bfloat16           0.60                0.004
    mtl-aug, both               0.37                0.004
"""

import time
from pathlib import Path

import torch

from serenade.core.labels import LabelSet
from serenade.core.records import Utterance
from serenade.systems import make_system, system_settings
from serenade.systems.mtl_aug import MtlAugSystem
from serenade.training.steps import Steps
from serenade.training.system import Example

LABELS = LabelSet(("angry", "happy", "neutral", "sad"))
STEPS = 5
ROWS = (
    ("stl", "stl", ()),
    ("stl, padding=batch", "stl", ("padding=batch",)),
    ("mtl-aug", "mtl-aug", ()),
    ("mtl-aug, padding=batch", "mtl-aug", ("padding=batch",)),
    ("mtl-aug, bfloat16", "mtl-aug", ("training.precision=bfloat16",)),
    ("mtl-aug, both", "mtl-aug", ("padding=batch", "training.precision=bfloat16")),
)


def examples_for(system: MtlAugSystem, count: int = 32) -> list[Example]:
    """Noise of 1.5 to 4 s."""
    generator = torch.Generator().manual_seed(0)
    examples = []
    for number in range(count):
        duration_s = 1.5 + 2.5 * float(torch.rand((), generator=generator))
        waveform = 0.1 * torch.randn(int(duration_s * 16_000), generator=generator)
        utterance = Utterance(f"u{number}", Path("x.wav"), "toy", "s", LABELS.names[number % 4])
        examples.append(Example(utterance, system.extract(waveform, training=True), number % 4))
    return examples


def measure(preset: str, overrides: tuple[str, ...]) -> tuple[float, float]:
    """Seconds of processor time of a step, and of drawing and putting together its batch."""
    torch.manual_seed(0)
    system = make_system("mtl_aug", system_settings(preset, {}, overrides).model_dump(), LABELS)
    assert isinstance(system, MtlAugSystem)
    examples = examples_for(system)
    system.fit_inputs(examples)
    system.network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload] # not in its stubs
    steps, generator = Steps(system, system.settings.training, torch.device("cpu")), torch.Generator().manual_seed(0)
    spent = []
    for _ in range(STEPS):
        began = time.process_time()
        batch = system.collate(system.training_items(examples, generator))
        drawn = time.process_time()
        steps.step([(batch, 1.0)], generator)
        spent.append((time.process_time() - drawn, drawn - began))
    step, before = zip(*spent, strict=True)
    return min(step), min(before)


def main() -> None:
    torch.set_num_threads(1)
    print(f"{'preset':24} {'step s':>7} {'draw and collate s':>20}")
    for name, preset, overrides in ROWS:
        step, before = measure(preset, overrides)
        print(f"{name:24} {step:7.2f} {before:20.3f}", flush=True)


if __name__ == "__main__":
    main()
