"""The file that predictions go to: never overwritten by accident, and continued where it stopped."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TextIO, cast

from serenade.core.errors import UnknownNameError, UsageError
from serenade.core.files import storage_errors
from serenade.core.names import did_you_mean
from serenade.core.records import Prediction
from serenade.inference import FORMATS
from serenade.inference.formats import ATTRIBUTES, CSV_COLUMNS, RowWriter
from serenade.inference.parquet import write_parquet

__all__ = ["PARQUET", "RESUMABLE", "choose_format", "finished_files", "open_output", "open_rows", "write_all"]

RESUMABLE = ("csv", "jsonl")
PARQUET = "parquet"
"""Not one of `FORMATS`, whose rows are text: its rows are collected in shards and written at the end."""
_SUFFIXES = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".txt": "table", ".parquet": PARQUET}


def choose_format(name: str | None, out: Path | None) -> str:
    """The format named, else the one that the output's suffix stands for; the table where there is neither.

    Raises:
        UnknownNameError: there is no such format.
        UsageError: the suffix stands for none.
    """
    if name is None:
        suffix = "" if out is None else out.suffix.lower()
        if suffix and suffix not in _SUFFIXES:
            raise UsageError(
                "this suffix stands for no format",
                where=out,
                expected=", ".join(_SUFFIXES),
                hint="Or name it with --format; tiers, captions and pages come from serenade timeline",
            )
        return _SUFFIXES.get(suffix, "table")
    if name not in (*FORMATS, PARQUET):
        known = [*FORMATS, PARQUET]
        raise UnknownNameError(
            f"there is no output format called {name!r}",
            expected=f"one of {', '.join(known)}",
            hint=did_you_mean(name, known) or "Tiers, captions and pages come from serenade timeline",
        )
    return name


@contextmanager
def open_output(
    format_name: str,
    out: Path | None,
    labels: Sequence[str],
    *,
    resumed: bool = False,
    overwrite: bool = False,
    attributes: bool = False,
) -> Iterator[RowWriter]:
    """A writer of rows to a file or to stdout.

    Args:
        format_name: a name of `FORMATS`.
        out: the file; None for stdout.
        labels: the classes.
        resumed: add to the rows of the file; call `finished_files` first.
        overwrite: replace the file if it exists.
        attributes: the model tells valence, arousal and dominance.

    Raises:
        UsageError: the file exists, and neither is it to be continued nor replaced.
        StorageError: the disk is full or refuses.
    """
    kind = cast(type[RowWriter], FORMATS.resolve(format_name))
    with open_rows(partial(kind, labels=labels, attributes=attributes), out, resumed=resumed, overwrite=overwrite) as w:
        yield w


@contextmanager
def open_rows(
    make: Callable[..., RowWriter], out: Path | None, *, resumed: bool = False, overwrite: bool = False
) -> Iterator[RowWriter]:
    """A writer of any kind to a file or to stdout.

    Args:
        make: the writer of a stream, and whether rows stand there already (``resumed``).
        out: the file; None for stdout.
        resumed: add to the rows of the file; call `finished_files` first.
        overwrite: replace the file if it exists.

    Raises:
        UsageError: the file exists, and neither is it to be continued nor replaced.
        StorageError: the disk is full or refuses.
    """
    if out is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="surrogateescape")  # names that are not UTF-8 pass unchanged
        with make(sys.stdout) as writer:
            yield writer
        return
    if not (resumed or overwrite) and out.is_file() and out.stat().st_size:
        raise UsageError(
            "the output exists already", where=out, hint="Continue it with --resume or replace it with --overwrite"
        )
    adding = resumed and out.is_file() and out.stat().st_size > 0
    with storage_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with _opened(out, "a" if adding else "w") as stream, make(stream, resumed=adding) as writer:
            yield writer


def write_all(format_name: str, out: Path, rows: Iterable[Prediction], labels: Sequence[str], *, told: bool) -> None:
    """Write all rows at once, in place of what is there; a reader sees the old output or the new.

    Args:
        format_name: a name of `FORMATS`, or `PARQUET`.
        out: the file.
        rows: predictions; any number.
        labels: the classes.
        told: the model tells valence, arousal and dominance.

    Raises:
        MissingExtraError: the format needs a package that is not installed.
        StorageError: the disk is full or refuses.
    """
    new = out.with_name(f".{out.name}.new")
    with storage_errors(out):
        try:
            if format_name == PARQUET:
                with new.open("wb") as stream:
                    write_parquet(stream, rows, labels, attributes=told)
            else:
                with open_output(format_name, new, labels, overwrite=True, attributes=told) as writer:
                    for row in rows:
                        writer.write(row)
            new.replace(out)
        finally:
            new.unlink(missing_ok=True)


def finished_files(format_name: str, out: Path, labels: Sequence[str]) -> set[str]:
    """The files whose rows stand in an output; an unfinished last line is cut off.

    The rows of the last file are taken away too: it may have been interrupted between two windows.

    Args:
        format_name: "csv" or "jsonl".
        out: the output; it may not exist yet.
        labels: the classes that its rows must hold.

    Raises:
        UsageError: the format cannot be continued, or the output was made by another model or is not one of ours.
        StorageError: the disk is full or refuses.
    """
    if format_name not in RESUMABLE:
        raise UsageError(
            "only CSV and JSONL outputs can be continued", found=format_name, expected=" or ".join(RESUMABLE)
        )
    if not out.is_file() or out.stat().st_size == 0:
        return set()
    finished: set[str] = set()
    kept = out.with_name(f".{out.name}.resumed")
    with storage_errors(out):
        try:
            with _opened(out, "r") as old, _opened(kept, "w") as new:
                rows = (_csv_rows if format_name == "csv" else _json_rows)(old, labels, out)
                for file, text in _all_but_last_file(rows):
                    new.write(text)
                    if file is not None:
                        finished.add(file)
            kept.replace(out)
        finally:
            kept.unlink(missing_ok=True)
    return finished


def _opened(path: Path, mode: str) -> TextIO:
    return cast(TextIO, path.open(mode, encoding="utf-8", errors="surrogateescape", newline=""))


def _all_but_last_file(rows: Iterable[tuple[str | None, str]]) -> Iterator[tuple[str | None, str]]:
    """Rows as they come, held back until the next file begins; a row of no file (a header) passes."""
    held: list[tuple[str | None, str]] = []
    for file, text in rows:
        if held and held[0][0] != file:
            yield from held
            held = []
        held.append((file, text))
    yield from (row for row in held if row[0] is None)


def _csv_rows(lines: TextIO, labels: Sequence[str], out: Path) -> Iterator[tuple[str | None, str]]:
    header = [*CSV_COLUMNS, *labels]
    told = [*CSV_COLUMNS, *ATTRIBUTES, *labels]
    for number, cells in enumerate(csv.reader(lines)):
        if number == 0:
            if cells == told:
                header = told
            if cells != header:
                raise _foreign(out, ",".join(cells), ",".join(header))
            yield None, _csv_line(cells)
        elif len(cells) < len(header):
            return  # the line that was being written
        else:
            yield cells[0], _csv_line(cells)


def _csv_line(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _json_rows(lines: TextIO, labels: Sequence[str], out: Path) -> Iterator[tuple[str | None, str]]:
    for line in lines:
        if not line.endswith("\n"):
            return  # the line that was being written
        try:
            row = json.loads(line)
            names, file = list(row["scores"]), row["file"]
        except (ValueError, KeyError, TypeError) as error:
            raise _foreign(out, line[:80], "a line of predictions in JSON") from error
        if names != list(labels):
            raise _foreign(out, ", ".join(names), ", ".join(labels))
        yield file, line


def _foreign(out: Path, found: str, expected: str) -> UsageError:
    return UsageError(
        "the output cannot be continued, it was made by another model or is not one of ours",
        where=out,
        found=found,
        expected=expected,
        hint="Choose another --out",
    )
