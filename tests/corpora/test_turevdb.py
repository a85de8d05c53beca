"""TurEV-DB: speaker, emotion and word stand in the name, the emotion again in the folder."""

from collections import Counter
from pathlib import Path

import pytest
from tests.corpora.acted_trees import make_turevdb
from tests.corpora.published import published_facts
from tests.corpora.trees import write_bytes

from serenade.corpora.turevdb import CORPUS, list_files


def test_a_name_tells_everything(tmp_path: Path) -> None:
    utterance = list_files(make_turevdb(tmp_path)).utterances[0]
    assert utterance.id == "1157_kz_acik"
    assert (utterance.speaker, utterance.gender, utterance.emotion) == ("1157", None, "angry")
    assert (utterance.language, utterance.sentence, utterance.text) == ("tr", "acik", None)
    assert utterance.audio == tmp_path / "Sound Source" / "Angry" / "1157_kz_acik.wav"


def test_a_second_version_of_a_word_is_the_same_sentence(tmp_path: Path) -> None:
    root = make_turevdb(tmp_path)
    write_bytes(root / "Sound Source" / "Sad" / "7895_hl_ogul1.wav")
    (utterance,) = [u for u in list_files(root).utterances if u.sentence == "ogul"]
    assert (utterance.id, utterance.extra) == ("7895_hl_ogul1", {"version": "1"})


@pytest.mark.parametrize(
    ("name", "reason", "detail"),
    [
        ("Sad/1157_kz_acik2.wav", "unknown label", "angry by its name, in the folder Sad"),
        ("Sad/1157_xx_acik.wav", "unknown label", "emotion xx, expected one of hl, kz, mt, sk"),
        ("Sad/9999_hl_acik.wav", "unreadable name", "speaker 9999, expected one of 1157, 1234"),
        ("Sad/hl_acik.wav", "unreadable name", "expected a name such as 1157_kz_acik"),
    ],
)
def test_what_cannot_be_is_reported(tmp_path: Path, name: str, reason: str, detail: str) -> None:
    root = make_turevdb(tmp_path)
    write_bytes(root / "Sound Source" / name)
    (item,) = list_files(root).left_out
    assert (item.where, item.reason) == (f"Sound Source/{name}", reason)
    assert item.detail.startswith(detail)


def test_a_class_that_was_not_unpacked_is_missing(tmp_path: Path) -> None:
    root = make_turevdb(tmp_path)
    for path in (root / "Sound Source" / "Calm").iterdir():
        path.unlink()
    assert [(item.where, item.reason) for item in list_files(root).left_out] == [("class calm", "missing")]


def test_real_corpus_agrees_with_its_own_table(shared: Path) -> None:
    root = shared / "corpora" / "turev-db"
    listing = list_files(root)
    assert {u.id: (u.speaker, u.gender, u.emotion, u.text) for u in listing.utterances} == published_facts(root)
    assert listing.left_out == ()
    assert Counter(u.emotion for u in listing.utterances) == CORPUS.expected
    counted = Counter(u.speaker for u in listing.utterances)
    assert counted == {"1157": 150, "1234": 328, "1358": 328, "1984": 328, "6783": 328, "7895": 273}
    assert len({u.sentence for u in listing.utterances}) == 82
