"""How many times faster than real time the front ends are on one core, and how exact.

    python benchmarks/features.py

Counted are seconds of audio that go through the module: 1.8 s segments cut from continuous audio, 256 to a batch. Each
front end runs several times and the best run counts: the machine may be shared. `plain` is MFCC as one would write it
first, by `torch.stft` over the whole batch; differences are the largest absolute ones to the same module in float64.

Last results (2026-11-20, torch 2.13.0, one core of an AMD EPYC with AVX-512, load 6, so wall time says nothing):

    front end                      by CPU time   largest difference
    mfcc, plain                          1,117              1.3e-04
    mfcc                                 3,453              1.3e-04
    mfcc, exportable                       298              1.3e-04
    log_mel                              5,621              1.5e-06
    log_mel, exportable                  1,458              1.9e-06
    filter_bank                          3,623              2.0e-05
    filter_bank, exportable                435              1.1e-05
    spectrogram                            341              1.7e-03
    spectrogram, exportable                121              4.5e-03
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import platform
import time
from collections.abc import Callable

import torch
from torch import Tensor

from serenade.signal.audio import SAMPLE_RATE
from serenade.signal.features import (
    FilterBankSettings,
    FrontEnd,
    LogMelSettings,
    MfccSettings,
    SpectrogramSettings,
    build_front_end,
)
from serenade.signal.segments import SegmentSettings, cut

RUNS = 5
BATCH = 256


def measure(work: Callable[[], object]) -> tuple[float, float]:
    """(CPU, wall) seconds of the best of several runs."""
    work()
    cpu, wall = float("inf"), float("inf")
    for _ in range(RUNS):
        cpu_start, wall_start = time.process_time(), time.perf_counter()
        work()
        wall = min(wall, time.perf_counter() - wall_start)
        cpu = min(cpu, time.process_time() - cpu_start)
    return cpu, wall


def plain_mfcc(front_end: FrontEnd) -> Callable[[Tensor], Tensor]:
    """MFCC over the whole batch by torch.stft, with the tables of the module."""
    filters, cosines, window = (front_end.get_buffer(name) for name in ("filters", "cosines", "spectrum.window"))

    def compute(waveforms: Tensor) -> Tensor:
        spectra = torch.stft(waveforms, 2048, 512, window=window, center=True, pad_mode="constant", return_complex=True)
        decibels = 10 * (filters @ spectra.abs().square()).clamp_min(1e-10).log10()
        return cosines @ torch.maximum(decibels, decibels.amax(dim=(1, 2), keepdim=True) - 80)

    return compute


def in_float64(front_end: FrontEnd, waveforms: Tensor) -> Tensor:
    """The same features in float64, in one pass."""
    return front_end.double().features(waveforms.double())


def main() -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    settings = SegmentSettings(length_s=1.8, overlap_s=0.0)
    noise = 0.1 * torch.randn(BATCH * settings.length, generator=generator)
    swell = torch.sin(torch.arange(len(noise)) / SAMPLE_RATE).abs() + 0.01
    waveforms = cut(noise * swell, settings)
    seconds = waveforms.numel() / SAMPLE_RATE
    machine = platform.processor() or platform.machine()
    print(f"torch {torch.__version__}, one thread of {machine}, load {os.getloadavg()[0]:.1f}")
    print(f"{BATCH} segments of 1.8 s; x real time per core\n")
    print(f"{'front end':28}{'by CPU time':>14}{'by wall time':>14}{'largest difference':>22}")

    def row(name: str, compute: Callable[[Tensor], Tensor], expected: Tensor) -> None:
        with torch.inference_mode():
            cpu, wall = measure(lambda: compute(waveforms))
            difference = float((compute(waveforms[:8]).double() - expected).abs().max())
        print(f"{name:28}{seconds / cpu:>14,.0f}{seconds / wall:>14,.0f}{difference:>22.1e}", flush=True)

    for kind in (MfccSettings(), LogMelSettings(), FilterBankSettings(), SpectrogramSettings()):
        expected = in_float64(build_front_end(kind), waveforms[:8])
        if isinstance(kind, MfccSettings):
            row("mfcc, plain", plain_mfcc(build_front_end(kind)), expected)
        row(kind.kind, build_front_end(kind), expected)
        row(f"{kind.kind}, exportable", build_front_end(kind, exportable=True), expected)


if __name__ == "__main__":
    main()
