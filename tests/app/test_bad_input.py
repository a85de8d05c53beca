"""Whatever is wrong with the input: one clear paragraph, the right exit code, no traceback, nothing done lost."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from serenade.app.main import main
from serenade.inference import formats, recognizer

RATE = 16_000


def noise(duration_s: float, rate: int = RATE) -> np.ndarray:
    return 0.1 * np.random.default_rng(0).uniform(-1, 1, round(duration_s * rate)).astype(np.float32)


def predict(model: Path, *arguments: object) -> int:
    return main(["predict", "--model", str(model), "--threads", "1", *map(str, arguments)])


def write(path: Path, samples: np.ndarray, rate: int = RATE, subtype: str = "FLOAT") -> None:
    soundfile.write(path, samples, rate, subtype)


def write_bytes(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def write_unfinished_flac(path: Path) -> None:
    soundfile.write(path.with_name("whole.flac"), noise(20.0), RATE)
    path.write_bytes(path.with_name("whole.flac").read_bytes()[:-30_000])


BROKEN: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "zero bytes": ("x.wav", lambda path: path.touch(), "the recording is empty"),
    "no samples": ("x.wav", lambda path: write(path, noise(0)), "the recording is empty"),
    "one sample": ("x.wav", lambda path: write(path, noise(1 / RATE)), "the recording is too short"),
    "silent": ("x.wav", lambda path: write(path, np.zeros(RATE)), "the recording is silent"),
    "NaN": ("x.wav", lambda path: write(path, np.array([0.1, np.nan] * RATE)), "samples are not finite"),
    "text": ("x.wav", lambda path: write_bytes(path, b"Dear diary, " * 99), "the file cannot be decoded as sound"),
    "cut short": ("x.flac", write_unfinished_flac, "cut short"),
    "a folder of a sound's name": ("x.wav", Path.mkdir, "no recording was found"),
    "a link to nothing": ("x.wav", lambda path: path.symlink_to("gone.wav"), "there is no such file or folder"),
    "a loop of links": ("x.wav", lambda path: path.symlink_to(path), "there is no such file or folder"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_recording_is_one_paragraph(
    case: str, tmp_path: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, make, said = BROKEN[case]
    make(tmp_path / name)
    assert predict(model_folder, tmp_path / name, "--format", "jsonl") in (1, 2)
    shown = capsys.readouterr()
    assert said in shown.err
    assert "Traceback" not in shown.err
    assert shown.err.count("\n") == 1
    assert str(tmp_path / name) in shown.err or case == "a folder of a sound's name"
    assert shown.out == ""


@pytest.mark.parametrize("case", sorted(set(BROKEN) - {"a folder of a sound's name", "cut short"}))
def test_a_folder_survives_a_broken_recording(
    case: str, tmp_path: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, make, _ = BROKEN[case]
    make(tmp_path / name)
    write(tmp_path / "good.wav", noise(1.0))
    assert predict(model_folder, tmp_path, "--format", "jsonl") == 3
    shown = capsys.readouterr()
    assert [Path(json.loads(line)["file"]).name for line in shown.out.splitlines()] == ["good.wav"]
    assert str(tmp_path / name) in shown.err
    assert "1 failed, 1 done" in shown.err


@pytest.mark.skipif(os.geteuid() == 0, reason="no mode keeps root from reading")
def test_an_unreadable_file_is_named(
    tmp_path: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # pragma: no cover - runs for people, not in containers
    write(tmp_path / "x.wav", noise(1.0))
    (tmp_path / "x.wav").chmod(0)
    assert predict(model_folder, tmp_path / "x.wav") == 1
    assert "reading is not permitted" in capsys.readouterr().err


def test_a_disk_that_fails_while_reading_loses_only_that_file(
    tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "good.wav", noise(1.0))
    write(tmp_path / "worn.wav", noise(1.0))

    def fail(path: Path) -> Iterator[torch.Tensor]:
        yield torch.from_numpy(noise(1.0))
        if path.name == "worn.wav":
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(recognizer, "stream_audio", fail)
    assert predict(model_folder, tmp_path, "--format", "jsonl") == 3
    shown = capsys.readouterr()
    assert "good.wav" in shown.out
    assert f"the recording cannot be read: {tmp_path / 'worn.wav'}. Found: Input/output error." in shown.err


@pytest.mark.parametrize(
    ("name", "rate", "channels", "subtype"),
    [
        ("eight_bit.wav", 8_000, 1, "PCM_U8"),
        ("fast.wav", 192_000, 2, "PCM_24"),
        ("eight_channels.wav", 48_000, 8, "PCM_16"),
        ("wrong_extension.mp3", 16_000, 1, "PCM_16"),
    ],
)
def test_unusual_recordings_are_predicted(
    name: str,
    rate: int,
    channels: int,
    subtype: str,
    tmp_path: Path,
    model_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    samples = np.repeat(noise(1.2, rate)[:, None], channels, axis=1)
    soundfile.write(tmp_path / name, samples, rate, subtype, format="WAV")
    assert predict(model_folder, tmp_path / name, "--format", "json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["end"] == pytest.approx(1.2, abs=1e-3)


def damage_version(folder: Path) -> None:
    text = (folder / "model.toml").read_text()
    assert "format = 1\n" in text
    (folder / "model.toml").write_text(text.replace("format = 1\n", "format = 99\n"))


def cut_weights(folder: Path) -> None:
    data = (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(data[: len(data) // 2])


def misspell_key(folder: Path) -> None:
    text = (folder / "model.toml").read_text()
    assert "mixup_alpha" in text
    (folder / "model.toml").write_text(text.replace("mixup_alpha", "mixup_alhpa"))


def other_network(folder: Path) -> None:
    text = (folder / "model.toml").read_text()
    labels = text[text.index("labels = [") : text.index("]", text.index("labels = [")) + 1]
    (folder / "model.toml").write_text(text.replace(labels, 'labels = ["a", "b"]'))


@pytest.mark.parametrize(
    ("damage", "code", "said"),
    [
        (damage_version, 1, "the model was written in another format"),
        (cut_weights, 1, "the model's weights are cut short or damaged"),
        (misspell_key, 2, "Did you mean 'mixup_alpha'?"),
        (other_network, 1, "the model's weights do not fit its settings"),
        (lambda folder: (folder / "weights.safetensors").unlink(), 1, "the model's weights are missing"),
        (lambda folder: (folder / "model.toml").write_text("format = "), 1, "the model's description is damaged"),
        (lambda folder: (folder / "model.toml").unlink(), 1, "this is not a model folder"),
    ],
)
def test_a_damaged_model_is_refused(
    damage: Callable[[Path], None],
    code: int,
    said: str,
    tmp_path: Path,
    model_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    damage(folder)
    write(tmp_path / "x.wav", noise(1.0))
    assert predict(folder, tmp_path / "x.wav") == code
    shown = capsys.readouterr()
    assert said in shown.err
    assert "Traceback" not in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""


def test_a_full_disk_keeps_the_finished_rows(
    tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "abc":
        write(tmp_path / f"{name}.wav", noise(1.0))
    put = formats.CsvWriter._write

    def full_at_c(writer: formats.CsvWriter, row: dict[str, object]) -> None:
        if str(row["file"]).endswith("c.wav"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        put(writer, row)

    out = tmp_path / "out.csv"
    with monkeypatch.context() as patch:
        patch.setattr(formats.CsvWriter, "_write", full_at_c)
        assert predict(model_folder, tmp_path, "--out", out) == 1
    shown = capsys.readouterr().err
    assert f"cannot write, the disk is full: {out}." in shown
    assert "Traceback" not in shown
    assert len(out.read_text().splitlines()) == 3
    assert predict(model_folder, tmp_path, "--out", out, "--resume") == 0
    assert [line.split(",")[0][-5:] for line in out.read_text().splitlines()[1:]] == ["a.wav", "b.wav", "c.wav"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_a_pipe_is_named(
    tmp_path: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "x.wav", noise(1.0))
    assert predict(model_folder, tmp_path, "--out", "/dev/full", "--format", "jsonl") == 1
    assert "the disk is full" in capsys.readouterr().err
    with open("/dev/full", "w") as full:  # noqa: PTH123 - as a shell redirects
        arguments = ["predict", str(tmp_path / "x.wav"), "--model", str(model_folder), "--threads", "1"]
        done = subprocess.run(
            [sys.executable, "-m", "serenade.app", *arguments], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    assert b"the disk is full" in done.stderr
    assert b"Traceback" not in done.stderr


def test_ctrl_c_keeps_the_finished_rows(tmp_path: Path, model_folder: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    write(many / "0000.wav", noise(1.0))
    for number in range(1, 2000):
        (many / f"{number:04}.wav").hardlink_to(many / "0000.wav")
    out = tmp_path / "out.jsonl"
    arguments = ["predict", str(many), "--model", str(model_folder), "--out", str(out), "--threads", "1"]
    with subprocess.Popen([sys.executable, "-m", "serenade.app", *arguments], stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (out.is_file() and out.read_bytes().count(b"\n") >= 3):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        shown = process.stderr.read().decode()
        assert process.wait(timeout=30) == 130
    assert shown.splitlines()[-1] == "Interrupted; what was finished is kept."
    assert "Traceback" not in shown
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert 3 <= len(rows) < 2000
    assert [Path(row["file"]).name for row in rows] == [f"{number:04}.wav" for number in range(len(rows))]
