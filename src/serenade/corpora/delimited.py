"""Reading a table with a header from CSV, TSV (any delimiter and encoding) or Parquet; complaints name the line."""

import codecs
import csv
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

from serenade.core.errors import CorpusError, MissingExtraError
from serenade.core.names import nearest
from serenade.core.wording import counted

__all__ = ["Row", "TableFile", "decode", "read_any_rows", "read_rows"]

_DELIMITERS = ",;\t|"
_LINES_LOOKED_AT = 50
_SHARED = 10_000  # different cells of which equal ones are kept once
_BYTES_AT_ONCE = 1 << 18
_ROWS_AT_ONCE = 10_000  # of a Parquet file, turned into text at a time
_MARKS_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # xlsx and ods; xls

_Lines = Callable[[], Iterator[tuple[int, list[str]]]]  # number and cells of every line, the header's first

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


class TableFile:
    """A table with a header, read row by row, as often as asked for: memory does not grow with the number of rows.

    Args:
        path: the file.
        meanings: names of columns, in lower case, to our name.
        needed: the column or columns (our names) without which the table is of no use; ``file|video`` is either.
        header: what the first line should be, in words, for the complaint where one of them is not there.

    Raises:
        CorpusError: the file is not there or no text, or has no such column.
    """

    def __init__(
        self, path: Path, meanings: Mapping[str, str], *, needed: str | Sequence[str], header: str = _OWN_HEADER
    ) -> None:
        self._path = path
        self._lines = _parquet_reader(path) if path.suffix.lower() == ".parquet" else _text_reader(path, meanings)
        _, names = _first(path, self._lines())
        wanted = (needed,) if isinstance(needed, str) else needed
        self._columns = _columns(path, names, meanings, wanted, header)

    def rows(self) -> Iterator[Row]:
        """The rows below the header.

        Raises:
            CorpusError: a line has another number of cells than the header, or ends within quotes.
        """
        lines = self._lines()
        next(lines)
        return _rows(self._path, lines, self._columns)

    def cells(self, *names: str) -> Iterator[tuple[int, list[str]]]:
        """Number of every line and its cells of some known columns (our names), empty where there is no such column.

        Raises:
            CorpusError: as `rows`.
        """
        places = [self._columns.index((name, True)) if (name, True) in self._columns else -1 for name in names]
        lines = self._lines()
        next(lines)
        for line, cells in lines:
            if len(cells) != len(self._columns):
                raise _other_width(self._path, line, cells, self._columns)
            cells.append("")  # at -1
            yield line, [cells[place] for place in places]


def read_rows(
    path: Path, meanings: Mapping[str, str], *, needed: str | Sequence[str], header: str = _OWN_HEADER
) -> list[Row]:
    """The rows of a table.

    Args:
        path: the file.
        meanings: names of columns, in lower case, to our name.
        needed: the column or columns (our names) without which the table is of no use; ``file|video`` is either.
        header: what the first line should be, in words, for the complaint where one of them is not there.

    Raises:
        CorpusError: the file is not there or no text, has no such column, or a line has another number of cells.
    """
    return list(map(_shared(), TableFile(path, meanings, needed=needed, header=header).rows()))


def read_any_rows(path: Path) -> tuple[list[str], list[Row]]:
    """Header and rows of a table whose columns may have any names; all cells stand in ``extra``.

    The delimiter is the one that cuts the first lines into equally many cells.

    Raises:
        CorpusError: the file is not there, no text or empty, has two columns of one name, or a line has another number
            of cells than the header.
    """
    if path.suffix.lower() == ".parquet":
        lines = _parquet_reader(path)()
    else:
        text = _Text(path)
        lines = _lines(path, text, _likely_delimiter(text))
    _, header = _first(path, lines)
    twice = [name for name, times in Counter(header).items() if times > 1]
    if twice:
        raise CorpusError(f"the table has two columns called {twice[0]!r}", where=f"{path}, line 1", found=header)
    return header, list(map(_shared(), _rows(path, lines, [(name, False) for name in header])))


def _first(path: Path, lines: Iterator[tuple[int, list[str]]]) -> tuple[int, list[str]]:
    """The header of a table.

    Raises:
        CorpusError: there is none.
    """
    found = next(lines, None)
    if found is None:
        raise CorpusError("the table is empty", where=path, expected="a header and a line per utterance")
    return found


def _likely_delimiter(text: "_Text") -> str:
    """The mark that cuts most of the first lines into as many cells as the header, and that into the most."""
    head = list(islice(_filled_lines(text), _LINES_LOOKED_AT))

    def fit(mark: str) -> tuple[float, int]:
        widths = [len(cells) for cells in csv.reader(head, delimiter=mark)]
        equal = sum(width == widths[0] for width in widths) / len(widths) if widths and widths[0] > 1 else 0.0
        return equal, widths[0] if widths else 0

    return max(_DELIMITERS, key=fit)


def _filled_lines(text: "_Text") -> Iterator[str]:
    return (line.strip("\r\n") for line in text if line.strip())


def _text_reader(path: Path, meanings: Mapping[str, str]) -> _Lines:
    text = _Text(path)
    first = next(_filled_lines(text), "")
    delimiter = max(_DELIMITERS, key=lambda mark: sum(name in meanings for name in _names(first, mark)))
    return lambda: _lines(path, text, delimiter)


def _parquet_reader(path: Path) -> _Lines:
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

    def lines() -> Iterator[tuple[int, list[str]]]:
        yield 1, list(table.column_names)
        rows = (row for batch in table.to_batches(_ROWS_AT_ONCE) for row in batch.to_pylist())
        for line, row in enumerate(rows, start=2):
            yield line, ["" if cell is None else str(cell) for cell in row.values()]

    return lines


class _Text:
    """The lines of a text file with their ends, as often as asked for.

    Raises:
        CorpusError: the file is not there, cannot be read or is no text.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._kept = None if path.is_file() else path.read_bytes()  # a pipe can be read but once
            with self._open() as file:
                self._encoding = _encoding_of(path, file)
        except FileNotFoundError as error:
            names = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
            close = nearest(path.name, names)
            hint = f"Did you mean {path.parent / close}?" if close else None
            raise CorpusError("there is no such table or folder", where=path, hint=hint) from error
        except OSError as error:
            raise CorpusError("the table cannot be read", where=path, found=error.strerror) from error

    def _open(self) -> BinaryIO:
        return self._path.open("rb") if self._kept is None else BytesIO(self._kept)

    def __iter__(self) -> Iterator[str]:
        """One line at a time; `str.splitlines` would also cut at marks that may stand in a cell."""
        with TextIOWrapper(self._open(), self._encoding, "replace", newline="") as file:
            yield from file


def _encoding_of(path: Path, file: BinaryIO) -> str:
    """How a text is written, a piece at a time: UTF-8, UTF-16 that has a byte order mark, else Latin-1.

    Raises:
        CorpusError: it is no text.
    """
    start = file.read(4)
    if start.startswith(_SPREADSHEETS):
        raise CorpusError("the table is a spreadsheet", where=path, hint="Save it as CSV in your spreadsheet program")
    encoding = "utf-16" if start.startswith(_MARKS_16) else "utf-8-sig"
    errors = "replace" if encoding == "utf-16" else "strict"
    decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder(encoding)(errors)
    line = 1
    for piece in chain([start], iter(lambda: file.read(_BYTES_AT_ONCE), b""), [b""]):
        text = piece.decode("latin-1")
        if decoder is not None:
            try:
                text = decoder.decode(piece, final=not piece)
            except UnicodeDecodeError as error:
                decoder, encoding = None, "latin-1"
                line += error.object.count(b"\n", 0, error.start)
        if "\0" in text:
            raise CorpusError("the table is not text", where=path, expected="a CSV or TSV file")
        line += 0 if decoder is None else piece.count(b"\n")
    if decoder is None:
        _warn_of_latin_1(path, line)
    return encoding


def decode(path: Path, raw: bytes) -> str:
    """The text of a file: UTF-8, UTF-16 that has a byte order mark, else Latin-1, with a warning."""
    if raw.startswith(_MARKS_16):
        return raw.decode("utf-16", errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if b"\0" not in raw:
            _warn_of_latin_1(path, raw.count(b"\n", 0, error.start) + 1)
        return raw.decode("latin-1")


def _warn_of_latin_1(path: Path, line: int) -> None:
    _log.warning("%s is not UTF-8 (line %d) and is read as Latin-1: look at its umlauts", path, line)


def _names(header: str, delimiter: str) -> list[str]:
    return [cell.strip().strip('"').lower() for cell in header.split(delimiter)]


def _lines(path: Path, text: Iterable[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of every line that is not blank."""
    reader = csv.reader(text, delimiter=delimiter, strict=True)
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
    known_names = {name for name, is_ours in columns if is_ours}
    either = next((names for names in needed if known_names.isdisjoint(names.split("|"))), None)
    if either is not None:
        absent = either.partition("|")[0]
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


def _rows(path: Path, lines: Iterable[tuple[int, list[str]]], columns: Sequence[tuple[str, bool]]) -> Iterator[Row]:
    """The rows below the header."""
    known = [(name, place) for place, (name, ours) in enumerate(columns) if ours]
    others = [(name, place) for place, (name, ours) in enumerate(columns) if not ours]
    for line, cells in lines:
        if len(cells) != len(columns):
            raise _other_width(path, line, cells, columns)
        named = {name: cells[place] for name, place in known if cells[place]}
        extra = {name: cells[place] for name, place in others if cells[place]} if others else {}
        yield Row(line, named, extra)


def _shared() -> Callable[[Row], Row]:
    """Gives rows whose equal cells are one object, so that all rows of a large table take less memory."""
    cells: dict[str, str] = {}

    def kept(cell: str) -> str:
        return cells.setdefault(cell, cell) if len(cells) < _SHARED else cells.get(cell, cell)

    def shared(row: Row) -> Row:
        named, extra = ({name: kept(cell) for name, cell in part.items()} for part in (row.cells, row.extra))
        return Row(row.line, named, extra)

    return shared


def _other_width(path: Path, line: int, cells: Sequence[str], columns: Sequence[tuple[str, bool]]) -> CorpusError:
    return CorpusError(
        "a line of the table has another number of cells than the header",
        where=f"{path}, line {line}",
        found=f"{counted(len(cells), 'cell')}: {' | '.join(cells)[:80]}",
        expected=f"{len(columns)}: {', '.join(name for name, _ in columns)}",
        hint="If the file ends in this line, it is cut off: copy it again; else a cell is missing"
        if len(cells) < len(columns)
        else "Put quotes around cells that hold the delimiter",
    )
