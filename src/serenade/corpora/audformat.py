"""audformat databases: a header ``db.yaml``, tables beside it, recordings below the same folder.

The format of audb and of most corpora that audEERING publishes. The package `audformat` reads header and tables; what
is decided here is what they mean.

**Which column is the emotion.** Every column called ``emotion`` (or ``label``, ``class``, ...), or whose scheme is, can
be. Tables of a gold standard go before others (``emotion.categories.train.gold_standard``), then a table that is called
``emotion``; several may be used as long as they do not contradict each other. In one table the column called
``emotion`` goes before others. Where raters have a column each, their votes are counted: what most of them say is the
emotion, and where two classes have equally many votes there is none. Where this decides nothing, the error names the
candidates, and the user says ``PATH#table=NAME,column=NAME`` (several tables with ``+`` between them).

**What else is read.** Speaker, gender, language, text and the other columns of `serenade.corpora.cells`, by the name of
the column or its scheme, from any table; a filewise table speaks of all segments of a file. Gender, language and age of
a speaker also from the labels of the scheme of speakers, where databases keep them. Valence, arousal and dominance on
the scale that their scheme has (minimum, maximum). The part of the split from the table's split, or its name. Other
columns of those tables, and of tables called ``files`` or ``segments``, become further facts.

Tables lie as CSV, Parquet or pickle. A pickle can run any code when it is opened, so it is used only where there is
nothing else and the user says ``PATH#pickle=trusted``. Nothing in the folder is changed (the package itself would write
pickles beside tables).
"""

import logging
import math
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from serenade.core.errors import CorpusError, UsageError
from serenade.core.names import did_you_mean
from serenade.core.records import LeftOut, Listing
from serenade.corpora.audformat_tables import HEADER, Database, two_letters
from serenade.corpora.cells import COLUMNS, MEANINGS, read_utterance
from serenade.corpora.choices import split_choices
from serenade.corpora.corpus import Corpus
from serenade.corpora.layout import require_root
from serenade.corpora.manifests import AUDIO_CHOICE, Draft, assemble

__all__ = ["CORPUS", "list_files"]

_CHOICES = {
    "table": "the table with the emotion; several with + between them",
    "column": "its column",
    "pickle": "trusted: open tables that lie as pickle only",
    **AUDIO_CHOICE,
}
_ATTRIBUTES = ("valence", "arousal", "dominance")
_PARTS = {"train": "train", "dev": "validation", "devel": "validation", "test": "test"}
_GOLD = "gold_standard"
_NO_FACTS = frozenset(("duration", *MEANINGS))  # columns that are no further facts

_Key = tuple[str, float, float | None]

_log = logging.getLogger(__name__)


def list_files(root: Path, *, recordings_needed: bool = True) -> Listing:
    """The utterances of a database (its folder, or ``db.yaml``), by its tables alone.

    Args:
        root: the list, or the folder that it lies in.
        recordings_needed: whether one of the recordings at least must be at hand.

    Raises:
        CorpusError: there is no header, header or tables cannot be read, it is not clear which column is the emotion,
            or not one recording is there.
        UsageError: a choice after ``#`` is not known, or names no table or column.
        MissingExtraError: the package `audformat` is not installed.
    """
    folder, choices = split_choices(root, _CHOICES)
    if folder.name == HEADER:
        folder = folder.parent
    require_root(folder, _looks_right, title=CORPUS.title, expected=CORPUS.layout)
    if choices.get("pickle", "trusted") != "trusted":
        raise UsageError("pickles are opened where you trust them", found=f"pickle={choices['pickle']}")
    with tempfile.TemporaryDirectory(prefix="serenade-audformat-") as scratch:
        database = Database.open(folder, Path(scratch), trust_pickle="pickle" in choices)
        rows = _rows(database, _chosen_columns(database, choices))
    return assemble(
        root, rows, folder=folder, title="database", recordings_needed=recordings_needed, audio=choices.get("audio")
    )


def _looks_right(root: Path) -> bool:
    return (root / HEADER).is_file()


def _roles(database: Database, table: str) -> dict[str, str]:
    """Our name of every column of a table that has one, by the column's name or its scheme's."""
    columns = database.header[table].columns
    schemes = {name: str(column.scheme_id) for name, column in columns.items() if name.lower() not in MEANINGS}
    by_scheme = {name: MEANINGS[scheme.lower()] for name, scheme in schemes.items() if scheme.lower() in MEANINGS}
    exact = {name.lower() for name in columns} & COLUMNS.keys()
    named = {name: MEANINGS[name.lower()] for name in columns if name.lower() in MEANINGS}
    sure = {name: ours for name, ours in named.items() if name.lower() == ours or ours not in exact}
    roles = by_scheme | sure
    return {name: role for name, role in roles.items() if role not in ("file", "start", "end")}


def _chosen_columns(database: Database, choices: Mapping[str, str]) -> dict[str, list[str]]:
    """The columns that tell the emotion, by table; several of one table are those of raters.

    Raises:
        CorpusError: it is not clear which.
        UsageError: a chosen table or column is not there.
    """
    candidates = {
        table: [name for name, role in _roles(database, table).items() if role == "emotion"]
        for table in database.header.tables
    }
    candidates = {table: columns for table, columns in candidates.items() if columns}
    if "table" in choices:
        tables = choices["table"].split("+")
        _require_known("table", tables, database.header.tables, database.folder)
        candidates = {table: candidates.get(table, []) for table in tables}
    else:
        candidates = _preferred(candidates)
    if "column" in choices:
        known = [name for table in candidates for name in database.header[table].columns]
        _require_known("column", [choices["column"]], known, database.folder)
        has = {table: choices["column"] in database.header[table].columns for table in candidates}
        return {table: [choices["column"]] for table in candidates if has[table]}
    return {table: _one_of(database, table, columns) for table, columns in candidates.items()}


def _require_known(kind: str, names: Sequence[str], known: Sequence[str], folder: Path) -> None:
    for name in names:
        if name not in known:
            raise UsageError(
                f"the database has no {kind} {name!r}",
                where=folder,
                expected=f"one of {', '.join(sorted(set(known)))}",
                hint=did_you_mean(name, known),
            )


def _preferred(candidates: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """The tables of a gold standard, else one called emotion with its parts, else all."""
    for belongs in (lambda name: _GOLD in name, lambda name: name.split(".")[0] == "emotion"):
        chosen = {table: columns for table, columns in candidates.items() if belongs(table)}
        if chosen:
            return chosen
    return dict(candidates)


def _one_of(database: Database, table: str, columns: Sequence[str]) -> list[str]:
    """The column of a table that tells the emotion, or those of its raters.

    Raises:
        CorpusError: there are several, and not all are raters'; or there is none.
    """
    exact = [name for name in columns if name.lower() == "emotion"]
    if len(columns) == 1 or exact:
        return exact or list(columns)
    if columns and all(database.header[table][name].rater_id is not None for name in columns):
        return list(columns)
    there = ", ".join(database.header[table].columns)
    raise CorpusError(
        "it is not clear which column is the emotion",
        where=f"{database.folder}, table {table}",
        found=", ".join(columns) if columns else f"none; its columns are {there}",
        hint=f"Add one of them to the path: {database.folder}#table={table},column={(*columns, 'NAME')[0]}",
    )


def _rows(database: Database, chosen: Mapping[str, Sequence[str]]) -> list[Draft | LeftOut]:
    """The rows of the tables that tell the emotion, with what other tables say of them."""
    facts = _Facts()
    for name in database.header.tables:
        if name not in chosen and _roles(database, name):
            facts.add(database, name, emotion=())
    if not chosen:
        told = "; ".join(f"{name}: {', '.join(table.columns)}" for name, table in database.header.tables.items())
        _log.warning("%s has no column for the emotion, and is read as unlabelled speech (%s)", database.folder, told)
    labelled = _Facts()
    rows: list[Draft | LeftOut] = []
    for name, columns in chosen.items():
        rows += labelled.add(database, name, emotion=columns)
    language = _only_language(database.header)
    keys = labelled.cells if chosen else facts.cells
    for key, own in keys.items():
        file, start_s, end_s = key
        cells = {"language": language} | facts.of(key) | own
        extra = {name: cell for name, cell in cells.items() if name not in MEANINGS}
        span = {"start": repr(start_s), "end": "" if end_s is None else repr(end_s)}
        known = {name: cell for name, cell in cells.items() if name in MEANINGS}
        where = file if start_s == 0 and end_s is None else f"{file} from {start_s:g} s"
        found = read_utterance("audformat", known | span, extra, where=where, place=f"{database.folder}, {where}")
        rows.append(found if isinstance(found, LeftOut) else Draft(where, file, found))
    return rows


class _Facts:
    """Cells by file and span, gathered from tables."""

    def __init__(self) -> None:
        self.cells: dict[_Key, dict[str, str]] = {}
        self._tables: dict[_Key, str] = {}

    def of(self, key: _Key) -> dict[str, str]:
        """What is known of a stretch, and of its whole file."""
        whole = (key[0], 0.0, None)
        return self.cells.get(whole, {}) | self.cells.get(key, {})

    def add(self, database: Database, name: str, *, emotion: Sequence[str]) -> list[LeftOut]:
        """Take the rows of a table in; those that repeat another row of it are handed back.

        Raises:
            CorpusError: two tables give one stretch different emotions.
        """
        left_out = []
        seen: set[_Key] = set()
        for key, cells in _cells(database, name, emotion):
            known = self.cells.setdefault(key, {})
            if key in seen:
                left_out.append(LeftOut(key[0], "duplicate", f"twice in the table {name}"))
                continue
            seen.add(key)
            if emotion and known.get("emotion", cells.get("emotion")) != cells.get("emotion"):
                tables = (self._tables[key], name)
                raise CorpusError(
                    "two tables contradict each other",
                    where=database.folder,
                    found=f"{key[0]}: {known['emotion']} in {tables[0]}, {cells.get('emotion')} in {name}",
                    hint=f"Choose one: {database.folder}#table={tables[0]}",
                )
            known |= cells
            self._tables[key] = name
        return left_out


def _cells(database: Database, name: str, emotion: Sequence[str]) -> Iterator[tuple[_Key, dict[str, str]]]:
    """Every row of a table as cells by our names, or by the column's where we have none."""
    table = database.table(name)
    roles = {column: role for column, role in _roles(database, name).items() if role != "emotion"}
    scale = _scale(database.header, table, roles)
    people = _people(database, table, roles)
    part = _part(database.header, name, table)
    frame = table.df
    values = [frame[column].tolist() for column in frame.columns]
    tells_facts = bool(emotion) or name in ("files", "segments")  # elsewhere every rater may have a column
    others = [c for c in frame.columns if tells_facts and c not in (*roles, *emotion) and c.lower() not in _NO_FACTS]
    for place, index in enumerate(frame.index):
        row = {column: _text(cells[place]) for column, cells in zip(frame.columns, values, strict=True)}
        cells = {roles[column]: row[column] for column in roles}
        cells |= {column: row[column] for column in others}
        if "language" in cells:
            cells["language"] = two_letters(cells["language"])
        cells |= _voted([row[column] for column in emotion])
        cells = people.get(cells.get("speaker", ""), {}) | {n: cell for n, cell in cells.items() if cell}
        if scale and any(attribute in cells for attribute in _ATTRIBUTES):
            cells.setdefault("scale", scale)
        if part:
            cells["split"] = part
        yield _key(index), cells


def _key(index: Any) -> _Key:
    """File, start and end of a row; NaT as an end is the end of the file."""
    if isinstance(index, str):
        return index, 0.0, None
    file, start, end = index
    start_s, end_s = start.total_seconds(), end.total_seconds()
    return str(file), 0.0 if math.isnan(start_s) else start_s, None if math.isnan(end_s) else end_s


def _text(value: Any) -> str:
    """A value of a table as a cell; nothing for NaN, NaT, None and NA."""
    if value is None or str(value) in ("nan", "NaT", "<NA>"):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def _voted(words: Sequence[str]) -> dict[str, str]:
    """The emotion of one column, or of raters: votes, and what most of them say."""
    if len(words) < 2:
        return {"emotion": words[0]} if words else {}
    votes = Counter(word for word in words if word).most_common()
    if not votes:
        return {}
    clear = len(votes) == 1 or votes[0][1] > votes[1][1]
    return {"emotion": votes[0][0] if clear else "", "votes": ";".join(f"{word}={count}" for word, count in votes)}


def _scale(header: Any, table: Any, roles: Mapping[str, str]) -> str:
    """The scale that the schemes of the attributes have; nothing where they have none, or not the same."""
    schemes = [header.schemes.get(table[column].scheme_id) for column, role in roles.items() if role in _ATTRIBUTES]
    limits = {(scheme.minimum, scheme.maximum) if scheme is not None else (None, None) for scheme in schemes}
    if len(limits) != 1:
        return ""
    low, high = limits.pop()
    return "" if low is None or high is None else f"{low:g}..{high:g}"


def _people(database: Database, table: Any, roles: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """What the labels of the scheme of speakers tell of every speaker."""
    columns = [column for column, role in roles.items() if role == "speaker"]
    scheme = database.header.schemes.get(table[columns[0]].scheme_id) if columns else None
    labels = None if scheme is None else scheme.labels
    if isinstance(labels, str):
        labels = database.table(labels).df.to_dict("index")
    if not isinstance(labels, dict):
        return {}
    people = {}
    for name, told in labels.items():
        cells = {key: _text(value) for key, value in told.items()} if isinstance(told, dict) else {}
        cells = {MEANINGS.get(key.lower(), key): cell for key, cell in cells.items() if cell}
        if "language" in cells:
            cells["language"] = two_letters(cells["language"])
        people[str(name)] = cells
    return people


def _part(header: Any, name: str, table: Any) -> str:
    """The part of the split that a table holds, by its split or by a word of its name."""
    split = header.splits.get(table.split_id) if table.split_id is not None else None
    words = [] if split is None else [str(split.type)]
    return next((_PARTS[word] for word in (*words, *name.lower().split(".")) if word in _PARTS), "")


def _only_language(header: Any) -> str:
    """The language of the whole database; nothing where it has several, or does not say."""
    return two_letters(header.languages[0]) if len(header.languages) == 1 else ""


CORPUS = Corpus(
    name="audformat",
    title="an audformat database",
    language=None,
    licence="as the header of the database says",
    citation="",
    homepage="https://audeering.github.io/audformat",
    commercial_use=None,
    list_files=list_files,
    looks_right=_looks_right,
    list_labels=partial(list_files, recordings_needed=False),
    layout="db.yaml, and db.<table>.csv or .parquet beside it; PATH#table=NAME,column=NAME chooses the emotion",
)
