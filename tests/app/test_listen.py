"""`serenade listen`: live rows are those of the recording."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serenade.app.main import main

RATE = 16_000


@pytest.fixture
def samples() -> np.ndarray:
    swell = 0.1 + 0.05 * np.sin(np.arange(5 * RATE) / RATE * 3)
    return np.round(swell * np.random.default_rng(0).uniform(-1, 1, 5 * RATE) * 32768).astype(np.int16)


def rows_of(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("source", ["-", "file"])
def test_live_rows_are_those_of_the_recording(
    source: str,
    samples: np.ndarray,
    model_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if source == "file":
        pytest.importorskip("av")
    soundfile.write(tmp_path / "a.wav", samples, RATE)
    options = ["--model", model_folder, "--window", 1.9, "--hop", 0.7, "--set", "detector=none"]
    assert main(["timeline", str(tmp_path / "a.wav"), *map(str, options), "-f", "jsonl", "--threads", "1"]) == 0
    expected = rows_of(capsys.readouterr().out)
    piped = io.TextIOWrapper(io.BytesIO(samples.tobytes()))
    monkeypatch.setattr(sys, "stdin", piped)
    named = "-" if source == "-" else str(tmp_path / "a.wav")
    out = tmp_path / "live.vtt"
    assert main(["listen", named, *map(str, options), "-f", "jsonl", "--out", str(out)]) == 0
    shown = capsys.readouterr()
    found = rows_of(shown.out)
    assert len(found) == len(expected) > 4
    for a, b in zip(found, expected, strict=True):
        assert (a["start"], a["end"], a["label"]) == (b["start"], b["end"], b["label"])
        assert a["scores"] == pytest.approx(b["scores"], abs=2e-5)
    assert "5 s heard" in shown.err
    assert out.read_text().count("-->") == len(found)


def test_bars_and_an_end(
    samples: np.ndarray, model_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(samples.tobytes())))
    arguments = ["--set", "detector=none", "--seconds", "3", "--set", "uncertain_below=1"]
    assert main(["listen", "-", "--model", str(model_folder), *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 3
    assert lines[0].split()[:2] == ["0:02.0", "uncertain"]
    assert "?)" in lines[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--pcm", "u8"], "no such kind of raw samples"),
        (["--format", "eaf"], "bars, jsonl or csv"),
        (["--out", "live.html"], "one file of data"),
    ],
)
def test_what_is_off(arguments: list[str], said: str, model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["listen", "-", "--model", str(model_folder), *arguments]) == 2
    assert said in capsys.readouterr().err
