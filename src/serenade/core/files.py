"""Files written whole or not at all, and the user's cache folder."""

import errno
import json
import os
import secrets
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from serenade.core.errors import StorageError

__all__ = [
    "cache_folder",
    "locked",
    "read_json",
    "read_json_lines",
    "storage_errors",
    "write_bytes",
    "write_json",
    "write_json_lines",
    "write_text",
]

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENOTDIR: "a part of the path is not a folder",
    errno.EEXIST: "a part of the path is not a folder",
    errno.EISDIR: "there is a folder of this name",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EIO: "the disk reports an error",
}


def cache_folder() -> Path:
    """Where Serenade keeps what it can make again.

    $SERENADE_CACHE, else $XDG_CACHE_HOME/serenade, else ~/.cache/serenade.
    """
    named = os.environ.get("SERENADE_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "serenade"


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn the system's refusals to write into a `StorageError` that names the path and the way out."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0)
        if reason is None and _is_beside(error, path):
            reason = "there can be no file here"
        if reason is None:
            raise
        raise StorageError(
            f"cannot write, {reason}",
            where=path,
            hint="Free some space or choose another folder; what was finished before is kept",
        ) from error


def _is_beside(error: OSError, path: Path) -> bool:
    """Whether a file could not be made although its folder had been: /proc, or a link that leads nowhere."""
    named = error.filename if isinstance(error.filename, str | os.PathLike) else None
    return error.errno == errno.ENOENT and named is not None and Path(named).parent == path.parent


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_LOCK, 1)

else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX)


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold a lock against other processes; waits for it, and yields the handle of its file, open to read and write."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _lock(handle)
        yield handle
    finally:
        os.close(handle)  # also lets go of the lock


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Raises:
        StorageError: the disk is full or refuses.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f".writing-{secrets.token_hex(8)}"
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text whole or not at all; names of files that are no UTF-8 are written as the bytes they are.

    Raises:
        StorageError: the disk is full or refuses.
    """
    write_bytes(path, text.encode(errors="surrogateescape"))


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all; NaN and infinity are refused.

    Raises:
        StorageError: the disk is full or refuses.
        ValueError: the value holds NaN or infinity.
    """
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_json_lines(path: Path, values: Iterable[Any]) -> None:
    """Write one JSON value a line, the file whole or not at all.

    Raises:
        StorageError: the disk is full or refuses.
        ValueError: a value holds NaN or infinity.
    """
    write_text(path, "".join(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n" for value in values))


def read_json_lines(path: Path) -> list[Any]:
    """Read a file with one JSON value a line."""
    # Not splitlines: a text may hold U+2028 and other ends of line that are none in JSON.
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
