"""CaFE: names of files count, in whatever way the folders are spelled."""

import unicodedata
from pathlib import Path

import pytest
from tests.corpora.acted_trees import make_cafe
from tests.corpora.trees import write_bytes

from serenade.corpora.cafe import CORPUS, list_files


def test_a_name_tells_everything(tmp_path: Path) -> None:
    utterance = list_files(make_cafe(tmp_path)).utterances[1]
    assert utterance.id == "01-C-2-3"
    assert (utterance.speaker, utterance.gender, utterance.emotion) == ("01", "male", "angry")
    assert (utterance.language, utterance.sentence) == ("fr", "3")
    assert utterance.text == "Trois cygnes aveugles au bord du lac."
    assert utterance.extra == {"age": "46", "intensity": "strong"}


FOLDERS = {
    "one piece": ("Colère", "Dégoût", "Faible", "Fort"),
    "two pieces": (unicodedata.normalize("NFD", "Colère"), unicodedata.normalize("NFD", "Dégoût"), "Faible", "Fort"),
    "no accents": ("Colere", "Degout", "Faible", "Fort"),
    "as the official archive unpacks": ("ColŠre", "D‚go–t", "Faible", "Fort"),
    "English": ("Anger", "Disgust", "Weak", "Strong"),
}


@pytest.mark.parametrize("names", FOLDERS.values(), ids=FOLDERS)
def test_spellings_of_folders_do_not_matter(tmp_path: Path, names: tuple[str, str, str, str]) -> None:
    expected = list_files(make_cafe(tmp_path / "plain"))
    root = make_cafe(tmp_path / "root")
    anger, disgust, weak, strong = names
    for old, new in (("Colère", anger), ("Dégoût", disgust)):
        (root / old / "Faible").rename(root / old / weak)
        (root / old / "Fort").rename(root / old / strong)
        (root / old).rename(root / new)
    listing = list_files(root)
    assert [u.with_(audio=Path()) for u in listing.utterances] == [u.with_(audio=Path()) for u in expected.utterances]
    assert listing.left_out == ()


@pytest.mark.parametrize(
    ("name", "reason", "detail"),
    [
        ("Colère/Fort/01-D-2-1", "unknown label", "disgusted by its name, in the folder Colère"),
        ("Joie/Fort/01-X-2-1", "unknown label", "emotion X, expected one of C, D, J, N, P, S, T"),
        ("Neutre/01-N-2-1", "unreadable name", "neutral with strong intensity"),
        ("Joie/Fort/13-J-2-1", "unreadable name", "actor 13, expected one of 01, 02"),
        ("Joie/Fort/01-J-3-1", "unreadable name", "intensity 3, expected one of 1, 2"),
        ("Joie/Fort/01-J-2-7", "unreadable name", "sentence 7, expected one of 1, 2"),
    ],
)
def test_what_cannot_be_is_reported(tmp_path: Path, name: str, reason: str, detail: str) -> None:
    root = make_cafe(tmp_path)
    write_bytes(root / f"{name}.wav")
    (item,) = list_files(root).left_out
    assert (item.where, item.reason) == (f"{name}.wav", reason)
    assert item.detail.startswith(detail)


def test_the_complete_corpus_has_936_recordings() -> None:
    assert sum(CORPUS.expected.values()) == 12 * 6 * (6 * 2 + 1)
