"""EMOVO: emotion, speaker and sentence stand in the name, the speaker again in the folder."""

from pathlib import Path

import pytest
from tests.corpora.acted_trees import make_emovo
from tests.corpora.trees import write_bytes

from serenade.core.labels import canonical_emotion
from serenade.corpora.emovo import CORPUS, list_files


def test_a_name_tells_everything(tmp_path: Path) -> None:
    utterance = list_files(make_emovo(tmp_path)).utterances[0]
    assert utterance.id == "dis-f1-b1"
    assert (utterance.speaker, utterance.gender, utterance.emotion) == ("f1", "female", "disgusted")
    assert (utterance.language, utterance.sentence, utterance.text) == ("it", "b1", "Gli operai si alzano presto.")
    assert utterance.extra == {"age": "28"}


def test_codes_are_the_italian_words(tmp_path: Path) -> None:
    words = ("disgusto", "gioia", "neutrale", "paura", "rabbia", "sorpresa", "tristezza")
    for word in words:
        write_bytes(tmp_path / "m1" / f"{word[:3]}-m1-d2.wav")
    found = {u.id[:3]: u.emotion for u in list_files(tmp_path).utterances}
    assert found == {word[:3]: canonical_emotion(word) for word in words}


@pytest.mark.parametrize(
    ("name", "reason", "detail"),
    [
        ("f1/xyz-f1-b1", "unknown label", "emotion xyz, expected one of dis, gio, neu, pau, rab, sor, tri"),
        ("f1/dis-f2-b2", "unreadable name", "speaker f2 in the folder f1"),
        ("f1/dis-f9-b1", "unreadable name", "speaker f9, expected one of f1, f2, f3, m1, m2, m3"),
        ("f1/dis-f1-b9", "unreadable name", "sentence b9, expected one of b1 to n5"),
    ],
)
def test_what_cannot_be_is_reported(tmp_path: Path, name: str, reason: str, detail: str) -> None:
    root = make_emovo(tmp_path)
    write_bytes(root / f"{name}.wav")
    (item,) = list_files(root).left_out
    assert (item.where, item.reason) == (f"{name}.wav", reason)
    assert item.detail.startswith(detail)


def test_the_complete_corpus_has_588_recordings() -> None:
    assert sum(CORPUS.expected.values()) == 6 * 14 * 7
