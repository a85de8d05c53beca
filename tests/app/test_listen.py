"""`serenade listen`: live rows are those of the recording."""

import io
import json
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from serenade.app.main import main
from serenade.core.errors import AudioError

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


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_end_that_is_asked_for_tells_the_last_turn_and_keeps_the_file(
    number: signal.Signals, samples: np.ndarray, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Talk(io.BytesIO):
        """Five seconds, then a silence in which the end is asked for."""

        def read(self, size: int | None = -1, /) -> bytes:
            if data := super().read(size):
                return data
            os.kill(os.getpid(), number)
            time.sleep(30)
            return b""

        read1 = read

    out = tmp_path / "live.csv"
    options = ["--model", str(model_folder), "--turns", "--set", "detector=none", "--out", str(out), "-f", "jsonl"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", SimpleNamespace(buffer=Talk(samples.tobytes())))
        handler = signal.getsignal(number)
        assert main(["listen", "-", *options]) == 0
    assert signal.getsignal(number) is handler
    (row,) = rows_of(capsys.readouterr().out)  # the turn was not over
    assert (row["start"], row["end"]) == (0.0, 5.0)
    assert len(out.read_text().splitlines()) == 2


def test_source_that_breaks_off_leaves_what_was_heard(
    samples: np.ndarray, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lost(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            if data := self.read(size):
                return data
            raise AudioError("the line broke", reason="damaged")

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Lost(samples.tobytes())))
    out = tmp_path / "live.csv"
    options = ["--model", str(model_folder), "--set", "detector=none", "--out", str(out), "-f", "csv"]
    assert main(["listen", "-", *options]) == 1
    assert len(out.read_text().splitlines()) > 5


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
