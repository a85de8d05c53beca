"""`serenade split` as a user meets it."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest

from serenade.app.main import main
from serenade.core.files import read_json
from serenade.corpora.synthetic import generate
from serenade.evaluation import SPLITS
from serenade.evaluation.splits import parse_split, settings_of
from serenade.experiments.folder import RunFolder
from serenade.experiments.run import Plan, prepare
from serenade.experiments.settings import ExperimentSettings


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    generate(folder, speakers=4, utterances_per_class=2, classes=("angry", "neutral", "sad"))
    return folder


@pytest.fixture
def loso(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    path = tmp_path / "loso.json"
    assert split("make", f"synthetic={corpus}", "--split", "loso", "--out", path, "-q") == 0
    capsys.readouterr()
    return path


def split(*arguments: object) -> int:
    return main(["split", *map(str, arguments)])


def shown(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return captured.out, " ".join(captured.err.split())


# ------------------------------------------------------------------------------------------- make


def test_make_says_what_it_wrote(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.json"
    assert split("make", f"synthetic={corpus}", "--labels", "angry,sad", "--out", path, "-q") == 0
    out, _ = shown(capsys)
    values = json.loads(path.read_text())
    assert f"{path}: split loso of synthetic, 4 folds, 16 utterances of 4 speakers in 2 classes" in out
    assert f"check value {values['check']}" in out
    assert values["labels"] == ["angry", "sad"]
    assert str(corpus) not in path.read_text()


def test_make_again_is_the_same_and_another_split_needs_overwrite(
    corpus: Path, loso: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = loso.read_bytes()
    assert split("make", f"synthetic={corpus}", "--split", "loso", "--out", loso, "-q") == 0
    assert loso.read_bytes() == first
    shown(capsys)
    assert split("make", f"synthetic={corpus}", "--split", "kfold:2", "--out", loso, "-q") == 2
    assert "another split in the file" in shown(capsys)[1]
    assert loso.read_bytes() == first
    assert split("make", f"synthetic={corpus}", "--split", "kfold:2", "--out", loso, "--overwrite", "-q") == 0
    assert loso.read_bytes() != first


def test_a_leak_is_not_written_unless_declared(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "t.csv"
    rows = [("file", "speaker", "emotion", "split")]
    for place, path in enumerate(sorted(corpus.rglob("*.flac"))):
        rows.append((str(path), f"p{place % 2}", ("angry", "sad")[place % 3 == 0], ("train", "test")[place % 5 == 0]))
    table.write_text("\n".join(",".join(row) for row in rows))
    path = tmp_path / "s.json"
    leaking = ["make", f"table={table}", "--split", "columns,validation_speakers=0", "--out", path]
    assert split(*leaking) == 1
    assert "train and test share 2 speakers" in shown(capsys)[1]
    assert not path.exists()
    leaking[3] += ",leaky=as in our report of 2019"
    assert split(*leaking) == 0
    assert "LEAKY: as in our report of 2019" in shown(capsys)[1]
    assert split("check", path) == 0
    assert "The split leaks and says so" in shown(capsys)[0]
    (tmp_path / "undeclared.json").write_text(path.read_text().replace('"as in our report of 2019"', "null"))
    assert split("check", tmp_path / "undeclared.json") == 1
    assert split("export", tmp_path / "undeclared.json", "--out", tmp_path / "x") == 1
    assert not (tmp_path / "x").exists()


def plan_of(corpus: Path, text: str, **given: object) -> Plan:
    settings = {"corpora": [{"name": "synthetic", "root": corpus}], "split": parse_split(text), "preset": "baseline"}
    return prepare(ExperimentSettings.model_validate({**settings, **given}))


def test_the_split_of_a_run_can_be_published(
    corpus: Path, loso: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plan_of(corpus, "loso")
    RunFolder(tmp_path / "r").write_setup(plan.settings, plan.listing.utterances, (), plan.split, None)
    assert split("make", tmp_path / "r", "--out", tmp_path / "run.json", "-q") == 0
    assert (tmp_path / "run.json").read_bytes() == loso.read_bytes()
    assert split("show", tmp_path, "-q") == 2
    assert "is not a run" in shown(capsys)[1]


# ------------------------------------------------------------------------------------------- check


def test_check_of_a_file_needs_no_recordings(loso: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert split("check", loso) == 0
    out, _ = shown(capsys)
    assert "warning: train and test share" in out
    assert "Nothing of the test parts is in train or validation." in out
    assert split("check", loso, "--json") == 0
    report = json.loads(shown(capsys)[0])
    assert (report["name"], report["leaks"], report["differences"]) == ("loso", False, None)
    assert {finding["kind"] for finding in report["findings"]} == {"sentence"}


def test_check_against_recordings_tells_what_differs(
    corpus: Path, loso: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert split("check", loso, f"synthetic={corpus}", "-q") == 0
    assert "here: all 24 utterances of the split file are here and unchanged" in shown(capsys)[0]
    copy = tmp_path / "copy"
    shutil.copytree(corpus, copy)
    first, second, third, *_ = sorted(copy.rglob("*.flac"))
    first.unlink()
    second.write_bytes(third.read_bytes())
    third.unlink()
    assert split("check", loso, f"synthetic={copy}", "-q") == 3
    out, err = shown(capsys)
    assert "here: 2 of 24 utterances of the split file are not here" in out
    assert "here: 1 of 24 recordings have other bytes" in out
    assert f"3 failed, 21 done. Found: {first.stem}: not here" in err


@pytest.mark.slow  # reads both corpora; tests/evaluation/test_emobox.py does it by name
def test_emoboxs_lists_share_speakers(shared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpora = shared / "corpora"
    lists = f"emobox:{corpora / 'emobox-splits' / 'data'}"
    turev = ["check", f"turevdb={corpora / 'turev-db'}", "--split", f"{lists}/turevdb,validation_speakers=0", "-q"]
    assert split(*turev) == 1
    assert "error: train and test share 6 speakers in 1 of 1 fold: 1157, 1234" in shown(capsys)[0]
    assert split("check", f"emodb={corpora / 'emodb'}", "--split", f"{lists}/emodb,validation_speakers=0", "-q") == 1
    assert "error: train and test share 10 speakers in 5 of 5 folds: 03, 08" in shown(capsys)[0]


# ------------------------------------------------------------------------------------------- show, export


def test_show_counts_every_part(loso: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert split("show", loso) == 0
    lines = shown(capsys)[0].splitlines()
    assert lines[0].split() == ["fold", "part", "utterances", "speakers", "angry", "neutral", "sad"]
    assert [line.split()[1:] for line in lines[1:4]] == [
        ["train", "12", "2", "4", "4", "4"],
        ["validation", "6", "1", "2", "2", "2"],
        ["test", "6", "1", "2", "2", "2"],
    ]
    assert split("show", loso, "--json") == 0
    folds = json.loads(shown(capsys)[0])["folds"]
    assert folds[0]["train"] == {"utterances": 12, "speakers": 2, "classes": {"angry": 4, "neutral": 4, "sad": 4}}


def test_show_lists_the_ids_of_a_fold(loso: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = json.loads(loso.read_text())["folds"][0]
    name, test = first["name"], first["test"]
    assert split("show", loso, "--ids", name, "--part", "test") == 0
    assert shown(capsys)[0].splitlines() == test
    assert split("show", loso, "--ids", name) == 0
    assert f"test\t{test[0]}" in shown(capsys)[0].splitlines()
    assert split("show", loso, "--ids", f"{name}x") == 2
    assert f"Did you mean {name}?" in shown(capsys)[1]
    assert split("show", loso, "--part", "test") == 2


def test_export_writes_the_format_asked_for(loso: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert split("export", loso, "--format", "csv", "--out", tmp_path / "x") == 0
    rows = list(csv.DictReader((tmp_path / "x" / "folds.csv").read_text().splitlines()))
    assert len(rows) == 4 * 24
    assert split("export", loso, "--format", "ids", "--out", tmp_path / "x") == 2
    assert "not empty" in shown(capsys)[1]
    assert split("export", loso, "--format", "emobx", "--out", tmp_path / "y") == 2
    assert "Did you mean emobox?" in shown(capsys)[1]


# ------------------------------------------------------------------------------------------- run


def test_a_split_file_is_run_as_it_was_made(corpus: Path, tmp_path: Path) -> None:
    """Also its classes: the corpus has three, the split two."""
    path = tmp_path / "paper.json"
    assert split("make", f"synthetic={corpus}", "--labels", "angry,sad", "--out", path, "-q") == 0
    own, published = plan_of(corpus, "loso", labels=("angry", "sad")), plan_of(corpus, f"file:{path}")
    assert published.split.folds == own.split.folds
    assert published.listing.utterances == own.listing.utterances
    assert published.settings.labels == ("angry", "sad")
    assert published.split.notes[-1] == "all 16 utterances of the split file are here and unchanged"


@pytest.mark.slow
def test_a_split_file_gives_the_same_scores(corpus: Path, loso: Path, tmp_path: Path) -> None:
    run = ["run", "baseline", "--corpus", f"synthetic={corpus}", "-q", "--out"]
    assert main([*run, str(tmp_path / "a"), "--split", "loso"]) == 0
    assert main([*run, str(tmp_path / "b"), "--split", f"file:{loso}"]) == 0
    for record in (tmp_path / "a" / "jobs").glob("*/record.json"):
        there = tmp_path / "b" / "jobs" / record.parent.name / "record.json"
        assert read_json(record)["scores"] == read_json(there)["scores"]


def test_what_differs_is_told_before_training(
    corpus: Path, loso: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(corpus, copy)
    next(copy.rglob("*.flac")).unlink()
    run = ["run", "baseline", "--corpus", f"synthetic={copy}", "--split", f"file:{loso}", "--dry-run", "-q"]
    assert main(run) == 0
    assert "note: 1 of 24 utterances of the split file are not here, and left out of its folds" in shown(capsys)[1]


# ------------------------------------------------------------------------------------------- wrong calls


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["check", "FILE", "--split", "loso"], 2, "a split file brings its protocol"),
        (["check", "FILE", "FILE"], 2, "one split file or run at a time"),
        (["check", "nothing.json"], 1, "there is no such split file: nothing.json"),
        (["check", "CORPUS", "--split", "lsoo"], 2, "Did you mean 'loso'"),
        (["check", "CORPUS", "--split", "loso,shots=3"], 2, "loso does not look at shots.*leaky, validation_speakers"),
        (["check", "CORPUS", "--split", "superb"], 1, "superb is for IEMOCAP only"),
        (["check", "CORPUS", "--split", "corpus"], 1, "at least two corpora"),
        (["check", "CORPUS", "--split", "file:FILE"], 2, "is a file already"),
        (["make", "CORPUS"], 2, "Missing option|missing option"),
        (["make"], 2, "Missing argument|missing argument"),
    ],
)
def test_a_wrong_call_is_explained(
    corpus: Path, loso: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    given = [a.replace("CORPUS", f"synthetic={corpus}").replace("FILE", str(loso)) for a in arguments]
    assert split(*given, "-q") == code
    assert re.search(message, shown(capsys)[1])


def test_every_protocol_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    from serenade.app.commands.split import SPLIT_FORMS

    assert {name for name in SPLITS if not re.search(rf"\b{name}\b", SPLIT_FORMS)} == set()
    assert main(["run", "--help"]) == 0
    words = set(re.findall(r"\w+", shown(capsys)[0]))
    assert set(SPLITS) <= words
    assert all(isinstance(settings_of(name), tuple) for name in SPLITS)
