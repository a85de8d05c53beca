"""What MESM costs beside FE2E at the published sizes: time by p, and the memory of a long clip.

    python benchmarks/mesm_cost.py --frames 6 --passes 3
    python benchmarks/mesm_cost.py --small --frames 40    # the sizes of fe2e-cpu and mesm-cpu
    python benchmarks/mesm_cost.py --small --frames 40 --parts   # what the time of the sparse part goes to
    python benchmarks/mesm_cost.py --memory

Times are of one processor, the least of several passes taken in turns, so that what else the machine does hits all
alike; first weights, noise, without the text encoder. "sparse part" is what the words can make smaller: attention and
the six convolutions above the low level. The memory is the peak of a process that scores, or takes one training step
on, a clip of 60 s: 120 faces and 150 pieces of sound, of which the step takes `most_frames` each.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from serenade.models.mesm import Fe2e, Frames, Mesm
from serenade.models.mesm_settings import Fe2eSettings, MesmSettings
from serenade.nn.cross_modal import select_cells
from serenade.nn.sparse_conv import Sites, max_pool_sites
from serenade.systems import system_settings

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
CLIP_FACES, CLIP_PIECES = 120, 150  # of 60 s
MOST_FRAMES = 32


def inputs(faces: int, pieces: int, text_dim: int = 768) -> dict[str, Any]:
    torch.manual_seed(0)
    return {
        "text": torch.randn(1, text_dim),
        "face": Frames(torch.randn(faces, 3, 48, 48), torch.tensor([faces])),
        "audio": Frames(torch.rand(pieces, 1, 128, 32), torch.tensor([pieces])),
    }


def upper(network: Any, given: dict[str, Any], low: dict[str, Tensor]) -> Tensor:
    """The sparse part of both branches, or what is dense in its place."""
    total = torch.zeros(())
    for name, maps in low.items():
        branch = network.branches[name]
        dense = isinstance(network, Fe2e)
        found = branch.upper(maps) if dense else branch.upper(maps, given["text"], given[name].utterances())[0]
        total = total + found.sum()
    return total


def taken(run: Callable[[], Tensor], *, backward: bool) -> float:
    began = time.process_time()
    out = run()
    if backward:
        out.sum().backward()  # type: ignore[no-untyped-call]
    return time.process_time() - began


def times(frames: int, passes: int, preset: str | None) -> None:
    sizes = Fe2eSettings(dropout=0)
    if preset is not None:
        sizes = system_settings(preset, {"network": {"dropout": 0.0}}).network  # type: ignore[attr-defined]
    given = inputs(frames, frames, sizes.text_dim)
    networks: dict[str, Any] = {"FE2E": Fe2e(6, sizes)}
    networks |= {f"{p:.1f}": Mesm(6, MesmSettings(top_p=p, shared=sizes)) for p in SHARES}
    least: dict[tuple[str, str], float] = {}
    flops = {}
    for number in range(passes + 1):
        for name, network in networks.items():
            network.eval()
            with torch.inference_mode():
                low = {part: network.branches[part].low_level(given[part].values) for part in ("face", "audio")}
                spent = {
                    "sparse part": taken(lambda n=network, m=low: upper(n, given, m), backward=False),  # type: ignore[misc]
                    "forward": taken(lambda n=network: n(**given), backward=False),  # type: ignore[misc]
                }
            flops[name] = sum(cost.flops for cost in network.feature_costs(**given).values())
            network.train()
            spent["training"] = taken(lambda n=network: n(**given), backward=True)  # type: ignore[misc]
            network.zero_grad(set_to_none=True)
            if number:  # the first pass warms up
                for kind, value in spent.items():
                    least[name, kind] = min(value, least.get((name, kind), value))
    print(f"{frames} faces and {frames} pieces of sound; FE2E = 1")
    print(f"{'p':>5}{'FLOPs':>8}{'sparse part':>13}{'forward':>9}{'training':>10}")
    for name in networks:
        shares = [least[name, kind] / least["FE2E", kind] for kind in ("sparse part", "forward", "training")]
        print(f"{name:>5}{flops[name] / flops['FE2E']:>8.2f}{shares[0]:>13.2f}{shares[1]:>9.2f}{shares[2]:>10.2f}")
    print("FE2E in seconds: " + ", ".join(f"{kind} {value:.2f}" for (n, kind), value in least.items() if n == "FE2E"))


def parts(frames: int, passes: int, preset: str | None) -> None:
    """Time of each step of the sparse part, forward, as a share of the dense network's, by p."""
    sizes = Fe2eSettings(dropout=0) if preset is None else system_settings(preset, {}).network  # type: ignore[attr-defined]
    given = inputs(frames, frames, sizes.text_dim)
    dense = Fe2e(6, sizes).eval()
    steps = ("attention", "choice", "convolutions", "pooling")
    print(f"{frames} faces and {frames} pieces of sound; the sparse part of FE2E = 1")
    print(f"{'p':>5}" + "".join(f"{name:>14}" for name in steps))
    with torch.inference_mode():
        low = {name: dense.branches[name].low_level(given[name].values) for name in ("face", "audio")}  # type: ignore[operator]
        for p in (0.1, 0.5, 0.9):
            network = Mesm(6, MesmSettings(top_p=p, shared=sizes)).eval()
            whole, least = float("inf"), dict.fromkeys(steps, float("inf"))
            for _ in range(passes + 1):
                whole = min(whole, taken(lambda: upper(dense, given, low), backward=False))
                for name, spent in steps_taken(network, given, low).items():
                    least[name] = min(least[name], spent)
            print(f"{p:>5}" + "".join(f"{least[name] / whole:>14.2f}" for name in steps), flush=True)


def steps_taken(network: Mesm, given: dict[str, Any], low: dict[str, Tensor]) -> dict[str, float]:
    """Processor time of one pass of the blocks of both branches, step by step."""
    spent = dict.fromkeys(("attention", "choice", "convolutions", "pooling"), 0.0)

    def clocked(name: str, run: Callable[[], Any]) -> Any:
        began = time.process_time()
        found = run()
        spent[name] += time.process_time() - began
        return found

    for name, maps in low.items():
        sites = Sites(torch.ones(len(maps), *maps.shape[2:], dtype=torch.bool))
        rows, utterances, text = sites.gather(maps), given[name].utterances(), given["text"]
        for block in network.branches[name].upper.blocks:  # type: ignore[union-attr, operator]
            logs = clocked("attention", partial(block.attention, rows, sites, text, utterances))
            rows, chosen = clocked("choice", partial(select_cells, rows, sites, logs, block.top_p))
            for conv, norm in ((block.first, block.first_norm), (block.second, block.second_norm)):
                rows = clocked("convolutions", lambda c=conv, n=norm, r=rows, s=chosen.kept: n(c(r, s)).relu())  # type: ignore[misc]
            rows, sites = clocked("pooling", partial(max_pool_sites, rows, chosen.kept))
    return spent


def peak(kind: str, work: str) -> None:
    """In a process of its own: the peak of one network at one job, in GB."""
    torch.set_num_threads(1)
    settings = Fe2eSettings()
    network = Fe2e(6, settings) if kind == "FE2E" else Mesm(6, MesmSettings(top_p=0.5))
    if work == "score":
        with torch.inference_mode():
            network.eval()(**inputs(CLIP_FACES, CLIP_PIECES))
    else:
        network.train()(**inputs(MOST_FRAMES, MOST_FRAMES)).sum().backward()
    told = Path("/proc/self/status").read_text(encoding="ascii")  # getrusage would tell the parent's peak if higher
    print(f"{int(told.partition('VmHWM:')[2].split()[0]) / 2**20:.2f}")


def memory() -> None:
    print(f"{'':<6}{'scoring 60 s':>14}{f'a step of {MOST_FRAMES} + {MOST_FRAMES}':>18}   GB, all of the process")
    for kind in ("FE2E", "MESM"):
        peaks = [
            subprocess.run([sys.executable, __file__, "--peak", kind, work], check=True, capture_output=True, text=True)
            for work in ("score", "step")
        ]
        print(f"{kind:<6}{peaks[0].stdout.strip():>14}{peaks[1].stdout.strip():>18}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--parts", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        peak(*options.peak)
    elif options.memory:
        memory()
    else:
        torch.set_num_threads(1)
        (parts if options.parts else times)(options.frames, options.passes, "fe2e-cpu" if options.small else None)


if __name__ == "__main__":
    main()
