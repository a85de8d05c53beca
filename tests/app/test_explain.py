"""serenade explain: what it writes, and what it refuses before the work."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serenade.app.main import main


@pytest.fixture
def talk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    samples = 0.1 * np.random.default_rng(0).uniform(-1, 1, 40_000)
    soundfile.write("talk.wav", samples, 16_000)
    return Path("talk.wav")


def test_page_is_written_beside_nothing(talk: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["explain", str(talk), "--model", str(model_folder), "--method", "attention"]
    assert main(call) == 0
    shown = capsys.readouterr()
    assert shown.out.count("%") == 4
    assert shown.out.count("<- explained") == 1
    assert "Explanation: talk-explained.html" in shown.err
    source = Path("talk-explained.html").read_text(encoding="utf-8")
    assert "data:audio/mpeg;base64," in source
    assert main(call) == 2
    assert "exists already" in capsys.readouterr().err
    assert main([*call, "--overwrite", "--no-audio", "-q"]) == 0
    assert "<audio" not in Path("talk-explained.html").read_text(encoding="utf-8")


def test_folder_gets_everything(talk: Path, model_folder: Path) -> None:
    pytest.importorskip("PIL")
    call = ["explain", str(talk), "--model", str(model_folder), "--method", "attention", "--out", "why", "-q"]
    assert main([*call, "--class", "wut"]) == 0
    names = {path.name for path in Path("why").iterdir()}
    assert {"page.html", "figure.svg", "figure.png", "maps.npz", "explanation.json", "gate-time.png"} <= names
    told = json.loads(Path("why/explanation.json").read_text(encoding="utf-8"))
    assert told["target"] == "angry"
    assert sum(told["prediction"]["scores"].values()) == pytest.approx(1)
    with np.load("why/maps.npz") as numbers:
        assert {each["name"] for each in told["maps"]} | {"features"} == set(numbers.files)
        assert numbers["features"].shape == numbers["gate-time"].shape


def test_figures_are_written_by_their_suffix(talk: Path, model_folder: Path) -> None:
    pytest.importorskip("PIL")
    call = ["explain", str(talk), "-m", str(model_folder), "--method", "attention", "-q", "--start", "0.5", "--out"]
    assert main([*call, "why.svg"]) == 0
    assert Path("why.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert main([*call, "why.png"]) == 0
    assert Path("why.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--out", "why.pdf"], 2, "Expected: .html, .svg, .png, or a folder"),
        (["--class", "angr"], 2, "Did you mean 'angry'?"),
        (["--method", "atention"], 2, "Did you mean 'attention'?"),
        (["--start", "2", "--end", "1"], 2, "the stretch is empty"),
        (["--start", "100"], 1, "the span does not lie in the recording"),
        (["--model", "nowhere"], 1, "there is no such model"),
    ],
)
def test_bad_calls_are_explained(
    talk: Path, model_folder: Path, arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = [] if "--model" in arguments else ["--model", str(model_folder)]
    assert main(["explain", str(talk), *model, *arguments]) == code
    assert message in capsys.readouterr().err
    assert not Path("talk-explained.html").exists()


def test_missing_and_silent_recordings_fail_as_in_predict(
    talk: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    soundfile.write("silent.wav", np.zeros(16_000), 16_000)
    told = []
    for command in ("predict", "explain"):
        assert main([command, "silent.wav", "--model", str(model_folder), "-q"]) == 1
        told.append(capsys.readouterr().err)
    assert told[0] == told[1]
    assert main(["explain", "nowhere.wav", "--model", str(model_folder)]) == 1
    assert "there is no such recording: nowhere.wav" in capsys.readouterr().err
