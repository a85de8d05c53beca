"""TESS: folders with their odd spellings, the flat download, the copy within the copy."""

import shutil
from pathlib import Path

import pytest
from tests.corpora.acted_trees import make_tess
from tests.corpora.trees import write_bytes

from serenade.core.errors import CorpusError
from serenade.corpora.tess import CORPUS, list_files


def test_a_name_tells_everything(tmp_path: Path) -> None:
    found = {u.id: u for u in list_files(make_tess(tmp_path)).utterances}
    utterance = found["YAF_back_ps"]
    assert utterance.audio.parent.name == "YAF_pleasant_surprised"
    assert (utterance.speaker, utterance.gender, utterance.emotion) == ("YAF", "female", "surprised")
    assert (utterance.language, utterance.sentence, utterance.text) == ("en", "back", "Say the word back.")
    assert utterance.extra == {"age": "26"}
    assert found["OAF_back_angry"].extra == {"age": "64"}


def test_the_odd_name_is_that_of_the_older_speaker(tmp_path: Path) -> None:
    (utterance,) = [u for u in list_files(make_tess(tmp_path)).utterances if u.sentence == "bite"]
    assert (utterance.id, utterance.speaker, utterance.emotion) == ("OAF_bite_neutral", "OAF", "neutral")
    assert utterance.audio.name == "OA_bite_neutral.wav"


def test_the_flat_download_is_the_same(tmp_path: Path) -> None:
    folders = list_files(make_tess(tmp_path / "folders"))
    flat = tmp_path / "flat"
    flat.mkdir()
    for utterance in folders.utterances:
        shutil.copy(utterance.audio, flat)
    (flat / "MANIFEST.TXT").write_text("x")
    listing = list_files(flat)
    assert [u.with_(audio=Path()) for u in listing.utterances] == [u.with_(audio=Path()) for u in folders.utterances]
    assert listing.left_out == ()


def test_a_copy_within_the_copy_is_told(tmp_path: Path) -> None:
    root = make_tess(tmp_path)
    make_tess(root / "TESS Toronto emotional speech set data")
    listing = list_files(root)
    assert len(listing.utterances) == 14
    assert [item.reason for item in listing.left_out] == ["duplicate"] * 14


@pytest.mark.parametrize(
    ("name", "reason", "detail"),
    [
        ("OAF_angry/OAF_back_sad", "unknown label", "sad by its name, in the folder OAF_angry"),
        ("OAF_Pleasant_surprise/OAF_bar_happy", "unknown label", "happy by its name, in the folder OAF_Pleasant_"),
        ("OAF_angry/OAF_back_calm", "unknown label", "emotion calm, expected one of angry, disgust"),
        ("OAF_angry/XAF_back_angry", "unreadable name", "speaker XAF, expected one of OA, OAF, YAF"),
    ],
)
def test_what_cannot_be_is_reported(tmp_path: Path, name: str, reason: str, detail: str) -> None:
    root = make_tess(tmp_path)
    write_bytes(root / f"{name}.wav")
    (item,) = list_files(root).left_out
    assert (item.where, item.reason) == (f"{name}.wav", reason)
    assert item.detail.startswith(detail)


def test_the_folder_of_one_class_is_not_the_corpus(tmp_path: Path) -> None:
    root = make_tess(tmp_path / "TESS")
    with pytest.raises(CorpusError, match=r"lies in .*TESS: give that folder"):
        list_files(root / "YAF_pleasant_surprised")
    assert sum(CORPUS.expected.values()) == 2800
