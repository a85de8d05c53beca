"""Which recordings a folder holds, in which order, and what cannot stop the walk."""

import os
from pathlib import Path

import pytest

from serenade.core.errors import AudioError, UsageError
from serenade.inference.files import find_recordings, read_list


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_folder_gives_its_recordings_in_a_fixed_order(tmp_path: Path) -> None:
    names = ["b.wav", "a.FLAC", "notes.txt", ".hidden.wav", "z/1.mp3", "c/2.ogg", "c/d/3.opus", ".trash/4.wav", "x.flv"]
    touch(*(tmp_path / name for name in names))
    found = [str(path.relative_to(tmp_path)) for path in find_recordings([tmp_path]) if isinstance(path, Path)]
    assert found == ["a.FLAC", "b.wav", "x.flv", "c/2.ogg", "c/d/3.opus", "z/1.mp3"]
    flat = [path.name for path in find_recordings([tmp_path], recursive=False) if isinstance(path, Path)]
    assert flat == ["a.FLAC", "b.wav", "x.flv"]


def test_a_file_named_is_taken_whatever_its_suffix(tmp_path: Path) -> None:
    touch(tmp_path / "speech.dat")
    assert list(find_recordings([tmp_path / "speech.dat"])) == [tmp_path / "speech.dat"]


def test_a_folder_may_be_called_like_a_recording(tmp_path: Path) -> None:
    touch(tmp_path / "take.wav" / "1.wav")
    assert list(find_recordings([tmp_path])) == [tmp_path / "take.wav" / "1.wav"]


def test_loops_of_links_end(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "1.wav")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a" / "self")
    (tmp_path / "other").symlink_to(tmp_path / "a")
    assert list(find_recordings([tmp_path])) == [tmp_path / "a" / "1.wav"]


def test_what_is_missing_or_forbidden_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "in" / "1.wav", tmp_path / "locked" / "2.wav")
    listdir = os.listdir

    def refuse(path: Path) -> list[str]:
        if path.name == "locked":
            raise PermissionError(13, "Permission denied")
        return listdir(path)

    monkeypatch.setattr(os, "listdir", refuse)  # the tests may run as root, whom no mode keeps out
    recording, locked, missing = find_recordings([tmp_path / "in", tmp_path / "locked", tmp_path / "none.wav"])
    assert recording == tmp_path / "in" / "1.wav"
    assert isinstance(locked, AudioError)
    assert "Permission denied" in str(locked)
    assert isinstance(missing, AudioError)
    assert missing.reason == "missing"


def test_a_list_of_files(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes("# mine\r\na.wav\r\n\n b c.wav \nä.wav\n".encode() + b"\xff.wav\n")
    assert [os.fsencode(p) for p in read_list(path)] == [b"a.wav", b" b c.wav ", "ä.wav".encode(), b"\xff.wav"]
    with pytest.raises(UsageError, match="the list of files cannot be read"):
        list(read_list(tmp_path / "none"))
