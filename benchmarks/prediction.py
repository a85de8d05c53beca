"""How fast recordings are predicted, and in how much memory.

    python benchmarks/prediction.py [--folder RECORDINGS] [--hours 2] [--model NAME|FOLDER]

Prints, for several overlaps of the segments that are scored, seconds of audio per CPU second on one thread, decoding
included; then speed and memory on one long stereo recording at 44.1 kHz. Without --model the network is GLAM with drawn
weights: what it costs does not depend on them. Without --folder the recordings are noise.

To compare: openSMILE computes eGeMAPS at 56 x real time on one core.
"""

import argparse
import gc
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import torch

from serenade.core.errors import SerenadeError
from serenade.core.labels import LabelSet
from serenade.inference.files import find_recordings
from serenade.inference.recognizer import Recognizer
from serenade.inference.shipped import find_model
from serenade.systems import make_system
from serenade.training.checkpoints import read_checkpoint

OVERLAPS_S = (1.6, 1.4, 1.2, 0.9)
RATE = 44_100


def recognizer(model: str | None, overlap_s: float) -> Recognizer:
    """A recogniser that scores segments with an overlap."""
    if model is None:
        torch.manual_seed(0)
        labels = LabelSet(("angry", "bored", "fearful", "happy", "neutral", "sad"))
        return Recognizer(make_system("glam", {"evaluation_overlap_s": overlap_s}, labels))
    checkpoint = read_checkpoint(find_model(model))
    settings = {**checkpoint.settings, "evaluation_overlap_s": overlap_s}
    system = make_system(checkpoint.system, settings, checkpoint.labels)
    system.network.load_state_dict(dict(checkpoint.weights))
    return Recognizer(system)


def noise(seconds: float, channels: int, generator: np.random.Generator) -> np.ndarray:
    samples = 0.1 * generator.standard_normal((round(seconds * RATE), channels))
    return samples.clip(-1, 1).astype(np.float32)


def write_folder(folder: Path) -> None:
    generator = np.random.default_rng(0)
    for number in range(150):
        soundfile.write(folder / f"{number:03}.wav", noise(generator.uniform(1.5, 4.5), 1, generator), RATE)


def write_long(path: Path, hours: float) -> None:
    minute = noise(60, 2, np.random.default_rng(0))
    with soundfile.SoundFile(path, "w", RATE, 2, "PCM_16", format="RF64") as file:
        for _ in range(round(60 * hours)):
            file.write(minute)


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def time_folder(folder: Path, model: str | None) -> None:
    paths = [path for path in find_recordings([folder]) if isinstance(path, Path)]
    for overlap_s in OVERLAPS_S:
        tested = recognizer(model, overlap_s)
        list(tested.predict_files(paths[:4]))  # first-call work
        cpu, wall, audio_s = time.process_time(), time.perf_counter(), 0.0
        for result in tested.predict_files(paths):
            if isinstance(result, SerenadeError):
                raise result
            audio_s += result.end_s
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        print(
            f"{len(paths)} files, {audio_s:.0f} s of audio, overlap {overlap_s} s: "
            f"{audio_s / cpu:.0f} x real time per core (CPU), {audio_s / wall:.0f} x on the clock"
        )


def time_long(path: Path, model: str | None) -> None:
    tested = recognizer(model, 0.9)
    memory: list[float] = []

    def watched() -> Iterator[object]:
        for row in tested.predict_windows(path, window_s=60.0):
            memory.append(resident_mb())
            yield row

    cpu = time.process_time()
    minutes = sum(1 for _ in watched())
    cpu = time.process_time() - cpu
    tenth = max(1, len(memory) // 10)
    print(
        f"{minutes / 60:.1f} h in windows of 60 s: {60 * minutes / cpu:.0f} x real time per core (CPU); memory "
        f"{max(memory[:tenth]):.0f} MB in the first tenth, {max(memory[-tenth:]):.0f} MB in the last, "
        f"{max(memory):.0f} MB at most"
    )
    gc.collect()
    cpu, before = time.process_time(), resident_mb()
    whole = tested(path)
    cpu = time.process_time() - cpu
    print(
        f"{whole.end_s / 3600:.1f} h as a whole: {whole.end_s / cpu:.0f} x real time per core (CPU); memory "
        f"{before:.0f} MB before, {resident_mb():.0f} MB after"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="recordings to predict")
    parser.add_argument("--hours", type=float, default=2.0, help="length of the long recording; 0 leaves it out")
    parser.add_argument("--model", help="a shipped model or a model folder")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder
        if folder is None:
            folder = Path(temporary) / "folder"
            folder.mkdir()
            write_folder(folder)
        time_folder(folder, arguments.model)
        if arguments.hours:
            write_long(Path(temporary) / "long.rf64", arguments.hours)
            time_long(Path(temporary) / "long.rf64", arguments.model)


if __name__ == "__main__":
    main()
