"""`serenade table` as a user meets it."""

from pathlib import Path

import pytest

from serenade.app.main import main
from serenade.corpora.synthetic import generate

QUICK = [
    "--set", "training.selection=last", "--set", "training.epochs=1",
    "--set", "segments_per_epoch=1", "--set", "evaluation_overlap_s=0",
    "--seeds", "1", "--workers", "1", "--split", "loso:0", "-q",
]  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    generate(folder, speakers=4, utterances_per_class=1, classes=("angry", "sad"))
    return folder


def table(*arguments: object) -> int:
    return main(["table", *(str(argument) for argument in arguments)])


@pytest.mark.slow
def test_glam_table_is_trained_shown_and_taken_up(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["glam", "--corpus", f"synthetic={corpus}", "--out", tmp_path, *QUICK]
    assert table(*given, "--rows", "mhcnn,apcnn") == 0
    shown = capsys.readouterr().out
    assert "MHCNN" in shown
    assert "synthetic" in shown
    assert "published (LEAKY)" in shown
    record = tmp_path / "all" / "mhcnn" / "jobs" / "speaker-s01-seed0" / "record.json"
    before = record.stat().st_mtime_ns
    assert table(*given, "--rows", "mhcnn") == 0
    assert record.stat().st_mtime_ns == before, "a finished run is not done again"
    capsys.readouterr()
    assert table("glam", "--out", tmp_path, "--finished", "--no-published", "-q") == 0
    assert "published (LEAKY)" not in capsys.readouterr().out
    assert {path.suffix for path in tmp_path.glob("main.*")} == {".json", ".md", ".tex", ".csv", ".html"}


def test_dry_run_tells_the_runs_of_every_part(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--corpus", f"synthetic={corpus}", "--split", "loso:0", "--parts", "gender", "--out", tmp_path / "t"]
    given += ["--set", "training.selection=last"]
    assert table("glam", *given, "--rows", "glam,apcnn", "--dry-run") == 0
    shown = capsys.readouterr().err
    assert "6 runs: female/glam, female/apcnn, male/glam, male/apcnn, all/glam, all/apcnn" in shown
    assert "only utterances with gender = male" in shown
    assert not (tmp_path / "t").exists()


def test_published_protocol_is_called_leaky_before_it_runs(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--corpus", f"synthetic={corpus}", "--out", tmp_path / "t", "--rows", "glam", "--dry-run"]
    assert table("glam", *given, "--protocol", "published", "--recipe", "published") == 0
    shown = capsys.readouterr().err
    assert "split random82_best_test" in shown
    assert "LEAKY" in shown
    assert "all/glam-published" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["glam", "--table", "mian"], "Did you mean 'main'"),
        (["glam", "--recipe", "own"], "there is no recipe called 'own'"),
        (["glam", "--protocol", "published", "--split", "loso"], "the published protocol has its own split"),
        (["glam", "--parts", "intensity"], "does not know the intensity"),
        (["glam", "--parts", "gender=womn"], "no utterance has gender 'womn'"),
        (["glam", "--table", "ablations", "--rows", "aml"], "Did you mean 'amlp'"),
        (["attention-pooling", "--rows", "gap"], "there is no preset called 'gap'"),
        (["attention-pooling", "--set", "network.heads=1"], "unknown key"),
    ],
)
def test_bad_input_is_told(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    where = [] if "--split" in arguments else ["--split", "loso:0"]
    code = table(*arguments, "--corpus", f"synthetic={corpus}", "--out", tmp_path / "t", "-q", *where)
    shown = " ".join(capsys.readouterr().err.split())
    assert code == 2
    assert message in shown
    assert "Traceback" not in shown
    assert not (tmp_path / "t").exists()


def test_a_folder_without_a_table_and_no_corpus_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert table("glam", "--out", tmp_path, "--finished") == 2
    assert "this folder holds no table 'main'" in " ".join(capsys.readouterr().err.split())
    assert table("attention-pooling", "--out", tmp_path) == 2
    assert "no corpus is given" in capsys.readouterr().err
