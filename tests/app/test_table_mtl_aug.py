"""`serenade table mtl-aug` as a user meets it."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from serenade.app.main import main
from serenade.corpora.synthetic import generate

QUICK = ["--set", "training.epochs=1", "--set", "padding=batch", "--seeds", "1", "--workers", "1", "-q"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    generate(folder, speakers=3, utterances_per_class=1, classes=("angry", "sad"))
    return folder


def table(*arguments: object) -> int:
    return main(["table", "mtl-aug", *(str(argument) for argument in arguments)])


def test_models_are_trained_tested_under_noise_and_shown(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise, out = tmp_path / "noise", tmp_path / "out"
    noise.mkdir()
    soundfile.write(noise / "a.wav", np.random.default_rng(0).normal(0, 0.1, 32000), 16000)
    given = ["--corpus", f"synthetic={corpus}", "--out", out, "--rows", "stl,stl-aug", *QUICK]
    assert table(*given, "--table", "noise", "--noise", noise, "--condition", "noise:0,20") == 0
    shown = capsys.readouterr().out
    for words in ("stl-aug (synthetic)", "noise:20", "T5", "stl-aug > stl", "1 repeat allows no p", "not published"):
        assert words in shown
    assert {path.name for path in out.glob("noise*")} >= {"noise.md", "noise.tex", "noise.csv", "noise-synthetic.svg"}
    record = out / "within/synthetic/stl/jobs/speaker-s01-seed0/record.json"
    before = record.stat().st_mtime_ns
    assert table(*given, "--table", "within") == 0
    assert record.stat().st_mtime_ns == before, "tables in one folder share their runs"
    (noise / "a.wav").unlink()
    capsys.readouterr()
    assert table("--out", out, "--table", "noise", "--finished", "-q") == 0
    assert capsys.readouterr().out == shown, "shown again without noise and corpus"


def test_dry_run_tells_the_runs_and_what_is_not_run(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--corpus", f"synthetic={corpus}", "--out", tmp_path / "t", "--dry-run"]
    assert table(*given, "--rows", "stl,mtl-dim,mtl-aug-semi,mtl-aug") == 0
    shown = " ".join(capsys.readouterr().err.split())
    assert "2 runs: within/synthetic/stl, within/synthetic/mtl-aug" in shown
    assert "3 folds x 10 seeds" in shown
    assert "not run: mtl-dim on synthetic: synthetic voices without valence, arousal and dominance" in shown
    assert "not run: mtl-aug-semi on synthetic: no unlabelled speech is given" in shown
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--table", "witin"], "Did you mean 'within'"),
        (["--rows", "mtl-agu"], "there is no preset called 'mtl-agu'"),
        (["--table", "ablations", "--rows", "no-speeed"], "Did you mean 'no-speed'"),
        (["--table", "cross"], "needs at least two"),
        (["--table", "noise"], "--noise FOLDER"),
        (["--table", "within", "--noise", "x"], "the table within does not look at --noise"),
        (["--target-dev", "0.3"], "say --table cross"),
        (["--table", "cross", "--target-dev", "0.3", "--split", "corpus"], "is part of the split"),
        (["--table", "attacks", "--condition", "fgsm:-1"], "from 0 on"),
        (["--unlabelled-hours", "1"], "--unlabelled NAME=PATH"),
        (["--set", "treatment.kinds=none"], "treatment"),
        (["--rows", "mtl-dim"], "none of the rows can be run"),
        (["--split", "loso:0", "--rows", "stl"], "picked on a validation part"),
    ],
)
def test_bad_input_is_told(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    code = table(*arguments, "--corpus", f"synthetic={corpus}", "--out", tmp_path / "t", "-q")
    shown = " ".join(capsys.readouterr().err.split())
    assert code in (1, 2)
    assert message in shown
    assert "Traceback" not in shown
    assert not (tmp_path / "t").exists()


def test_a_folder_without_a_table_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert table("--out", tmp_path, "--table", "cross", "--target-dev", "0.3", "--finished") == 2
    assert "this folder holds no table 'cross-target-dev-0.3'" in " ".join(capsys.readouterr().err.split())
