"""What was once found out about a recording, kept on disk so that opening a corpus again takes no decoding.

One SQLite file in the cache folder. A row is valid as long as the recording has the same path, size and time of
change. Many processes may use it at once. It only ever saves time: where it is broken it is made anew, where it cannot
be written the work goes on without it.
"""

import logging
import os
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

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
_COLUMNS_WRITTEN = 9

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Remembered:
    duration_s: float
    sample_rate: int
    channels: int
    peak: float
    content: str


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
        """What is known of those recordings that have not changed since."""
        known: dict[Path, Facts] = {}
        for path in paths:
            row = self._row(path)
            if row is not None and self.state(path) == (row[0], row[1]):
                known[path] = _Remembered(*row[2:])
        return known

    def remember(self, findings: Iterable[tuple[Path, tuple[int, int], Facts]]) -> None:
        """Keep findings: path, its `state` before it was read, and what was found."""
        rows = [
            (self._examiner, _key(path), *state, f.duration_s, f.sample_rate, f.channels, f.peak, f.content)
            for path, state, f in findings
        ]
        if self._connection is None or not rows:
            return
        marks = ", ".join("?" * _COLUMNS_WRITTEN)
        try:
            with self._connection:
                self._connection.executemany(f"INSERT OR REPLACE INTO recordings VALUES ({marks})", rows)
        except sqlite3.Error as error:
            self._give_up(error)

    def _row(self, path: Path) -> tuple[int, int, float, int, int, float, str] | None:
        if self._connection is None:
            return None
        question = (
            "SELECT size, changed_ns, duration_s, sample_rate, channels, peak, content FROM recordings "
            "WHERE examiner = ? AND path = ?"
        )
        try:
            row: tuple[int, int, float, int, int, float, str] | None = self._connection.execute(
                question, (self._examiner, _key(path))
            ).fetchone()
        except sqlite3.Error as error:
            self._give_up(error)
            return None
        return row

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
    return os.path.abspath(path)  # noqa: PTH100 - resolve() would ask the disk about every folder above
