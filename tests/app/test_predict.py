"""`serenade predict` and `serenade models` from end to end."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import serenade
from serenade.app.main import main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three recordings of noise, one in a folder within."""
    generator = np.random.default_rng(0)
    root = tmp_path / "recordings"
    (root / "more").mkdir(parents=True)
    for name, duration_s in [("a.wav", 2.5), ("b.flac", 1.0), ("more/c.ogg", 4.0)]:
        soundfile.write(root / name, 0.1 * generator.uniform(-1, 1, round(duration_s * 16_000)), 16_000)
    return root


def predict(model: Path, *arguments: object) -> int:
    return main(["predict", "--model", str(model), "--threads", "1", *map(str, arguments)])


def test_a_folder_as_csv_equals_python(
    folder: Path, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(model_folder, folder, "--out", tmp_path / "out.csv") == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    recognizer = serenade.load(str(model_folder))
    assert [row["file"] for row in rows] == [str(folder / name) for name in ("a.wav", "b.flac", "more/c.ogg")]
    for row in rows:
        alone = recognizer(row["file"])
        assert row["label"] == alone.label
        for name, score in alone.scores.items():
            assert float(row[name]) == pytest.approx(score, abs=2e-6)  # six decimals
        assert float(row["end"]) == pytest.approx(alone.end_s, abs=5e-4)


@pytest.mark.parametrize("format_name", ["table", "json", "jsonl", "csv", "hf"])
def test_stdout_holds_results_and_nothing_else(
    format_name: str, folder: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(model_folder, folder, "--format", format_name) == 0
    text = capsys.readouterr().out
    if format_name in ("json", "hf"):
        assert len(json.loads(text)) == 3
    elif format_name == "jsonl":
        assert len([json.loads(line) for line in text.splitlines()]) == 3
    else:
        assert len(text.splitlines()) == 4


def test_a_short_recording_is_answered_without_torch(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    path = str(folder / "b.flac")
    command = (
        "import sys; sys.modules['torch'] = None; from serenade.app.main import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["predict", path, "--format", "json", "--classes", "angry,sad"]
    home = tmp_path / "home"
    home.mkdir()
    places = {name: str(home) for name in ("HOME", "XDG_CACHE_HOME", "TMPDIR")}
    quick = subprocess.run(
        [sys.executable, "-c", command, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **places},
    )
    assert list(home.iterdir()) == []  # ONNX Runtime would keep a count of its use here
    [found], expected = json.loads(quick.stdout), serenade.Recognizer.load("glam-emodb", classes=["angry", "sad"])(path)
    assert found["scores"] == pytest.approx(expected.scores, abs=2e-5)
    assert (found["file"], found["end"], found["label"]) == (path, expected.end_s, expected.label)


def test_windows_and_classes(folder: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--window", 1, "--hop", 0.5, "--classes", "sadness,Happy", "-f", "jsonl"]
    assert predict(model_folder, folder / "a.wav", *arguments) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["start"], row["end"]) for row in rows] == [(0.0, 1.0), (0.5, 1.5), (1.0, 2.0), (1.5, 2.5)]
    for row in rows:
        assert list(row["scores"]) == ["happy", "sad"]
        assert sum(row["scores"].values()) == pytest.approx(1, abs=2e-6)


def test_the_ways_to_name_inputs(
    folder: Path, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list.txt").write_text(f"{folder / 'b.flac'}\n{folder / 'more'}\n")
    assert predict(model_folder, "--file", folder / "a.wav", "--list", tmp_path / "list.txt", "-f", "jsonl") == 0
    named = [Path(json.loads(line)["file"]).name for line in capsys.readouterr().out.splitlines()]
    assert named == ["a.wav", "b.flac", "c.ogg"]
    assert predict(model_folder, "--folder", folder, "--no-recursive", "-f", "jsonl") == 0
    named = [Path(json.loads(line)["file"]).name for line in capsys.readouterr().out.splitlines()]
    assert named == ["a.wav", "b.flac"]


def test_a_broken_file_is_named_at_the_end(
    folder: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "b.flac").write_bytes(b"no sound")
    assert predict(model_folder, folder, "-f", "jsonl") == 3
    shown = capsys.readouterr()
    assert [Path(json.loads(line)["file"]).name for line in shown.out.splitlines()] == ["a.wav", "c.ogg"]
    assert f"Failed: the file cannot be decoded as sound: {folder / 'b.flac'}" in shown.err
    assert "predicting: 1 failed, 2 done" in shown.err.splitlines()[-1]


def test_resume_skips_what_is_done(
    folder: Path, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, part = tmp_path / "whole.jsonl", tmp_path / "part.jsonl"
    assert predict(model_folder, folder, "--out", whole) == 0
    lines = whole.read_text().splitlines(keepends=True)
    part.write_text("".join(lines[:2]) + lines[2][:40])
    capsys.readouterr()
    assert predict(model_folder, folder, "--out", part, "--resume") == 0
    assert [json.loads(line)["file"] for line in part.read_text().splitlines()] == [
        json.loads(line)["file"] for line in lines
    ]
    assert part.read_text().splitlines(keepends=True)[:1] == lines[:1]
    assert "Skipped, because they stand in the output already: 1." in capsys.readouterr().err
    assert predict(model_folder, folder, "--out", part) == 2
    assert "Continue it with --resume or replace it with --overwrite" in capsys.readouterr().err
    assert predict(model_folder, folder / "a.wav", "--out", part, "--overwrite") == 0
    (row,) = map(json.loads, part.read_text().splitlines())
    assert row["file"] == json.loads(lines[0])["file"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "there is nothing to predict"),
        (["x.wav", "--resume"], 2, "--resume continues a file"),
        (["x.wav", "--format", "cvs"], 2, "Did you mean 'csv'?"),
        (["x.wav", "--hop", "1"], 2, "a hop needs a window"),
        (["x.wav", "--window", "0"], 2, "the window is too short"),
        (["x.wav", "--classes", "hapy,sad"], 2, "Did you mean 'happy'?"),
        (["x.wav", "--device", "gpu"], 2, "unknown device"),
        (["x.wav"], 1, "there is no such file or folder: x.wav"),
        (["x.wav", "y.wav"], 3, "2 failed, 0 done"),
        (["."], 2, "no recording was found"),
        (["--list", "nowhere.txt"], 2, "the list of files cannot be read: nowhere.txt"),
    ],
)
def test_calls_that_cannot_work(
    arguments: list[str],
    code: int,
    said: str,
    model_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert predict(model_folder, *arguments) == code
    shown = capsys.readouterr().err
    assert said in shown
    assert "Traceback" not in shown


def test_models_lists_what_ships_and_shows_a_card(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("serenade.inference.shipped._SHIPPED", model_folder.parent)
    assert main(["models"]) == 0
    assert capsys.readouterr().out == "glam\n    Drawn weights, for tests only.\n"
    assert main(["models", "glam"]) == 0
    assert capsys.readouterr().out.startswith("# GLAM, untrained")
    assert main(["models", "glm"]) == 1
    assert "Did you mean 'glam'?" in capsys.readouterr().err


def test_parquet_holds_the_rows_of_the_csv(folder: Path, model_folder: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert predict(model_folder, folder, "--out", tmp_path / "out.csv") == 0
    assert predict(model_folder, folder, "--out", tmp_path / "out.parquet", "--shard", 2) == 0
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert [row["file"] for row in found] == [row["file"] for row in rows]
    for one, other in zip(found, rows, strict=True):
        assert (one["label"], one["uncertain"]) == (other["label"], other["uncertain"] == "true")
        assert [one[name] for name in ("score", "end", "sad")] == [
            float(other[name]) for name in ("score", "end", "sad")
        ]
    assert not list(tmp_path.glob("*.parts"))


def test_in_shards_failures_are_named_and_tried_again(
    folder: Path, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = (folder / "b.flac").read_bytes()
    (folder / "b.flac").write_bytes(b"no sound")
    out, plain = tmp_path / "out.csv", tmp_path / "plain.csv"
    assert predict(model_folder, folder, "--out", out, "--engine", "processes") == 3
    assert "b.flac" in capsys.readouterr().err
    assert len(out.read_text().splitlines()) == 3
    assert predict(model_folder, folder, "--out", out, "--engine", "processes") == 2  # neither --resume nor --overwrite
    (folder / "b.flac").write_bytes(good)
    assert predict(model_folder, folder, "--out", out, "--engine", "processes", "--resume") == 0
    assert "Skipped, because they stand in the output already: 2." in capsys.readouterr().err
    assert predict(model_folder, folder, "--out", plain) == 0
    assert sorted(out.read_text().splitlines()) == sorted(plain.read_text().splitlines())
    assert predict(model_folder, folder, "--out", out, "--engine", "processes", "--resume") == 2  # it is complete


def test_shards_need_a_file_and_an_engine_that_there_is(folder: Path, model_folder: Path, tmp_path: Path) -> None:
    assert predict(model_folder, folder, "--engine", "processes") == 2
    assert predict(model_folder, folder, "--engine", "spark", "--out", tmp_path / "out.csv") == 2
