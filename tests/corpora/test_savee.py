"""SAVEE: the official folders and the flat copies are the same utterances."""

from pathlib import Path

import pytest
from tests.corpora.acted_trees import make_savee
from tests.corpora.trees import write_bytes

from serenade.corpora.savee import CORPUS, list_files


def test_folder_and_name_tell_everything(tmp_path: Path) -> None:
    utterance = list_files(make_savee(tmp_path)).utterances[1]
    assert utterance.id == "DC_su15"
    assert (utterance.speaker, utterance.gender, utterance.emotion) == ("DC", "male", "surprised")
    assert (utterance.language, utterance.sentence, utterance.text) == ("en", "su15", None)


def test_flat_copies_and_bare_folders_are_the_same_utterances(tmp_path: Path) -> None:
    official = list_files(make_savee(tmp_path / "official"))
    for utterance in official.utterances:
        write_bytes(tmp_path / "flat" / f"{utterance.id}.wav")
    bare = tmp_path / "official" / "AudioData"
    for other in (tmp_path / "flat", bare):
        listing = list_files(other)
        assert [u.with_(audio=Path()) for u in listing.utterances] == [
            u.with_(audio=Path()) for u in official.utterances
        ]
        assert listing.left_out == ()


def test_letters_are_those_of_the_readme(tmp_path: Path) -> None:
    for letters in ("a", "d", "f", "h", "n", "sa", "su"):
        write_bytes(tmp_path / "AudioData" / "DC" / f"{letters}01.wav")
    found = {str(u.sentence)[:-2]: u.emotion for u in list_files(tmp_path).utterances}
    assert found == {
        "a": "angry",
        "d": "disgusted",
        "f": "fearful",
        "h": "happy",
        "n": "neutral",
        "sa": "sad",
        "su": "surprised",
    }


@pytest.mark.parametrize(
    ("path", "reason", "detail"),
    [
        ("AudioData/DC/b01", "unknown label", "emotion b, expected one of a, d, f, h, n, sa, su"),
        ("AudioData/DC/a16", "unreadable name", "sentence a16, but only neutral has more than 15"),
        ("AudioData/DC/n31", "unreadable name", "number 31, expected one of 01 to 30"),
        ("AudioData/DC/KL_a02", "unreadable name", "KL_a02 in the folder DC"),
        ("AudioData/XX/a02", "unreadable name", "a02 in the folder XX"),
        ("AudioData/XY_a02", "unreadable name", "speaker XY, expected one of DC, JE, JK, KL"),
    ],
)
def test_what_cannot_be_is_reported(tmp_path: Path, path: str, reason: str, detail: str) -> None:
    root = make_savee(tmp_path)
    write_bytes(root / f"{path}.wav")
    (item,) = list_files(root).left_out
    assert (item.where, item.reason) == (f"{path}.wav", reason)
    assert item.detail.startswith(detail)


def test_neutral_has_twice_as_many_sentences(tmp_path: Path) -> None:
    root = make_savee(tmp_path)
    write_bytes(root / "AudioData" / "DC" / "n30.wav")
    assert "DC_n30" in {u.id for u in list_files(root).utterances}
    assert sum(CORPUS.expected.values()) == 480
