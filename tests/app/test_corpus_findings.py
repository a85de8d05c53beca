"""``serenade corpus check`` finds every kind of leak that was planted in a corpus with parts of its own."""

import json
from pathlib import Path
from typing import Any

import pytest
import soundfile
from tests.signal.takes import RATE, take

from serenade.app.main import main

HEADER = "file,start,end,speaker,emotion,split,session,dialogue,sentence"
CLEAN = [
    "a0.wav,,,anna,happy,train,s1,d1,t1",
    "a1.wav,,,anna,sad,train,s1,d1,t2",
    "b0.wav,,,ben,happy,test,s2,d2,t3",
    "b1.wav,,,ben,sad,test,s2,d2,t4",
]
PLANTED = {
    "speaker": ("c0.wav,,,anna,happy,test,s3,d3,t5", "1 speaker in 1 of 1 fold: anna"),
    "group": ("c0.wav,,,carl,happy,test,s1,d3,t5", "1 recording group in 1 of 1 fold: s1"),
    "dialogue": ("c0.wav,,,carl,happy,test,s3,d1,t5", "1 dialogue in 1 of 1 fold: d1"),
    "sentence": ("c0.wav,,,carl,happy,test,s3,d3,t1", "1 sentence in 1 of 1 fold: t1"),
    "file": ("long.wav,2.5,,carl,happy,test,s3,d3,t5", "1 file in 1 of 1 fold: "),
    "content": (
        "copy.wav,0,2,carl,happy,test,s3,d3,t5",
        "share 1 recording with the same sound in 1 of 1 fold: a0.wav",
    ),
    "near_duplicate": ("copy.flac,,,carl,happy,test,s3,d3,t5", "(near-duplicate) in 1 of 1 fold: a0.wav ~ copy.flac"),
}


def write(folder: Path, *planted: str) -> Path:
    folder.mkdir()
    for place, name in enumerate(("a0", "a1", "b0", "b1", "c0")):
        soundfile.write(folder / f"{name}.wav", take(place), RATE)
    soundfile.write(folder / "copy.wav", take(0), RATE)
    soundfile.write(folder / "copy.flac", take(0) * 0.5, RATE)
    soundfile.write(folder / "long.wav", [*take(5), *take(6)], RATE)
    table = folder / "data.csv"
    table.write_text("\n".join([HEADER, *CLEAN, *planted]) + "\n")
    return table


def check(table: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str, dict[str, Any]]:
    code = main(["corpus", "check", "table", str(table), "-q", *options])
    shown = capsys.readouterr().out
    main(["corpus", "check", "table", str(table), "-q", "--json", *options])
    return code, shown, json.loads(capsys.readouterr().out)


def test_a_clean_corpus_shares_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, shown, told = check(write(tmp_path / "corpus"), capsys)
    assert code == 0
    assert "No near-duplicates\nIts own parts (split): nothing shared\n" in shown
    assert told["near_duplicates"] == []
    assert [report["findings"] for report in told["own_parts"]] == [[]]


@pytest.mark.parametrize("kind", PLANTED)
def test_what_is_planted_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    line, message = PLANTED[kind]
    more = ["long.wav,,2.5,anna,sad,train,s1,d1,t6"] if kind == "file" else []
    code, shown, told = check(write(tmp_path / "corpus", line, *more), capsys)
    assert code == 0
    (finding,) = told["own_parts"][0]["findings"]
    assert finding["kind"] == kind
    assert finding["severity"] == ("warning" if kind == "sentence" else "error")
    assert f"  {finding['severity']}: {finding['message']}\n" in shown
    assert message in finding["message"]


def test_a_whole_copy_is_left_out_and_the_parts_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, shown, told = check(write(tmp_path / "corpus", "copy.wav,,,carl,sad,test,s3,d3,t5"), capsys)
    (item,) = told["left_out"]
    assert item["reason"] == "duplicate"
    assert "labelled happy there and sad here" in item["detail"]
    assert "in the part train there and test here" in item["detail"]
    assert item["detail"] in shown


def test_near_duplicates_say_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planted = "copy.flac,,,carl,sad,train,s1,d1,t5"
    _, shown, told = check(write(tmp_path / "corpus", planted), capsys)
    assert "1 near-duplicate, the same take in two recordings; labels differ in 1, speakers in 1:" in shown
    assert "a0.wav ~ copy.flac: wav and flac, 6.0 dB softer, labels differ: happy and sad" in shown
    (pair,) = told["near_duplicates"]
    assert (pair["same_label"], pair["same_speaker"]) == (False, False)
    assert "nothing shared" in shown


def test_unknown_speakers_are_nobody_to_share_or_to_differ(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write(tmp_path / "corpus")
    rows = ["a0.wav,,happy,train", "a1.wav,anna,sad,train", "b0.wav,,sad,test", "copy.flac,carl,happy,test"]
    table.write_text("file,speaker,emotion,split\n" + "\n".join(rows) + "\n")
    _, shown, told = check(table, capsys)
    assert "labels differ in 0, speakers in 0:" in shown
    assert told["near_duplicates"][0]["same_speaker"] is None
    found = {finding["kind"]: finding["severity"] for finding in told["own_parts"][0]["findings"]}
    assert found["near_duplicate"] == "error"
    assert found["unknown_speaker"] == "warning"
    assert "speaker" not in found
    assert "  warning: of 2 utterances the speaker is not known, so it cannot be told" in shown
    assert main(["split", "check", f"table={table}", "--split", "columns,validation_speakers=0", "-q"]) == 1
    shown = capsys.readouterr().out
    assert "4 utterances of 2 speakers" in shown
    assert "speaker is not known" in shown
    assert "share 1 speaker" not in shown


def test_looking_for_near_duplicates_can_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write(tmp_path / "corpus", PLANTED["near_duplicate"][0])
    code, shown, told = check(table, capsys, "--no-near-duplicates")
    assert code == 0
    assert "near-duplicate" not in shown
    assert told["near_duplicates"] is None


def test_folds_of_the_table_are_checked_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write(tmp_path / "corpus")
    rows = ["a0.wav,anna,happy,1", "a1.wav,anna,sad,2", "b0.wav,ben,happy,1", "b1.wav,ben,sad,2"]
    table.write_text("file,speaker,emotion,fold\n" + "\n".join(rows) + "\n")
    _, shown, _ = check(table, capsys)
    assert "Its own parts (fold): they share\n  error: train and test share 2 speakers in 2 of 2 folds" in shown


def test_a_table_with_one_part_only_has_nothing_to_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write(tmp_path / "corpus")
    table.write_text("\n".join([HEADER, *CLEAN[:2]]) + "\n")
    _, shown, told = check(table, capsys)
    assert "own parts" not in shown
    assert told["own_parts"] == []
