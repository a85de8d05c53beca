"""The user's own table: any delimiter, encoding and order of columns; every complaint names the line."""

import logging
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.corpora.trees import fingerprint, write_sound

from serenade.core.errors import CorpusError
from serenade.core.records import UNKNOWN_SPEAKER, Attributes, Listing, Utterance
from serenade.corpora import read_corpus
from serenade.corpora.table import CORPUS, list_files
from serenade.signal.audio import examine


def write_table(
    folder: Path, text: str, *, name: str = "data.csv", sounds: tuple[str, ...] = ("a.wav", "b.wav")
) -> Path:
    for sound in sounds:
        write_sound(folder / sound)
    table = folder / name
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text(text, encoding="utf-8")
    return table


def only(listing: Listing) -> Utterance:
    (utterance,) = listing.utterances
    return utterance


def test_all_columns_are_read(tmp_path: Path) -> None:
    table = write_table(
        tmp_path,
        "file,speaker,gender,emotion,start,end,language,split,fold,text,session,noise\n"
        'a.wav,s1,F,Anger,0.5,1.25,DE,dev,2,"Nein, danke.",d7,street\n',
    )
    utterance = only(list_files(table))
    assert utterance == Utterance(
        id="a.wav#0.500-1.250",
        audio=tmp_path / "a.wav",
        corpus="table",
        speaker="s1",
        emotion="angry",
        start_s=0.5,
        end_s=1.25,
        gender="female",
        language="de",
        group="d7",
        sentence="nein danke",
        text="Nein, danke.",
        split="validation",
        fold="2",
        extra={"noise": "street", "line": "2"},
    )


def test_ids_attributes_and_votes_of_the_users_own(tmp_path: Path) -> None:
    table = write_table(
        tmp_path,
        "file,utterance,emotion,valence,activation,dominance,scale,votes\n"
        'a.wav,Ses01_F000,ang,"2,5",4,nan,1..5,anger=3;tense=1\n'
        "b.wav,,sad,2.5,4,3,,\n",
    )
    first, second = list_files(table).utterances
    assert first.id == "Ses01_F000"
    assert first.attributes == Attributes(1.0, 5.0, valence=2.5, arousal=4.0)
    assert first.votes == {"angry": 3.0, "tense": 1.0}
    assert (second.id, second.attributes, second.votes) == ("b.wav", None, {})
    assert second.extra == {"line": "3", "valence": "2.5", "arousal": "4", "dominance": "3"}  # no scale: just facts


def test_an_id_that_stands_twice_is_left_out(tmp_path: Path) -> None:
    (item,) = list_files(write_table(tmp_path, "file,utterance\na.wav,u1\nb.wav,u1\n")).left_out
    assert (item.where, item.reason, item.detail) == ("b.wav (line 3)", "duplicate", "the same utterance as line 2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,valence,scale\na.wav,6,1..5\n", r"valence.*line 2.*Found: valence 6.0 lies outside the scale"),
        ("file,valence,scale\na.wav,high,1..5\n", r"valence.*line 2.*Found: .*'high'"),
        ("file,valence,scale\na.wav,3,five\n", r"line 2.*Found: scale 'five'.*such as 1\.\.5"),
        ("file,votes\na.wav,angry\n", r"votes cannot be read.*line 2.*Found: 'angry'.*such as angry=3;sad=1"),
    ],
)
def test_what_raters_said_is_read_or_explained(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        list_files(write_table(tmp_path, text))


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_delimiters_are_told_apart(tmp_path: Path, mark: str) -> None:
    table = write_table(tmp_path, f"speaker{mark}file{mark}emotion\ns1{mark}a.wav{mark}happy\n", name="data.txt")
    assert only(list_files(table)).emotion == "happy"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_with_a_mark_are_read(tmp_path: Path, encoding: str) -> None:
    write_sound(tmp_path / "a.wav")
    (tmp_path / "data.csv").write_bytes("file,text\r\na.wav,Größe\r\n".encode(encoding))
    assert only(list_files(tmp_path / "data.csv")).text == "Größe"


def test_latin_1_is_read_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_sound(tmp_path / "a.wav")
    (tmp_path / "data.csv").write_bytes("file,text\na.wav,Größe\n".encode("latin-1"))
    with caplog.at_level(logging.WARNING):
        assert only(list_files(tmp_path / "data.csv")).text == "Größe"
    assert "not UTF-8 (line 2) and is read as Latin-1" in caplog.text


@pytest.mark.parametrize("header", ["path,spk,label,sex", "Filename,Speaker_ID,CLASS,Gender", "wav,actor,emo,sex"])
def test_columns_may_have_other_names(tmp_path: Path, header: str) -> None:
    utterance = only(list_files(write_table(tmp_path, f"{header}\na.wav,s1,sad,m\n")))
    assert (utterance.speaker, utterance.emotion, utterance.gender) == ("s1", "sad", "male")


def test_our_own_name_wins_over_a_synonym(tmp_path: Path) -> None:
    utterance = only(list_files(write_table(tmp_path, "file,emotion,label\na.wav,sad,7\n")))
    assert utterance.emotion == "sad"
    assert utterance.extra["label"] == "7"


def test_two_synonyms_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"two columns for 'emotion'.*line 1.*Found: label, class"):
        list_files(write_table(tmp_path, "file,label,class\na.wav,sad,happy\n"))


def test_a_line_break_in_a_cell_does_not_shift_the_numbers(tmp_path: Path) -> None:
    table = write_table(tmp_path, 'file,text,start\na.wav,"one\ntwo",0\n\nb.wav,three,x\n')
    assert [(item.where, item.reason) for item in list_files(table).left_out] == [("b.wav (line 5)", "bad span")]


@pytest.mark.parametrize(
    ("cells", "span"),
    [
        ("1.5;2", (1.5, 2.0)),
        ("1,5;2,75", (1.5, 2.75)),
        ("0:01.5;1:00", (1.5, 60.0)),
        ("0 days 00:00:01.500000;0 days 01:00:00", (1.5, 3600.0)),
        (";", (0.0, None)),
        ("0;NaT", (0.0, None)),
        ("2;", (2.0, None)),
    ],
)
def test_times_are_read(tmp_path: Path, cells: str, span: tuple[float, float | None]) -> None:
    utterance = only(list_files(write_table(tmp_path, f"file;start;end\na.wav;{cells}\n")))
    assert (utterance.start_s, utterance.end_s) == span


@pytest.mark.parametrize("cells", ["2,1", "1,1", "-1,2", "soon,2", "inf,", "0,inf"])
def test_bad_times_are_left_out(tmp_path: Path, cells: str) -> None:
    listing = list_files(write_table(tmp_path, f"file,start,end\nb.wav,,\na.wav,{cells}\n"))
    assert [(item.where, item.reason) for item in listing.left_out] == [("a.wav (line 3)", "bad span")]


def test_what_is_not_said_is_not_made_up(tmp_path: Path) -> None:
    utterance = only(list_files(write_table(tmp_path, "file,speaker,emotion,gender\na.wav,,,\n")))
    assert (utterance.speaker, utterance.emotion, utterance.gender) == (UNKNOWN_SPEAKER, None, None)


def test_words_of_the_users_own_are_classes(tmp_path: Path) -> None:
    text = "file,emotion\na.wav,stressed\nb.wav,relaxed\n"
    assert [u.emotion for u in list_files(write_table(tmp_path, text)).utterances] == ["stressed", "relaxed"]


def test_a_slip_in_a_label_is_left_out_with_its_line(tmp_path: Path) -> None:
    text = "file,emotion\na.wav,happy\nb.wav,hapy\n"
    (item,) = list_files(write_table(tmp_path, text)).left_out
    assert (item.where, item.reason) == ("b.wav (line 3)", "unknown label")
    assert "one letter away from 'happy'" in item.detail


def test_a_repeated_row_is_left_out_with_both_lines(tmp_path: Path) -> None:
    listing = list_files(write_table(tmp_path, "file,emotion\na.wav,happy\na.wav,sad\n"))
    (item,) = listing.left_out
    assert (item.where, item.reason) == ("a.wav (line 3)", "duplicate")
    assert item.detail == "the same recording and span as line 2, labelled happy there and sad here"


def test_a_row_without_a_file_is_left_out(tmp_path: Path) -> None:
    listing = list_files(write_table(tmp_path, "file,emotion\na.wav,happy\n,sad\n"))
    assert [(item.where, item.reason) for item in listing.left_out] == [("line 3", "missing")]


def test_utterances_of_one_recording_are_one_group(tmp_path: Path) -> None:
    text = "file,speaker,start,end\na.wav,s1,0,1\na.wav,s2,1,2\nb.wav,s3,,\n"
    groups = {u.id: u.group for u in list_files(write_table(tmp_path, text)).utterances}
    assert groups == {"a.wav#0.000-1.000": "a.wav", "a.wav#1.000-2.000": "a.wav", "b.wav": None}


def test_a_recording_may_be_written_in_two_ways(tmp_path: Path) -> None:
    write_sound(tmp_path / "a" / "x.wav")
    lines = "file,start,end\na/x.wav,0,0.1\na/../a/x.wav,0.1,0.2\n./a/x.wav,0.2,0.3\n"
    (tmp_path / "data.csv").write_text(lines)
    assert {u.group for u in list_files(tmp_path / "data.csv").utterances} == {"a/x.wav"}


def test_odd_marks_in_cells_do_not_end_a_line(tmp_path: Path) -> None:
    write_sound(tmp_path / "x.wav")
    (tmp_path / "data.csv").write_bytes("file,text,note\u2028here\rx.wav,one\u2028two\x0bthree,n\r".encode())
    found = only(list_files(tmp_path / "data.csv"))
    assert found.text == "one\u2028two\x0bthree"
    assert found.extra == {"note\u2028here": "n", "line": "2"}


def test_equal_cells_of_a_large_table_are_one_object(tmp_path: Path) -> None:
    rows = "".join(f"{n}.wav,speaker {n % 3},Some words\n" for n in range(300))
    (tmp_path / "data.csv").write_text("file,speaker,text\n" + rows)
    found = CORPUS.list_labels
    assert found is not None
    utterances = found(tmp_path / "data.csv").utterances
    assert len({id(u.speaker) for u in utterances}) == 3
    assert len({id(u.text) for u in utterances}) == len({id(u.sentence) for u in utterances}) == 1


def test_ids_hold_no_absolute_path(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    for name in ("x/1.wav", "y/2.wav"):
        write_sound(elsewhere / name)
    text = f"file\n{elsewhere}/x/1.wav\n{elsewhere}/y/2.wav\nsub/../a.wav\n"
    listing = list_files(write_table(tmp_path / "here", text))
    assert [u.id for u in listing.utterances] == ["a.wav", "x/1.wav", "y/2.wav"]


def test_backslashes_of_windows_are_understood(tmp_path: Path) -> None:
    table = write_table(tmp_path, "file\nsub\\a.wav\n", sounds=("sub/a.wav",))
    assert only(list_files(table)).audio == tmp_path / "sub" / "a.wav"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,emotion\na.wav,happy,sad\n", r"another number of cells.*line 2.*Found: 3 cells"),
        ("file,emotion\na.wav\n", r"another number of cells.*line 2.*Found: 1 cell"),
        ("flie,emotion\na.wav,happy\n", r"no column 'file'.*Found: flie, emotion.*Did you mean 'flie'"),
        ("a.wav,happy\n", r"no column 'file'.*header such as file,speaker,gender,emotion"),
        ("", "the table is empty"),
        ("file,emotion\n", "names no recording"),
        ("file,split\na.wav,train\nb.wav,tets\n", r"line 3.*Found: 'tets'.*Did you mean 'test'"),
        ('file,text\na.wav,"open\n', r"cannot be read.*line 2"),
    ],
)
def test_a_broken_table_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        list_files(write_table(tmp_path, text))


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"PK\x03\x04 and so on")
    with pytest.raises(CorpusError, match="Save it as CSV"):
        list_files(tmp_path / "a.csv")
    with pytest.raises(CorpusError, match="is not text"):
        list_files(write_sound(tmp_path / "x.wav"))


def test_an_absent_table_names_its_neighbour(tmp_path: Path) -> None:
    write_table(tmp_path, "file\na.wav\n", name="recordings.csv")
    with pytest.raises(CorpusError, match=r"no such table.*Did you mean .*recordings\.csv"):
        list_files(tmp_path / "recording.csv")


@pytest.mark.parametrize("place", ["", "data/sub"])
def test_a_table_one_level_off_is_named(tmp_path: Path, place: str) -> None:
    write_sound(tmp_path / "data" / "a.wav")
    table = write_table(tmp_path / place, "file\na.wav\n", sounds=())
    with pytest.raises(CorpusError, match=rf"none of 1 recording.*It is in {tmp_path / 'data'}: put the table"):
        list_files(table)


def test_two_people_under_one_name_are_suspected(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        list_files(write_table(tmp_path, "file,speaker,gender\na.wav,1,f\nb.wav,1,m\n"))
    assert "speaker 1 is female in line 2 and male in line 3" in caplog.text


def test_damage_is_reported_with_file_and_line(tmp_path: Path) -> None:
    table = write_table(tmp_path, "file,emotion,start,end\na.wav,happy,,\nsub/b.flac,sad,,\nc.wav,sad,0,9\nd.wav,,,\n")
    write_sound(tmp_path / "c.wav", seconds=0.5)
    (tmp_path / "d.wav").write_bytes(b"")
    before = fingerprint(tmp_path)
    listing = read_corpus("table", table, examine=examine)
    assert [u.id for u in listing.utterances] == ["a.wav"]
    found = {item.where: (item.reason, item.detail) for item in listing.left_out}
    assert found["c.wav (line 4)"] == ("bad span", "0 s to 9 s of a recording of 0.500 s")
    assert found["sub/b.flac (line 3)"][0] == "missing"
    assert found["d.wav (line 5)"][0] == "empty"
    assert {name: state for name, state in fingerprint(tmp_path).items() if not name.startswith("cache")} == before


def test_real_table_of_another_corpus(shared: Path) -> None:
    listing = list_files(shared / "corpora" / "turev-db" / "files.tsv")
    assert len(listing.utterances) == 1735
    assert {u.emotion for u in listing.utterances} == {"angry", "calm", "happy", "sad"}
    assert len({u.speaker for u in listing.utterances}) == 6
    assert listing.left_out == ()


def test_the_table_of_corpora_knows_it() -> None:
    assert CORPUS.name == "table"
    assert CORPUS.commercial_use is None


CELLS = st.text(max_size=8) | st.sampled_from(
    ["a.wav", "x" * 300, "a.wav/b", "../", "\0", "-1", "1:2", "happy", "test"]
)


@given(
    rows=st.lists(st.lists(CELLS, min_size=4, max_size=4), max_size=4),
    encoding=st.sampled_from(["utf-8", "utf-16", "latin-1"]),
    mark=st.sampled_from(",;\t|"),
)
@settings(max_examples=80)
def test_whatever_is_in_a_table_it_is_read_or_explained(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], encoding: str, mark: str
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    write_sound(folder / "a.wav")
    lines = [["file", "emotion", "start", "split"], *rows, ["a.wav", "sad", "", ""]]
    (folder / "t.csv").write_bytes("\n".join(mark.join(line) for line in lines).encode(encoding, "replace"))
    try:
        listing = list_files(folder / "t.csv")
    except CorpusError:
        return
    assert 1 <= len(listing.utterances) + len(listing.left_out) <= len(rows) + 1


@pytest.mark.parametrize(
    ("lines", "hint"),
    [("file,label\na.wav,sad\nb.wav\n", "copy it again"), ("file,label\na.wav,sad,x\n", "Put quotes around cells")],
)
def test_a_line_of_another_width_has_a_way_out(tmp_path: Path, lines: str, hint: str) -> None:
    (tmp_path / "t.csv").write_text(lines)
    with pytest.raises(CorpusError, match=rf"another number of cells.*{hint}"):
        list_files(tmp_path / "t.csv")


def test_a_table_without_header_is_told_before_anything_else(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a.wav,0,0\nb.wav,0,1\n")
    with pytest.raises(CorpusError, match=r"no column 'file': .*line 1.*Expected: a header such as"):
        list_files(tmp_path / "t.csv")
