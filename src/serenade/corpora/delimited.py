"""Reading a table with a header from CSV, TSV (any delimiter and encoding) or Parquet; complaints name the line."""

import codecs
import csv
import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from serenade.core.errors import CorpusError, MissingExtraError
from serenade.core.names import nearest

__all__ = ["Row", "decode", "read_any_rows", "read_rows"]

_DELIMITERS = ",;\t|"
_LINES_LOOKED_AT = 50
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")  # one line with its end
_SHARED = 10_000  # different cells of which equal ones are kept once
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
    lines = _parquet_lines(path) if path.suffix.lower() == ".parquet" else _text_lines(path, meanings)
    _, names = _first(path, lines)
    wanted = (needed,) if isinstance(needed, str) else needed
    return _rows(path, lines, _columns(path, names, meanings, wanted, header))


def read_any_rows(path: Path) -> tuple[list[str], list[Row]]:
    """Header and rows of a table whose columns may have any names; all cells stand in ``extra``.

    The delimiter is the one that cuts the first lines into equally many cells.

    Raises:
        CorpusError: the file is not there, no text or empty, has two columns of one name, or a line has another number
            of cells than the header.
    """
    if path.suffix.lower() == ".parquet":
        lines = _parquet_lines(path)
    else:
        text = _read_text(path)
        lines = _lines(path, text, _likely_delimiter(text))
    _, header = _first(path, lines)
    twice = [name for name, times in Counter(header).items() if times > 1]
    if twice:
        raise CorpusError(f"the table has two columns called {twice[0]!r}", where=f"{path}, line 1", found=header)
    return header, _rows(path, lines, [(name, False) for name in header])


def _first(path: Path, lines: Iterator[tuple[int, list[str]]]) -> tuple[int, list[str]]:
    """The header of a table.

    Raises:
        CorpusError: there is none.
    """
    found = next(lines, None)
    if found is None:
        raise CorpusError("the table is empty", where=path, expected="a header and a line per utterance")
    return found


def _likely_delimiter(text: str) -> str:
    """The mark that cuts most of the first lines into as many cells as the header, and that into the most."""
    head = list(islice(_filled_lines(text), _LINES_LOOKED_AT))

    def fit(mark: str) -> tuple[float, int]:
        widths = [len(cells) for cells in csv.reader(head, delimiter=mark)]
        equal = sum(width == widths[0] for width in widths) / len(widths) if widths and widths[0] > 1 else 0.0
        return equal, widths[0] if widths else 0

    return max(_DELIMITERS, key=fit)


def _split_lines(text: str) -> Iterator[str]:
    """The lines with their ends, one at a time; `str.splitlines` also cuts at marks that may stand in a cell."""
    return (found.group() for found in _LINE.finditer(text))


def _filled_lines(text: str) -> Iterator[str]:
    return (line.strip("\r\n") for line in _split_lines(text) if line.strip())


def _text_lines(path: Path, meanings: Mapping[str, str]) -> Iterator[tuple[int, list[str]]]:
    text = _read_text(path)
    first = next(_filled_lines(text), "")
    delimiter = max(_DELIMITERS, key=lambda mark: sum(name in meanings for name in _names(first, mark)))
    return _lines(path, text, delimiter)


def _parquet_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
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
    return enumerate([list(table.column_names), *rows], start=1)


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
    reader = csv.reader(_split_lines(text), delimiter=delimiter, strict=True)
    before = 0
    try:
        for cells in reader:
            line, before = before + 1, reader.line_num  # a quoted cell may hold line breaks: the first line counts
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield line, stripped
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


def _rows(path: Path, lines: Iterable[tuple[int, list[str]]], columns: Sequence[tuple[str, bool]]) -> list[Row]:
    """The rows below the header; equal cells of a large table are one object, so that it takes less memory."""
    known = [(place, name) for place, (name, ours) in enumerate(columns) if ours]
    others = [(place, name) for place, (name, ours) in enumerate(columns) if not ours]
    shared: dict[str, str] = {}

    def kept(cell: str) -> str:
        return shared.setdefault(cell, cell) if len(shared) < _SHARED else shared.get(cell, cell)

    rows = []
    for line, cells in lines:
        if len(cells) != len(columns):
            raise _other_width(path, line, cells, columns)
        kept_cells = [kept(cell) for cell in cells]
        named = {name: kept_cells[place] for place, name in known if kept_cells[place]}
        extra = {name: kept_cells[place] for place, name in others if kept_cells[place]}
        rows.append(Row(line, named, extra))
    return rows


def _other_width(path: Path, line: int, cells: Sequence[str], columns: Sequence[tuple[str, bool]]) -> CorpusError:
    return CorpusError(
        "a line of the table has another number of cells than the header",
        where=f"{path}, line {line}",
        found=f"{len(cells)} cells: {' | '.join(cells)[:80]}",
        expected=f"{len(columns)}: {', '.join(name for name, _ in columns)}",
        hint="If the file ends in this line, it is cut off: copy it again; else a cell is missing"
        if len(cells) < len(columns)
        else "Put quotes around cells that hold the delimiter",
    )
