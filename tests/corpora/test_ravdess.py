"""RAVDESS: seven numbers are read right, song and video are told apart, both layouts are known."""

from collections import Counter
from pathlib import Path

import pytest
from tests.corpora.published import published_facts
from tests.corpora.trees import make_ravdess, write_sound

from serenade.core.errors import CorpusError
from serenade.corpora.ravdess import CORPUS, list_files


def test_a_name_tells_everything(tmp_path: Path) -> None:
    root = make_ravdess(tmp_path, ["03-01-06-02-01-02-12"])
    (utterance,) = list_files(root).utterances
    assert utterance.id == "03-01-06-02-01-02-12"
    assert (utterance.speaker, utterance.gender, utterance.emotion) == ("12", "female", "fearful")
    assert (utterance.language, utterance.sentence) == ("en", "01")
    assert utterance.text == "Kids are talking by the door"
    assert utterance.extra == {"intensity": "strong", "statement": "01", "repetition": "02"}


def test_odd_actors_are_men(tmp_path: Path) -> None:
    root = make_ravdess(tmp_path, [f"03-01-01-01-01-01-{actor:02d}" for actor in range(1, 25)])
    genders = {u.speaker: u.gender for u in list_files(root).utterances}
    assert len(genders) == 24
    assert {speaker for speaker, gender in genders.items() if gender == "male"} == {f"{n:02d}" for n in range(1, 25, 2)}


def test_the_official_archive_may_be_given_whole(tmp_path: Path) -> None:
    root = make_ravdess(tmp_path, ["03-01-03-01-02-01-01"], below="Audio_Speech_Actors_01-24")
    make_ravdess(root, ["03-02-03-01-02-01-01"], below="Audio_Song_Actors_01-24")
    write_sound(root / "Video_Speech_Actor_01" / "Actor_01" / "01-01-03-01-02-01-01.wav").rename(
        root / "Video_Speech_Actor_01" / "Actor_01" / "01-01-03-01-02-01-01.mp4"
    )
    listing = list_files(root)
    assert [u.id for u in listing.utterances] == ["03-01-03-01-02-01-01"]
    assert {item.detail: item.reason for item in listing.left_out} == {"sound, song": "other material"}


def test_a_nested_copy_is_a_duplicate(tmp_path: Path) -> None:
    root = make_ravdess(tmp_path, ["03-01-03-01-02-01-01"])
    make_ravdess(root, ["03-01-03-01-02-01-01"], below="audio_speech_actors_01-24")
    listing = list_files(root)
    assert [u.id for u in listing.utterances] == ["03-01-03-01-02-01-01"]
    assert [item.reason for item in listing.left_out] == ["duplicate"]


@pytest.mark.parametrize(
    ("name", "reason", "detail"),
    [
        ("03-01-09-01-01-01-01", "unknown label", "emotion 09"),
        ("03-01-01-02-01-01-01", "unreadable name", "neutral with strong"),
        ("03-01-03-03-01-01-01", "unreadable name", "intensity 03"),
        ("03-01-03-01-03-01-01", "unreadable name", "statement 03"),
        ("03-01-03-01-01-03-01", "unreadable name", "repetition 03"),
        ("04-01-03-01-01-01-01", "unreadable name", "modality 04"),
        ("03-01-03-01-01-01-25", "unreadable name", "actor 25"),
        ("03-01-03-01-01-01", "unreadable name", "seven numbers"),
        ("03-02-03-01-01-01-01", "other material", "sound, song"),
    ],
)
def test_what_cannot_be_is_reported(tmp_path: Path, name: str, reason: str, detail: str) -> None:
    root = make_ravdess(tmp_path, ["03-01-03-01-01-01-02", name])
    listing = list_files(root)
    assert len(listing.utterances) == 1
    (item,) = listing.left_out
    assert item.reason == reason
    assert detail in item.detail


def test_an_actor_in_a_strange_folder_is_reported(tmp_path: Path) -> None:
    root = make_ravdess(tmp_path, ["03-01-03-01-01-01-02"])
    write_sound(root / "Actor_02" / "03-01-03-01-01-01-04.wav")
    (item,) = list_files(root).left_out
    assert item.detail == "actor 04 in the folder Actor_02"


def test_a_root_one_level_off_is_named(tmp_path: Path) -> None:
    root = make_ravdess(tmp_path / "RAVDESS", ["03-01-03-01-01-01-02"])
    for wrong in (root / "Actor_02", tmp_path):
        with pytest.raises(CorpusError, match=rf"lies in {root}: give that folder"):
            list_files(wrong)


def test_real_corpus_agrees_with_its_own_table(shared: Path) -> None:
    root = shared / "corpora" / "ravdess"
    listing = list_files(root)
    found = {u.id: (u.speaker, u.gender, u.emotion, u.text) for u in listing.utterances}
    assert found == published_facts(root)
    assert listing.left_out == ()
    assert Counter(u.emotion for u in listing.utterances) == CORPUS.expected
    assert set(Counter(u.speaker for u in listing.utterances).values()) == {60}
