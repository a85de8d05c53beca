"""A BLSTM over padded sequences, forward and backward, against PyTorch's packed sequences: processor time.

    python benchmarks/blstm.py --threads 1

16 sequences of 25 to 76 steps of 640 values, 128 units for each direction: what the emotion head of MTL-AUG gets. Both
ways take turns; shown are medians of each way and of the ratio in a round. On one thread of an Intel Xeon with AMX:
bfloat16 0.38, float32 0.77 of the time of packed sequences.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from serenade.nn.recurrent import PackedBlstm

BATCH, STEPS, WIDTH, UNITS = 16, 76, 640, 128
ROUNDS = 15


def packed(blstm: PackedBlstm, steps: Tensor, lengths: Tensor) -> Tensor:
    """The plain way."""
    sequences = pack_padded_sequence(steps, lengths, batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(blstm.lstm(sequences)[0], batch_first=True, total_length=steps.shape[1])[0]


def spent_ms(way: Callable[[PackedBlstm, Tensor, Tensor], Tensor], *inputs: object, half: bool) -> float:
    """Processor time of one pass forward and backward."""
    start = time.process_time()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        states = way(*inputs)  # type: ignore[arg-type]
    states.float().square().sum().backward()  # type: ignore[no-untyped-call]
    return 1000 * (time.process_time() - start)


def main() -> None:
    """Print a row for each precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    torch.manual_seed(0)
    blstm, steps = PackedBlstm(WIDTH, UNITS), torch.randn(BATCH, STEPS, WIDTH, requires_grad=True)
    lengths = torch.randint(STEPS // 3, STEPS + 1, (BATCH,))
    for name, half in (("float32", False), ("bfloat16", True)):
        rounds = [
            [spent_ms(way, blstm, steps, lengths, half=half) for way in (packed, PackedBlstm.__call__)]
            for _ in range(ROUNDS + 2)
        ][2:]
        plain, ours = (statistics.median(column) for column in zip(*rounds, strict=True))
        ratio = statistics.median(after / before for before, after in rounds)
        print(f"{name:10} packed {plain:6.1f} ms, without packing {ours:6.1f} ms, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
