"""URDU: speaker and emotion stand in the name, the emotion again in the folder."""

from pathlib import Path

import pytest
from tests.corpora.acted_trees import make_urdu
from tests.corpora.trees import write_bytes

from serenade.corpora.urdu import CORPUS, list_files


def test_a_name_tells_everything(tmp_path: Path) -> None:
    found = {u.id: u for u in list_files(make_urdu(tmp_path)).utterances}
    utterance = found["SM1_F10_A010"]
    assert (utterance.speaker, utterance.gender, utterance.emotion) == ("SM1", "male", "angry")
    assert (utterance.language, utterance.sentence, utterance.text) == ("ur", None, None)
    assert (found["SF1_F10_H010"].gender, found["SF1_F10_H010"].emotion) == ("female", "happy")
    assert (found["SM5_F72_N0100"].emotion, found["SM6_F1_S097"].emotion) == ("neutral", "sad")


def test_folders_of_speakers_within_the_class_may_be_there(tmp_path: Path) -> None:
    root = make_urdu(tmp_path)
    write_bytes(root / "Angry" / "SM1" / "SM1_F11_A011.wav")
    assert "SM1_F11_A011" in {u.id for u in list_files(root).utterances}


def test_case_of_the_folders_does_not_matter(tmp_path: Path) -> None:
    root = make_urdu(tmp_path)
    for folder in ("Angry", "Happy", "Neutral", "Sad"):
        (root / folder).rename(root / folder.lower())
    assert len(list_files(root).utterances) == 4


@pytest.mark.parametrize(
    ("name", "reason", "detail"),
    [
        ("Sad/SM1_F1_A01", "unknown label", "angry by its name, in the folder Sad"),
        ("Sad/SM1_F1_X01", "unknown label", "emotion X, expected one of A, H, N, S"),
        ("Sad/XM1_F1_S01", "unreadable name", "expected a name such as SM1_F10_A010"),
    ],
)
def test_what_cannot_be_is_reported(tmp_path: Path, name: str, reason: str, detail: str) -> None:
    root = make_urdu(tmp_path)
    write_bytes(root / f"{name}.wav")
    (item,) = list_files(root).left_out
    assert (item.where, item.reason, item.detail) == (f"{name}.wav", reason, detail)


def test_the_complete_corpus_has_400_utterances() -> None:
    assert sum(CORPUS.expected.values()) == 400
