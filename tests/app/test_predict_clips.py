"""`serenade predict` and `serenade study clip` of video clips as a user meets them."""

import csv
import json
from pathlib import Path

import pytest
import torch

from serenade.app.main import main
from serenade.core.labels import LabelSet
from serenade.corpora.synthetic_av import generate_clips, list_files
from serenade.systems import make_system, save_checkpoint, system_settings


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("av")
    root = tmp_path_factory.mktemp("clips") / "av"
    generate_clips(root, speakers=2, clips_per_class=1, classes=("happy", "sad"))
    return list_files(root).utterances[0].audio


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    system = make_system("mesm", system_settings("mesm-cpu", {}).model_dump(), LabelSet(("happy", "sad")))
    folder = tmp_path_factory.mktemp("models") / "mesm"
    save_checkpoint(system, "mesm", folder)
    return str(folder)


def test_a_clip_is_told_with_its_branches_and_a_timeline(
    clip: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "words.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nlilano\n")
    wanted = [
        "predict",
        str(clip),
        "--model",
        model,
        "--detector",
        "middle",
        "--transcript",
        str(tmp_path / "words.srt"),
    ]
    assert main([*wanted, "--window", "1", "-q"]) == 0
    shown = capsys.readouterr().out
    for line in ("fused", "text alone", "face alone", "audio alone", "0.0 to 1.0 s"):
        assert line in shown
    assert main([*wanted, "--out", str(tmp_path / "clip.json"), "-q"]) == 0
    (told,) = json.loads((tmp_path / "clip.json").read_text())
    assert set(told["branches"]) == {"text", "face", "audio"}
    assert told["missing"] == {}


def test_what_cannot_be_is_said(clip: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = ["predict", str(clip), str(clip), "--model", model, "--transcript", "x.txt", "-q"]
    assert main(both) == 2
    assert "a transcript is of one recording" in capsys.readouterr().err
    (tmp_path / "broken.mp4").write_bytes(b"nothing" * 100)
    assert (
        main(["predict", str(tmp_path / "broken.mp4"), str(clip), "--model", model, "-q", "--detector", "middle"]) == 3
    )
    assert "broken.mp4" in capsys.readouterr().err


def test_clips_that_are_not_there_are_named_and_the_others_done(
    clip: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = ["--model", model, "--detector", "middle", "-q"]
    assert main(["predict", str(tmp_path / "absent.mp4"), str(clip), *wanted]) == 3
    shown = capsys.readouterr()
    assert "absent.mp4" in shown.err
    assert "face alone" in shown.out
    (tmp_path / "nothing").mkdir()
    assert main(["predict", str(tmp_path / "nothing"), *wanted]) == 2
    assert "no recording was found" in capsys.readouterr().err


def test_an_output_is_not_overwritten_and_can_be_continued(clip: Path, model: str, tmp_path: Path) -> None:
    copy = tmp_path / "second.mp4"
    copy.write_bytes(clip.read_bytes())
    out = tmp_path / "clips.jsonl"
    wanted = ["--model", model, "--detector", "middle", "-q", "--out", str(out)]
    assert main(["predict", str(clip), str(copy), *wanted]) == 0
    whole = out.read_text()
    assert [json.loads(line)["file"] for line in whole.splitlines()] == [str(clip), str(copy)]
    assert main(["predict", str(clip), *wanted]) == 2
    out.write_text(whole[: len(whole) - 30])  # as after a crash
    assert main(["predict", str(clip), str(copy), *wanted, "--resume"]) == 0
    assert out.read_text() == whole
    assert main(["predict", str(clip), *wanted, "--overwrite"]) == 0
    assert out.read_text() == whole.splitlines(keepends=True)[0]


def test_a_table_of_clips_has_a_column_for_every_answer(clip: Path, model: str, tmp_path: Path) -> None:
    out = tmp_path / "clips.csv"
    wanted = ["predict", str(clip), "--model", model, "--detector", "middle", "-q", "--window", "1", "--out", str(out)]
    assert main(wanted) == 0
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["whole"] for row in rows[:2]] == ["true", "false"]
    assert float(rows[0]["happy"]) + float(rows[0]["sad"]) == pytest.approx(1, abs=1e-5)
    assert rows[0]["text happy"] == ""
    assert 0 < float(rows[0]["face happy"]) < 1
    assert rows[0]["missing"] == "text: no words are written down"
    assert "no face was sought" in rows[0]["notes"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--detector", "mtcn"], "detector"),
        (["--window", "0"], "a window has a length above 0"),
        (["--classes", "happy"], "--classes"),
        (["--engine", "processes"], "--engine"),
        (["--format", "hf"], "one of table, json, jsonl, csv"),
        (["--out", "x.csv", "--resume"], "JSONL"),
        (["--asr", "no_such_module:f"], "no such function"),
    ],
)
def test_options_that_do_not_fit_are_told(
    options: list[str], said: str, clip: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(clip), "--model", model, "-q", *options]) == 2
    assert said in capsys.readouterr().err


def test_a_model_that_only_listens_says_so_of_a_video(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(clip)]) == 0
    assert "models of clips (fe2e, mesm) look at faces and words too" in capsys.readouterr().err


def test_a_function_of_the_users_writes_the_words_down(
    clip: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_asr.py").write_text("def words(path):\n    return 'lilano from ' + path.stem\n")
    monkeypatch.syspath_prepend(tmp_path)
    wanted = ["predict", str(clip), "--model", model, "--detector", "middle", "-q"]
    assert main([*wanted, "--asr", "own_asr:words"]) == 0
    assert "text alone" in capsys.readouterr().out
    (tmp_path / "broken_asr.py").write_text("def words(path):\n    raise ValueError('no licence')\n")
    assert main([*wanted, "--asr", "broken_asr:words"]) == 2
    assert "no licence" in capsys.readouterr().err


def test_the_case_study_is_drawn(clip: Path, model: str, tmp_path: Path) -> None:
    assert main(["study", "clip", str(clip), "-m", model, "--out", str(tmp_path), "--detector", "middle", "-q"]) == 0
    assert (tmp_path / f"{clip.stem}-looked-at.svg").is_file()
    copy = tmp_path / "told.mp4"
    copy.write_bytes(clip.read_bytes())
    (tmp_path / "told.txt").write_text("kedi lilano")  # beside the clip, as `predict` takes it
    assert main(["study", "clip", str(copy), "-m", model, "--out", str(tmp_path), "--detector", "middle", "-q"]) == 0
    assert [word for word, _ in json.loads((tmp_path / "told-looked-at.json").read_text())["words"]] == [
        "kedi",
        "lilano",
    ]
