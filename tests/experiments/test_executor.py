"""Jobs at once: results, failures beside successes, and no worker left when the parent dies."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from serenade.core.errors import SerenadeError, TrainingError
from serenade.experiments.executor import run_all


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


def sleep(seconds: float) -> None:
    time.sleep(seconds)


SLEEPERS = """
from serenade.experiments.executor import run_all
from tests.experiments.test_executor import sleep
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
