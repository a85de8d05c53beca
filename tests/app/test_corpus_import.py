"""``serenade corpus import``: by questions, by flags, and what it does with bad input."""

import csv
import io
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.corpora.trees import fingerprint, write_sound

from serenade.app.main import main
from serenade.core.settings import load_toml
from serenade.corpora.table import list_files

Capture = pytest.CaptureFixture[str]
TABLE = (
    "Nr;SprecherID;Geschlecht;Gefühl;Aufnahme\n"
    "1;s1;weiblich;Wut;a1\n"
    "2;s1;weiblich;Freude;a2\n"
    "3;s2;männlich;Wut;b1\n"
    "4;s2;männlich;Freude;b2\n"
    "5;s2;männlich;genervt;b3\n"
)
FLAGS = [
    *("--column", "file=Aufnahme", "--column", "speaker=SprecherID", "--column", "gender=geschlecht"),
    *("--column", "emotion=Gefühl", "--label", "genervt=annoyed", "--no-report"),
]


class Terminal(io.StringIO):
    """Standard input with somebody before it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Recordings below rec/, and a German table of them without paths or extensions."""
    for name in ("a1", "a2", "b1", "b2", "b3"):
        write_sound(tmp_path / "rec" / f"{name}.wav")
    (tmp_path / "t.csv").write_text(TABLE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return tmp_path


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def type_(*lines: str) -> None:
        monkeypatch.setattr(sys, "stdin", Terminal("".join(f"{line}\n" for line in lines)))

    return type_


def run(*arguments: str) -> int:
    return main(["corpus", "import", *arguments])


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def test_flags_alone_make_a_manifest_that_table_reads(folder: Path, capsys: Capture) -> None:
    before = fingerprint(folder / "rec")
    assert run("t.csv", "--out", "m.csv", *FLAGS, "--language", "de") == 0
    assert rows(folder / "m.csv")[0] == {
        "file": "rec/a1.wav", "speaker": "s1", "gender": "female", "emotion": "angry", "language": "de", "Nr": "1",
    }  # fmt: skip
    listing = list_files(folder / "m.csv")
    assert [(u.speaker, u.gender, u.emotion) for u in listing.utterances] == [
        ("s1", "female", "angry"), ("s1", "female", "happy"),
        ("s2", "male", "angry"), ("s2", "male", "happy"), ("s2", "male", "annoyed"),
    ]  # fmt: skip
    assert listing.left_out == ()
    shown, told = capsys.readouterr()
    assert shown == "serenade corpus check table m.csv\nserenade run glam-cpu --corpus table=m.csv --split loso\n"
    assert "5 rows, 2 speakers; angry 2, happy 2, annoyed 1" in told
    assert "classes with one row: annoyed" in told
    assert fingerprint(folder / "rec") == before


def test_enter_takes_every_proposal(folder: Path, answer: Callable[..., None], capsys: Capture) -> None:
    answer(*[""] * 20)
    assert run("t.csv", "--out", "m.csv", "--no-report") == 0
    told = capsys.readouterr().err
    assert "speaker: which column (SprecherID: by its name: s1, s2)? [SprecherID]: " in told
    assert "       2 Wut -> angry" in told
    assert "label 'genervt' (1 row): which class?" in told
    assert "Write m.csv? [Y/n]: " in told
    assert [row["emotion"] for row in rows(folder / "m.csv")] == ["angry", "happy", "angry", "happy", "genervt"]


def test_other_answers_are_taken_and_wrong_ones_asked_again(
    folder: Path, answer: Callable[..., None], capsys: Capture
) -> None:
    # file: a column that is not there, then Enter; speaker: none; gender: Enter; emotion: Enter; genervt: left out
    answer("Aufname", "", "-", "", "", "-", "de", "perhaps", "y")
    assert run("t.csv", "--out", "m.csv", "--no-report") == 0
    told = capsys.readouterr().err
    assert "Did you mean 'Aufnahme'?" in told
    assert "Please answer y or n." in told
    assert "left out, not selected: 1 (b3 (line 6), label genervt)" in told
    assert "4 rows without a speaker" in told
    assert all(row["speaker"] == "" and row["language"] == "de" for row in rows(folder / "m.csv"))


def test_no_ends_without_a_file(folder: Path, answer: Callable[..., None], capsys: Capture) -> None:
    answer(*[""] * 6, "n")
    assert run("t.csv", "--out", "m.csv", "--no-report") == 2
    assert "stopped; nothing was written" in capsys.readouterr().err
    answer("", "")
    assert run("t.csv", "--out", "m.csv", "--no-report") == 2
    assert "the input ended" in capsys.readouterr().err
    assert sorted(path.name for path in folder.glob("m.*")) == []


def test_without_a_terminal_open_questions_name_their_flags(folder: Path, capsys: Capture) -> None:
    assert run("t.csv", "--out", "m.csv", "--no-report") == 2
    told = capsys.readouterr().err
    for flag in ("--column file=Aufnahme", "--column speaker=SprecherID", "--column emotion=Gefühl", "--yes"):
        assert flag in told
    assert run("t.csv", "--out", "m.csv", *FLAGS[:-3], "--no-report") == 2
    assert "--label genervt=genervt" in capsys.readouterr().err
    assert not list(folder.glob("m.*"))
    assert run("t.csv", "--out", "m.csv", "--no-report", "--yes") == 0


def test_the_flags_that_are_named_can_be_pasted_into_a_shell(folder: Path, capsys: Capture) -> None:
    (folder / "x.csv").write_text("Audio Path,Speaker No,Gefühl\nrec/a1.wav,x,so la la\nrec/b1.wav,y,Wut\n")
    assert run("x.csv", "--out", "m.csv", "--no-report") == 2
    hint = capsys.readouterr().err.partition("Answer with ")[2].partition("; --yes")[0]
    assert "'speaker=Speaker No'" in hint
    assert run("x.csv", "--out", "m.csv", "--no-report", *shlex.split(hint)) == 0
    assert [row["emotion"] for row in rows(folder / "m.csv")] == ["so la la", "angry"]


def test_own_names_and_known_labels_need_no_questions(folder: Path) -> None:
    (folder / "own.csv").write_text("file,speaker,emotion\nrec/a1.wav,x,Wut\nrec/b1.wav,y,joy\n")
    assert run("own.csv", "--out", "m.csv", "--no-report") == 0
    assert [row["emotion"] for row in rows(folder / "m.csv")] == ["angry", "happy"]


def test_a_folder_is_read_by_a_guessed_or_given_pattern(folder: Path, capsys: Capture) -> None:
    for speaker in ("anna", "ben"):
        for emotion in ("Wut", "Freude"):
            for take in (1, 2):
                write_sound(folder / "rec2" / f"{speaker}_{emotion}_{take}.wav")
    assert run("rec2", "--out", "m.csv", "--no-report") == 2
    assert "--pattern '{speaker}_{emotion}_{_}'" in capsys.readouterr().err
    assert run("rec2", "--out", "m.csv", "--no-report", "--yes") == 0
    told = capsys.readouterr().err
    assert "{speaker}_{emotion}_{_} fits 8 of 8 paths:" in told
    assert "  anna_Freude_1.wav: speaker anna, emotion Freude" in told
    assert run("rec2", "--out", "n.csv", "--no-report", "--pattern", "{speaker}_{emotion}_{take}") == 0
    assert rows(folder / "n.csv")[0] == {
        "file": "rec2/anna_Freude_1.wav", "speaker": "anna", "emotion": "happy", "take": "1",
    }  # fmt: skip


def test_a_pattern_is_asked_for_until_it_fits(folder: Path, answer: Callable[..., None], capsys: Capture) -> None:
    answer("{speeker}{_}", "{speaker}{_}", "", "", "", "")
    assert run("rec", "--out", "m.csv", "--no-report") == 0
    told = capsys.readouterr().err
    assert "Did you mean {speaker}?" in told
    assert "{speaker}{_} fits 5 of 5 paths:" in told
    assert [row["speaker"] for row in rows(folder / "m.csv")] == ["a", "a", "b", "b", "b"]
    assert "no row has a label" in told


def test_numbers_become_labels_by_flags(folder: Path) -> None:
    for name in ("03-01-05-01-01-01-01", "03-01-04-01-01-01-02", "03-01-01-01-01-01-02"):
        write_sound(folder / "rav" / f"{name}.wav")
    pattern = "*-*-{emotion}-{intensity}-*-*-{speaker}"
    labels = ["--label", "05=angry", "--label", "04=sad", "--label", "01=-"]
    assert run("rav", "--out", "m.csv", "--no-report", "--pattern", pattern, *labels) == 0
    assert [(row["emotion"], row["speaker"], row["intensity"]) for row in rows(folder / "m.csv")] == [
        ("sad", "02", "01"),
        ("angry", "01", "01"),
    ]


def test_sexes_in_numbers_are_given_by_flags(folder: Path, capsys: Capture) -> None:
    (folder / "g.csv").write_text("file,speaker,sex,emotion\nrec/a1.wav,x,1,sad\nrec/b1.wav,y,2,angry\n")
    assert run("g.csv", "--out", "m.csv", "--no-report") == 2
    assert "--gender 1=female" in capsys.readouterr().err
    assert run("g.csv", "--out", "m.csv", "--no-report", "--gender", "1=female", "--gender", "2=male") == 0
    assert [row["gender"] for row in rows(folder / "m.csv")] == ["female", "male"]


def test_an_import_is_repeated_when_the_source_has_grown(folder: Path, capsys: Capture) -> None:
    (folder / "sub").mkdir()
    assert run("t.csv", "--out", "sub/m.csv", *FLAGS) == 0
    kept = load_toml(folder / "sub" / "m.import.toml")
    assert kept["source"] == "../t.csv"
    assert kept["labels"] == {"Wut": "angry", "Freude": "happy", "genervt": "annoyed"}
    first = (folder / "sub" / "m.csv").read_text()
    assert run("--repeat", "sub/m.import.toml", "--no-report") == 2
    assert "the manifest is there already" in capsys.readouterr().err
    assert run("--repeat", "sub/m.import.toml", "--no-report", "--force") == 0
    assert (folder / "sub" / "m.csv").read_text() == first
    write_sound(folder / "rec" / "c1.wav")
    (folder / "t.csv").write_text(TABLE + "6;s3;weiblich;Trauer;c1\n")
    assert run("--repeat", "sub/m.import.toml", "--no-report", "--force") == 0
    assert len(rows(folder / "sub" / "m.csv")) == 6
    (folder / "sub" / "m.import.toml").write_text('source = "x"\nlabls = "x"\n')
    assert run("--repeat", "sub/m.import.toml", "--force") == 2
    assert "Did you mean 'labels'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode("latin-1"),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace(";", "\t").encode(),
        lambda text: text.replace(";", ",").encode(),
        lambda text: text.replace("genervt", '"genervt"').encode(),
    ],
    ids=["bom", "latin-1", "utf-16", "crlf", "tab", "comma", "quotes"],
)
def test_tables_of_any_make_are_read_alike(folder: Path, encode: Callable[[str], bytes]) -> None:
    (folder / "t.csv").write_bytes(encode(TABLE))
    assert run("t.csv", "--out", "m.csv", *FLAGS) == 0
    assert [(row["Nr"], row["emotion"]) for row in rows(folder / "m.csv")] == [
        ("1", "angry"), ("2", "happy"), ("3", "angry"), ("4", "happy"), ("5", "annoyed"),
    ]  # fmt: skip


def test_parquet_is_read(folder: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="needs the extra data")
    from pyarrow import parquet

    table = pyarrow.table({"Datei": ["a1.wav", "b1.wav"], "Sprecher": ["x", "y"], "Label": ["Wut", "sad"]})
    parquet.write_table(table, folder / "t.parquet")
    assert run("t.parquet", "--out", "m.csv", "--no-report", "--yes") == 0
    assert [(row["file"], row["emotion"]) for row in rows(folder / "m.csv")] == [
        ("rec/a1.wav", "angry"),
        ("rec/b1.wav", "sad"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the table is empty"),
        ("file,emotion\n", "a header and nothing below it"),
        ("file,emotion\na1.wav\n", "another number of cells than the header"),
        ("file,file\na1.wav,a1.wav\n", "two columns called 'file'"),
        ("Nr,Bemerkung\n1,laut\n", r"--column file=COLUMN"),
        ("file,emotion\nz1.wav,sad\nz2.wav,angry\n", r"none of 2 rows can be used.*z1\.wav \(line 2\).*--audio"),
        (
            "file,label,category\na1.wav,sad,angry\nb1.wav,angry,sad\n",
            "which column, label or category.*--column emotion",
        ),
        ("file,emotion,split\na1.wav,sad,tets\n", r"unknown word in the column split.*line 2.*Did you mean 'test'"),
        ("file,emotion\na1.wav,angryy\n" + "b1.wav,sad\n", "label 'angryy'.*--label angryy=angry"),
    ],
)
def test_bad_tables_are_named_and_nothing_is_written(folder: Path, capsys: Capture, text: str, message: str) -> None:
    (folder / "bad.csv").write_text(text)
    assert run("bad.csv", "--out", "m.csv", "--no-report") in (1, 2)
    told = capsys.readouterr().err
    assert re.search(message, told), told
    assert "Traceback" not in told
    assert not list(folder.glob("m.*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["t.csv"], "no manifest to write is named"),
        (["--out", "m.csv"], "nothing to import is named"),
        (["t.csv", "--out", "m.txt"], "--out m.csv"),
        (["tt.csv", "--out", "m.csv"], "there is no such table or folder.*Did you mean t.csv"),
        (["t.csv", "--out", "t.csv", "--force"], "would replace the source"),
        (["t.csv", "--out", "m.csv", "--column", "speeker=SprecherID"], "Did you mean speaker"),
        (["t.csv", "--out", "m.csv", "--column", "speaker=Sprecher"], "Did you mean 'SprecherID'"),
        (["t.csv", "--out", "m.csv", "--column", "speaker"], "must look like A=B"),
        (["t.csv", "--out", "m.csv", "--label", "Wut=angry", "--label", "Wut=sad"], "two things of 'Wut'"),
        (["t.csv", "--out", "m.csv", *FLAGS, "--label", "genrevt=x"], "no row has the label 'genrevt'"),
        (["t.csv", "--out", "m.csv", *FLAGS, "--audio", "absent"], "no such folder of recordings"),
        (["t.csv", "--out", "t.csv/m.csv", *FLAGS], "cannot write"),
        (["rec", "--out", "m.csv", "--no-report"], "do not show who speaks.*--pattern"),
        (["rec", "--out", "m.csv", "--no-report", "--pattern", "{speaker}_{emotion}"], "none of 5 rows"),
        (["rec", "--out", "m.csv", "--pattern", "{speaker"], "a brace has no partner"),
        (["--repeat", "absent.import.toml"], "no such settings file"),
    ],
)  # fmt: skip
def test_bad_calls_are_named(folder: Path, capsys: Capture, arguments: Sequence[str], message: str) -> None:
    assert run(*arguments) in (1, 2)
    told = capsys.readouterr().err
    assert re.search(message, told.replace("\n", " ")), told
    assert "Traceback" not in told
    assert not list(folder.glob("m.*"))


def test_rows_that_cannot_be_used_are_listed_and_end_with_3(folder: Path, capsys: Capture) -> None:
    write_sound(folder / "rec" / "twice" / "a1.wav")
    (folder / "b.csv").write_text(
        "file,speaker,emotion,start,end\n"
        "rec/b1.wav,x,sad,,\nrec/b1.wav,x,sad,,\nrec/b1.wav,x,angry,,\nrec/b2.wav,y,angry,2,1\na1,x,sad,,\ngone.wav,x,sad,,\n"
    )
    assert run("b.csv", "--out", "m.csv", "--no-report") == 3
    told = capsys.readouterr().err
    assert "the same recording and span stand twice" in told
    assert "the same recording and span, labelled sad and angry" in told
    assert "left out, bad span: 1 (rec/b2.wav (line 5)" in told
    assert "the name stands for several files: rec/a1.wav, rec/twice/a1.wav" in told
    assert "gone.wav (line 7): missing" in told
    assert len(rows(folder / "m.csv")) == 1


def test_a_class_that_table_would_take_for_a_slip_is_refused(folder: Path, capsys: Capture) -> None:
    (folder / "s.csv").write_text("file,emotion\nrec/a1.wav,sad\nrec/a2.wav,tense\n")
    assert run("s.csv", "--out", "m.csv", "--no-report", "--label", "tense=happyy") == 2
    assert "'happyy' would be taken for a slip of 'happy'" in capsys.readouterr().err


def test_columns_that_are_not_used_do_not_change_the_meaning(folder: Path) -> None:
    (folder / "x.csv").write_text(
        "file,speaker,label,emotion,path\nrec/a1.wav,x,7,sad,old\nrec/b1.wav,y,8,angry,older\n"
    )
    assert run("x.csv", "--out", "m.csv", "--no-report") == 0
    listing = list_files(folder / "m.csv")
    assert [u.emotion for u in listing.utterances] == ["sad", "angry"]
    assert listing.utterances[0].extra["source_label"] == "7"
    assert listing.utterances[0].extra["source_path"] == "old"


def test_the_speaker_who_gives_the_label_away_is_called_out(folder: Path, capsys: Capture) -> None:
    lines = [f"rec/{n}.wav,s{n % 4},{('sad', 'angry')[n % 2]}\n" for n in range(16)]
    for n in range(16):
        write_sound(folder / "rec" / f"{n}.wav")
    (folder / "x.csv").write_text("file,speaker,emotion\n" + "".join(lines))
    assert run("x.csv", "--out", "m.csv", "--no-report") == 0
    assert "WARNING: the speaker gives the label away" in capsys.readouterr().err


def test_the_report_is_made_and_damage_found_in_it_ends_with_3(folder: Path, capsys: Capture) -> None:
    (folder / "rec" / "b3.wav").write_bytes(b"RIFF")
    assert run("t.csv", "--out", "m.csv", *FLAGS[:-1]) == 3
    shown, told = capsys.readouterr()
    assert "Recordings of m.csv" in (folder / "m.html").read_text(encoding="utf-8")
    assert "Report: m.html" in told
    assert "rec/b3.wav (line 6): undecodable" in told
    assert "error: 1 recording cannot be used: 1 undecodable" in shown
    assert (folder / "m.csv").exists()


def test_without_the_extra_for_pages_the_manifest_is_there_all_the_same(
    folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert run("t.csv", "--out", "m.csv", *FLAGS[:-1]) == 0
    shown, told = capsys.readouterr()
    assert "No report: The HTML report needs the package 'jinja2'" in told
    assert "serenade corpus check table m.csv" in shown
    assert main(["corpus", "report", "table", "m.csv"]) == 2
    assert main(["corpus", "report", "table", "m.csv", "--json"]) == 0


def test_a_table_may_leave_the_speaker_to_the_file_names(folder: Path) -> None:
    (folder / "x.csv").write_text("file,emotion\nrec/a1.wav,sad\nrec/b1.wav,Wut\n")
    assert run("x.csv", "--out", "m.csv", "--no-report", "--pattern", "{speaker}{_}") == 0
    assert [(row["speaker"], row["emotion"]) for row in rows(folder / "m.csv")] == [("a", "sad"), ("b", "angry")]


def test_ctrl_c_while_writing_leaves_nothing_half_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from serenade.core import files

    real = files.write_text
    monkeypatch.setattr(
        files, "write_text", lambda path, text: _interrupt() if path.name == "m.csv" else real(path, text)
    )
    assert run("t.csv", "--out", "m.csv", *FLAGS) == 130
    assert not list(folder.glob("*m.*"))
    monkeypatch.setattr(files, "write_text", real)
    assert run("t.csv", "--out", "m.csv", *FLAGS) == 0
    kept = fingerprint(folder)
    monkeypatch.setattr(
        files, "write_text", lambda path, text: _interrupt() if path.name == "m.csv" else real(path, text)
    )
    assert run("t.csv", "--out", "m.csv", *FLAGS, "--language", "de", "--force") == 130
    assert {name: digest for name, (digest, _) in fingerprint(folder).items()} == {
        name: digest for name, (digest, _) in kept.items()
    }


def _interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")
def test_ctrl_c_at_a_question_on_a_real_terminal_writes_nothing(folder: Path) -> None:
    import pty

    master, slave = pty.openpty()
    command = [sys.executable, "-m", "serenade.app", "corpus", "import", "t.csv", "--out", "m.csv", "--no-report"]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True) as process:
        os.close(slave)
        seen = b""
        deadline = time.monotonic() + 60
        while b"speaker: which column" not in seen and time.monotonic() < deadline:
            seen += os.read(master, 4096)
            if seen.count(b"[Aufnahme]: ") == 1 and b"speaker" not in seen.partition(b"[Aufnahme]: ")[2]:
                os.write(master, b"\n")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    os.close(master)
    assert b"speaker: which column" in seen
    assert not list(folder.glob("m.*"))
