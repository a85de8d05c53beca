"""What the extraction of an upstream of base size costs: every engine, 1 and 2 threads, clips of 5 s.

    python benchmarks/upstream_engines.py [--folder CHECKPOINT] [--threads 1 2] [--runs 8]
    python benchmarks/upstream_engines.py --ratios

The network has the sizes of wav2vec 2.0 base (94 M parameters) and drawn weights, which cost as much as trained ones;
a folder takes a real one. Each engine runs in a process of its own, several times; the quickest run counts, as the
machine may be shared. `wall` is seconds of sound per second, `CPU` per second of processor time of all threads: on a
busy machine only that says what one free processor would do. Frames are compared with those of torch in float32 (norm
of the difference by the norm, last layer), and memory is the most that the process held, weights included.

`--ratios` compares what engines take on a machine that is busy: all in one process on one thread, one after the other
in every round, so that what else runs disturbs all alike; a ratio is of processor time to float32's of the same round.

Last results (2026-11-21, torch 2.13.0, two cores of an Intel Xeon with AMX, nothing else at work):

    engine           threads    wall     CPU  frames differ by      memory
    float32                1     7.8     7.8           0.000 %    1147 MiB
    bfloat16               1    12.5    12.5           1.520 %    1152 MiB
    onnxruntime            1     7.1     7.1           0.000 %    1958 MiB
    openvino               1     9.1     9.1           0.000 %    1822 MiB
    openvino-bf16          1    27.7    27.7           0.912 %    1733 MiB
    float32                2    14.5     7.3           0.000 %    1143 MiB
    bfloat16               2    22.5    11.3           1.517 %    1147 MiB
    onnxruntime            2    13.5     7.2           0.000 %    1513 MiB
    openvino               2    17.2     8.8           0.000 %    1939 MiB
    openvino-bf16          2    47.8    24.6           0.912 %    1932 MiB
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from serenade.models.upstreams.engines import ENGINES, deviation, with_engine
from serenade.models.upstreams.upstream import Upstream
from serenade.systems.upstreams import named_upstream

CLIP_S = 5.0


def make_base(folder: Path) -> None:
    """A checkpoint of base size with drawn weights."""
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    torch.manual_seed(0)
    Wav2Vec2Model(Wav2Vec2Config()).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)


def measure(upstream: Upstream, engine: str, runs: int) -> dict[str, float]:
    """Speeds of one engine with the threads that torch has."""
    other = with_engine(upstream, next(name for name in ENGINES if name == engine))
    noise = torch.randn(round(CLIP_S * upstream.sample_rate), generator=torch.Generator().manual_seed(0))
    clip = upstream.prepare(noise, upstream.sample_rate)[None]
    lengths = torch.tensor([clip.shape[1]])
    wall, cpu = [], []
    with torch.inference_mode():
        other(clip, lengths)
        for _ in range(runs):
            began, spent = time.perf_counter(), time.process_time()
            other(clip, lengths)
            wall.append(time.perf_counter() - began)
            cpu.append(time.process_time() - spent)
    return {
        "wall": CLIP_S / min(wall),
        "cpu": CLIP_S / min(cpu),
        "deviation": deviation(upstream, other, CLIP_S),
        "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def compare(upstream: Upstream, engines: list[str], rounds: int) -> dict[str, list[float]]:
    """Of every engine, in every round, how many times less processor time than float32 it takes."""
    made = {name: with_engine(upstream, name) for name in ENGINES if name in {"float32", *engines}}
    noise = torch.randn(round(CLIP_S * upstream.sample_rate), generator=torch.Generator().manual_seed(0))
    clip = upstream.prepare(noise, upstream.sample_rate)[None]
    lengths = torch.tensor([clip.shape[1]])
    ratios: dict[str, list[float]] = {name: [] for name in made}
    with torch.inference_mode():
        for number in range(rounds + 1):
            spent = {}
            for name, engine in made.items():
                began = time.process_time()
                engine(clip, lengths)
                spent[name] = time.process_time() - began
            for name in made if number else ():  # the first round warms up
                ratios[name].append(spent["float32"] / spent[name])
    return ratios


def one(folder: str, engine: str, threads: int, runs: int) -> None:
    """What a child process does."""
    torch.set_num_threads(threads)
    print(json.dumps(measure(named_upstream(folder), engine, runs)))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--engines", nargs="+", default=list(ENGINES))
    parser.add_argument("--ratios", action="store_true", help="processor time against float32, round by round")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        one(chosen.one[0], chosen.one[1], int(chosen.one[2]), chosen.runs)
        return
    with tempfile.TemporaryDirectory() as made:
        folder = chosen.folder if chosen.folder is not None else Path(made)
        if chosen.folder is None:
            make_base(folder)
        print(f"torch {torch.__version__}, {platform.processor() or platform.machine()}, clips of {CLIP_S:g} s")
        if chosen.ratios:
            torch.set_num_threads(1)
            print(f"{'engine':<16}{'ratio':>8}{'least':>8}{'most':>8}")
            for name, found in compare(named_upstream(folder), chosen.engines, chosen.runs).items():
                print(f"{name:<16}{statistics.median(found):>8.2f}{min(found):>8.2f}{max(found):>8.2f}")
            return
        print(f"{'engine':<16}{'threads':>8}{'wall':>8}{'CPU':>8}{'frames differ by':>18}{'memory':>12}")
        for threads in chosen.threads:
            for engine in chosen.engines:
                words = [sys.executable, __file__, "--runs", str(chosen.runs), "--one", str(folder), engine]
                done = subprocess.run([*words, str(threads)], check=True, capture_output=True, text=True)
                got = json.loads(done.stdout.splitlines()[-1])
                print(
                    f"{engine:<16}{threads:>8}{got['wall']:>8.1f}{got['cpu']:>8.1f}"
                    f"{100 * got['deviation']:>16.3f} %{got['mib']:>8.0f} MiB",
                    flush=True,
                )


if __name__ == "__main__":
    main()
