"""`serenade run`, `train` and `demo` as a user meets them."""

import json
import re
from pathlib import Path

import pytest

from serenade.app.main import main
from serenade.corpora.synthetic import generate


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    generate(folder, speakers=3, utterances_per_class=1, classes=("angry", "sad"))
    return folder


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_run_prints_the_table_and_names_the_next_step(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run("run", "baseline", "--corpus", f"synthetic={corpus}", "--split", "loso", "--out", tmp_path / "r")
    shown = capsys.readouterr()
    assert code == 0
    assert "loso" in shown.out
    assert "synthetic" in shown.out
    assert f"serenade report {tmp_path / 'r'}" in shown.err
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert summary["state"]["complete"]
    assert summary["maps"] is None  # the report makes them


@pytest.mark.slow
def test_a_file_of_settings_does_the_same_and_options_win(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(
        f'preset = "glam"\nseeds = 2\ncorpora = [{{ name = "synthetic", root = "{corpus}" }}]\n[split]\nkind = "loso"\n'
    )
    assert run("run", "baseline", "--config", "mine.toml", "--seeds", 1, "-q") == 0
    settings = (tmp_path / "runs" / "baseline-synthetic-loso" / "experiment.toml").read_text()
    assert "seeds = 1" in settings


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["glam", "--set", "training.epoch=3"], "unknown key 'training.epoch'.*Did you mean 'epochs'"),
        (["glam", "--set", "training.epochs=0"], "training.epochs: Input should be greater than or equal to 1"),
        (["glamm"], "no preset called 'glamm'.*Did you mean 'glam'"),
        (["glam", "--split", "loco"], "loco.*loso"),
        (["glam", "--labels", "angry,joyous"], "joyous"),
    ],
    ids=["key", "bound", "preset", "split", "label"],
)
def test_a_wrong_word_is_named_with_the_nearest(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    import re

    code = run("run", *arguments, "--corpus", f"synthetic={corpus}", "--out", tmp_path / "r", "-q")
    shown = " ".join(capsys.readouterr().err.split())
    assert code in (1, 2)
    assert re.search(message, shown)
    assert "Traceback" not in shown
    assert not (tmp_path / "r").exists()


def test_no_corpus_and_a_corpus_without_path_say_what_to_write(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("run", "glam") == 2
    assert "--corpus NAME=PATH" in " ".join(capsys.readouterr().err.split())
    assert run("run", "glam", "--corpus", "emodb") == 2
    assert "emodb=/data/emodb" in " ".join(capsys.readouterr().err.split())


def test_dry_run_trains_nothing(corpus: Path, tmp_path: Path) -> None:
    assert run("run", "glam", "--corpus", f"synthetic={corpus}", "--out", tmp_path / "r", "--dry-run", "-q") == 0
    assert not (tmp_path / "r").exists()


def test_leaky_protocol_is_called_leaky_in_the_table(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split = ["--split", "random82_best_test", "--out", tmp_path / "r"]
    assert run("run", "baseline", "--corpus", f"synthetic={corpus}", *split) == 0
    assert "LEAKY" in capsys.readouterr().out


def test_tensorboard_logs_hold_every_epoch(corpus: Path, tmp_path: Path) -> None:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs the extra track"
    )
    quick = ["--set", "training.epochs=2", "--set", "segments_per_epoch=1", "--set", "evaluation_overlap_s=0"]
    code = run(
        "run",
        "glam",
        "--corpus",
        f"synthetic={corpus}",
        *quick,
        "--tensorboard",
        "--workers",
        1,
        "--out",
        tmp_path / "r",
        "-q",
    )
    assert code == 0
    folder = next((tmp_path / "r" / "jobs").iterdir()) / "tensorboard"
    events = accumulator.EventAccumulator(str(folder)).Reload()
    assert [event.step for event in events.Scalars("selection/ua")] == [1, 2]


def test_trained_model_predicts(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model"
    assert run("train", "baseline", "--corpus", f"synthetic={corpus}", "--out", model, "-q") == 0
    recording = next(corpus.rglob("*.flac"))
    capsys.readouterr()
    assert run("predict", recording, "--model", model, "--format", "csv") == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("angry,sad")
    assert "Not measured" in (model / "card.md").read_text()
    assert "not calibrated" in (model / "card.md").read_text()


@pytest.mark.slow
def test_demo_shows_a_table_a_report_and_predictions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("demo", "--out", tmp_path / "demo", "-q") == 0
    shown = capsys.readouterr().out
    assert "glam-cpu" in shown or "run-synthetic" in shown
    assert shown.count(".flac") == 4
    assert (tmp_path / "demo" / "run-synthetic" / "report.html").is_file()


def test_the_card_tells_what_was_selected_mapped_and_remarked(corpus: Path, tmp_path: Path) -> None:
    narrowed = ["--map", "angry=aroused", "--where", "gender=female|male", "--note", "The recipe was found elsewhere."]
    assert run("train", "baseline", "--corpus", f"synthetic={corpus}", *narrowed, "--out", tmp_path / "m", "-q") == 0
    card = (tmp_path / "m" / "card.md").read_text()
    assert "Tells aroused and sad apart" in card
    assert "Only utterances with gender = female|male." in card
    assert "Classes were mapped: angry=aroused." in card
    assert "The recipe was found elsewhere." in card


def test_the_run_says_what_was_selected_and_mapped(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--corpus", f"synthetic={corpus}", "--map", "sad=low", "--where", "gender=female|male", "--dry-run"]
    assert run("run", "baseline", *arguments) == 0
    said = capsys.readouterr().err
    assert "label map: sad=low" in said
    assert "only utterances with gender = female|male" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--map", "mrge"], "Did you mean 'merge'"),
        (["--where", "gender"], "a condition is given as FACT=VALUE"),
        (["--where", "gendr=female"], "Did you mean 'gender'"),
    ],
)
def test_a_wrong_selection_is_named(
    corpus: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run("run", "baseline", "--corpus", f"synthetic={corpus}", *arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["baseline", "--unlabelled", "unlabelled=."], "does not learn from unlabelled speech"),
        (["mtl-aug-semi"], r"none is given.*--unlabelled NAME=PATH"),
        (["mtl-aug-semi", "--unlabelled", "speech"], "given as NAME=PATH.*speech"),
        (["mtl-aug-semi", "--unlabelled", "librispeach=."], "Did you mean 'librispeech'"),
        (["mtl-aug-semi", "--unlabelled", "unlabelled=.", "--unlabelled-hours", "0"], "unlabelled.hours"),
    ],
    ids=["useless", "missing", "form", "name", "hours"],
)
def test_unlabelled_speech_is_asked_for_in_words_that_help(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert run("run", *arguments, "--corpus", f"synthetic={corpus}", "--out", tmp_path / "r", "-q") == 2
    shown = capsys.readouterr().err.replace("\n", " ")
    assert re.search(message, shown), shown


def test_a_dry_run_lists_what_is_left_out_of_the_unlabelled_speech(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generate(tmp_path / "others", speakers=2, utterances_per_class=1, classes=("angry", "sad"), seed=1)
    (tmp_path / "others" / "broken.wav").write_bytes(b"no sound")
    arguments = ["--corpus", f"synthetic={corpus}", "--unlabelled", f"unlabelled={tmp_path / 'others'}"]
    assert run("run", "mtl-aug-semi", *arguments, "--dry-run", "-q") == 0
    shown = capsys.readouterr().err
    assert "unlabelled: 4 recordings" in shown
    assert "left out: broken.wav: undecodable" in shown
