"""How many times faster than real time each augmentation is on one core, and the memory it takes beside the sound.

    python benchmarks/augmentation.py

Eight waveforms of 4 s of bursts and pauses go through a chain of the one step, drawn anew each time; noise and room are
the computed ones. Each step runs several times and the best run counts: the machine may be shared. Memory is how far a
single waveform of ten minutes (38.4 MB) lets the process grow at most, its result included.

Last results (2026-11-21, torch 2.13.0, one core of an AMD EPYC with AVX-512, load 10):

    step            x real time, CPU   MB for 10 min
    speed                      5,738              35
    pitch                        416             198
    gain                      50,148              38
    shift                     39,235              38
    noise                        343             538
    reverb                       890             192
    band                       1,306              77
    telephone                  1,399             273
    opus                         112             631
    mp3                          160             149
    spec_augment               1,690             615
    mixup                     23,744             115
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import platform
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import torch
from torch import Generator, Tensor

from serenade.signal.audio import SAMPLE_RATE
from serenade.signal.augmentation import AUGMENTATIONS
from serenade.signal.augmentation.chain import AugmentationChain, AugmentationSettings

RUNS = 5
ROWS, SECONDS, LONG_SECONDS = 8, 4, 600


def bursts(seconds: float) -> Tensor:
    time_s = torch.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    noise = torch.randn(len(time_s), generator=Generator().manual_seed(0))
    return 0.1 * noise * ((time_s * 3 % 1) < 0.6)


def chain_of(step: str) -> AugmentationChain:
    return AugmentationChain(AugmentationSettings.model_validate(step))


def times_real_time(step: str) -> float:
    chain, batch = chain_of(step), bursts(SECONDS).expand(ROWS, -1)
    generator, best = Generator().manual_seed(0), float("inf")
    chain(batch, generator)
    for _ in range(RUNS):
        started = time.process_time()
        chain(batch, generator)
        best = min(best, time.process_time() - started)
    return ROWS * SECONDS / best


def print_growth(step: str) -> None:
    """MB by which this process grows at most while one long waveform is changed (Linux)."""
    chain, short, generator = chain_of(step), bursts(SECONDS)[None], Generator().manual_seed(0)
    rows = 2 if step == "mixup" else 1
    chain(short.repeat(rows, 1), generator)
    long = bursts(LONG_SECONDS)[None].repeat(rows, 1)
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = psutil.Process().memory_info().rss
    chain.augment(0, list(long), generator)
    status = Path("/proc/self/status").read_text()
    print((int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) * 1024 - before) / 1e6)


def growth(step: str) -> float:
    done = subprocess.run([sys.executable, __file__, step], check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    torch.set_num_threads(1)
    if len(sys.argv) > 1:
        print_growth(sys.argv[1])
        return
    print(f"torch {torch.__version__}, {platform.processor() or platform.machine()}, load {os.getloadavg()[0]:.0f}")
    print(f"{'step':<14}{'x real time, CPU':>18}{'MB for 10 min':>16}")
    for step in AUGMENTATIONS:
        print(f"{step:<14}{times_real_time(step):>18,.0f}{growth(step):>16,.0f}", flush=True)


if __name__ == "__main__":
    main()
