"""What was once found out about a recording, kept on disk so that opening a corpus again takes no decoding.

One SQLite file in the cache folder. A row is valid as long as the recording has the same path, size and time of
change. Many processes may use it at once. It only ever saves time: where it is broken it is made anew, where it cannot
be written the work goes on without it.
"""

import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from serenade.core.files import cache_folder
from serenade.corpora.corpus import Examine, Facts

__all__ = ["FactsMemo"]

_FILE = "recordings-1.sqlite"  # the number is the version of the table
_WAIT_S = 10.0  # for another process that writes
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_CREATE = """
CREATE TABLE IF NOT EXISTS recordings (
    examiner TEXT, path TEXT, size INTEGER, changed_ns INTEGER,
    duration_s REAL, sample_rate INTEGER, channels INTEGER, peak REAL, content TEXT,
    PRIMARY KEY (examiner, path)
) WITHOUT ROWID
"""
_CREATE_FINGERPRINTS = """
CREATE TABLE IF NOT EXISTS fingerprints (
    examiner TEXT, path TEXT, size INTEGER, changed_ns INTEGER, fingerprint BLOB, PRIMARY KEY (examiner, path)
)
"""  # a table of its own, so that looking up a length does not read a kilobyte

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Remembered:
    duration_s: float
    sample_rate: int
    channels: int
    peak: float
    content: str
    fingerprint: bytes | None = None


class FactsMemo:
    """Remembers what an examiner said of recordings; used in a ``with`` statement, from one thread.

    Args:
        examine: whose findings these are; another function's are kept apart.
    """

    def __init__(self, examine: Examine) -> None:
        kind = type(examine)
        name = getattr(examine, "__qualname__", kind.__qualname__)
        self._examiner = f"{getattr(examine, '__module__', kind.__module__)}.{name}"
        self._file = cache_folder() / _FILE
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        try:
            self._open()
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connection.close()

    @staticmethod
    def state(path: Path) -> tuple[int, int] | None:
        """Size in bytes and time of change in nanoseconds; None for what is no file."""
        try:
            found = path.stat()
        except OSError:
            return None
        return found.st_size, found.st_mtime_ns

    def recall(self, paths: Sequence[Path]) -> dict[Path, Facts]:
        """What is known of those recordings that have not changed since, but for the fingerprint."""
        known = self._known(paths, "duration_s, sample_rate, channels, peak, content", "recordings")
        return {path: _Remembered(*row) for path, row in known}

    def recall_fingerprints(self, paths: Sequence[Path]) -> dict[Path, bytes]:
        """The fingerprints of those recordings that have not changed since they were made."""
        return {path: row[0] for path, row in self._known(paths, "fingerprint", "fingerprints")}

    def remember(self, findings: Iterable[tuple[Path, tuple[int, int], Facts]]) -> None:
        """Keep findings: path, its `state` before it was read, and what was found."""
        rows, fingerprints = [], []
        for path, state, f in findings:
            key = (self._examiner, _key(path), *state)
            rows.append((*key, f.duration_s, f.sample_rate, f.channels, f.peak, f.content))
            if f.fingerprint is not None:
                fingerprints.append((*key, f.fingerprint))
        if self._connection is None or not rows:
            return
        try:
            with self._connection:
                self._connection.executemany("INSERT OR REPLACE INTO recordings VALUES (?,?,?,?,?,?,?,?,?)", rows)
                self._connection.executemany("INSERT OR REPLACE INTO fingerprints VALUES (?,?,?,?,?)", fingerprints)
        except sqlite3.Error as error:
            self._give_up(error)

    def _known(self, paths: Sequence[Path], columns: str, table: str) -> Iterator[tuple[Path, tuple[Any, ...]]]:
        """The columns of those recordings that have not changed since."""
        question = f"SELECT size, changed_ns, {columns} FROM {table} WHERE examiner = ? AND path = ?"
        for path in paths:
            if self._connection is None:
                return
            try:
                row = self._connection.execute(question, (self._examiner, _key(path))).fetchone()
            except sqlite3.Error as error:
                self._give_up(error)
                return
            if row is not None and self.state(path) == row[:2]:
                yield path, row[2:]

    def _open(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = self._connect()
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode not in _BROKEN:
                raise
            _log.warning("the list of known recordings %s is broken and is made anew", self._file)
            self._remove()
            self._connection = self._connect()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file, timeout=_WAIT_S)
        try:
            with connection:
                connection.execute(_CREATE)
                connection.execute(_CREATE_FINGERPRINTS)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _give_up(self, error: Exception) -> None:
        """Go on without a memo; a broken one is removed, so that the next run makes it anew."""
        _log.warning("the list of known recordings %s cannot be used: %s", self._file, error)
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if isinstance(error, sqlite3.DatabaseError) and getattr(error, "sqlite_errorcode", None) in _BROKEN:
            self._remove()

    def _remove(self) -> None:
        """Remove the file and its journal, which would otherwise be played back into a new file."""
        for path in (self._file, self._file.with_name(f"{self._file.name}-journal")):
            path.unlink(missing_ok=True)


def _key(path: Path) -> str:
    full = os.path.abspath(path)  # noqa: PTH100 - resolve() would ask the disk about every folder above
    return full.encode("utf-8", "backslashreplace").decode("utf-8")  # a name that is no text cannot be stored as one
