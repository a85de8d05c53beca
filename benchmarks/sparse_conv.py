"""Sparse against dense convolution in the three blocks of MESM, and MESM against FE2E, on one processor.

    python benchmarks/sparse_conv.py

Random and compact masks of one density; the time of `gather_conv` as a share of the dense layer's, the least of several
passes, and the share of all pairs of cells that is active: where the two cross is the break-even of `nn.sparse_conv`.
Then the whole networks with first weights on noise, by p. Times are processor time.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from serenade.models.mesm import Fe2e, Frames, Mesm
from serenade.models.mesm_settings import MesmSettings
from serenade.nn.sparse_conv import Sites, gather_conv

BLOCKS = ((24, 64, 128), (12, 128, 256), (6, 256, 512))  # of the face: size of the map, channels before and after
DENSITIES = (0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 1.0)
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9, 1.0)


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


def networks(frames: int, passes: int) -> None:
    """Multiplications and times of MESM as shares of FE2E's, forward and with gradients."""
    torch.manual_seed(0)
    face = Frames(torch.randn(frames, 3, 48, 48), torch.tensor([frames]))
    audio = Frames(torch.rand(frames, 1, 128, 32), torch.tensor([frames]))
    inputs = {"text": torch.randn(1, 768), "face": face, "audio": audio}

    def costs(network: Fe2e | Mesm) -> tuple[float, ...]:
        count = sum(cost.multiply_adds for cost in network.eval().feature_costs(**inputs).values())
        with torch.inference_mode():
            forward = seconds(lambda: network(**inputs), (), passes, backward=False)
        network.train()
        learnt = tuple(p for name, p in network.named_parameters() if ".attention." not in name)
        return count, forward, seconds(lambda: network(**inputs), learnt, passes, backward=True)

    dense = costs(Fe2e(6))
    print(f"\n{frames} faces and {frames} pieces: FE2E {dense[1]:.2f} s, with gradients {dense[2]:.2f} s")
    print(f"{'p':>4} {'multiplications':>16} {'forward':>10} {'with gradients':>16}")
    for p in SHARES:
        count, forward, training = (a / b for a, b in zip(costs(Mesm(6, MesmSettings(top_p=p))), dense, strict=True))
        print(f"{p:4.1f} {count:16.2f} {forward:10.2f} {training:16.2f}", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--passes", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    networks(options.frames, options.passes)
    for size, channels, wider in BLOCKS:
        for compact in (False, True):
            print(f"\n{size}x{size}, {channels} to {wider}, {'compact' if compact else 'random'} masks")
            print(f"{'density':>7} {'pairs':>10} {'forward':>10} {'with gradients':>20}")
            for density in DENSITIES:
                mask = mask_of(options.frames, size, density, compact=compact)
                print(f"{density:7.1f} {row(size, channels, wider, mask, options.passes)}")


if __name__ == "__main__":
    main()
