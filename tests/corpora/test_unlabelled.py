"""Any folder as unlabelled speech: nobody is made up, unless the user says that folders are people."""

from pathlib import Path

import pytest
from tests.corpora.trees import write_sound

from serenade.core.errors import CorpusError, UsageError
from serenade.core.records import UNKNOWN_SPEAKER
from serenade.corpora import CORPORA, read_corpus
from serenade.corpora.unlabelled import CORPUS, list_files
from serenade.signal.audio import examine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("anna/2024/1.wav", "anna/2.flac", "ben/1.wav", "3.ogg"):
        write_sound(tmp_path / "speech" / name)
    (tmp_path / "speech" / "notes.txt").write_text("x")
    return tmp_path / "speech"


def test_every_sound_is_an_utterance_of_somebody(folder: Path) -> None:
    listing = read_corpus("unlabelled", folder, examine=examine)
    assert {u.id: u.group for u in listing.utterances} == {
        "3.ogg": None,
        "anna/2.flac": "anna",
        "anna/2024/1.wav": "anna/2024",
        "ben/1.wav": "ben",
    }
    assert {u.speaker for u in listing.utterances} == {UNKNOWN_SPEAKER}
    assert {u.emotion for u in listing.utterances} == {None}
    assert [(item.where, item.reason) for item in listing.left_out] == [("notes.txt", "other material")]


def test_folders_are_people_where_the_user_says_so(folder: Path) -> None:
    listing = list_files(Path(f"{folder}#speaker=folder"))
    assert [u.speaker for u in listing.utterances] == [UNKNOWN_SPEAKER, "anna", "anna", "ben"]
    assert listing.utterances[1].audio == folder / "anna" / "2.flac"


def test_a_folder_whose_name_has_the_mark_opens(tmp_path: Path) -> None:
    write_sound(tmp_path / "take#speaker=1" / "a.wav")
    assert len(list_files(tmp_path / "take#speaker=1").utterances) == 1


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("speeker=folder", r"no choice 'speeker'.*Did you mean speaker=\.\.\.\?"),
        ("speaker", r"given as NAME=VALUE.*Found: 'speaker'"),
        ("speaker=name", r"by folders only.*Found: speaker=name"),
    ],
)
def test_a_choice_nobody_knows_is_refused(folder: Path, choice: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        list_files(Path(f"{folder}#{choice}"))


def test_a_folder_without_sound_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(CorpusError, match=r"Found: a\.txt\. Expected: any folder with sound"):
        list_files(tmp_path)
    with pytest.raises(CorpusError, match="not there"):
        list_files(tmp_path / "absent")


def test_the_table_of_corpora_knows_it() -> None:
    assert CORPORA.resolve("unlabelled") is CORPUS
