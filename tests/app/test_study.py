"""`serenade study` as a user meets it."""

import json
from pathlib import Path

import pytest

from serenade.app.main import main
from serenade.corpora.synthetic import generate


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    generate(folder, speakers=2, utterances_per_class=1, classes=("angry", "sad"))
    return folder


def study(*arguments: object) -> int:
    return main(["study", "filter-shapes", *(str(argument) for argument in arguments)])


@pytest.mark.slow
def test_study_trains_draws_and_goes_on(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["--corpus", f"synthetic={corpus}", "--widths", "2", "--set", "training.epochs=1", "--workers", 1, "-q"]
    out = tmp_path / "study"
    assert study(*quick, "--heights", "2", "--out", out) == 0
    first = (out / "2x2" / "jobs" / "speaker-s01-seed0" / "record.json").stat().st_mtime_ns
    assert study(*quick, "--heights", "2,4", "--out", out) == 0
    assert (out / "2x2" / "jobs" / "speaker-s01-seed0" / "record.json").stat().st_mtime_ns == first
    record = json.loads((out / "4x2" / "jobs" / "speaker-s01-seed0" / "record.json").read_text())
    assert record["settings"]["network"] == {"filter_height": 4, "filter_width": 2}
    assert (out / "filter-height.svg").is_file()
    capsys.readouterr()
    assert study("--out", out, "--finished", "--published") == 0
    shown = capsys.readouterr()
    assert [line.split(",")[:3] for line in shown.out.splitlines()[1:]] == [
        ["height", "2", "2x2"],
        ["height", "4", "4x2"],
        ["width", "2", "2x2"],
    ]
    assert "selection on the test data" in shown.err


def test_dry_run_tells_the_shapes_and_trains_nothing(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--corpus", f"synthetic={corpus}", "--heights", "2,10", "--widths", "8", "--out", tmp_path / "s"]
    assert study(*given, "--dry-run") == 0
    assert "3 filter shapes: 2x2, 10x2, 2x8" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--heights", "2,x"], "--heights takes whole numbers"),
        (["--heights", "500", "--widths", "2"], "the filter is larger than the spectrogram"),
        (["--split", "loco"], "Did you mean"),
        (["--set", "training.epoch=1"], "Did you mean 'epochs'"),
    ],
)
def test_bad_input_is_told(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    code = study("--corpus", f"synthetic={corpus}", "--out", tmp_path / "s", "-q", *arguments)
    shown = " ".join(capsys.readouterr().err.split())
    assert code == 2
    assert message in shown
    assert "Traceback" not in shown
    assert not (tmp_path / "s").exists()


def test_no_corpus_and_nothing_finished_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert study("--out", tmp_path) == 2
    assert "no corpus is given" in capsys.readouterr().err
    assert study("--out", tmp_path, "--finished") == 2
    assert "not a study of filter shapes" in " ".join(capsys.readouterr().err.split())
