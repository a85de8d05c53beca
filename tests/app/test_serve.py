"""`serenade serve` as a command: it tells where it is, answers, and ends when it is told to."""

import signal
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import pytest

from serenade.app.main import main
from serenade.core.settings import make_settings

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("prometheus_client", reason="needs the extra serve")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_service_tells_its_address_and_ends_when_told(model_folder: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "serenade.app", "serve", "--port", "0", "--model", str(model_folder)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        address = process.stderr.readline().split()[-1]
        with urllib.request.urlopen(f"{address}readyz", timeout=30) as answer:
            assert answer.read() == b"ready\n"
        process.send_signal(number)
        assert process.wait(60) == 0
        assert process.stderr.read() == ""


def test_settings_are_printed_as_a_file_that_is_read_again(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from serenade.service.settings import ServiceSettings

    assert main(["serve", "--port", "9", "--set", "max_upload_mb=3", "--show-settings"]) == 0
    text = capsys.readouterr().out
    settings = make_settings(ServiceSettings, tomllib.loads(text))
    assert (settings.port, settings.max_upload_mb) == (9, 3)
    assert settings == ServiceSettings(port=9, max_upload_mb=3)
    (tmp_path / "serve.toml").write_text(text)
    assert main(["serve", "--config", str(tmp_path / "serve.toml"), "--show-settings"]) == 0
    assert capsys.readouterr().out == text


def test_key_is_made_with_the_line_that_lets_it_in(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from serenade.service.gate import Keys

    assert main(["serve", "--new-key", "my-app"]) == 0
    key, line = (text.partition(": ")[2].strip() for text in capsys.readouterr().out.splitlines())
    (tmp_path / "keys").write_text(line)
    assert Keys(tmp_path / "keys").client(key, "somewhere") == "my-app"
    assert main(["serve", "--new-key", "my app\n"]) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "prot=1"], "port"),
        (["--port", "70000"], "port"),
        (["--host", "192.0.2.1"], "cannot listen there"),
        (["--keys", "nowhere"], "cannot be read"),
        (["--model", "glam-emodp"], "glam-emodb"),
    ],
)
def test_what_is_off_is_said_before_anything_is_served(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--port", "0", *arguments]) != 0
    assert said in capsys.readouterr().err
