"""An hour of speech on one core: decoding, finding speech, recognising; beside openSMILE's features alone.

    python benchmarks/long_recordings.py
    python benchmarks/long_recordings.py --recording call.wav --detectors webrtc --hours 10
    python benchmarks/long_recordings.py --memory 10

"cpu" is times real time by the processor's count of this process, "wall" by the clock; on a machine that does other
things besides, only the first means something. Speech is synthetic unless a recording is named. With --memory only the
peak of `serenade timeline` is told, of ten minutes and of so many hours.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import soundfile
import torch

from serenade.corpora.synthetic import long_recording
from serenade.inference.bench import bench_file, bench_live, resident_mb
from serenade.inference.division import TimelineSettings
from serenade.inference.recognizer import Recognizer
from serenade.signal.audio import SAMPLE_RATE, stream_audio


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--model", default="glam-emodb")
    options.add_argument("--recording", type=Path)
    options.add_argument("--hours", type=float, default=1.0, help="of the synthetic recording")
    options.add_argument("--detectors", default="energy,webrtc,silero")
    options.add_argument("--smile-minutes", type=float, default=3.0, help="openSMILE works on so much of it; 0: not")
    options.add_argument("--memory", type=float, metavar="HOURS", help="tell the peak of memory alone")
    given = options.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if given.memory is not None:
            peaks(given.model, given.memory, Path(folder))
            return
        path = given.recording
        if path is None:
            path = Path(folder) / "voices.wav"
            long_recording(path, 3600 * given.hours)
        report(given.model, path, given.detectors.split(","), given.smile_minutes, Path(folder))


def report(model: str, path: Path, detectors: Sequence[str], smile_minutes: float, folder: Path) -> None:
    recognizer = Recognizer.load(model, device="cpu")
    recognizer(next(stream_audio(path, block_s=3.0)), SAMPLE_RATE)
    length = soundfile.info(path).duration
    print(f"{path.name}, {length / 3600:.2f} h; one thread; {resident_mb():.0f} MB before")
    for detector in detectors:
        settings = TimelineSettings(detector=detector)  # type: ignore[arg-type] # checked by the settings
        row = bench_file(recognizer, path, length, settings, 1)
        speed = f"{row.cpu:5.0f} x cpu, {row.wall:5.0f} x wall"
        print(f"turns, {detector:>6}: {speed}, {row.rows} rows, {row.memory_mb:.0f} MB")
        heard = next(stream_audio(path, block_s=30.0)).numpy()
        delay = bench_live(recognizer, heard, window_s=2.0, hop_s=0.5, detector=detector)
        print(
            f"live,  {detector:>6}: {delay.median_ms:.0f} ms median, {delay.p95_ms:.0f} ms 95 %, "
            f"{100 * delay.load:.1f} % of a core"
        )
    cold_start(model, path, folder)
    if smile_minutes:
        smile(path, 60 * smile_minutes)


_FOLLOWED = """
import sys
from pathlib import Path
from serenade.app.main import main
if __name__ == "__main__":
    assert main(sys.argv[1:]) == 0
    print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


def peaks(model: str, hours: float, folder: Path) -> None:
    """The most memory that `serenade timeline` takes for ten minutes and for hours of the same voices, into a CSV."""
    long_recording(folder / "part.wav", 300.0)
    samples, rate = soundfile.read(folder / "part.wav", dtype="int16")
    (folder / "follow.py").write_text(_FOLLOWED)
    for minutes in (10.0, 60 * hours):
        path = folder / "voices.wav"
        with soundfile.SoundFile(path, "w", rate, 1, "PCM_16") as file:
            for _ in range(round(minutes / 5)):
                file.write(samples)
        command = [sys.executable, folder / "follow.py", "timeline", path, "-m", model, "--set", "detector=webrtc"]
        options = ["--threads", "1", "-q", "--overwrite", "--out", folder / "rows.csv"]
        done = subprocess.run([*command, *options], check=True, capture_output=True, text=True)
        print(f"{minutes / 60:.2f} h: {int(done.stdout) // 1024} MB", flush=True)


def cold_start(model: str, path: Path, folder: Path) -> None:
    """From the start of the command to the first answer, in a fresh process; the best of three."""
    clip = folder / "clip.wav"
    samples, rate = soundfile.read(path, stop=3 * soundfile.info(path).samplerate)
    soundfile.write(clip, samples, rate)
    wall, cpu = [], []
    for _ in range(3):
        began, before = time.perf_counter(), os.times()
        command = [sys.executable, "-m", "serenade.app", "predict", str(clip), "-m", model, "-q", "--threads", "1"]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        after = os.times()
        wall.append(time.perf_counter() - began)
        cpu.append(after.children_user + after.children_system - before.children_user - before.children_system)
    print(f"cold start to the answer to a 3-s clip: {min(cpu):.2f} s cpu, {min(wall):.2f} s wall")


def smile(path: Path, seconds: float) -> None:
    """openSMILE's eGeMAPS functionals of windows of 3 s, without anything that predicts from them."""
    try:
        import opensmile
    except ImportError:
        print("openSMILE is not installed")
        return
    samples, rate = soundfile.read(path, stop=round(seconds * soundfile.info(path).samplerate), dtype="float32")
    extractor = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    extractor.process_signal(samples[: 3 * rate], rate)
    began, wall = time.process_time(), time.perf_counter()
    for start in range(0, len(samples) - 3 * rate + 1, 3 * rate):
        extractor.process_signal(samples[start : start + 3 * rate], rate)
    spent, passed = time.process_time() - began, time.perf_counter() - wall
    heard = len(samples) / rate
    print(f"openSMILE eGeMAPS, features alone: {heard / spent:.0f} x cpu, {heard / passed:.0f} x wall")


if __name__ == "__main__":
    main()
