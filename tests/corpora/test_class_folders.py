"""The user's recordings in a folder per class, with and without folders of speakers."""

import logging
from pathlib import Path

import pytest
from tests.corpora.trees import write_sound

from serenade.core.errors import CorpusError
from serenade.core.records import UNKNOWN_SPEAKER
from serenade.corpora.table import list_files


def make(root: Path, *names: str) -> Path:
    for name in names:
        write_sound(root / name)
    return root


def found(root: Path) -> dict[str, tuple[str, str | None]]:
    return {u.id: (u.speaker, u.emotion) for u in list_files(root).utterances}


def test_a_folder_per_class_has_unknown_speakers(tmp_path: Path) -> None:
    root = make(tmp_path, "Anger/1.wav", "happy/1.wav")
    assert found(root) == {"Anger/1.wav": (UNKNOWN_SPEAKER, "angry"), "happy/1.wav": (UNKNOWN_SPEAKER, "happy")}


def test_folders_below_the_class_are_speakers(tmp_path: Path) -> None:
    root = make(tmp_path, "angry/anna/1.wav", "angry/ben/deeper/1.wav", "happy/anna/1.wav")
    assert found(root) == {
        "angry/anna/1.wav": ("anna", "angry"),
        "angry/ben/deeper/1.wav": ("ben", "angry"),
        "happy/anna/1.wav": ("anna", "happy"),
    }


def test_speakers_may_stand_above_the_class(tmp_path: Path) -> None:
    root = make(tmp_path, "0001/Angry/1.wav", "0002/Sad/1.wav")
    assert found(root) == {"0001/Angry/1.wav": ("0001", "angry"), "0002/Sad/1.wav": ("0002", "sad")}


def test_own_class_names_are_taken_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = make(tmp_path, "tense/1.wav", "loose/1.wav")
    with caplog.at_level(logging.WARNING):
        assert {emotion for _, emotion in found(root).values()} == {"tense", "loose"}
    assert "classes of your own: loose, tense" in caplog.text


def test_what_lies_elsewhere_is_reported(tmp_path: Path) -> None:
    root = make(tmp_path, "angry/1.wav", "happy/1.wav", "happpy/1.wav", "loose.wav")
    (root / "angry" / "notes.txt").write_text("x")
    reasons = {item.where: item.reason for item in list_files(root).left_out}
    assert reasons == {"loose.wav": "no label", "angry/notes.txt": "other material", "happpy/1.wav": "unknown label"}


def test_a_root_one_level_off_is_named(tmp_path: Path) -> None:
    root = make(tmp_path / "outer" / "speech", "angry/1.wav", "happy/1.wav")
    for wrong in (root / "angry", root.parent):
        with pytest.raises(CorpusError, match=rf"lies in {root}: give that folder"):
            list_files(wrong)


def test_a_table_in_the_folder_is_pointed_at(tmp_path: Path) -> None:
    make(tmp_path / "corpus", "wav/1.wav")
    (tmp_path / "corpus" / "data.csv").write_text("file\nwav/1.wav\n")
    with pytest.raises(CorpusError, match=r"give the file: .*data\.csv"):
        list_files(tmp_path / "corpus")


def test_parts_are_not_classes(tmp_path: Path) -> None:
    root = make(tmp_path, "train/happy/1.wav", "test/sad/1.wav")
    with pytest.raises(CorpusError, match=r"parts of a split, not classes.*Found: test, train"):
        list_files(root)


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    root = make(tmp_path, "angry/1.wav", "happy/1.wav")
    (root / "angry" / "again").symlink_to(root, target_is_directory=True)
    assert set(found(root)) == {"angry/1.wav", "happy/1.wav"}
