"""`serenade bench`: how quick a model is on this machine."""

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serenade.app.console import say
from serenade.core.errors import UsageError

if TYPE_CHECKING:
    from serenade.inference.recognizer import Recognizer

__all__ = ["bench"]


def bench(
    model: Annotated[
        str, typer.Argument(metavar="NAME|FOLDER|FILE.onnx", help="A shipped model, a model folder, or an export.")
    ] = "glam-emodb",
    recording: Annotated[
        Path | None, typer.Option("--recording", metavar="FILE", help="What to work on; synthetic voices if not given.")
    ] = None,
    minutes: Annotated[float, typer.Option("--minutes", min=0.2, help="Length of the synthetic recording.")] = 10.0,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Up to so many; all if not given.")] = None,
    detector: Annotated[str, typer.Option("--detector", help="auto, silero, webrtc, energy or none.")] = "auto",
    window: Annotated[float, typer.Option("--window", metavar="SECONDS", help="Of a live row.")] = 2.0,
    hop: Annotated[float, typer.Option("--hop", metavar="SECONDS", help="Of live rows.")] = 0.5,
) -> None:
    """Measure a model here: times real time at 1 to n threads, delay of live rows, memory.

    "cpu" counts the processor's time and holds on a busy machine too; "wall" is the clock.

    Example: serenade bench glam-emodb --detector webrtc
    """
    from serenade.app.loading import load_recognizer
    from serenade.core.devices import cpu_budget
    from serenade.core.settings import make_settings
    from serenade.inference.bench import bench_file, bench_live, resident_mb
    from serenade.inference.division import TimelineSettings
    from serenade.signal.audio import SAMPLE_RATE, stream_audio

    settings = make_settings(TimelineSettings, {"detector": detector}, where="the options")
    began = time.perf_counter()
    recognizer, _ = load_recognizer(model, "cpu", None, 1)
    first_s = _first_answer(recognizer, began)
    print(f"{model}: loaded and first answer after {first_s:.2f} s (torch's import not counted)")
    with tempfile.TemporaryDirectory(prefix="serenade-bench-") as folder:
        path = recording if recording is not None else _synthesise(Path(folder), minutes)
        length = sum(len(block) for block in stream_audio(path)) / SAMPLE_RATE
        print(f"{path.name}: {length / 60:.1f} min, detector {detector}; before: {resident_mb() or 0:.0f} MB")
        print(f"{'threads':>7}  {'x real time, cpu':>16}  {'wall':>6}  {'rows':>6}  {'memory, MB':>10}")
        for count in range(1, (cpu_budget() if threads is None else threads) + 1):
            row = bench_file(recognizer, path, length, settings, count)
            memory = "-" if row.memory_mb is None else f"{row.memory_mb:.0f}"
            print(f"{row.threads:7d}  {row.cpu:16.0f}  {row.wall:6.0f}  {row.rows:6d}  {memory:>10}")
        heard = next(stream_audio(path, block_s=30.0)).numpy()
    if len(heard) < (window + hop) * SAMPLE_RATE:
        raise UsageError("the recording is too short for live rows", found=f"{length:.1f} s")
    delay = bench_live(recognizer, heard, window_s=window, hop_s=hop, detector=detector)
    print(
        f"live, a row of {window:g} s every {hop:g} s: computed in {delay.median_ms:.0f} ms (median), "
        f"{delay.p95_ms:.0f} ms (95 %), {delay.worst_ms:.0f} ms (worst); {100 * delay.load:.1f} % of a processor"
    )


def _synthesise(folder: Path, minutes: float) -> Path:
    from serenade.corpora.synthetic import long_recording

    say(f"Making {minutes:g} min of synthetic voices ...")
    path = folder / "voices.wav"
    long_recording(path, 60 * minutes)
    return path


def _first_answer(recognizer: "Recognizer", began: float) -> float:
    import numpy as np

    recognizer(0.1 * np.random.default_rng(0).standard_normal(48_000), 16_000)
    return time.perf_counter() - began
