"""How quick a model is here: times real time, latency of a live row, memory, by threads."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from serenade.inference.division import TimelineSettings
from serenade.inference.recognizer import Recognizer
from serenade.signal.audio import SAMPLE_RATE

__all__ = ["BenchRow", "LiveDelay", "bench_file", "bench_live", "resident_mb"]


@dataclass(frozen=True, slots=True)
class BenchRow:
    """One pass over a recording.

    Args:
        threads: that scored.
        wall: times real time by the clock.
        cpu: times real time by the processor's count, which holds on a busy machine too.
        rows: of the timeline.
        memory_mb: resident memory behind it; None where the system does not tell.
    """

    threads: int
    wall: float
    cpu: float
    rows: int
    memory_mb: float | None


@dataclass(frozen=True, slots=True)
class LiveDelay:
    """How long a live row takes from the last sample of its window to being told.

    Args:
        window_s: of a row.
        hop_s: from row to row.
        median_ms: half of the rows are quicker.
        p95_ms: 95 of 100 are.
        worst_ms: all are.
        load: share of one processor that a stream takes.
    """

    window_s: float
    hop_s: float
    median_ms: float
    p95_ms: float
    worst_ms: float
    load: float


def bench_file(
    recognizer: Recognizer, path: Path, duration_s: float, settings: TimelineSettings, threads: int
) -> BenchRow:
    """Follow a recording from its file, decoding and finding of speech included.

    Args:
        recognizer: the model.
        path: the recording.
        duration_s: its length.
        settings: of the timeline.
        threads: batches that are scored at the same time.
    """
    wall, cpu = time.perf_counter(), time.process_time()
    rows = sum(1 for _ in recognizer.timeline_rows(path, settings=settings, threads=threads))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return BenchRow(threads, duration_s / wall, duration_s / cpu, rows, resident_mb())


def bench_live(
    recognizer: Recognizer, samples: "np.typing.NDArray[np.float32]", *, window_s: float, hop_s: float, detector: str
) -> LiveDelay:
    """Give a stream its samples in chunks of 50 ms and take the time of those that bring a row.

    The delay is that of the computation; a chunk and a frame of the detector (up to 82 ms together) come before it,
    because a row cannot begin to be computed before its last sample is there.

    Args:
        recognizer: the model.
        samples: (T,) at 16 kHz.
        window_s: of a row.
        hop_s: from row to row.
        detector: what finds speech.
    """
    settings = TimelineSettings.model_validate(
        {"window_s": window_s, "hop_s": hop_s, "detector": detector, "least_speech": 0.0}
    )
    stream, chunk = recognizer.stream(settings), SAMPLE_RATE // 20
    delays, spent = [], time.process_time()
    for start in range(0, len(samples), chunk):
        began = time.perf_counter()
        if stream.add(samples[start : start + chunk]):
            delays.append(1000 * (time.perf_counter() - began))
    spent = time.process_time() - spent
    median, p95 = np.percentile(delays, (50, 95))
    load = spent / (len(samples) / SAMPLE_RATE)
    return LiveDelay(window_s, hop_s, float(median), float(p95), max(delays), load)


def resident_mb() -> float | None:
    """Memory of this process that is resident; None where the system does not tell."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024
