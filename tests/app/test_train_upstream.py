"""`serenade train` on upstreams: both stages on everything, used in a new process and from another folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.models.checkpoints import write_checkpoint

from serenade.app.main import main
from serenade.core.files import read_json
from serenade.corpora.synthetic import generate

pytest.importorskip("transformers")

SMALL = ("--set", "training.epochs=1", "--set", "branches.speech.upstream=tiny", "--threads", "1", "-q")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    generate(tmp_path / "voices", speakers=2, utterances_per_class=1, classes=("angry", "sad"))
    write_checkpoint(tmp_path / "tiny", "hubert-base")
    return tmp_path


def train(preset: str, out: str, *options: str) -> int:
    return main(["train", preset, "--corpus", "synthetic=voices", "--out", out, *SMALL, *options])


def test_models_of_both_stages_predict_from_any_folder(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("ssl-finetune", "first") == 0
    assert train("ssl-mean", "second", "--set", "branches.speech.fine_tuned=first") == 0
    (home / "elsewhere").mkdir()
    monkeypatch.chdir(home / "elsewhere")
    for name in ("first", "second"):
        capsys.readouterr()
        assert main(["predict", str(home / "voices" / "s01"), "--model", str(home / name), "-q", "-f", "jsonl"]) == 0
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [list(row["scores"]) for row in rows] == [["angry", "sad"]] * 2

    (home / "tiny").rename(home / "moved")
    assert main(["predict", str(home / "voices" / "s01"), "--model", str(home / "first"), "-q"]) == 2
    assert "change branches.NAME.upstream in its model.toml" in capsys.readouterr().err
    description = home / "first" / "model.toml"
    description.write_text(description.read_text().replace(str(home / "tiny"), str(home / "moved")))
    assert main(["predict", str(home / "voices" / "s01"), "--model", str(home / "first"), "-q", "-f", "jsonl"]) == 0
    capsys.readouterr()


def test_a_model_of_every_fold_is_none_for_use(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("ssl-mean", "second", "--set", "branches.speech.fine_tuned=run/jobs/{job}/model") == 2
    said = capsys.readouterr().err
    assert "has no folds" in said
    assert "serenade train" in said
    assert not (home / "second").exists()


@pytest.mark.slow
def test_a_new_process_predicts_the_same(home: Path) -> None:
    assert train("ssl-finetune", "first") == 0
    recordings = ["predict", "voices", "--model", "first", "-q", "--out"]
    assert main([*recordings, "here.json"]) == 0
    subprocess.run(
        [sys.executable, "-m", "serenade.app", *recordings, "there.json"],
        check=True,
        cwd=home,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert read_json(home / "there.json") == read_json(home / "here.json")
