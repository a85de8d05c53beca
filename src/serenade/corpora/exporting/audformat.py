"""A corpus as an audformat database: ``db.yaml`` and tables in Parquet, written by the package `audformat`.

| table                                  | what                                                                  |
| -------------------------------------- | --------------------------------------------------------------------- |
| ``files``, or ``segments``             | speaker, gender, language, transcription, the id, all further facts   |
| ``emotion``                            | the emotion; votes; valence, arousal and dominance on their scale     |
| ``emotion.train``, ``.dev``, ``.test`` | the emotion of each part, where the corpus has a split                |

Tables are segmented where an utterance is a part of its recording, else filewise.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from serenade.core.errors import MissingExtraError
from serenade.core.records import UNKNOWN_SPEAKER, Utterance
from serenade.corpora.audformat_tables import three_letters, two_letters
from serenade.corpora.cells import cells_of
from serenade.corpora.exporting.export import Export, Format

__all__ = ["FORMAT"]

_LABELS = ("emotion", "votes", "valence", "arousal", "dominance", "scale")
_ATTRIBUTES = ("valence", "arousal", "dominance")
_ANY_TEXT = "string"  # a scheme; its name must not be that of a column
_PARTS = {"train": "train", "validation": "dev", "test": "test"}
_USAGE = {True: "commercial", False: "research", None: "other"}


def _write(export: Export) -> None:
    try:
        import audformat
    except ImportError as error:
        raise MissingExtraError("audformat", extra="audformat", purpose="writing audformat databases") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the package's own use of pandas
        _make_database(audformat, export).save(str(export.folder), storage_format="parquet")


def _make_database(audformat: Any, export: Export) -> Any:
    corpus, utterances = export.corpus, export.utterances
    languages = sorted({three_letters(u.language) for u in utterances if u.language is not None})
    db = audformat.Database(
        corpus.name,
        source=corpus.homepage or corpus.title,  # the package reads no header without it
        usage=_USAGE[corpus.commercial_use],
        languages=[language for language in languages if two_letters(language) != language],
        description=" ".join(f"{corpus.title}. {corpus.citation}".split()),
        license=corpus.licence,
    )
    rows = [_cells(utterance) for utterance in utterances]
    _add_schemes(audformat, db, utterances)
    facts = sorted({name for row in rows for name in row} - set(_LABELS))
    segmented = any(u.start_s > 0 or u.end_s is not None for u in utterances)
    _add_table(audformat, db, "segments" if segmented else "files", export, rows, facts)
    labels = [name for name in _LABELS if any(name in row for row in rows)]
    if "emotion" in labels or "votes" in labels:
        _add_table(audformat, db, "emotion", export, rows, labels if "emotion" in labels else ["emotion", *labels])
    for part, name in _PARTS.items():
        chosen = [place for place, u in enumerate(utterances) if u.split == part]
        if chosen:
            db.splits[name] = audformat.Split(name)
            some = [rows[place] for place in chosen]
            table = f"emotion.{name}" if "emotion" in labels else f"files.{name}"
            columns = ["emotion"] if "emotion" in labels else ["utterance"]
            _add_table(audformat, db, table, export, some, columns, chosen=chosen, split=name)
    return db


def _cells(utterance: Utterance) -> dict[str, str]:
    cells = cells_of(utterance)
    cells.pop("line", None)
    cells.pop("split", None)  # tables tell it
    if "text" in cells:
        cells["transcription"] = cells.pop("text")
    if "language" in cells:
        cells["language"] = three_letters(cells["language"])
    return cells


def _add_schemes(audformat: Any, db: Any, utterances: Sequence[Utterance]) -> None:
    db.schemes[_ANY_TEXT] = audformat.Scheme("str", description="any text")
    emotions = sorted({u.emotion for u in utterances if u.emotion is not None})
    db.schemes["emotion"] = audformat.Scheme("str", labels=emotions) if emotions else audformat.Scheme("str")
    people = {u.speaker: {"gender": u.gender} if u.gender else {} for u in utterances if u.speaker != UNKNOWN_SPEAKER}
    if people:
        db.schemes["speaker"] = audformat.Scheme("str", labels=people)
    scales = {(u.attributes.low, u.attributes.high) for u in utterances if u.attributes is not None}
    for name in _ATTRIBUTES if scales else ():
        low, high = min(low for low, _ in scales), max(high for _, high in scales)
        db.schemes[name] = audformat.Scheme("float", minimum=low, maximum=high)


def _add_table(
    audformat: Any,
    db: Any,
    name: str,
    export: Export,
    rows: Sequence[Mapping[str, str]],
    columns: Sequence[str],
    *,
    chosen: Sequence[int] | None = None,
    split: str | None = None,
) -> None:
    """A table of some utterances (all if none are chosen), one row each."""
    utterances = export.utterances if chosen is None else [export.utterances[place] for place in chosen]
    files = [export.files[u.audio] for u in utterances]
    if any(u.start_s > 0 or u.end_s is not None for u in export.utterances):
        starts = [f"{u.start_s!r}s" for u in utterances]
        ends = [None if u.end_s is None else f"{u.end_s!r}s" for u in utterances]
        index = audformat.segmented_index(files, starts, ends)
    else:
        index = audformat.filewise_index(files)
    table = db[name] = audformat.Table(index, split_id=split)
    for column in columns:
        table[column] = audformat.Column(scheme_id=column if column in db.schemes else _ANY_TEXT)
        cells = [row.get(column) for row in rows]
        table[column].set([float(cell) if cell and column in _ATTRIBUTES else cell for cell in cells])


FORMAT = Format(reader="audformat", entry="", write=_write)
