"""How quickly `serenade pretrain` learns on one core: steps of the default network on pieces of drawn length.

    python benchmarks/pretraining_throughput.py

Counted is processor time, because the machine may be shared: the best of several rounds of whole steps (forward,
backward, optimiser), without reading, which is done ahead by another thread.

Last results (2026-11-21, torch 2.13.0, one core of a Xeon with AMX):

    float32    3,328,000 parameters    2273 frames/s    45 hours of speech per hour  peak 0.68 GiB
    bfloat16   3,328,000 parameters    5032 frames/s   101 hours of speech per hour  peak 0.68 GiB
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import resource
import time
from pathlib import Path

import torch

from serenade.models.upstreams.masked_mel import MaskedMelSettings, MaskedPredictor
from serenade.training.pretraining import Piece, PretrainingSettings, pretrain

ROUNDS = 3
STEPS = 8
FRAME_RATE = 50


def pieces(count: int, num_bands: int) -> list[Piece]:
    """Pieces of 3 to 5 s, as recordings cut into equal parts have."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(3 * FRAME_RATE, 5 * FRAME_RATE, (count,), generator=generator).tolist()
    return [
        Piece(torch.randn(n, 2 * num_bands, generator=generator), torch.randint(100, (n,), generator=generator))
        for n in lengths
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/pretraining-throughput"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    network = MaskedMelSettings()
    speech = pieces(64, network.num_bands)
    for precision in ("float32", "bfloat16"):
        settings = PretrainingSettings(steps=ROUNDS * STEPS, report_every=STEPS, precision=precision)
        predictor = MaskedPredictor(network, 100)
        key = f"{time.time()}"  # never taken up
        device = torch.device("cpu")
        log = pretrain(predictor, speech, [], settings, seed=0, device=device, folder=options.folder, key=key)
        frames = max(entry["frames"] / entry["cpu_seconds"] for entry in log[1:])
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        parameters = sum(p.numel() for p in predictor.encoder.parameters())
        print(
            f"{precision:9}  {parameters:,} parameters  {frames:6.0f} frames/s  {frames / FRAME_RATE:4.0f} hours of "
            f"speech per hour  peak {memory:.2f} GiB"
        )


if __name__ == "__main__":
    main()
