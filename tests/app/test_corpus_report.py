"""``serenade corpus report``: the page, the JSON, and how it ends."""

import json
from pathlib import Path

import pytest
from tests.corpora.trees import make_emodb, write_sound

from serenade.app.main import main

SIX = ["03a01Wa", "03a01Nc", "03a02Fc", "08a01Wa", "08a01Na", "08a02Fb"]


@pytest.fixture
def emodb(tmp_path: Path) -> Path:
    return make_emodb(tmp_path / "emodb", SIX)


def test_it_writes_a_page_and_says_what_stands_out(
    emodb: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["corpus", "report", "emodb", str(emodb)]) == 0
    shown, told = capsys.readouterr()
    assert "6 utterances, 0.0 min, 2 speakers; 0 left out" in shown
    assert "warning: classes with fewer than 10 utterances" in shown
    assert told.endswith("Report: corpus-report.html\n")
    assert "Recordings of EMO-DB" in (tmp_path / "corpus-report.html").read_text(encoding="utf-8")


def test_json_has_the_figures_of_every_recording_and_no_page_unless_asked(
    emodb: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["corpus", "report", "emodb", str(emodb), "--json", "--labels", "anger,neutral"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {entry["emotion"] for entry in told["utterances"]} == {"angry", "neutral"}
    assert all(entry["duration_s"] == 0.1 and entry["sample_rate"] == 16000 for entry in told["utterances"])
    assert not list(tmp_path.glob("*.html"))
    assert main(["corpus", "report", "emodb", str(emodb), "--json", "--out", "sub/p.html", "-q"]) == 0
    assert (tmp_path / "sub" / "p.html").exists()


def test_damage_is_listed_and_ends_with_3(emodb: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (emodb / "wav" / "03a01Wa.wav").write_bytes(b"")
    assert main(["corpus", "report", "emodb", str(emodb), "--out", str(tmp_path / "p.html")]) == 3
    shown, told = capsys.readouterr()
    assert "error: 1 recording cannot be used: 1 empty" in shown
    assert "03a01Wa.wav: empty" in told
    assert "wav/03a01Wa.wav" in (tmp_path / "p.html").read_text(encoding="utf-8")


def test_nothing_usable_and_a_wrong_folder_are_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text("file\na.wav\n")
    (tmp_path / "a.wav").write_bytes(b"")
    assert main(["corpus", "report", "table", str(tmp_path / "t.csv"), "--out", str(tmp_path / "p.html")]) == 1
    assert "nothing in the corpus can be used" in capsys.readouterr().err
    assert main(["corpus", "report", "emodb", str(tmp_path)]) == 1
    assert main(["corpus", "report", "emobd", str(tmp_path)]) == 2
    assert "Did you mean 'emodb'?" in capsys.readouterr().err
    assert not (tmp_path / "p.html").exists()


def test_a_page_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sound(tmp_path / "a.wav")
    (tmp_path / "t.csv").write_text("file\na.wav\n")
    (tmp_path / "file").write_text("")
    assert main(["corpus", "report", "table", str(tmp_path / "t.csv"), "--out", str(tmp_path / "file" / "p.html")]) == 1
    assert "cannot write" in capsys.readouterr().err
