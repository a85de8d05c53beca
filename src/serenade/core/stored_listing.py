"""A listing that lies in a temporary file, so that memory does not grow with the number of its utterances.

Where a corpus is only counted and compared, as `serenade corpus check` does, 100,000 records need not be at hand at
once. They are put into a private SQLite database that no other process sees and that is gone when the listing is
closed, even where the process is killed. Counting, sorting and finding what stands twice is asked of SQLite, which
sorts outside of memory; its cache is 2 MB. The temporary folder (``TMPDIR``) needs some 300 bytes per utterance.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from itertools import islice
from operator import attrgetter, itemgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, cast

from serenade.core.records import Attributes, LeftOut, LeftOutReason, Listing, Utterance, Video

__all__ = ["StoredListing"]

# fmt: off
_TEXTS = (
    "id", "corpus", "speaker", "emotion", "gender", "language", "group", "dialogue", "sentence", "text", "split",
    "fold", "content",
)
# fmt: on
_NUMBERS = ("start_s", "end_s", "duration_s")
_COLUMNS = (*_TEXTS, "audio", *_NUMBERS, "rest")
_OTHERS = tuple(field for field in fields(Utterance) if field.name not in _COLUMNS)  # kept together as the rest
_BLANK = {
    field.name: None if field.default is MISSING else field.default
    for field in fields(Utterance)
    if field.default_factory is MISSING
} | {field.name: field.default_factory() for field in fields(Utterance) if field.default_factory is not MISSING}
_OTHER_NAMES = tuple(field.name for field in _OTHERS)
_DEFAULTS = tuple(_BLANK[field.name] for field in _OTHERS)  # what is usual is not written
_BATCH = 500  # entries written at once
_JSON = b"\x80"  # stands before the rest of an utterance where it is JSON; no text in UTF-8 begins so
_EXTRA = _OTHER_NAMES.index("extra")

_texts = attrgetter(*_TEXTS)
_attributes = attrgetter(*(field.name for field in fields(Attributes)))
_numbers = attrgetter(*_NUMBERS)
_others = attrgetter(*_OTHER_NAMES)
_texts_of, _numbers_of = itemgetter(*_TEXTS), itemgetter(*_NUMBERS)
_others_of = itemgetter(*_OTHER_NAMES)
_names = [*_COLUMNS[:-1], *_OTHER_NAMES]
_in_order = itemgetter(*(_names.index(field.name) for field in fields(Utterance)))
_selected = ", ".join(f'"{name}"' for name in _COLUMNS)
_places = ", ".join("?" * len(_COLUMNS))
_bytes_places = ", ".join("?" if name in _NUMBERS or name == "rest" else "CAST(? AS TEXT)" for name in _COLUMNS)


class StoredListing:
    """Utterances and what was left out; used in a ``with`` statement, from one thread.

    The columns of the table ``utterances`` are those fields of `Utterance` that are words or times, and ``row``, the
    number in order of addition. Words, also those of a name that is no valid text, are sorted as Python sorts them.

    Args:
        by_place: whether what was left out is told sorted by its place and reason; else in order of addition.
    """

    def __init__(self, *, by_place: bool = False) -> None:
        self._by_place = by_place
        self._rows = 0
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = OFF")  # nobody reads it after a crash
        self._database.execute(f"CREATE TABLE utterances (row INTEGER PRIMARY KEY, {_selected})")
        self._database.execute("CREATE TABLE left_out (step, row, place, reason, detail)")
        self._database.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return int(self.value("SELECT count(*) FROM utterances"))

    def close(self) -> None:
        """Give the temporary file up."""
        self._database.close()

    def replaced(self, other: "StoredListing") -> "StoredListing":
        """The other listing, which was made from this one; this one is given up."""
        self.close()
        return other

    # -------------------------------------------------------------------------------------------------- filling

    def add(self, entries: Iterable[Utterance | dict[str, Any] | LeftOut | tuple[int, LeftOut]]) -> None:
        """Add utterances and what was left out, in their order.

        Args:
            entries: an utterance may also come as the arguments that it would be made from, which saves the time to
                make it; its path is as `Path` writes it. What a later step left out comes with the number of the
                step, from 1: it is told after all that the steps before it left out.
        """
        utterances: list[tuple[Any, ...]] = []
        left_out: list[tuple[Any, ...]] = []
        for entry in entries:
            self._rows += 1
            if isinstance(entry, dict):
                utterances.append((self._rows, *_cells_of(entry)))
            elif isinstance(entry, Utterance):
                utterances.append((self._rows, *_cells(entry)))
            else:
                step, item = entry if isinstance(entry, tuple) else (0, entry)
                left_out.append((step, self._rows, item.where, item.reason, item.detail))
            if len(utterances) + len(left_out) >= _BATCH:
                self._write(utterances, left_out)
        self._write(utterances, left_out)

    def leave_out(self, step: int, items: Iterable[tuple[int, LeftOut]]) -> None:
        """Add what was left out of what had been added before.

        Args:
            step: that left it out.
            items: with the row that it is told at the place of.
        """
        for batch in _batches((step, row, item.where, item.reason, item.detail) for row, item in items):
            self._write([], batch)

    def take_left_out(self, other: "StoredListing") -> None:
        """Add everything that another listing left out, at its steps."""
        for batch in _batches(other.query("SELECT step, row, place, reason, detail FROM left_out")):
            self._write([], batch)
        self._rows = max(self._rows, other._rows)

    def _write(self, utterances: list[tuple[Any, ...]], left_out: list[tuple[Any, ...]]) -> None:
        """Write both and empty them."""
        self._insert("utterances", f"?, {_places}", f"?, {_bytes_places}", utterances)
        as_texts = "?, ?, CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT)"
        self._insert("left_out", "?, ?, ?, ?, ?", as_texts, left_out)
        utterances.clear()
        left_out.clear()

    def _insert(self, table: str, places: str, bytes_places: str, rows: list[tuple[Any, ...]]) -> None:
        before = self._database.total_changes
        try:
            self._database.executemany(f"INSERT INTO {table} VALUES ({places})", rows)
        except UnicodeEncodeError:  # a file's name that is no valid text: the bytes of it, here and on the way back
            self._database.text_factory = _decoded
            rest = ([_encoded(cell) for cell in row] for row in rows[self._database.total_changes - before :])
            self._database.executemany(f"INSERT INTO {table} VALUES ({bytes_places})", rest)

    # -------------------------------------------------------------------------------------------------- reading

    def utterances(self, order: Literal["id", "row", "audio"] = "id") -> Iterator[Utterance]:
        """The utterances in an order; the listing may not be changed meanwhile."""
        for cells in self.query(f"SELECT {_selected} FROM utterances ORDER BY {order}, row"):
            yield _utterance(cells)

    def recordings(self) -> Iterator[tuple[str, int, str | bytes | None]]:
        """Of every utterance, sorted by recording: the recording, its row, and what `extra_of` reads."""
        return self._database.execute("SELECT audio, row, rest FROM utterances ORDER BY audio, row")

    def utterance(self, row: int) -> Utterance:
        """The utterance of a row."""
        return _utterance(next(self.query(f"SELECT {_selected} FROM utterances WHERE row = ?", row)))

    @staticmethod
    def extra_of(rest: str | bytes | None) -> Mapping[str, str]:
        """The further facts of an utterance that is not made."""
        return cast("Mapping[str, str]", _others_in(rest)[_EXTRA])

    def records(self, columns: str, rest: str) -> Iterator[tuple[tuple[Any, ...], Utterance]]:
        """Utterances with further columns of an SQL query.

        Args:
            columns: the further ones.
            rest: what follows behind the columns: ``FROM`` what, and in which order.
        """
        further = columns.count(",") + 1
        for cells in self.query(f"SELECT {columns}, {_selected} {rest}"):
            yield cells[:further], _utterance(cells[further:])

    def left_out(self, reasons: Iterable[LeftOutReason] | None = None, most: int = -1) -> Iterator[LeftOut]:
        """What was left out, in its order.

        Args:
            reasons: those asked for; None for all.
            most: how many at most; -1 for all.
        """
        chosen = "" if reasons is None else f"WHERE reason IN ({', '.join(repr(str(reason)) for reason in reasons)})"
        order = "place, reason, step, row" if self._by_place else "step, row"
        found = self.query(f"SELECT place, reason, detail FROM left_out {chosen} ORDER BY {order} LIMIT {most}")
        return (LeftOut(*cells) for cells in found)

    def reasons(self) -> dict[LeftOutReason, int]:
        """How many were left out for each reason, sorted."""
        return dict(self.query("SELECT reason, count(*) FROM left_out GROUP BY reason ORDER BY reason"))

    def listing(self) -> Listing:
        """All of it in memory."""
        return Listing(tuple(self.utterances()), tuple(self.left_out()))

    def twins(
        self, column: Literal["id", "content"], order: Literal["id", "row"]
    ) -> Iterator[tuple[int, Utterance, Utterance]]:
        """Every utterance that is not the first with its value in a column: its row, the first one, and itself.

        The listing may not be changed meanwhile, but for what it left out.

        Args:
            column: what is compared.
            order: which one is the first, and what sorts the others.
        """
        cells = ", ".join(f'{table}."{name}"' for table in ("one", "other") for name in _COLUMNS)
        found = self.query(
            f"SELECT other.row, {cells} FROM utterances AS other JOIN ({_firsts(column, order)}) AS met "
            f"ON met.value = other.{column} JOIN utterances AS one ON one.row = met.first "
            f"WHERE other.row <> met.first ORDER BY other.{order}"
        )
        for row, *both in found:
            yield row, _utterance(both[: len(_COLUMNS)]), _utterance(both[len(_COLUMNS) :])

    def drop_twins(self, column: Literal["id", "content"], order: Literal["id", "row"]) -> None:
        """Keep only the first utterance with each value in a column."""
        self._database.execute(
            f"DELETE FROM utterances WHERE row IN (SELECT other.row FROM utterances AS other "
            f"JOIN ({_firsts(column, order)}) AS met ON met.value = other.{column} WHERE other.row <> met.first)"
        )

    def query(self, statement: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """The rows that an SQL query gives."""
        return self._database.execute(statement, values)

    def value(self, statement: str, *values: Any) -> Any:
        """The only cell that an SQL query gives."""
        return self._database.execute(statement, values).fetchone()[0]

    def define(self, name: str, function: Any) -> None:
        """Make a function of one text, given and returned as bytes in UTF-8 with surrogates, known to queries."""

        def of_bytes(text: bytes | None) -> bytes | None:
            found = None if text is None else function(_decoded(text))
            return None if found is None else found.encode("utf-8", "surrogatepass")

        self._database.create_function(name, 1, of_bytes, deterministic=True)


def _firsts(column: str, order: str) -> str:
    """A query for every value that stands more than once in a column, and the row of the first utterance with it."""
    return (  # SQLite takes a column beside min() from the row that has the least
        f"SELECT {column} AS value, row AS first, min({order}) FROM utterances WHERE {column} IS NOT NULL "
        f"GROUP BY {column} HAVING count(*) > 1"
    )


def _cells(utterance: Utterance) -> tuple[Any, ...]:
    return (*_texts(utterance), str(utterance.audio), *_numbers(utterance), _rest(_others(utterance)))


def _cells_of(facts: dict[str, Any]) -> tuple[Any, ...]:
    """`_cells` of the arguments of an utterance."""
    facts = {**_BLANK, **facts}
    return (*_texts_of(facts), str(facts["audio"]), *_numbers_of(facts), _rest(_others_of(facts)))


def _rest(others: tuple[Any, ...]) -> str | bytes | None:
    """The other fields in one cell: of most rows of a table they are the number of the line, of most files nothing."""
    extra = others[_EXTRA]
    if len(extra) < 2 and others[:_EXTRA] == _DEFAULTS[:_EXTRA] and others[_EXTRA + 1 :] == _DEFAULTS[_EXTRA + 1 :]:
        if not extra:
            return None
        if isinstance(line := extra.get("line"), str):
            return line
    stated = zip(_OTHER_NAMES, others, _DEFAULTS, strict=True)
    values = {name: value for name, value, usual in stated if value != usual}
    return _JSON + _encode(values).encode()


def _plain(value: Any) -> Any:
    """What JSON has for a path, a mapping, attributes or a video."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Attributes):
        return _attributes(value)
    if isinstance(value, Mapping):
        return dict(value)
    return {part.name: getattr(value, part.name) for part in fields(value)}


_encode = json.JSONEncoder(default=_plain).encode
_decode = json.JSONDecoder().decode


def _others_in(rest: str | bytes | None) -> tuple[Any, ...]:
    """The other fields of a cell that `_rest` made."""
    if isinstance(rest, bytes) and rest.startswith(_JSON):
        values = _decode(rest[len(_JSON) :].decode())
        if "attributes" in values:
            values["attributes"] = Attributes(*values["attributes"])
        if "video" in values:
            values["video"] = Video(**{**values["video"], "path": Path(values["video"]["path"])})
        if "faces" in values:
            values["faces"] = Path(values["faces"])
        return tuple(values.get(name, usual) for name, usual in zip(_OTHER_NAMES, _DEFAULTS, strict=True))
    if isinstance(rest, bytes):  # beside a name that is no text
        rest = _decoded(rest)
    return _DEFAULTS if rest is None else (*_DEFAULTS[:_EXTRA], {"line": rest}, *_DEFAULTS[_EXTRA + 1 :])


def _utterance(cells: Sequence[Any]) -> Utterance:
    *texts, audio, start_s, end_s, duration_s, rest = cells
    return Utterance(*_in_order((*texts, Path(audio), start_s, end_s, duration_s, *_others_in(rest))))


def _batches(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    rows = iter(rows)
    while batch := list(islice(rows, _BATCH)):
        yield batch


def _encoded(cell: Any) -> Any:
    return cell.encode("utf-8", "surrogatepass") if isinstance(cell, str) else cell


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "surrogatepass")
