"""audformat databases, made by the format's own package: what is the emotion is clear, or asked for."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.corpora.trees import fingerprint, write_sound

from serenade.core.errors import CorpusError, MissingExtraError, UsageError
from serenade.core.records import UNKNOWN_SPEAKER, Attributes
from serenade.corpora import CORPORA, read_corpus
from serenade.corpora.audformat import CORPUS, list_files
from serenade.corpora.audformat_tables import two_letters
from serenade.signal.audio import examine

audformat = pytest.importorskip("audformat", reason="needs the package audformat (the extra of that name)")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the package's own use of pandas

FILES = ("wav/a.wav", "wav/b.wav", "wav/c.wav")
PEOPLE = {"3": {"gender": "male", "age": 31, "language": "deu"}, "8": {"gender": "female"}}


def make_database(root: Path, tables: Mapping[str, Mapping[str, Sequence[Any]]], *, form: str = "csv") -> Path:
    """A filewise database of three recordings; columns whose name begins with a scheme's have that scheme."""
    db = audformat.Database("mini", usage="research", languages=["de"])
    db.schemes["emotion"] = audformat.Scheme(labels=["anger", "happiness", "neutral", "sadness"])
    db.schemes["speaker"] = audformat.Scheme(labels=PEOPLE)
    db.schemes["valence"] = audformat.Scheme("float", minimum=1, maximum=7)
    for person in ("r1", "r2", "r3"):
        db.raters[person] = audformat.Rater()
    for part in ("train", "dev", "test"):
        db.splits[part] = audformat.Split(part)
    for name, columns in tables.items():
        part = name.split(".")[-1]
        table = db[name] = audformat.Table(
            audformat.filewise_index(FILES), split_id=part if part in db.splits else None
        )
        for column, values in columns.items():
            scheme = next((scheme for scheme in db.schemes if column.startswith(scheme)), None)
            rater = column[-2:] if column[-2:] in db.raters else None
            table[column] = audformat.Column(scheme_id=scheme, rater_id=rater)
            table[column].set(list(values))
    for file in FILES:
        write_sound(root / file)
    db.save(str(root), storage_format=form)
    return root


EMOTION = {"emotion": ["anger", "happiness", None], "emotion.confidence": [0.9, 0.8, None]}
PLAIN = {"emotion": {"emotion": EMOTION["emotion"]}, "files": {"speaker": ["3", "8", "8"], "duration": [0.1, 0.1, 0.1]}}


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_tables_tell_everything(tmp_path: Path, form: str) -> None:
    root = make_database(tmp_path, PLAIN, form=form)
    listing = read_corpus("audformat", root, examine=examine)
    assert listing.left_out == ()
    a, b, c = listing.utterances
    assert (a.id, a.audio, a.emotion, a.speaker) == ("wav/a.wav", root / "wav" / "a.wav", "angry", "3")
    assert (a.gender, a.language, a.extra) == ("male", "de", {"age": "31"})
    assert (b.emotion, b.gender, b.language) == ("happy", "female", "de")
    assert (c.emotion, c.speaker) == (None, "8")
    assert list_files(root / "db.yaml") == list_files(root)


def test_a_segmented_table_with_facts_of_the_file(tmp_path: Path) -> None:
    db = audformat.Database("mini", usage="research")
    db.schemes["emotion"] = audformat.Scheme(labels=["anger", "neutral"])
    index = audformat.segmented_index([FILES[0], FILES[0], FILES[1]], ["0s", "0.05s", "0s"], ["0.05s", "0.1s", None])
    db["segments"] = audformat.Table(index)
    db["segments"]["label"] = audformat.Column(scheme_id="emotion")
    db["segments"]["label"].set(["anger", "neutral", "neutral"])
    db["files"] = audformat.Table(audformat.filewise_index(FILES[:2]))
    db["files"]["speaker"] = audformat.Column()
    db["files"]["speaker"].set(["s1", "s2"])
    for file in FILES[:2]:
        write_sound(tmp_path / file)
    db.save(str(tmp_path), storage_format="csv")
    found = [(u.id, u.start_s, u.end_s, u.emotion, u.speaker, u.group) for u in list_files(tmp_path).utterances]
    assert found == [
        ("wav/a.wav#0.000-0.050", 0.0, 0.05, "angry", "s1", "wav/a.wav"),
        ("wav/a.wav#0.050-0.100", 0.05, 0.1, "neutral", "s1", "wav/a.wav"),
        ("wav/b.wav", 0.0, None, "neutral", "s2", None),
    ]


def test_a_gold_standard_goes_before_other_tables(tmp_path: Path) -> None:
    gold = ["sadness", "anger", None]
    tables = {
        **PLAIN,
        "emotion.categories.desired": {"emotion": ["neutral", "neutral", "neutral"]},
        "emotion.categories.train.gold_standard": {"emotion": gold},
    }
    listing = list_files(make_database(tmp_path, tables))
    assert [(u.emotion, u.split) for u in listing.utterances] == [("sad", "train"), ("angry", "train"), (None, "train")]


def test_the_split_of_a_table_is_that_of_its_utterances(tmp_path: Path) -> None:
    listing = list_files(make_database(tmp_path, {"emotion.dev": {"emotion": EMOTION["emotion"]}}))
    assert {u.split for u in listing.utterances} == {"validation"}


def test_the_column_of_the_name_goes_before_others(tmp_path: Path) -> None:
    tables = {"emotion": {"emotion": EMOTION["emotion"], "emotion.second": ["neutral"] * 3}}
    assert list_files(make_database(tmp_path, tables)).utterances[0].emotion == "angry"


def test_raters_columns_are_votes(tmp_path: Path) -> None:
    tables = {
        "ratings": {
            "emotion.r1": ["anger", "anger", None],
            "emotion.r2": ["anger", "neutral", None],
            "emotion.r3": ["neutral", None, None],
        }
    }
    a, b, c = list_files(make_database(tmp_path, tables)).utterances
    assert (a.emotion, a.votes) == ("angry", {"angry": 2.0, "neutral": 1.0})
    assert (b.emotion, b.votes) == (None, {"angry": 1.0, "neutral": 1.0})
    assert (c.emotion, c.votes) == (None, {})


def test_attributes_are_on_the_scale_of_their_scheme(tmp_path: Path) -> None:
    tables = {**PLAIN, "dimensions": {"valence": [1.5, None, 7]}}
    found = [u.attributes for u in list_files(make_database(tmp_path, tables)).utterances]
    assert found == [Attributes(1.0, 7.0, valence=1.5), None, Attributes(1.0, 7.0, valence=7.0)]


def test_where_rules_decide_nothing_the_user_is_asked(tmp_path: Path) -> None:
    columns = {"emotion.one": EMOTION["emotion"], "emotion.two": ["neutral"] * 3}
    root = make_database(tmp_path, {"labels": columns, "files": PLAIN["files"]})
    with pytest.raises(
        CorpusError, match=r"not clear.*table labels\. Found: emotion\.one, emotion\.two\. Add one"
    ) as caught:
        list_files(root)
    assert caught.value.hint is not None
    advice = caught.value.hint.rpartition(" ")[2]
    assert list_files(Path(advice)).utterances[0].emotion == "angry"
    chosen = Path(f"{root}#table=labels,column=emotion.two")
    assert {u.emotion for u in list_files(chosen).utterances} == {"neutral"}


def test_tables_that_contradict_each_other_are_named(tmp_path: Path) -> None:
    tables = {name: {"emotion": [word] * 3} for name, word in (("emotion.one", "anger"), ("emotion.two", "neutral"))}
    root = make_database(tmp_path, tables)
    with pytest.raises(
        CorpusError, match=r"contradict.*Found: wav/a\.wav: anger in emotion\.one, neutral in emotion\.two"
    ):
        list_files(root)
    assert {u.emotion for u in list_files(Path(f"{root}#table=emotion.two")).utterances} == {"neutral"}


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("table=emotions", r"no table 'emotions'.*Expected: one of emotion, files\. Did you mean 'emotion'"),
        ("column=emo", r"no column 'emo'.*Did you mean 'emotion'"),
        ("pickle=yes", r"Found: pickle=yes"),
        ("tables=emotion", r"Did you mean table="),
    ],
)
def test_a_choice_that_is_not_there_is_refused(tmp_path: Path, choice: str, message: str) -> None:
    root = make_database(tmp_path, PLAIN)
    with pytest.raises(UsageError, match=message):
        list_files(Path(f"{root}#{choice}"))


def test_a_database_without_emotions_is_unlabelled_speech(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    listing = list_files(make_database(tmp_path, {"files": PLAIN["files"]}))
    assert [(u.emotion, u.speaker) for u in listing.utterances] == [(None, "3"), (None, "8"), (None, "8")]
    assert "no column for the emotion" in caplog.text


def test_pickles_are_opened_only_where_they_are_trusted(tmp_path: Path) -> None:
    root = make_database(tmp_path, PLAIN, form="pkl")
    with pytest.raises(CorpusError, match=r"lies as pickle only.*db\.\w+\.pkl.*#pickle=trusted"):
        list_files(root)
    trusted = list_files(Path(f"{root}#pickle=trusted"))
    make_database(tmp_path, PLAIN)  # CSV beside the pickles
    assert list_files(root) == trusted


def test_reading_leaves_the_folder_alone_even_with_a_broken_pickle(tmp_path: Path) -> None:
    root = make_database(tmp_path / "db", PLAIN)
    (root / "db.emotion.pkl").write_bytes(b"broken")
    later = (root / "db.emotion.csv").stat().st_mtime + 10
    os.utime(root / "db.emotion.pkl", (later, later))
    before = fingerprint(root)
    assert len(read_corpus("audformat", root, examine=examine).utterances) == 3
    assert fingerprint(root) == before


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1"])
def test_any_encoding_and_ends_of_line(tmp_path: Path, encoding: str) -> None:
    tables = {"emotion": {"emotion": EMOTION["emotion"], "text": ["Größe", "b", "c"]}}
    root = make_database(tmp_path, tables)
    for name in ("db.yaml", "db.emotion.csv"):
        text = (root / name).read_text(encoding="utf-8")
        (root / name).write_bytes(text.replace("\n", "\r\n").encode(encoding))
    assert [u.text for u in list_files(root).utterances] == ["Größe", "b", "c"]


def break_header(root: Path) -> None:
    (root / "db.yaml").write_text("name: [mini\n")


def drop_table(root: Path) -> None:
    (root / "db.emotion.csv").unlink()


def drop_column(root: Path) -> None:
    (root / "db.files.csv").write_text("file,speaker\nwav/a.wav,3\n")


def cut_table(root: Path) -> None:
    (root / "db.files.csv").write_text("file,speaker,duration\nwav/a.wav,3,0.1\nwav/b.wav,8\n")


def cut_parquet(root: Path) -> None:
    make_database(root, PLAIN, form="parquet")
    (root / "db.files.parquet").write_bytes((root / "db.files.parquet").read_bytes()[:-40])


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (break_header, r"header of the database cannot be read: .*db\.yaml"),
        (drop_table, r"no file for the table 'emotion'.*db\.emotion\.csv, \.parquet or \.pkl"),
        (
            drop_column,
            r"no column 'duration': .*db\.files\.csv, line 1\. Found: file, speaker\. Expected: file, s",
        ),
        (cut_table, r"another number of cells.*db\.files\.csv, line 3"),
        (cut_parquet, r"the table cannot be read: .*db\.files\.parquet"),
    ],
)
def test_what_is_broken_is_named(tmp_path: Path, harm: Any, message: str) -> None:
    root = make_database(tmp_path, PLAIN)
    harm(root)
    with pytest.raises(CorpusError, match=message):
        list_files(root)


def test_a_repeated_row_is_left_out(tmp_path: Path) -> None:
    root = make_database(tmp_path, PLAIN)
    (root / "db.emotion.csv").write_text("file,emotion\nwav/a.wav,anger\nwav/a.wav,sadness\nwav/b.wav,anger\n")
    listing = list_files(root)
    assert [(u.id, u.emotion) for u in listing.utterances] == [("wav/a.wav", "angry"), ("wav/b.wav", "angry")]
    assert [(item.where, item.reason) for item in listing.left_out] == [("wav/a.wav", "duplicate")]


def test_recordings_may_lie_elsewhere_and_in_another_format(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make_database(tmp_path / "db", PLAIN)
    (root / "wav").rename(tmp_path / "sounds")
    with pytest.raises(CorpusError, match=r"none of 3 recordings"):
        list_files(root)
    (tmp_path / "sounds" / "a.wav").unlink()
    write_sound(tmp_path / "sounds" / "a.flac")
    listing = list_files(Path(f"{root}#audio={tmp_path / 'sounds'}"))
    assert [u.audio.name for u in listing.utterances] == ["a.flac", "b.wav", "c.wav"]
    assert listing.utterances[0].speaker != UNKNOWN_SPEAKER
    assert "1 recording taken from a copy of another format" in caplog.text


def test_a_wrong_folder_is_refused(tmp_path: Path) -> None:
    root = make_database(tmp_path / "db", PLAIN)
    with pytest.raises(CorpusError, match=rf"lies in {root}: give that folder"):
        list_files(root / "wav")


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_database(tmp_path, PLAIN)
    monkeypatch.setitem(sys.modules, "audformat", None)
    with pytest.raises(MissingExtraError, match=r"serenade\[audformat\]"):
        list_files(root)


def test_languages_have_two_letters() -> None:
    for code in ("de", "en", "pl", "tr", "ko", "it", "ur", "fa", "el", "fr", "zh"):
        assert two_letters(audformat.utils.map_language(code)) == code
    assert two_letters("tlh") == "tlh"


def test_the_table_of_corpora_knows_it() -> None:
    assert CORPORA.resolve("audformat") is CORPUS
