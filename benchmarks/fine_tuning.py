"""Peak memory and time of a fine-tuning step of a base-size upstream with drawn weights.

    python benchmarks/fine_tuning.py --batch 4 --seconds 5

The peak is that of the whole process (`ru_maxrss`) after three steps: interpreter, libraries, weights, gradients, both
moments of Adam, activations. Each case is a process of its own.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CASES = {
    "as the preset": [],
    "no checkpointing": ["fine_tuning.gradient_checkpointing=false"],
    "convolutions move": ["fine_tuning.freeze_convolutions=false"],
    "bfloat16": ["training.precision=bfloat16"],
    "parts of two": ["training.micro_batch_size=2"],
}
STEPS = 3


def write_base(folder: Path) -> None:
    """wav2vec 2.0 base with drawn weights."""
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    Wav2Vec2Model(Wav2Vec2Config()).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)


def measure(upstream: str, batch: int, seconds: float, changes: list[str]) -> None:
    """Do some steps in this process and print peak memory in GiB, seconds a step, and parameters."""
    import torch

    from serenade.core.labels import LabelSet
    from serenade.core.records import Utterance
    from serenade.systems import make_system, system_settings
    from serenade.training.batches import batches
    from serenade.training.steps import Steps
    from serenade.training.system import Example

    whole = [f"branches.speech.upstream={upstream}", f"training.batch_size={batch}", *changes]
    if not any("micro" in change for change in changes):
        whole.append(f"training.micro_batch_size={batch}")
    settings = system_settings("ssl-finetune", {}, whole)
    system = make_system("upstream_downstream", settings.model_dump(), LabelSet(("a", "b", "c", "d")))
    waveforms = [torch.randn(round(16000 * seconds)) for _ in range(batch)]
    items = [
        Example(Utterance(str(n), Path(), "noise", "s", None), system.extract(waveform, training=True), n % 4)
        for n, waveform in enumerate(waveforms)
    ]
    steps, generator = Steps(system, settings.training, torch.device("cpu")), torch.Generator()
    system.network.train()
    size = settings.training.micro_batch_size
    spent = []
    for _ in range(STEPS):
        began = time.perf_counter()
        chunks = batches(system.training_items(items, generator), size, range(batch))
        steps.step([(system.collate(chunk), len(chunk) / batch) for chunk in chunks], generator)
        spent.append(time.perf_counter() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    numbers = sum(parameter.numel() for parameter in system.network.parameters())
    print(f"{peak:.2f} {min(spent):.1f} {numbers}")


def main() -> None:
    """Measure all cases, or one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--cases", nargs="*", choices=CASES, default=list(CASES))
    parser.add_argument("--one", nargs="*", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one is not None:
        measure(asked.one[0], asked.batch, asked.seconds, asked.one[1:])
        return
    with tempfile.TemporaryDirectory() as folder:
        write_base(Path(folder))
        print(f"{'case':20} {'peak GiB':>8} {'s a step':>8}   batch {asked.batch} x {asked.seconds:g} s")
        for name in asked.cases:
            command = [sys.executable, __file__, "--batch", str(asked.batch), "--seconds", str(asked.seconds)]
            done = subprocess.run([*command, "--one", folder, *CASES[name]], check=True, capture_output=True, text=True)
            peak, spent, numbers = done.stdout.split()
            print(f"{name:20} {peak:>8} {spent:>8}   {int(numbers):,} parameters", flush=True)


if __name__ == "__main__":
    main()
