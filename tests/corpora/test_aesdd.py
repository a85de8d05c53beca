"""AESDD: brackets, takes and forms of the name, and the actors' own sentence."""

from pathlib import Path

import pytest
from tests.corpora.acted_trees import make_aesdd
from tests.corpora.trees import write_bytes

from serenade.corpora.aesdd import list_files


def test_a_name_tells_everything(tmp_path: Path) -> None:
    utterance = list_files(make_aesdd(tmp_path)).utterances[0]
    assert utterance.id == "a03 (4)"
    assert (utterance.speaker, utterance.gender, utterance.emotion) == ("4", None, "angry")
    assert (utterance.language, utterance.sentence, utterance.text) == ("el", "03", None)


def test_two_takes_are_two_utterances_of_one_sentence(tmp_path: Path) -> None:
    takes = [u for u in list_files(make_aesdd(tmp_path)).utterances if u.speaker == "5"]
    assert [(u.id, u.sentence, u.extra) for u in takes] == [
        ("f18 (5)", "18", {}),
        ("f18 (5)b", "18", {"take": "b"}),
    ]


def test_the_actors_own_sentence_is_no_shared_one(tmp_path: Path) -> None:
    root = make_aesdd(tmp_path)
    write_bytes(root / "anger" / "a20 (6).wav")
    (utterance,) = [u for u in list_files(root).utterances if u.speaker == "6"]
    assert utterance.sentence is None


def test_a_blank_more_or_less_is_the_same_utterance(tmp_path: Path) -> None:
    root = make_aesdd(tmp_path)
    for name in ("a03(4)", "a05(4)", "f19 (5) b"):
        write_bytes(root / ("anger" if name.startswith("a") else "fear") / f"{name}.wav")
    listing = list_files(root)
    assert {"a03 (4)", "a05 (4)", "f19 (5)b"} <= {u.id for u in listing.utterances}
    assert [item.reason for item in listing.left_out] == ["duplicate"]


@pytest.mark.parametrize(
    ("name", "reason", "detail"),
    [
        ("anger/d03 (4)", "unknown label", "disgusted by its name, in the folder anger"),
        ("anger/x03 (4)", "unknown label", "emotion x, expected one of a, d, f, h, s"),
        ("anger/a21 (4)", "unreadable name", "sentence 21, expected one of 01 to 20"),
        ("anger/a03", "unreadable name", "expected a name such as a03 (4)"),
    ],
)
def test_what_cannot_be_is_reported(tmp_path: Path, name: str, reason: str, detail: str) -> None:
    root = make_aesdd(tmp_path)
    write_bytes(root / f"{name}.wav")
    (item,) = list_files(root).left_out
    assert (item.where, item.reason, item.detail) == (f"{name}.wav", reason, detail)
