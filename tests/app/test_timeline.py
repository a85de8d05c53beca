"""`serenade timeline` from end to end."""

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from serenade.app.main import main

RATE = 16_000


@pytest.fixture
def meeting(tmp_path: Path) -> Path:
    """Noise with a pause in it, and who talks when beside it."""
    generator = np.random.default_rng(0)
    samples = 0.1 * generator.uniform(-1, 1, 8 * RATE)
    samples[3 * RATE : 5 * RATE] *= 1e-4
    folder = tmp_path / "meetings"
    folder.mkdir()
    soundfile.write(folder / "first.wav", samples, RATE)
    (folder / "first.rttm").write_text(
        "SPEAKER first 1 0 3 <NA> <NA> ada <NA> <NA>\nSPEAKER first 1 5 3 <NA> <NA> bob <NA> <NA>\n"
    )
    return folder / "first.wav"


def timeline(model: Path, *arguments: object) -> int:
    return main(["timeline", "--model", str(model), "--threads", "1", *map(str, arguments)])


def read_csv(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_turns_as_a_table_on_stdout(meeting: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert timeline(model_folder, meeting, "--set", "detector=energy", "--set", "uncertain_below=0.99") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("emotion")
    assert len(lines) == 3


def test_speakers_have_their_rows(meeting: Path, model_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    arguments = [meeting, "--speakers", meeting.with_suffix(".rttm"), "--window", 1.5, "--out", out]
    assert timeline(model_folder, *arguments) == 0
    rows = read_csv(out)
    assert [(row["speaker"], row["start"], row["end"]) for row in rows] == [
        ("ada", "0.0", "1.5"),
        ("ada", "1.5", "3.0"),
        ("bob", "5.0", "6.5"),
        ("bob", "6.5", "8.0"),
    ]
    assert timeline(model_folder, *arguments) == 2  # it exists
    assert timeline(model_folder, *arguments, "--overwrite") == 0


def test_a_folder_gets_every_format_and_a_summary_and_goes_on(
    meeting: Path, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples, _ = soundfile.read(meeting)
    (meeting.parent / "more").mkdir()
    soundfile.write(meeting.parent / "more" / "second.flac", samples[: 2 * RATE], RATE)
    (meeting.parent / "broken.wav").write_bytes(b"RIFF")
    out = tmp_path / "out"
    arguments = [meeting.parent, "--format", "eaf,json,srt", "--out", out, "--set", "detector=energy"]
    assert timeline(model_folder, *arguments) == 3
    assert "broken.wav" in capsys.readouterr().err
    made = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    expected = {f"{name}{suffix}" for name in ("first.wav", "more/second.flac") for suffix in (".eaf", ".json", ".srt")}
    assert made == expected | {"summary.csv", ".summaries.jsonl"}
    value = json.loads((out / "first.wav.json").read_text())
    assert value["about"]["settings"]["detector"] == "energy"
    summary = read_csv(out / "summary.csv")
    assert [Path(row["file"]).name for row in summary] == ["first.wav", "second.flac"]
    before = (out / "first.wav.eaf").stat().st_mtime_ns
    (out / "more/second.flac.srt").unlink()
    assert timeline(model_folder, *arguments) == 3
    assert "are there already: 1" in capsys.readouterr().err
    assert (out / "first.wav.eaf").stat().st_mtime_ns == before
    assert read_csv(out / "summary.csv") == summary


def test_name_that_is_no_text_gets_every_file_and_a_summary(meeting: Path, model_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    odd = folder / os.fsdecode(b"caf\xe9 \x1b[31m\n.wav")
    odd.write_bytes(meeting.read_bytes())
    out, formats = tmp_path / "out", "html,csv,eaf,srt"
    assert timeline(model_folder, folder, "--set", "detector=energy", "--format", formats, "--out", out) == 0
    for suffix in (".html", ".csv", ".eaf", ".srt"):
        assert (out / f"{odd.name}{suffix}").stat().st_size > 0
    assert b"caf\xe9 " in (out / "summary.csv").read_bytes()


def test_folders_of_one_name_inside_do_not_take_each_others_place(
    meeting: Path, model_folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "others"
    other.mkdir()
    soundfile.write(other / "first.wav", soundfile.read(meeting)[0][: 2 * RATE], RATE)
    arguments = [meeting.parent, other, "--format", "csv", "--out", tmp_path / "out", "--set", "detector=none"]
    assert timeline(model_folder, *arguments) == 0
    ends = [read_csv(tmp_path / "out" / name / "first.wav.csv")[-1]["end"] for name in ("meetings", "others")]
    assert ends == ["8.0", "2.0"]


@pytest.mark.slow
def test_processes_give_what_one_gives(
    meeting: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serenade.app.commands.timeline._LITTLE_S", 0.0)
    samples, _ = soundfile.read(meeting)
    for place in range(3):
        soundfile.write(meeting.parent / f"more{place}.wav", samples[place * RATE :], RATE)
    (meeting.parent / "broken.wav").write_bytes(b"RIFF")
    arguments = [meeting.parent, "--format", "csv,srt", "--set", "detector=energy", "--out"]
    made = []
    for threads in (1, 2):
        out = tmp_path / f"out{threads}"
        command = ["timeline", "--model", model_folder, "--threads", threads, *arguments, out]
        assert main([str(part) for part in command]) == 3
        made.append({path.name: path.read_bytes() for path in out.iterdir() if path.suffix in (".csv", ".srt")})
    assert made[0] == made[1]
    assert len(made[0]) == 9


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--format", "elan"], "Did you mean"),
        (["--format", "eaf,srt"], "several files need a folder"),
        (["--out", "a.xyz"], "this suffix stands for no format"),
        (["--set", "detecter=energy"], "Did you mean 'detector'"),
        (["--hop", "1"], "hop_s needs window_s"),
    ],
)
def test_what_is_off_is_said_before_the_work(
    arguments: list[str], said: str, meeting: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert timeline(model_folder, meeting, *arguments) == 2
    assert said in capsys.readouterr().err


def test_folder_that_cannot_be_made_is_named(
    meeting: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [meeting, "--set", "detector=energy", "--format", "csv,eaf", "--out", meeting / "inside"]
    assert timeline(model_folder, *arguments) in (1, 3)
    assert "a part of the path is not a folder" in capsys.readouterr().err


def test_silence_is_no_error(tmp_path: Path, model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "quiet.wav", np.zeros(RATE), RATE)
    assert timeline(model_folder, tmp_path / "quiet.wav", "--format", "jsonl") == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "There is no speech" in shown.err
