"""Shards: the rows of single calls, whatever dies on the way."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile
import torch

from serenade.core.errors import SerenadeError, UsageError
from serenade.core.records import Prediction
from serenade.inference import shards
from serenade.inference.recognizer import Recognizer
from serenade.inference.shards import Parts, Shard, Work, predict_in_shards

FILES = 11


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Noise of a second; the name of one is not UTF-8, one is broken."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "recordings"
    folder.mkdir()
    for number in range(FILES - 2):
        soundfile.write(folder / f"{number}.wav", 0.1 * generator.uniform(-1, 1, 16_000), 16_000)
    odd = os.fsdecode(os.fsencode(str(folder)) + b"/\xff.wav")
    Path(odd).write_bytes((folder / "0.wav").read_bytes())
    (folder / "broken.wav").write_bytes(b"RIFF of nothing")
    return [*(folder / f"{number}.wav" for number in range(FILES - 2)), Path(odd), folder / "broken.wav"]


def parts_of(out: Path, work: Work, *, resumed: bool = False) -> Parts:
    return Parts(out, work.identity(), resumed=resumed, overwrite=False)


def done(files: Iterable[Path], work: Work, parts: Parts, **options: Any) -> tuple[int, list[SerenadeError]]:
    """How many files, and what failed."""
    outcomes = list(predict_in_shards(files, work, parts, **{"workers": 1, "shard_files": 3, **options}))
    return sum(count for count, _ in outcomes), [error for _, errors in outcomes for error in errors]


def expected(files: Iterable[Path], model: Path) -> list[Prediction]:
    torch.set_num_threads(1)  # as shards have: more add in another order
    recognizer = Recognizer.load(model)
    return [recognizer(file) for file in files if file.name != "broken.wav"]


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_shards_say_what_single_calls_say_in_the_order_of_the_files(
    files: list[Path], model_folder: Path, tmp_path: Path, workers: int
) -> None:
    work = Work(str(model_folder))
    parts = parts_of(tmp_path / "out.csv", work)
    count, errors = done(files, work, parts, workers=workers)
    assert count == FILES
    assert [Path(str(error.where)).name for error in errors] == ["broken.wav"]
    assert list(parts.rows()) == expected(files, model_folder)


def test_a_continued_job_does_what_is_not_done(files: list[Path], model_folder: Path, tmp_path: Path) -> None:
    work, out = Work(str(model_folder)), tmp_path / "out.csv"
    done(files[:6], work, parts_of(out, work))
    parts = parts_of(out, work, resumed=True)
    finished = parts.finished()
    assert len(finished) == 6
    left = [file for file in files if str(file) not in finished]
    assert left == files[6:]
    assert done(left, work, parts)[0] == FILES - 6
    assert list(parts.rows()) == expected(files, model_folder)


def test_parts_of_other_work_are_not_continued(files: list[Path], model_folder: Path, tmp_path: Path) -> None:
    work, out = Work(str(model_folder)), tmp_path / "out.csv"
    done(files[:1], work, parts_of(out, work))
    with pytest.raises(UsageError, match="--resume"):
        parts_of(out, work)
    with pytest.raises(UsageError, match="another model or other windows"):
        parts_of(out, Work(str(model_folder), window_s=1.0), resumed=True)
    fresh = Parts(out, work.identity(), resumed=False, overwrite=True)
    assert len(fresh.finished()) == 0


def test_the_one_file_that_kills_a_process_is_found(
    files: list[Path], model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killer = str(files[4])

    def with_a_killer(function: Any, jobs: Iterable[Shard], **_: object) -> Iterator[tuple[Shard, Any]]:
        for shard in jobs:
            yield shard, SerenadeError("a worker process died") if killer in shard.files else function(shard)

    monkeypatch.setattr(shards, "run_all", with_a_killer)
    work = Work(str(model_folder))
    parts = parts_of(tmp_path / "out.csv", work)
    count, errors = done(files[:9], work, parts)
    assert count == 9
    assert [str(error.where) for error in errors] == [killer]
    assert list(parts.rows()) == expected([file for file in files[:9] if str(file) != killer], model_folder)


KILLED = """
import sys
from pathlib import Path
from serenade.inference.shards import Parts, Work, predict_in_shards
out, model, *files = sys.argv[1:]
work = Work(model)
for _ in predict_in_shards(map(Path, files), work, Parts(Path(out), work.identity(), resumed=False, overwrite=False),
                           workers=1, shard_files=1):
    print("kept", flush=True)
"""


def test_what_was_kept_before_a_kill_is_kept(files: list[Path], model_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    command = [sys.executable, "-c", KILLED, str(out), str(model_folder), *map(str, files[:8])]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    work = Work(str(model_folder))
    parts = parts_of(out, work, resumed=True)
    finished = parts.finished()
    assert 3 <= len(finished) <= 8
    done([file for file in files if str(file) not in finished], work, parts)
    assert list(parts.rows()) == expected(files, model_folder)


@pytest.mark.slow
def test_on_ray_nothing_is_lost_or_doubled_when_a_worker_is_killed(
    files: list[Path], model_folder: Path, tmp_path: Path
) -> None:
    ray = pytest.importorskip("ray")
    many = []
    for number in range(60):
        many.append(files[0].with_name(f"copy{number:02}.wav"))
        many[-1].write_bytes(files[number % 9].read_bytes())
    work = Work(str(model_folder))
    parts = parts_of(tmp_path / "out.csv", work)
    try:
        outcomes = predict_in_shards(many, work, parts, workers=2, engine="ray", shard_files=2)
        count = next(outcomes)[0]
        assert kill_a_worker()
        count += sum(done for done, _ in outcomes)
    finally:
        ray.shutdown()
    assert count == 60
    assert list(parts.rows()) == expected(many, model_folder)


def kill_a_worker() -> bool:
    """Kill a process of Ray that does a shard."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for process in psutil.process_iter(["cmdline"]):
            if (process.info["cmdline"] or [""])[0].startswith("ray::_attempt"):
                process.kill()
                return True
        time.sleep(0.02)
    return False
