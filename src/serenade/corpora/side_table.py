"""The table that a corpus brings beside its recordings: a line per recording or speaker, found by its key."""

import logging
from collections.abc import Sequence
from pathlib import Path

from serenade.core.errors import CorpusError
from serenade.corpora.delimited import Row, read_rows

__all__ = ["UNNAMED", "read_side_table"]

UNNAMED = "(unnamed)"
"""The column with an empty header, such as the row names that R writes."""

_log = logging.getLogger(__name__)


def read_side_table(path: Path, *, key: str, columns: Sequence[str]) -> dict[str, Row]:
    """The rows of a table by the cell in their key column, without blanks around cells.

    Encodings, delimiters and ends of line are those that `delimited.read_rows` knows. A line that repeats another to
    the letter is passed over with a warning.

    Args:
        path: the file.
        key: the column whose cell names what the row is about; `UNNAMED` for one with an empty header.
        columns: the columns that must be there besides; upper and lower case do not matter.

    Raises:
        CorpusError: the table cannot be read, lacks one of the columns, has a line without key, or has two different
            lines for one key.
    """
    names = (key, *columns)
    rows: dict[str, Row] = {}
    meanings = {"" if name == UNNAMED else name.lower(): name for name in names}
    table = read_rows(path, meanings, needed=names, header=f"a header with {', '.join(names)}")
    for row in table:
        if key not in row.cells:
            raise CorpusError(
                f"a line of the table has an empty cell in the column {key!r}",
                where=f"{path}, line {row.line}",
                expected="a name in every line",
                hint="Fill the cell or delete the line",
            )
        first = rows.setdefault(row.cells[key], row)
        if first is not row:
            _tell_twice(path, key, first, row)
    return rows


def _tell_twice(path: Path, key: str, first: Row, second: Row) -> None:
    """Warn of a line that repeats another; raise where the two differ.

    Raises:
        CorpusError: nobody can know which of the two is right.
    """
    name = second.cells[key]
    if (first.cells, first.extra) == (second.cells, second.extra):
        _log.warning("%s: line %d repeats line %d (%s)", path, second.line, first.line, name)
        return
    raise CorpusError(
        f"the table has two different lines for {name}",
        where=f"{path}, line {second.line}",
        found=f"{_shown(second)}; line {first.line} has {_shown(first)}",
        expected=f"one line per {key}",
        hint="Delete the line that is wrong",
    )


def _shown(row: Row) -> str:
    return ", ".join([*row.cells.values(), *row.extra.values()])[:80]
