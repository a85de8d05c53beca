"""Reading a table with a header from CSV, TSV (any delimiter and encoding) or Parquet; complaints name the line."""

import codecs
import csv
import io
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from serenade.core.errors import CorpusError, MissingExtraError
from serenade.core.names import nearest

__all__ = ["Row", "decode", "read_any_rows", "read_rows"]

_DELIMITERS = ",;\t|"
_LINES_LOOKED_AT = 50
_SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # xlsx and ods; xls

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table; empty cells are left out.

    Args:
        line: its number, from 1, the header included.
        cells: known columns, by our name.
        extra: other columns, by the name in the header.
    """

    line: int
    cells: Mapping[str, str]
    extra: Mapping[str, str]


_OWN_HEADER = "a header such as file,speaker,gender,emotion"


def read_rows(
    path: Path, meanings: Mapping[str, str], *, needed: str | Sequence[str], header: str = _OWN_HEADER
) -> list[Row]:
    """The rows of a table.

    Args:
        path: the file.
        meanings: names of columns, in lower case, to our name.
        needed: the column or columns (our names) without which the table is of no use.
        header: what the first line should be, in words, for the complaint where one of them is not there.

    Raises:
        CorpusError: the file is not there or no text, has no such column, or a line has another number of cells.
    """
    rows = _parquet_lines(path) if path.suffix.lower() == ".parquet" else _text_lines(path, meanings)
    if not rows:
        raise CorpusError("the table is empty", where=path, expected="a header and a line per utterance")
    wanted = (needed,) if isinstance(needed, str) else needed
    columns = _columns(path, rows[0][1], meanings, wanted, header)
    return [_row(path, line, cells, columns) for line, cells in rows[1:]]


def read_any_rows(path: Path) -> tuple[list[str], list[Row]]:
    """Header and rows of a table whose columns may have any names; all cells stand in ``extra``.

    The delimiter is the one that cuts the first lines into equally many cells.

    Raises:
        CorpusError: the file is not there, no text or empty, has two columns of one name, or a line has another number
            of cells than the header.
    """
    if path.suffix.lower() == ".parquet":
        rows = _parquet_lines(path)
    else:
        text = _read_text(path)
        rows = list(_lines(path, text, _likely_delimiter(text)))
    if not rows:
        raise CorpusError("the table is empty", where=path, expected="a header and a line per utterance")
    header = rows[0][1]
    twice = [name for name, times in Counter(header).items() if times > 1]
    if twice:
        raise CorpusError(f"the table has two columns called {twice[0]!r}", where=f"{path}, line 1", found=header)
    columns = [(name, False) for name in header]
    return header, [_row(path, line, cells, columns) for line, cells in rows[1:]]


def _likely_delimiter(text: str) -> str:
    """The mark that cuts most of the first lines into as many cells as the header, and that into the most."""
    head = [line for line in text.splitlines() if line.strip()][:_LINES_LOOKED_AT]

    def fit(mark: str) -> tuple[float, int]:
        widths = [len(cells) for cells in csv.reader(head, delimiter=mark)]
        equal = sum(width == widths[0] for width in widths) / len(widths) if widths and widths[0] > 1 else 0.0
        return equal, widths[0] if widths else 0

    return max(_DELIMITERS, key=fit)


def _text_lines(path: Path, meanings: Mapping[str, str]) -> list[tuple[int, list[str]]]:
    text = _read_text(path)
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(_DELIMITERS, key=lambda mark: sum(name in meanings for name in _names(first, mark)))
    return list(_lines(path, text, delimiter))


def _parquet_lines(path: Path) -> list[tuple[int, list[str]]]:
    """Header and rows of a Parquet file as text; an empty cell is a null."""
    try:
        from pyarrow import ArrowInvalid, parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", extra="data", purpose="reading Parquet tables") from error
    try:
        table = parquet.read_table(path)
    except FileNotFoundError as error:
        raise CorpusError("there is no such table or folder", where=path) from error
    except (ArrowInvalid, OSError) as error:
        raise CorpusError("the table is not a Parquet file, or damaged", where=path, found=str(error)) from error
    rows = [["" if cell is None else str(cell) for cell in row.values()] for row in table.to_pylist()]
    return list(enumerate([list(table.column_names), *rows], start=1))


def _read_text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        names = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        close = nearest(path.name, names)
        hint = f"Did you mean {path.parent / close}?" if close else None
        raise CorpusError("there is no such table or folder", where=path, hint=hint) from error
    except OSError as error:
        raise CorpusError("the table cannot be read", where=path, found=error.strerror) from error
    if raw.startswith(_SPREADSHEETS):
        raise CorpusError("the table is a spreadsheet", where=path, hint="Save it as CSV in your spreadsheet program")
    text = decode(path, raw)
    if "\0" in text:
        raise CorpusError("the table is not text", where=path, expected="a CSV or TSV file")
    return text


def decode(path: Path, raw: bytes) -> str:
    """The text of a file: UTF-8, UTF-16 that has a byte order mark, else Latin-1, with a warning."""
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return raw.decode("utf-16", errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if b"\0" not in raw:
            line = raw.count(b"\n", 0, error.start) + 1
            _log.warning("%s is not UTF-8 (line %d) and is read as Latin-1: look at its umlauts", path, line)
        return raw.decode("latin-1")


def _names(header: str, delimiter: str) -> list[str]:
    return [cell.strip().strip('"').lower() for cell in header.split(delimiter)]


def _lines(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of every line that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    before = 0
    try:
        for cells in reader:
            line, before = before + 1, reader.line_num  # a quoted cell may hold line breaks: the first line counts
            if any(cell.strip() for cell in cells):
                yield line, [cell.strip() for cell in cells]
    except csv.Error as error:
        raise CorpusError(
            "the table cannot be read", where=f"{path}, line {reader.line_num}", found=str(error)
        ) from error


def _columns(
    path: Path, header: Sequence[str], meanings: Mapping[str, str], needed: Sequence[str], expected: str
) -> list[tuple[str, bool]]:
    """Name of every column and whether it is a known one (then the name is ours)."""
    names = [name.strip() for name in header]
    known = [meanings.get(name.lower()) for name in names]
    exact = {name.lower() for name in names} & set(known)
    columns = []
    for name, ours in zip(names, known, strict=True):
        is_ours = ours is not None and (name.lower() == ours or ours not in exact)
        columns.append((str(ours) if is_ours else name, is_ours))
    absent = next((name for name in needed if (name, True) not in columns), None)
    if absent is not None:
        close = nearest(absent, names)
        raise CorpusError(
            f"the table has no column {absent!r}",
            where=f"{path}, line 1",
            found=", ".join(names),
            expected=expected,
            hint=f"Did you mean {close!r} by {absent!r}? Rename it" if close else None,
        )
    twice = [name for name, _ in columns if [other for other, _ in columns].count(name) > 1]
    if twice:
        both = ", ".join(name for name, (ours, _) in zip(names, columns, strict=True) if ours == twice[0])
        raise CorpusError(f"the table has two columns for {twice[0]!r}", where=f"{path}, line 1", found=both)
    return columns


def _row(path: Path, line: int, cells: Sequence[str], columns: Sequence[tuple[str, bool]]) -> Row:
    if len(cells) != len(columns):
        raise CorpusError(
            "a line of the table has another number of cells than the header",
            where=f"{path}, line {line}",
            found=f"{len(cells)} cells: {' | '.join(cells)[:80]}",
            expected=f"{len(columns)}: {', '.join(name for name, _ in columns)}",
            hint="If the file ends in this line, it is cut off: copy it again; else a cell is missing"
            if len(cells) < len(columns)
            else "Put quotes around cells that hold the delimiter",
        )
    filled = [(name, ours, cell) for (name, ours), cell in zip(columns, cells, strict=True) if cell]
    return Row(
        line,
        {name: cell for name, ours, cell in filled if ours},
        {name: cell for name, ours, cell in filled if not ours},
    )
