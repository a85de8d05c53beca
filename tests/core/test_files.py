"""Files written whole or not at all."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from serenade.core.errors import StorageError
from serenade.core.files import (
    cache_folder,
    read_json,
    read_json_lines,
    storage_errors,
    write_bytes,
    write_json,
    write_json_lines,
    write_text,
)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refuse(code: int) -> object:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


def test_text_and_json_come_back(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "deep" / "a.txt", "Ärger\n")
    assert (tmp_path / "new" / "deep" / "a.txt").read_bytes() == "Ärger\n".encode()
    value = {"angry": [1, 2.5, None, True], "wütend": {"x": "\u2028"}}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value


def test_json_lines_come_back_whatever_ends_of_line_a_text_holds(tmp_path: Path) -> None:
    values = [{"text": f"one{end}two"} for end in ("\n", "\r\n", "\u2028", "\u2029", "\x85", "\x1c", "\x0b")]
    write_json_lines(tmp_path / "a.jsonl", values)
    assert read_json_lines(tmp_path / "a.jsonl") == values
    assert (tmp_path / "a.jsonl").read_text(encoding="utf-8").count("\n") == len(values)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_json_without_a_finite_number_is_refused_and_leaves_the_old(tmp_path: Path, number: float) -> None:
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "a.json", {"loss": number})
    assert read_json(tmp_path / "a.json") == 1


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
def test_refusal_of_the_disk_leaves_the_old_file_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, code: int
) -> None:
    write_text(tmp_path / "a.txt", "old")
    monkeypatch.setattr(Path if step == "replace" else os, step, refuse(code))
    with pytest.raises(StorageError, match=r"cannot write, .*: .*a\.txt\. Free some space or choose another folder"):
        write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names_in(tmp_path) == ["a.txt"]


def test_interruption_leaves_the_old_file_and_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path / "a.txt", "old")

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names_in(tmp_path) == ["a.txt"]


def test_killed_process_leaves_the_old_file(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    code = (
        "import os, signal, sys; from pathlib import Path; from serenade.core import files\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "files.write_text(Path(sys.argv[1]), 'new')"
    )
    killed = subprocess.run([sys.executable, "-c", code, tmp_path / "a.txt"], check=False)
    assert killed.returncode == -9
    assert (tmp_path / "a.txt").read_text() == "old"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("file/x", "a part of the path is not a folder"),
        ("file/x/y", "a part of the path is not a folder"),
        ("folder", "there is a folder of this name"),
        ("n" * 300, "the name is too long"),
        ("loop/x", "a part of the path is not a folder"),
        ("/proc/x", "there can be no file here"),
    ],
)
def test_target_that_cannot_be_is_named(tmp_path: Path, target: str, reason: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(StorageError, match=f"cannot write, {reason}"):
        write_text(tmp_path / target, "x")
    assert names_in(tmp_path) == ["file", "folder", "loop"]


def test_long_name_that_the_disk_allows_is_written(tmp_path: Path) -> None:
    write_text(tmp_path / ("n" * 255), "x")
    assert names_in(tmp_path) == ["n" * 255]


def test_mode_is_what_the_user_wants_for_new_files(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    write_bytes(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_other_errors_of_the_system_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), storage_errors(tmp_path):
        (tmp_path / "absent").read_bytes()


def test_cache_folder_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SERENADE_CACHE", str(tmp_path / "a"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert cache_folder() == tmp_path / "a"
    monkeypatch.delenv("SERENADE_CACHE")
    assert cache_folder() == tmp_path / "b" / "serenade"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "serenade"
