"""Turning foreign data into a manifest: a CSV in the form that `table` reads, with a note of how it was made.

The source is a table with columns of any names, or a folder whose paths say who speaks and how. `ImportSettings` hold
every decision, so that an import can be repeated when the source has grown.
"""

import csv
import io
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field

from serenade.core.errors import CorpusError, UsageError
from serenade.core.labels import canonical_emotion
from serenade.core.names import nearest
from serenade.core.records import LeftOut
from serenade.core.settings import Settings, dump_toml
from serenade.core.wording import counted
from serenade.corpora.cells import COLUMNS, read_utterance
from serenade.corpora.delimited import read_any_rows
from serenade.corpora.foreign_columns import RecordingFinder
from serenade.corpora.layout import is_sound, walk_files
from serenade.corpora.name_patterns import GENDER_WORDS, NamePattern
from serenade.corpora.own_labels import Slip, read_labels

__all__ = [
    "DROP",
    "ImportSettings",
    "Manifest",
    "Source",
    "cell_reader",
    "make_manifest",
    "propose_labels",
    "read_source",
    "relative_path",
]

DROP = "-"
"""What a label becomes whose rows are left out, and a column that is not there."""

_FOUND_AT_MOST = 8  # names shown in a message


class ImportSettings(Settings):
    """Every decision of an import."""

    source: str = Field(description="the table or folder, as seen from the folder of this file")
    columns: dict[str, str] = Field(default={}, description="our column to the one of the source; - is none")
    audio: str | None = Field(default=None, description="the folder that paths are relative to, if not the table's")
    pattern: str | None = Field(default=None, description="what paths say, such as {speaker}_{emotion}_{text}")
    labels: dict[str, str] = Field(default={}, description="word to class; - leaves out, an empty one is no label")
    genders: dict[str, str] = Field(default={}, description="word to female, male or another word")
    language: str | None = Field(default=None, description="of recordings of which the source does not say it")

    def to_toml(self) -> str:
        """The text that is kept beside the manifest."""
        return dump_toml(self.model_dump(exclude_defaults=True))


@dataclass(frozen=True, slots=True)
class Source:
    """A source as it was read.

    Args:
        path: the table or folder.
        header: names of its columns; of a folder only ``file``.
        rows: their cells, with a word for where they stand (a line, or the path).
        finder: finds the recordings that cells mean.
    """

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[str, Mapping[str, str]], ...]
    finder: RecordingFinder

    def column(self, name: str) -> str:
        """The column of that name, whatever its case.

        Raises:
            UsageError: there is none; the nearest is named.
        """
        plain = {column.lower(): column for column in self.header}
        if name.lower() not in plain:
            close = nearest(name.lower(), plain)
            raise UsageError(
                f"the source has no column {name!r}",
                where=self.path,
                found=", ".join(self.header),
                hint=f"Did you mean {plain[close]!r}?" if close else None,
            )
        return plain[name.lower()]


def read_source(path: Path, audio: Path | None = None) -> Source:
    """A table (CSV, TSV, Parquet) or the recordings below a folder.

    Args:
        path: the source.
        audio: the folder that the table's paths are relative to; None is the table's own.

    Raises:
        CorpusError: it is not there, holds no recording or row, or cannot be read.
    """
    if path.is_dir():
        names = [found.relative_to(path).as_posix() for found in walk_files(path) if is_sound(found)]
        if not names:
            tables = sorted(p.name for p in path.iterdir() if p.suffix.lower() in (".csv", ".tsv", ".parquet"))
            hint = f"To import a table, give the file: {path / tables[0]}" if tables else None
            raise CorpusError("there is no recording below the folder", where=path, hint=hint)
        return Source(path, ("file",), tuple((name, {"file": name}) for name in names), RecordingFinder(path))
    if audio is not None and not audio.is_dir():
        raise CorpusError("there is no such folder of recordings", where=audio)
    header, rows = read_any_rows(path)
    if not rows:
        raise CorpusError("the table has a header and nothing below it", where=path, expected="a line per utterance")
    found = tuple((f"line {row.line}", row.extra) for row in rows)
    return Source(path, tuple(header), found, RecordingFinder(path.parent if audio is None else audio))


def propose_labels(words: Sequence[str]) -> dict[str, tuple[str, bool]]:
    """What every label word becomes, and whether that is certain.

    Certain are words that Serenade knows, and words for no label. Classes of the user's own and slips of the pen (which
    become what was meant) are worth a look.
    """
    proposals = {}
    for word, meaning in read_labels(words).items():
        if isinstance(meaning, Slip):
            proposals[word] = (canonical_emotion(meaning.meant) or meaning.meant, False)
        elif meaning is None:
            proposals[word] = ("", True)
        else:
            proposals[word] = (meaning, canonical_emotion(word) == meaning)
    return proposals


@dataclass(frozen=True, slots=True)
class Manifest:
    """Rows in the form of the user's own table.

    Args:
        rows: cells by our names of columns (and others), sorted by recording and beginning.
        left_out: what did not become a row, and why.
    """

    rows: tuple[Mapping[str, str], ...]
    left_out: tuple[LeftOut, ...] = field(default=())

    def to_csv(self) -> str:
        """The text of the file; columns that are empty everywhere are left out."""
        used = {name for row in self.rows for name, cell in row.items() if cell}
        header = [name for name in COLUMNS if name in used or name in ("file", "speaker", "emotion")]
        header += sorted(used - set(header))
        text = io.StringIO()
        writer = csv.DictWriter(text, header, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()


def make_manifest(source: Source, settings: ImportSettings, folder: Path) -> Manifest:
    """The rows of a source under the decisions of an import.

    Args:
        source: from `read_source`.
        settings: the decisions; a label word that they do not name keeps what `propose_labels` says.
        folder: where the manifest will lie; its paths are relative to it.

    Raises:
        CorpusError: not one recording is found, or a cell holds what `table` refuses (a word for a part of a split,
            votes, a scale).
        UsageError: a column that is not there, no column for the recordings, or a class that `table` would take for a
            slip of another.
    """
    read = cell_reader(source, settings)
    cells = [(where, read(row)) for where, row in source.rows]
    labels = {
        word: meaning for word, (meaning, _) in propose_labels([c.get("emotion", "") for _, c in cells if c]).items()
    }
    labels |= settings.labels
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    left_out = []
    for where, found in cells:
        row = _row(source, settings, labels, found, where)
        if isinstance(row, LeftOut):
            left_out.append(row)
            continue
        row["file"] = relative_path(Path(row["file"]), folder)
        key = (row["file"], row.get("start", ""), row.get("end", ""))
        if key in rows:
            left_out.append(LeftOut(f"{row['file']} ({where})", "duplicate", _twice(rows[key], row)))
        else:
            rows[key] = row
    if not rows:
        raise _nothing(source, left_out)
    _require_no_slips(rows.values())
    return Manifest(tuple(rows[key] for key in sorted(rows, key=_order)), tuple(left_out))


def cell_reader(source: Source, settings: ImportSettings) -> Callable[[Mapping[str, str]], dict[str, str] | None]:
    """What gives the cells of a row under our names, other columns under their own.

    It gives None for a row whose path does not fit the pattern.

    Raises:
        UsageError: a column that is not there, or none for the recordings.
    """
    mapped = {ours: source.column(theirs) for ours, theirs in settings.columns.items() if theirs != DROP}
    if "file" not in mapped:
        raise UsageError(
            "no column names the recordings",
            where=source.path,
            found=", ".join(source.header[:_FOUND_AT_MOST]),
            hint="Name it: --column file=NAME",
        )
    names = {theirs: ours for ours, theirs in mapped.items()}
    for theirs in source.header:
        if theirs not in names:
            names[theirs] = f"source_{theirs}" if theirs.lower() in _TAKEN else theirs
    pieces_of = None if settings.pattern is None else NamePattern(settings.pattern).reader()

    def read(row: Mapping[str, str]) -> dict[str, str] | None:
        cells = {names[theirs]: cell for theirs, cell in row.items()}
        if pieces_of is None:
            return cells
        pieces = pieces_of(cells.get("file", "").replace("\\", "/"))
        return None if pieces is None else {**pieces, **cells}

    return read


_TAKEN = frozenset((*COLUMNS, *(word for words in COLUMNS.values() for word in words)))


def _row(
    source: Source, settings: ImportSettings, labels: Mapping[str, str], cells: Mapping[str, str] | None, where: str
) -> dict[str, str] | LeftOut:
    """The manifest's row, its file a path that exists; or why there is none."""
    if cells is None:
        return LeftOut(where, "unreadable name", f"does not fit the pattern {settings.pattern}")
    named = cells.get("file")
    if named is None:
        return LeftOut(where, "missing", "the cell of the file is empty")
    found = source.finder.find(named)
    shown = where if where == named else f"{named} ({where})"
    if len(found) != 1:
        several = ", ".join(str(path.relative_to(source.finder.folder)) for path in found[:3])
        return LeftOut(shown, "missing", f"the name stands for several files: {several}" if found else "")
    word = cells.get("emotion", "")
    emotion = labels.get(word, word)
    if emotion == DROP:
        return LeftOut(shown, "not selected", f"label {word}")
    row = {**cells, "file": str(found[0]), "emotion": emotion}
    if "gender" in cells:
        plain = cells["gender"].strip()
        row["gender"] = settings.genders.get(plain, GENDER_WORDS.get(plain.lower(), plain))
    if settings.language is not None:
        row.setdefault("language", settings.language)
    known = {name: cell for name, cell in row.items() if name in COLUMNS}
    read = read_utterance("table", known, {}, where=shown, place=f"{source.path}, {where}")
    return read if isinstance(read, LeftOut) else row


def _twice(first: Mapping[str, str], second: Mapping[str, str]) -> str:
    if first["emotion"] == second["emotion"]:
        return "the same recording and span stand twice"
    return f"the same recording and span, labelled {first['emotion'] or 'nothing'} and {second['emotion'] or 'nothing'}"


def _order(key: tuple[str, str, str]) -> tuple[str, float, str]:
    try:
        return key[0], float(key[1].replace(",", ".") or 0), key[1]
    except ValueError:  # a clock; its text sorts well enough
        return key[0], 0.0, key[1]


def _nothing(source: Source, left_out: Sequence[LeftOut]) -> CorpusError:
    """Why no row is left, with the way out for the most frequent reason."""
    reason, _ = Counter(item.reason for item in left_out).most_common(1)[0]
    first = next(item for item in left_out if item.reason == reason)
    hints = {
        "missing": "If the recordings lie in another folder, name it with --audio",
        "unreadable name": "Give a pattern that fits with --pattern",
        "not selected": "Keep some labels: --label WORD=CLASS",
    }
    return CorpusError(
        f"none of {counted(len(source.rows), 'row')} can be used",
        where=source.path,
        found=f"{first.where}: {first.reason}" + (f", {first.detail}" if first.detail else ""),
        expected=f"recordings below {source.finder.folder}" if reason == "missing" else None,
        hint=hints.get(reason),
    )


def _require_no_slips(rows: Iterable[Mapping[str, str]]) -> None:
    """Pass if the manifest's classes are read back as they are.

    Raises:
        UsageError: one would be taken for a slip of another.
    """
    words = [row["emotion"] for row in rows]
    for slip in read_labels(words).values():
        if isinstance(slip, Slip):
            raise UsageError(
                f"the class {slip.word!r} would be taken for a slip of {slip.meant!r}",
                found=f"{slip.times} of {len(words)} rows",
                hint=f"Map it: --label {slip.word}={slip.meant}, leave it out: --label {slip.word}={DROP}, or name the "
                "class otherwise",
            )


def relative_path(path: Path, folder: Path) -> str:
    """A path as seen from a folder, with slashes; absolute where there is no way from one to the other."""
    here, there = os.path.abspath(folder), os.path.abspath(path)  # noqa: PTH100 - links stay as the user wrote them
    try:
        return Path(os.path.relpath(there, here)).as_posix()
    except ValueError:  # another drive
        return Path(there).as_posix()
