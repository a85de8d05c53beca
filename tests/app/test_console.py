"""Progress where there is no terminal: plain lines, few of them, and none that fails."""

import pytest

from serenade.app import console
from serenade.app.console import Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds; a test moves it."""
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    return now


def test_line_says_what_is_done_spent_and_left(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("Training", total=40, unit="epochs") as progress:
        clock[0] += 30
        progress.advance(10, detail="loss 0.5")
    assert capsys.readouterr().err == "Training: 10 of 40 epochs, 30 s spent, about 1:30 min left, loss 0.5\n"


@pytest.mark.parametrize(
    ("spent_s", "told"),
    [(59.4, "59 s"), (59.7, "1:00 min"), (119.7, "2:00 min"), (3599.8, "1:00 h"), (7379.0, "2:02 h")],
)
def test_times_are_those_of_a_clock(
    clock: list[float], capsys: pytest.CaptureFixture[str], spent_s: float, told: str
) -> None:
    with Progress("Training", unit="epochs") as progress:
        clock[0] += spent_s
        progress.advance()
    assert capsys.readouterr().err == f"Training: 1 epochs, {told} spent\n"


def test_before_the_first_step_nothing_is_said_of_the_time_left(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress("Training", total=40, unit="epochs") as progress:
        clock[0] += 30
        progress.advance(0)
    assert capsys.readouterr().err == "Training: 0 of 40 epochs, 30 s spent\n"


def test_the_last_step_is_said_once(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("Fetching", total=2, unit="MB") as progress:
        clock[0] += 30
        progress.advance(2)
        clock[0] += 90
        progress.advance(0)
    assert capsys.readouterr().err == "Fetching: 2 of 2 MB, 30 s spent\n"


def test_quiet_says_nothing_and_short_work_neither(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("Training", total=2, unit="epochs", quiet=True) as progress:
        clock[0] += 3000
        progress.advance(2)
    with Progress("Reading", total=2, unit="files") as progress:
        clock[0] += 0.1
        progress.advance(2)
    assert capsys.readouterr().err == ""
