"""The examples of docs/prediction.md run as they stand, with an untrained model in the place of the shipped one."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serenade.app.main import main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "prediction.md"


@pytest.fixture(autouse=True)
def _recordings(tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    (shipped / "glam-emodb").symlink_to(model_folder)
    monkeypatch.setattr("serenade.inference.shipped._SHIPPED", shipped)
    generator = np.random.default_rng(0)
    for name in ("interview.wav", "meeting.wav", "recordings/a.wav", "more/interview.flac"):
        Path(name).parent.mkdir(exist_ok=True)
        soundfile.write(name, 0.1 * generator.uniform(-1, 1, 40_000), 16_000)
    Path("files.txt").write_text("interview.wav\nmeeting.wav\n")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_commands_work(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(lines) >= 6
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "serenade"
        assert main(arguments) == 0, line
    assert len(Path("timeline.csv").read_text().splitlines()) == 2


def test_the_python_works(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("python")
    exec(compile(code, str(PAGE), "exec"), {"__name__": "page"})
    shown = capsys.readouterr().out
    assert "failed: there is no such recording: lost.wav." in shown
    assert "interview.wav" in shown
