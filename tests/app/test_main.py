"""The frame of the command line: the table, help, versions, and what a user sees when something goes wrong."""

import errno
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
import typer

import serenade
from serenade.app import main as main_module
from serenade.app.console import Progress
from serenade.app.main import COMMANDS, main
from serenade.core.errors import PartialFailure, SerenadeError, UsageError
from serenade.core.names import NameTable


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., object]], None]:
    """Puts a function in the place of `serenade predict`."""

    def install(function: Callable[..., object]) -> None:
        table: NameTable[object] = NameTable("command", [("predict", "nowhere:at all")])
        monkeypatch.setattr(table, "resolve", lambda name: function)
        monkeypatch.setattr(main_module, "COMMANDS", table)

    return install


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f" {name} " in shown for name in COMMANDS)


def test_help_loads_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; from serenade.app.main import main; code = main(['--help']); "
        "sys.exit(code or bool({'torch', 'numpy', 'soundfile', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=False).returncode == 0


def test_every_command_resolves_and_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for name in COMMANDS:
        assert main([name, "--help"]) == 0
        assert "Usage: serenade " + name in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"serenade {serenade.__version__}\n"


def test_nothing_given_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "predict" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["predct"], "Did you mean 'predict'?"),
        (["predict", "--formt", "csv"], "Did you mean --format?"),
        (["--verson"], "Did you mean --version?"),
        (["predict", "--threads", "many", "x.wav"], "serenade predict --help"),
        (["models", "--debug", "a", "b"], "serenade models --help"),
    ],
)
def test_misspelt_calls_name_the_way_out(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (SerenadeError("it broke", where="x.wav", found="mud"), 1, "Error: it broke: x.wav. Found: mud."),
        (UsageError("not like this"), 2, "Error: not like this."),
        (PartialFailure("predicting", failures=[SerenadeError("no", where="y")], done=4), 3, "1 failed, 4 done"),
        (KeyboardInterrupt(), 130, "Interrupted; what was finished is kept."),
        (OSError(errno.ENOSPC, "No space left on device", "out.csv"), 1, "the disk is full: out.csv."),
        (MemoryError(), 1, "memory of this machine is used up"),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried"), 1, "memory of this machine is used up"),
        (ZeroDivisionError("division by zero"), 70, "a bug in Serenade"),
        (typer.Abort(), 1, "Stopped."),
    ],
)
def test_an_error_is_one_paragraph_with_its_exit_code(
    error: BaseException,
    code: int,
    said: str,
    command: Callable[[Callable[..., object]], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        raise error

    command(fail)
    assert main(["predict"]) == code
    shown = capsys.readouterr().err
    assert said in shown
    assert "Traceback" not in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize("place", [["--debug", "predict"], ["predict", "--debug"]])
def test_debug_shows_the_traceback(
    place: list[str], command: Callable[[Callable[..., object]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise SerenadeError("it broke")

    command(fail)
    assert main(place) == 1
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert shown.endswith("Error: it broke.\n")


def test_a_command_can_end_with_its_own_code(command: Callable[[Callable[..., object]], None]) -> None:
    def stop() -> None:
        raise typer.Exit(5)

    command(stop)
    assert main(["predict"]) == 5


def test_a_reader_that_leaves_is_no_error() -> None:
    code = (
        "from serenade.app import main as m\n"
        "def flood():\n"
        "    while True: print('x' * 1000)\n"
        "m.COMMANDS.resolve = lambda name: flood\n"
        "raise SystemExit(m.main(['predict']))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=30) == 141


def test_broken_pipe_to_another_process_is_told(
    command: Callable[[Callable[..., object]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def lose() -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    command(lose)
    assert main(["predict"]) == 70
    assert "Broken pipe" in capsys.readouterr().err


def test_ctrl_c_ends_with_130_and_one_line() -> None:
    code = (
        "from serenade.app import main as m\n"
        "def wait():\n"
        "    import time; print('ready', flush=True); time.sleep(60)\n"
        "m.COMMANDS.resolve = lambda name: wait\n"
        "raise SystemExit(m.main(['predict']))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b"Interrupted; what was finished is kept.\n"
        assert process.wait(timeout=30) == 130


@pytest.mark.slow
def test_help_takes_less_than_350_ms() -> None:
    def cpu_s() -> float:
        before = os.times()
        subprocess.run([sys.executable, "-m", "serenade.app", "--help"], stdout=subprocess.DEVNULL, check=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert min(cpu_s() for _ in range(3)) < 0.35


def test_progress_off_a_terminal_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with Progress("Walking", total=100, unit="steps") as progress:
        for _ in range(100):
            now += 1.0
            progress.advance()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Walking: 5 of 100 steps, 5 s spent, about 1:35 min left"
    assert lines[-1] == "Walking: 100 of 100 steps, 1:40 min spent"
    assert len(lines) < 8


def test_progress_can_be_quiet_and_never_writes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("Walking", quiet=True) as progress:
        progress.advance()
        progress.say("unheard")
    with Progress("Walking") as progress:
        progress.say("heard")
    assert capsys.readouterr() == ("", "heard\n")


def test_progress_on_a_terminal_is_a_bar_with_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress("Walking", unit="steps") as progress:
        progress.set_total(4)
        progress.advance(2, detail="[not markup]")
        progress.say("by the way")
    shown = terminal.getvalue()
    assert "by the way" in shown
    assert "2/4" in shown
    assert "[not markup]" in shown
