"""How long ``serenade corpus check`` takes: on recordings, and on a large table whose recordings are not there.

    python benchmarks/corpus_check.py [--ravdess FOLDER] [--rows 100000]

Each check runs as its own process with an empty cache, then again with what the first run kept. Promised are less than
20 s for RAVDESS (1,440 recordings, 89 minutes) on two cores, and less than 5 s for 100,000 rows without recordings. CPU
time is that of the whole process, start included; it says more than wall time on a machine that is shared.

Memory does not grow with the rows: utterances, and why others are left out, lie in a temporary file, where they are
sorted, counted and compared. In memory are 8 bytes a row while the table is read and 20 while the score of each
speaker's most frequent class is computed, the speakers, classes and folders, and the leaks that are found. To look for
near-duplicates takes the fingerprints of the recordings that are there, and their records.

Last results (2026-11-21, two cores of an Intel Xeon, all else stopped; RAVDESS as measured before):

    check                                  CPU s  wall s     MiB  code
    RAVDESS, nothing kept                   14.7    12.1      72     0
    10,000 rows, no recordings               0.6     0.6      61     3
    10,000 rows, --no-audio                  0.6     0.6      60     0
    100,000 rows, no recordings              3.0     3.0      67     3
    100,000 rows, --no-audio                 3.5     3.5      62     0

Held as records, as it was before, the same 100,000 rows took 204 MiB without recordings, and 219 MiB with --no-audio.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")


def write_table(folder: Path, rows: int) -> Path:
    """A manifest of 500 speakers in three parts; one recording is there, or the table would be refused at once."""
    import numpy as np
    import soundfile

    lines = ["file,speaker,gender,emotion,text,split"]
    for row in range(rows):
        speaker = row % 500
        emotion = ("angry", "happy", "neutral", "sad")[row % 4]
        cells = f"audio/{speaker:03d}/{row:06d}.wav,{speaker:03d},{'fm'[speaker % 2]},{emotion}"
        lines.append(f"{cells},Sentence number {row % 2000},{('train', 'dev', 'test')[speaker % 3]}")
    table = folder / "data.csv"
    table.write_text("\n".join(lines) + "\n")
    (folder / "audio" / "000").mkdir(parents=True)
    sound = np.random.default_rng(0).uniform(-0.1, 0.1, 32_000)
    soundfile.write(folder / "audio" / "000" / "000000.wav", sound, 16_000)
    return table


def measure(name: str, arguments: list[str], cache: Path) -> None:
    """Run a check and print what it cost."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [
        sys.executable,
        "-c",
        "from serenade.app.main import main; raise SystemExit(main())",
        "corpus",
        "check",
        *arguments,
        "--quiet",
    ]
    # the peak of one child only: each runs under a shell of its own that reports it
    probe = (
        "import json, resource, subprocess, sys\n"
        "code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode\n"
        "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, *command],
        env={**os.environ, "SERENADE_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    code, kilobytes = map(int, done.stdout.split())
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{name:36}{cpu:>8.1f}{wall:>8.1f}{kilobytes / 1024:>8.0f}{code:>6}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ravdess", type=Path, help="its folder")
    parser.add_argument("--rows", type=int, default=100_000)
    arguments = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}\n{'check':36}{'CPU s':>8}{'wall s':>8}{'MiB':>8}{'code':>6}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if arguments.ravdess is not None:
            for name in ("RAVDESS, nothing kept", "RAVDESS, again"):
                measure(name, ["ravdess", str(arguments.ravdess)], folder / "cache")
        for rows in (arguments.rows // 10, arguments.rows):
            place = folder / str(rows)
            place.mkdir()
            table = write_table(place, rows)
            measure(f"{rows:,} rows, no recordings", ["table", str(table)], folder / f"cache-{rows}")
            measure(f"{rows:,} rows, --no-audio", ["table", str(table), "--no-audio"], folder / f"cache-{rows}")


if __name__ == "__main__":
    main()
