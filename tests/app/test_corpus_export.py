"""``serenade corpus export``: what it writes and says, and how it ends."""

import csv
from pathlib import Path

import pytest
from tests.corpora.trees import make_emodb

from serenade.app.main import main
from serenade.corpora import CORPORA

FOUR = ["03a01Wa", "03a01Nc", "08a01Fa", "08a01Na"]


@pytest.fixture
def emodb(tmp_path: Path) -> Path:
    return make_emodb(tmp_path / "emodb", FOUR)


def test_a_corpus_is_written_and_its_reader_named(emodb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = emodb.parent / "out"
    assert main(["corpus", "export", f"emodb={emodb}", "--format", "kaldi", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: 4 utterances in the format kaldi; read it as kaldi={out}\n"
    assert [u.id for u in CORPORA.resolve("kaldi").list_files(out).utterances] == sorted(FOUR)


def test_csv_is_the_default_and_links_are_relative(emodb: Path) -> None:
    out = emodb.parent / "out"
    assert main(["corpus", "export", f"emodb={emodb}", "--out", str(out), "--media", "link", "-q"]) == 0
    with (out / "emodb.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [f"audio/{name}.wav" for name in sorted(FOUR)]
    assert (out / "audio" / "03a01Wa.wav").is_symlink()


def test_classes_are_chosen_and_mapped(emodb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = emodb.parent / "out"
    options = ["--map", "angry=negative,happy=-", "--where", "speaker=03"]
    assert main(["corpus", "export", f"emodb={emodb}", "--out", str(out), *options]) == 0
    listing = CORPORA.resolve("table").list_files(out / "emodb.csv")
    assert {u.id: u.emotion for u in listing.utterances} == {"03a01Nc": "neutral", "03a01Wa": "negative"}
    assert "Left out: 2 not selected" in capsys.readouterr().err


def test_damage_is_left_out_named_and_ends_with_3(emodb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (emodb / "wav" / "03a01Wa.wav").write_bytes(b"")
    out = emodb.parent / "out"
    assert main(["corpus", "export", f"emodb={emodb}", "--out", str(out)]) == 3
    told = capsys.readouterr()
    assert "3 utterances" in told.out
    assert "wav/03a01Wa.wav: empty" in told.err
    assert "3 done" in told.err


@pytest.mark.parametrize(
    ("corpus", "options", "message"),
    [
        ("emodb", [], "given as NAME=PATH"),
        ("emodbb=.", [], "Did you mean 'emodb'?"),
        ("emodb=.", ["--format", "kalid"], "Did you mean 'kaldi'?"),
        ("emodb=.", ["--media", "links"], "Did you mean link?"),
        ("emodb=.", ["--out", "."], "not empty"),
        ("emodb=.", ["--where", "version"], "given as FACT=VALUE"),
    ],
)
def test_a_wrong_call_is_explained_in_one_paragraph(
    emodb: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    corpus: str,
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(emodb)
    assert main(["corpus", "export", corpus, "--out", "out", *options]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert message in told.err
    assert told.err.count("\n") == 1
    assert not (emodb / "out").exists()
