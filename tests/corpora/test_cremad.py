"""CREMA-D: names, votes of those who only heard the voice, and the odd files of the official release."""

from pathlib import Path

import pytest
from tests.corpora.acted_trees import make_cremad
from tests.corpora.trees import write_bytes

from serenade.core.errors import CorpusError
from serenade.core.records import Utterance
from serenade.corpora import read_corpus
from serenade.corpora.cremad import CORPUS, list_files
from serenade.signal.audio import examine


def utterance(root: Path, name: str = "1001_DFA_ANG_XX") -> Utterance:
    (found,) = [u for u in list_files(root).utterances if u.id == name]
    return found


def change(root: Path, table: str, old: str, new: str) -> None:
    text = (root / table).read_text(encoding="utf-8")
    assert old in text
    (root / table).write_text(text.replace(old, new, 1), encoding="utf-8")


VOTES = "processedResults/tabulatedVotes.csv"


def test_name_and_tables_tell_everything(tmp_path: Path) -> None:
    found = utterance(make_cremad(tmp_path))
    assert (found.speaker, found.gender, found.emotion) == ("1001", "male", "angry")
    assert (found.language, found.sentence, found.text) == ("en", "DFA", "Don't forget a jacket.")
    assert found.extra == {"intensity": "unspecified", "age": "51"}


def test_votes_are_those_by_voice_alone(tmp_path: Path) -> None:
    assert utterance(make_cremad(tmp_path)).votes == {"angry": 6.0, "disgusted": 2.0, "neutral": 1.0}


def test_the_one_odd_name_has_the_id_of_the_tables(tmp_path: Path) -> None:
    found = utterance(make_cremad(tmp_path), "1040_ITH_SAD_XX")
    assert found.audio.name == "1040_ITH_SAD_X.wav"
    assert (found.emotion, found.votes) == ("sad", {"sad": 5.0, "neutral": 4.0})


def test_sound_alone_is_enough(tmp_path: Path) -> None:
    root = make_cremad(tmp_path)
    (root / VOTES).unlink()
    (root / "VideoDemographics.csv").unlink()
    found = list_files(root).utterances
    genders = [u.gender for u in found]
    assert (genders.count("female"), genders.count("male")) == (43, 48)  # as the paper says
    assert {(tuple(u.votes), "age" in u.extra) for u in found} == {((), False)}


def test_the_mp3_files_are_read_where_they_are_all(tmp_path: Path) -> None:
    root = make_cremad(tmp_path)
    assert all(u.audio.parent.name == "AudioWAV" for u in list_files(root).utterances)
    (root / "AudioWAV").rename(root / "AudioMP3")
    assert len(list_files(root).utterances) == 91


@pytest.mark.parametrize(
    ("name", "reason", "detail"),
    [
        ("1001_DFA_SUR_XX", "unknown label", "emotion SUR, expected one of ANG, DIS, FEA, HAP, NEU, SAD"),
        ("1092_DFA_ANG_XX", "unreadable name", "actor 1092, expected one of 1001 to 1091"),
        ("1001_ABC_ANG_XX", "unreadable name", "sentence ABC"),
        ("1001_DFA_ANG_ZZ", "unreadable name", "intensity ZZ, expected one of HI, LO, MD, X, XX"),
        ("hello", "unreadable name", "expected a name such as 1001_DFA_ANG_XX"),
    ],
)
def test_what_cannot_be_is_reported(tmp_path: Path, name: str, reason: str, detail: str) -> None:
    root = make_cremad(tmp_path)
    write_bytes(root / "AudioWAV" / f"{name}.wav")
    (item,) = list_files(root).left_out
    assert (item.where, item.reason) == (f"AudioWAV/{name}.wav", reason)
    assert item.detail.startswith(detail)


def test_an_actor_without_recordings_is_missing(tmp_path: Path) -> None:
    root = make_cremad(tmp_path)
    (root / "AudioWAV" / "1002_DFA_ANG_XX.wav").unlink()
    assert [(item.where, item.reason) for item in list_files(root).left_out] == [("actor 1002", "missing")]


def test_texts_in_place_of_recordings_are_refused(tmp_path: Path) -> None:
    root = make_cremad(tmp_path)
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    (root / "AudioWAV" / "1001_DFA_ANG_XX.wav").write_text(pointer)
    with pytest.raises(CorpusError, match=r"not downloaded: .*1001_DFA_ANG_XX\.wav.*git lfs pull"):
        list_files(root)


def test_a_link_into_the_void_is_missing_and_stops_nothing(tmp_path: Path) -> None:
    root = make_cremad(tmp_path)
    first = root / "AudioWAV" / "1001_DFA_ANG_XX.wav"
    first.unlink()
    first.symlink_to(tmp_path / "annex" / "x.wav")
    listing = read_corpus("cremad", root, examine=examine, workers=1)
    assert ("AudioWAV/1001_DFA_ANG_XX.wav", "missing") in {(item.where, item.reason) for item in listing.left_out}


@pytest.mark.parametrize(
    ("table", "old", "new", "message"),
    [
        (VOTES, '"fileName"', '"file"', r"no column 'fileName': .*tabulatedVotes\.csv, line 1.*Did you mean 'file'"),
        (VOTES, '"",', '"A0",', r"no column '\(unnamed\)'"),
        (VOTES, "6,2,0", "6,two,0", r"column D is none: .*line 2\. Found: 'two'.*whole number"),
        (VOTES, "100002", "100001", r"two different lines for 100001: .*line 3.*line 2.*Delete"),
        (VOTES, "1040_ITH_SAD_XX", "1001_DFA_ANG_XX", r"two rows of votes by voice: .*line 3\. Found: 1001_DFA"),
        ("VideoDemographics.csv", '"Sex"', '"Gender"', r"no column 'Sex'.*VideoDemographics\.csv, line 1"),
    ],
)
def test_a_table_that_is_off_says_where_and_what_to_do(
    tmp_path: Path, table: str, old: str, new: str, message: str
) -> None:
    root = make_cremad(tmp_path)
    change(root, table, old, new)
    with pytest.raises(CorpusError, match=message):
        list_files(root)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1", "utf-16"])
def test_marks_and_ends_of_line_do_not_matter(tmp_path: Path, encoding: str) -> None:
    root = make_cremad(tmp_path)
    expected = list_files(root)
    for table in (VOTES, "VideoDemographics.csv"):
        text = (root / table).read_text(encoding="utf-8")
        (root / table).write_bytes(text.replace("\n", "\r\n").encode(encoding))
    assert list_files(root) == expected


def test_the_complete_corpus_has_7442_clips() -> None:
    assert sum(CORPUS.expected.values()) == 7442
