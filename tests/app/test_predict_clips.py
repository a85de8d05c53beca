"""`serenade predict` and `serenade study clip` of video clips as a user meets them."""

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
    (told,) = json.loads((tmp_path / "clip.json").read_text())[0]
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


def test_a_function_of_the_users_writes_the_words_down(
    clip: Path, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_asr.py").write_text("def words(path):\n    return 'lilano from ' + path.stem\n")
    monkeypatch.syspath_prepend(tmp_path)
    wanted = ["predict", str(clip), "--model", model, "--detector", "middle", "-q"]
    assert main([*wanted, "--asr", "own_asr:words"]) == 0
    assert "text alone" in capsys.readouterr().out


def test_the_case_study_is_drawn(clip: Path, model: str, tmp_path: Path) -> None:
    assert main(["study", "clip", str(clip), "-m", model, "--out", str(tmp_path), "--detector", "middle", "-q"]) == 0
    assert (tmp_path / f"{clip.stem}-looked-at.svg").is_file()
