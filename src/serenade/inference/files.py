"""Finding recordings: files as named, and folders walked in a fixed order without ever holding the whole list."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from serenade.core.errors import AudioError, UsageError

__all__ = ["SUFFIXES", "find_recordings", "read_list"]

# What soundfile reads, and below what the extra `media` adds.
SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("wav", "flac", "ogg", "oga", "opus", "mp3", "aif", "aiff", "aifc", "au", "snd", "caf", "w64", "rf64"),
        *("m4a", "mp4", "m4v", "mov", "mkv", "webm", "wma", "aac", "amr", "3gp", "avi", "flv", "ac3"),
    )
)


def find_recordings(inputs: Iterable[Path], *, recursive: bool = True) -> Iterator[Path | AudioError]:
    """Every recording named or lying in a folder named.

    A file named is taken whatever its suffix. A folder gives its own files first, then those of its folders, each by
    name; hidden names are passed over, and a folder reached again through a link is not walked twice.

    Args:
        inputs: files and folders.
        recursive: walk folders inside folders too.

    Yields:
        The path of a recording; or an error for an input that is not there or a folder that cannot be read.
    """
    for path in inputs:
        if path.is_dir():
            yield from _walk(path, recursive=recursive)
        elif path.exists():
            yield path
        else:
            yield AudioError("there is no such file or folder", reason="missing", where=path)


def _walk(folder: Path, *, recursive: bool) -> Iterator[Path | AudioError]:
    seen: set[tuple[int, int]] = set()  # folders by device and inode: also a loop of links ends
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        try:
            status = current.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            names = sorted(os.listdir(current))  # noqa: PTH208 - names are smaller than paths, and there may be a million
        except OSError as error:
            yield AudioError("the folder cannot be read", reason="undecodable", where=current, found=error.strerror)
            continue
        folders = []
        for name in names:
            if name.startswith("."):
                continue
            path = current / name
            if path.suffix.lower() in SUFFIXES and not path.is_dir():
                yield path
            elif recursive and path.is_dir():
                folders.append(path)
        waiting.extend(reversed(folders))


def read_list(path: Path) -> Iterator[Path]:
    """Paths from a text file, one a line; empty lines and lines that begin with # are passed over.

    Raises:
        UsageError: the list cannot be read.
    """
    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                name = line.rstrip("\r\n")
                if name.strip() and not name.startswith("#"):
                    yield Path(name)
    except OSError as error:
        raise UsageError("the list of files cannot be read", where=path, found=error.strerror) from error
