"""Which column is proposed for what, and which recording a cell means."""

from pathlib import Path

import pytest
from tests.corpora.trees import write_bytes

from serenade.corpora.foreign_columns import RecordingFinder, propose_columns


def proposed(header: str, *rows: str, folder: Path) -> dict[str, str | None]:
    names = header.split(",")
    cells = [dict(zip(names, row.split(","), strict=True)) for row in rows]
    return {ours: found.column for ours, found in propose_columns(names, cells, RecordingFinder(folder)).items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.wav", "b.wav", "deep/c.flac"):
        write_bytes(tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    ("header", "row", "found"),
    [
        ("file,speaker,emotion", "a.wav,x,sad", {"file": "file", "speaker": "speaker", "emotion": "emotion"}),
        (
            "Datei,SprecherID,Gefühl,Sprache",
            "a.wav,x,q,de",
            {"file": "Datei", "speaker": "SprecherID", "emotion": "Gefühl", "language": "Sprache"},
        ),
        (
            "Fichier,Locuteur,Sexe,Émotion,Début,Fin",
            "a.wav,x,q,q,0,1",
            {
                "file": "Fichier",
                "speaker": "Locuteur",
                "gender": "Sexe",
                "emotion": "Émotion",
                "start": "Début",
                "end": "Fin",
            },
        ),
        (
            "archivo,hablante,emoción,frase",
            "a.wav,x,q,1",
            {"file": "archivo", "speaker": "hablante", "emotion": "emoción", "sentence": "frase"},
        ),
        (
            "dosya,konuşmacı,cinsiyet,duygu",
            "a.wav,x,k,q",
            {"file": "dosya", "speaker": "konuşmacı", "gender": "cinsiyet", "emotion": "duygu"},
        ),
        (
            "Audio Path,Speaker ID,emotion_label",
            "a.wav,x,q",
            {"file": "Audio Path", "speaker": "Speaker ID", "emotion": "emotion_label"},
        ),
        ("音频,说话人,情感", "a.wav,x,q", {"file": "音频", "speaker": "说话人", "emotion": "情感"}),
        ("Nr,Bemerkung", "1,laut", {}),
    ],
)
def test_names_in_several_languages(header: str, row: str, found: dict[str, str], folder: Path) -> None:
    assert proposed(header, row, folder=folder) == found


def test_content_tells_where_names_do_not(folder: Path) -> None:
    rows = ("a.wav,m,happy,1", "b.wav,w,Wut,2", "c,m,sad,3")
    assert proposed("c1,c2,c3,c4", *rows, folder=folder) == {"file": "c1", "gender": "c2", "emotion": "c3"}


def test_content_wins_over_a_name_that_does_not_hold_it(folder: Path) -> None:
    # `class` is a spelling of emotion, but holds numbers of school classes here.
    assert proposed("file,class,Gefühl", "a.wav,3b,happy", "b.wav,4a,sad", folder=folder)["emotion"] == "Gefühl"


def test_two_that_fit_equally_well_are_not_guessed(folder: Path) -> None:
    names = ["file", "label", "category"]
    rows = [dict(zip(names, row, strict=True)) for row in (("a.wav", "sad", "angry"), ("b.wav", "happy", "sad"))]
    found = propose_columns(names, rows, RecordingFinder(folder))
    assert found["emotion"].column is None
    assert found["emotion"].rivals == ("label", "category")
    # Serenade's own name is meant, whatever stands beside it
    renamed = [{**row, "emotion": row["label"]} for row in rows]
    assert propose_columns([*names, "emotion"], renamed, RecordingFinder(folder))["emotion"].column == "emotion"


@pytest.mark.parametrize(
    ("name", "certain"), [("speaker", True), ("Actor", True), ("Sprecher", False), ("spk_no", False)]
)
def test_only_names_that_a_table_may_have_anyway_are_certain(name: str, certain: bool, folder: Path) -> None:
    found = propose_columns([name], [{name: "x"}], RecordingFinder(folder))
    assert found["speaker"].certain is certain


def test_recordings_are_found_by_path_by_name_and_without_extension(folder: Path) -> None:
    write_bytes(folder / "other" / "a.wav")
    finder = RecordingFinder(folder)
    places = {
        "a.wav": ["a.wav"],
        "deep\\c.flac": ["deep/c.flac"],
        "C:\\old\\disk\\c.flac": ["deep/c.flac"],
        "c": ["deep/c.flac"],
        "C.FLAC": ["deep/c.flac"],
        "A": ["a.wav", "other/a.wav"],
        "deep": [],
        "z.wav": [],
        "": [],
        "x\0y": [],
        "x" * 5000: [],
    }
    for cell, found in places.items():
        assert sorted(path.relative_to(folder).as_posix() for path in finder.find(cell)) == found
