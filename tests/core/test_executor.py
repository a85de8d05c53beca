"""Jobs at once: results, failures beside successes, and no worker left when the parent dies."""

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from serenade.core.errors import SerenadeError, TrainingError
from serenade.core.executor import run_all


def touch(path: Path) -> None:
    if path.name == "bad":
        raise TrainingError("this one cannot be done", where=path.name)
    if path.name == "dies":
        os._exit(9)
    path.touch()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failed_job_does_not_stop_the_others(tmp_path: Path, workers: int) -> None:
    jobs = [tmp_path / name for name in ("a", "bad", "b", "c")]
    outcomes = dict(run_all(touch, jobs, workers=workers))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]
    assert isinstance(outcomes.pop(tmp_path / "bad"), TrainingError)
    assert set(outcomes.values()) == {None}


def test_a_worker_that_dies_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    errors = [error for _, error in run_all(touch, [tmp_path / "dies", tmp_path / "dies"], workers=2)]
    assert all(isinstance(error, SerenadeError) and "fewer --workers" in str(error) for error in errors)


def square(path: Path) -> int:
    """The number that a path ends with, squared; the first to ask for 3 dies on the way."""
    number, mark = int(path.name), path.parent / "died"
    if number == 3 and not mark.exists():
        mark.touch()
        os._exit(9)
    with (path.parent / f"{number}.log").open("a") as log:
        log.write("done\n")
    return number * number


def test_work_beside_a_worker_that_died_is_done_and_given_once(tmp_path: Path) -> None:
    outcomes = list(run_all(square, (tmp_path / str(number) for number in range(12)), workers=2))
    assert sorted((int(path.name), result) for path, result in outcomes) == [(n, n * n) for n in range(12)]


def test_jobs_are_taken_as_they_are_needed(tmp_path: Path) -> None:
    taken = []

    def numbers() -> Iterator[Path]:
        for number in range(4, 1000):
            taken.append(number)
            yield tmp_path / str(number)

    with closing(run_all(square, numbers(), workers=2)) as running:
        next(running)
        assert len(taken) < 20


@pytest.mark.slow
def test_on_ray_nothing_is_lost_or_doubled_when_a_worker_is_killed(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    try:
        outcomes = list(run_all(square, (tmp_path / str(number) for number in range(12)), workers=2, engine="ray"))
    finally:
        ray.shutdown()
    assert (tmp_path / "died").exists()
    assert sorted((int(path.name), result) for path, result in outcomes) == [(n, n * n) for n in range(12)]


@pytest.mark.slow
def test_errors_come_back_from_ray_as_they_are(tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    try:
        outcomes = dict(run_all(touch, [tmp_path / "a", tmp_path / "bad"], workers=1, engine="ray"))
    finally:
        ray.shutdown()
    assert outcomes[tmp_path / "a"] is None
    assert isinstance(outcomes[tmp_path / "bad"], TrainingError)


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def test_processes_of_the_callers_program_outlive_an_interrupted_run() -> None:
    bystander = multiprocessing.get_context("spawn").Process(target=sleep, args=(600.0,))
    bystander.start()
    try:
        with closing(run_all(sleep, [0.0, 600.0], workers=2)) as running:
            next(running)
        assert multiprocessing.active_children() == [bystander]
        assert bystander.is_alive()
    finally:
        bystander.kill()
        bystander.join()


SLEEPERS = """
from serenade.core.executor import run_all
from tests.core.test_executor import sleep
if __name__ == "__main__":
    list(run_all(sleep, [60.0, 60.0], workers=2))
"""


def test_workers_end_when_the_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "sleepers.py"
    script.write_text(SLEEPERS)
    root = str(Path(__file__).resolve().parents[2])
    with subprocess.Popen([sys.executable, str(script)], env={**os.environ, "PYTHONPATH": root}) as parent:
        children = wait_for_children(parent.pid)
        parent.kill()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert len(children) >= 2
    assert not alive


def wait_for_children(pid: int) -> list[psutil.Process]:
    """The two workers (and the resource tracker), once the workers do their work."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        children = psutil.Process(pid).children()
        if len(children) >= 3 and all(child.num_threads() > 1 for child in children[1:]):
            time.sleep(1.0)
            return children
        time.sleep(0.2)
    raise AssertionError("the workers did not start")
