"""The user's own recordings: a CSV or TSV table, or a folder per class.

The table has one line per utterance and a header. Known columns, in any order; only `file` or `video` is needed:

| column     | also called                                 | what                                                     |
| ---------- | ------------------------------------------- | -------------------------------------------------------- |
| `file`     | path, filename, audio, wav, ...             | the recording, relative to the table's folder or absolute |
| `video`    | video_path, video_file                      | where it is to be seen; without `file` also its sound    |
| `speaker`  | speaker_id, spk, actor, subject             | who talks                                                |
| `gender`   | sex                                         | f, m, female, male, or a word of your own                |
| `emotion`  | label, class, category, emo                 | a known emotion, a class of your own, or nothing         |
| `start`    | start_s, begin, onset                       | where it begins: seconds, or H:MM:SS                     |
| `end`      | end_s, stop, offset                         | where it ends                                            |
| `language` | lang                                        | ISO 639-1 code                                           |
| `split`    | part, subset, partition, set                | train, validation (or dev), test                         |
| `fold`     |                                             | the name of a fold of your own                           |
| `text`     | transcript, transcription, words            | the words                                                |
| `sentence` | sentence_id, prompt, statement              | equal for equal words, where the text is not written     |
| `group`    | session                                     | recordings that belong together                          |
| `dialogue` | dialog, conversation                        | turns of one conversation; the group too where none is   |
| `utterance` | utterance_id, utt_id, utt                  | its id; elsewhere made from file and span                |
| `valence`, `arousal`, `dominance`, `scale` |             | attributes, with their scale such as 1..5                |
| `votes`    |                                             | what raters chose, such as angry=3;sad=1                 |

Other columns are kept as they are in `Utterance.extra`. Commas, semicolons, tabs and bars are told apart by the header.
Text is UTF-8, with or without a byte order mark, or UTF-16 with one; what is neither is read as Latin-1, with a
warning. Every complaint names the line.

A line whose recording and video are not named is words alone where it has a `text`: no system for sound can use it, one
for several modalities may.

Where several utterances lie in one recording and there is no `group`, the recording is the group: two people of one
conversation share its room and its microphone.
"""

import logging
import os
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from serenade.core.errors import CorpusError
from serenade.core.labels import canonical_emotion
from serenade.core.records import NO_RECORDING, UNKNOWN_SPEAKER, LeftOut, LeftOutReason, Listing, Utterance, Video
from serenade.core.stored_listing import StoredListing
from serenade.core.wording import counted
from serenade.corpora.cells import MEANINGS, read_facts, span_name
from serenade.corpora.class_folders import list_class_folders
from serenade.corpora.corpus import Corpus
from serenade.corpora.delimited import Row, TableFile, read_rows
from serenade.corpora.layout import is_there
from serenade.corpora.own_labels import Slip, read_labels

__all__ = ["CORPUS", "list_files", "store_rows"]

_MEANINGS = {**MEANINGS, **dict.fromkeys(("video", "video_path", "video_file"), "video")}
_NEEDED = "file|video"
_NO_FILE = "the cell of the file is empty"
_POSIX = os.sep == "/"
_FOLDERS_KEPT = 10_000  # whose absolute path is remembered

_log = logging.getLogger(__name__)


def _file(row: Row) -> str | None:
    """The recording that a row names, or the video whose sound it is; None for neither."""
    return row.cells.get("file", row.cells.get("video"))


def _is_utterance(row: Row) -> bool:
    """Whether a row names a recording, or a video, or has words where the table could name one."""
    return _file(row) is not None or "text" in row.cells


def list_files(root: Path, *, recordings_needed: bool = True) -> Listing:
    """The utterances of a table (a file) or of a folder per class, by name alone.

    Args:
        root: the table, or the folder of folders.
        recordings_needed: whether one of the recordings at least must be at hand.

    Raises:
        CorpusError: the table or folder is not there or cannot be read, or none of its recordings is where it says.
    """
    if root.is_dir():
        return list_class_folders(root)
    rows = read_rows(root, _MEANINGS, needed=_NEEDED)
    named = [row for row in rows if _file(row) is not None]
    paths = {row.line: Path(_path(str(root.parent), str(_file(row)))) for row in named}
    some = not recordings_needed or any(is_there(path) for path in paths.values())
    _require_some(root, len(named), named[0] if named else None, found=some)
    stems = _relative(root, paths)
    meanings = read_labels(row.cells.get("emotion", "") for row in rows if _is_utterance(row))
    rows_of = Counter(stems.values())
    left_out: list[LeftOut] = []
    utterances: dict[str, Utterance] = {}
    del named
    for row in _used_up(rows):
        if not _is_utterance(row):
            left_out.append(_complaint(row, "missing", _NO_FILE))
            continue
        path, stem = paths.get(row.line, NO_RECORDING), stems.get(row.line, f"line{row.line}")
        meaning = meanings[row.cells.get("emotion", "")]
        facts = _facts(root, row, path, stem, meaning, several=rows_of[stem] > 1)
        found = facts if isinstance(facts, LeftOut) else Utterance(**facts)
        if isinstance(found, Utterance) and found.id in utterances:
            found = _complaint(row, "duplicate", _twice(utterances[found.id], found))
        if isinstance(found, LeftOut):
            left_out.append(found)
        else:
            utterances[found.id] = found
    _warn_of_two_genders(root, utterances.values())
    return Listing(tuple(utterances[name] for name in sorted(utterances)), tuple(left_out))


def store_rows(root: Path, into: StoredListing, *, recordings_needed: bool) -> None:
    """The same as `list_files`, put into a stored listing: rows are never all at hand.

    The table is gone through twice, since what a label means and how a recording is called depends on all rows. What
    is kept meanwhile is 8 bytes for each.

    Args:
        root: the table, or a folder per class.
        into: takes utterances, and what was left out, in the order of the lines.
        recordings_needed: whether one recording at least must be there.

    Raises:
        CorpusError: as `list_files`.
    """
    if root.is_dir():
        listing = list_class_folders(root)
        into.add(chain(listing.left_out, listing.utterances))
        return
    table = TableFile(root, _MEANINGS, needed=_NEEDED)
    survey = _Survey(root, table, recordings_needed=recordings_needed)
    into.add(_stored(root, table, survey))
    into.leave_out(0, _twins(table, into))
    into.drop_twins("id", "row")
    genders = "SELECT 1 FROM utterances GROUP BY speaker HAVING count(DISTINCT coalesce(gender, '')) > 1 LIMIT 1"
    if any(into.query(genders)):
        _warn_of_two_genders(root, into.utterances("row"))


def _twins(table: TableFile, stored: StoredListing) -> Iterator[tuple[int, LeftOut]]:
    """Every row whose id an earlier one has, in the order of the lines, with its place in the listing."""
    rows = table.rows()
    for place, first, second in stored.twins("id", "row"):
        row = next(row for row in rows if str(row.line) == second.extra["line"])
        yield place, _complaint(row, "duplicate", _twice(first, second))


def _stored(root: Path, table: TableFile, survey: "_Survey") -> Iterator[dict[str, Any] | LeftOut]:
    for row in table.rows():
        if not _is_utterance(row):
            yield _complaint(row, "missing", _NO_FILE)
            continue
        meaning = survey.meanings[row.cells.get("emotion", "")]
        name = _file(row)
        if name is None:
            yield _facts(root, row, NO_RECORDING, f"line{row.line}", meaning, several=False)
            continue
        path = survey.place(name)
        full = survey.full(path)
        stem = _stem(full, survey.inside, survey.common)
        yield _facts(root, row, path, stem, meaning, several=survey.several(full))


class _Survey:
    """What all rows of a table tell together.

    Args:
        root: the table.
        table: its rows.
        recordings_needed: whether one recording at least must be there.

    Raises:
        CorpusError: no row names a recording, or none is there.
    """

    def __init__(self, root: Path, table: TableFile, *, recordings_needed: bool) -> None:
        self._base = "" if root.parent == Path() else str(root.parent)
        self._folders: dict[str, str] = {}
        self.inside = os.path.join(os.path.abspath(root.parent), "")  # noqa: PTH100, PTH118 - links stay as written
        words, hashes, outside = Counter[str](), array("q"), None
        first: Row | None = None
        found = not recordings_needed
        for line, (file, video, text, emotion) in table.cells("file", "video", "text", "emotion"):
            name = file if file else video
            if name or text:
                words[emotion] += 1
            if not name:
                continue
            first = Row(line, {"file": name}, {}) if first is None else first
            path = self.place(name)
            full = self.full(path)
            found = found or is_there(path)
            hashes.append(hash(full))
            if not full.startswith(self.inside):
                parent = os.path.dirname(full)  # noqa: PTH120
                outside = parent if outside is None else os.path.commonpath((outside, parent))
        _require_some(root, len(hashes), first, found=found)
        self.common = self.inside if outside is None else os.path.join(outside, "")  # noqa: PTH118
        self.meanings = read_labels(words.elements())
        self._repeated = _repeated(hashes)

    def place(self, name: str) -> str:
        """Where a recording lies that a row names, as `Path` writes it: to make one of each takes time."""
        path = _path(self._base, name)
        plain = _POSIX and not ("//" in path or "/./" in path or path.startswith("./") or path.endswith(("/", "/.")))
        return path if plain else str(Path(path))

    def full(self, path: str) -> str:
        """The absolute path of a recording."""
        if len(self._folders) > _FOLDERS_KEPT:
            self._folders.clear()
        return _absolute(path, self._folders)

    def several(self, full: str) -> bool:
        """Whether more than one row names a recording."""
        place = bisect_left(self._repeated, hash(full))
        return place < len(self._repeated) and self._repeated[place] == hash(full)


def _repeated(hashes: "array[int]") -> "array[int]":
    """The hashes that stand more than once, sorted; of 64 bits, so that two recordings do not share one by chance."""
    import numpy as np

    found, counts = np.unique(np.frombuffer(hashes, np.int64), return_counts=True)
    return array("q", found[counts > 1].tobytes())


def _used_up(rows: list[Row]) -> Iterator[Row]:
    """The rows in their order; each is let go once it was used, so that rows and utterances do not pile up together."""
    rows.reverse()
    while rows:
        yield rows.pop()


def _facts(
    root: Path, row: Row, path: str | Path, stem: str, meaning: str | Slip | None, *, several: bool
) -> dict[str, Any] | LeftOut:
    """The arguments of a row's utterance, or why it is none; one of several in a recording is of its group."""
    if isinstance(meaning, Slip):
        return _complaint(row, "unknown label", str(meaning))
    facts = read_facts("table", row.cells, row.extra, where=_where(row), place=f"{root}, line {row.line}")
    if isinstance(facts, LeftOut):
        return facts
    facts["id"] = facts["id"] or span_name(stem, facts["start_s"], facts["end_s"])
    facts["audio"], facts["emotion"] = path, meaning
    if facts["votes"]:
        facts["votes"] = {canonical_emotion(word) or word: count for word, count in facts["votes"].items()}
    facts["extra"]["line"] = str(row.line)
    if "video" in row.cells:
        film = Path(_path(str(root.parent), row.cells["video"]))
        facts["video"] = Video(film, facts["start_s"], facts["end_s"])
    if several and facts["group"] is None:
        facts["group"] = stem
    return facts


def _complaint(row: Row, reason: LeftOutReason, detail: str) -> LeftOut:
    return LeftOut(_where(row), reason, detail)


def _where(row: Row) -> str:
    named = _file(row)
    return f"line {row.line}" if named is None else f"{named} (line {row.line})"


def _twice(first: Utterance, second: Utterance) -> str:
    same_sound = (first.audio, first.start_s, first.end_s) == (second.audio, second.start_s, second.end_s)
    detail = f"the same {'recording and span' if same_sound else 'utterance'} as line {first.extra['line']}"
    if first.emotion != second.emotion:
        detail += f", labelled {first.emotion} there and {second.emotion} here"
    return detail


def _path(folder: str, cell: str) -> str:
    """Where the recording lies, seen from the table's folder; tables written on Windows may have backslashes."""
    if _POSIX and folder and "\\" not in cell and not cell.startswith("/"):
        return f"{folder}/{cell}"
    direct = os.path.join(folder, cell)  # noqa: PTH118
    if _POSIX and "\\" in cell and not is_there(direct):
        return os.path.join(folder, cell.replace("\\", "/"))  # noqa: PTH118
    return direct


def _relative(root: Path, paths: Mapping[int, Path]) -> dict[int, str]:
    """Names for ids that hold no absolute path: relative to the table, else to the folder that is common to all."""
    base = os.path.abspath(root.parent)  # noqa: PTH100 - links stay as the user wrote them
    folders: dict[str, str] = {}
    full = {line: _absolute(str(path), folders) for line, path in paths.items()}
    inside = os.path.join(base, "")  # noqa: PTH118 - with the separator at its end
    outside = [os.path.dirname(path) for path in full.values() if not path.startswith(inside)]  # noqa: PTH120
    common = os.path.join(os.path.commonpath(outside), "") if outside else inside  # noqa: PTH118
    return {line: _stem(path, inside, common) for line, path in full.items()}


def _stem(full: str, inside: str, common: str) -> str:
    """A recording's name for ids, from its absolute path, the table's folder and the folder common to the others."""
    return full.removeprefix(inside if full.startswith(inside) else common).replace(os.sep, "/")


def _absolute(path: str, folders: dict[str, str]) -> str:
    """The absolute path without ``..``; a folder is looked at once, not once for each of its recordings."""
    folder, slash, name = path.rpartition(os.sep)
    if name in ("", os.curdir, os.pardir) or (slash and not folder):
        return os.path.abspath(path)  # noqa: PTH100
    if folder not in folders:
        folders[folder] = os.path.join(os.path.abspath(folder), "")  # noqa: PTH100, PTH118
    return folders[folder] + name


def _require_some(root: Path, rows: int, first: Row | None, *, found: bool) -> None:
    """Raise where not one recording is in its place; the usual reason is that the table lies one level off.

    Args:
        root: the table.
        rows: how many name a recording.
        first: the first of them.
        found: whether one of the recordings is there, or that does not matter.

    Raises:
        CorpusError: names the folder where the first recording is.
    """
    if first is None:
        raise CorpusError("the table names no recording", where=root, expected="a line per utterance below the header")
    if found:
        return
    named = str(_file(first))
    name = named.replace("\\", "/")
    path = Path(_path(str(root.parent), named))
    folder = root.resolve().parent
    near = [folder.parent, *sorted(path for path in folder.iterdir() if path.is_dir())]
    there = next((place for place in near if is_there(place / name)), None)
    raise CorpusError(
        f"none of {counted(rows, 'recording')} of the table is there",
        where=root,
        found=f"line {first.line} names {named}, looked for at {path}",
        expected="paths relative to the table's folder, or absolute ones",
        hint=f"It is in {there}: put the table there, or write the paths as seen from the table"
        if there
        else "To check the labels without the recordings: serenade corpus check table TABLE --no-audio",
    )


def _warn_of_two_genders(root: Path, utterances: Iterable[Utterance]) -> None:
    """A speaker with two genders is most often two people under one name."""
    seen: dict[str, Utterance] = {}
    for utterance in utterances:
        first = seen.setdefault(utterance.speaker, utterance)
        if utterance.speaker != UNKNOWN_SPEAKER and first.gender != utterance.gender:
            _log.warning(
                "%s: speaker %s is %s in line %s and %s in line %s: two people under one name?",
                *(root, utterance.speaker, first.gender, first.extra["line"], utterance.gender),
                utterance.extra["line"],
            )
            return


CORPUS = Corpus(
    name="table",
    title="your own recordings",
    language=None,
    licence="yours to know",
    citation="",
    homepage="",
    commercial_use=None,
    list_files=list_files,
    list_labels=partial(list_files, recordings_needed=False),
    store=store_rows,
    layout="a CSV or TSV file with the columns file,speaker,gender,emotion, or a folder per class",
    notes="Without speakers nothing can be promised about new voices.",
)
