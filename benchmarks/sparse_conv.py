"""Sparse against dense convolution in the three blocks of MESM, forward and with gradients, on one processor.

    python benchmarks/sparse_conv.py

Random and compact masks of one density; the time of `gather_conv` as a share of the dense layer's, the least of several
passes, and the share of all pairs of cells that is active: where the two cross is the break-even of `nn.sparse_conv`.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from serenade.nn.sparse_conv import Sites, gather_conv

BLOCKS = ((24, 64, 128), (12, 128, 256), (6, 256, 512))  # of the face: size of the map, channels before and after
DENSITIES = (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 1.0)


def mask_of(frames: int, size: int, density: float, *, compact: bool) -> Tensor:
    """Cells drawn one by one, or a square at a random place."""
    generator = torch.Generator().manual_seed(0)
    if not compact:
        return torch.rand(frames, size, size, generator=generator) < density
    side = max(1, round(size * density**0.5))
    mask = torch.zeros(frames, size, size, dtype=torch.bool)
    for frame in mask:
        row, column = torch.randint(0, size - side + 1, (2,), generator=generator).tolist()
        frame[row : row + side, column : column + side] = True
    return mask


def seconds(run: Callable[[], Tensor], inputs: tuple[Tensor, ...], passes: int, *, backward: bool) -> float:
    """The least time of a pass."""
    spent = []
    for _ in range(passes + 1):
        start = time.process_time()
        out = run()
        if backward:
            torch.autograd.grad(out.sum(), inputs)
        spent.append(time.process_time() - start)
    return min(spent[1:])


def row(size: int, channels: int, wider: int, mask: Tensor, passes: int) -> str:
    """One line of the table."""
    sites = Sites(mask)
    rows = torch.randn(len(sites.places), channels, requires_grad=True)
    weight = torch.randn(9, channels, wider, requires_grad=True)
    maps = torch.randn(len(mask), channels, size, size, requires_grad=True)
    kernel = torch.randn(wider, channels, 3, 3, requires_grad=True)
    shares = []
    for backward in (False, True):
        sparse = seconds(partial(fresh_gather, rows, weight, mask), (rows, weight), passes, backward=backward)
        dense = seconds(partial(functional.conv2d, maps, kernel, padding=1), (maps, kernel), passes, backward=backward)
        shares.append(sparse / dense)
    pairs = sites.pairs / (9 * mask.numel())
    return f"{pairs:10.2f} {shares[0]:10.2f} {shares[1]:20.2f}"


def fresh_gather(rows: Tensor, weight: Tensor, mask: Tensor) -> Tensor:
    """With the rule book made anew, although two convolutions of a block share it."""
    return gather_conv(rows, weight, Sites(mask))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--passes", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for size, channels, wider in BLOCKS:
        for compact in (False, True):
            print(f"\n{size}x{size}, {channels} to {wider}, {'compact' if compact else 'random'} masks")
            print(f"{'density':>7} {'pairs':>10} {'forward':>10} {'with gradients':>20}")
            for density in DENSITIES:
                mask = mask_of(options.frames, size, density, compact=compact)
                print(f"{density:7.1f} {row(size, channels, wider, mask, options.passes)}")


if __name__ == "__main__":
    main()
