"""The user's own recordings: a CSV or TSV table, or a folder per class.

The table has one line per utterance and a header. Known columns, in any order; only `file` is needed:

| column     | also called                                 | what                                                     |
| ---------- | ------------------------------------------- | -------------------------------------------------------- |
| `file`     | path, filename, audio, wav, ...             | the recording, relative to the table's folder or absolute |
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

Where several utterances lie in one recording and there is no `group`, the recording is the group: two people of one
conversation share its room and its microphone.
"""

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from serenade.core.errors import CorpusError
from serenade.core.labels import canonical_emotion
from serenade.core.records import UNKNOWN_SPEAKER, LeftOut, LeftOutReason, Listing, Utterance
from serenade.corpora.cells import MEANINGS, read_facts, span_name
from serenade.corpora.class_folders import list_class_folders
from serenade.corpora.corpus import Corpus
from serenade.corpora.delimited import Row, read_rows
from serenade.corpora.layout import is_there
from serenade.corpora.own_labels import Slip, read_labels

__all__ = ["CORPUS", "list_files", "list_labels"]

_log = logging.getLogger(__name__)


def list_files(root: Path) -> Listing:
    """The utterances of a table (a file) or of a folder per class, by name alone.

    Raises:
        CorpusError: the table or folder is not there or cannot be read, or none of its recordings is where it says.
    """
    return list_class_folders(root) if root.is_dir() else _list_rows(root, recordings_needed=True)


def list_labels(root: Path) -> Listing:
    """The same where the recordings are not at hand.

    Raises:
        CorpusError: the table or folder is not there or cannot be read.
    """
    return list_class_folders(root) if root.is_dir() else _list_rows(root, recordings_needed=False)


def _list_rows(root: Path, *, recordings_needed: bool) -> Listing:
    rows = read_rows(root, MEANINGS, needed="file")
    named = [row for row in rows if "file" in row.cells]
    left_out = [_complaint(row, "missing", "the cell of the file is empty") for row in rows if "file" not in row.cells]
    folder = root.parent
    paths = {row.line: _path(folder, row.cells["file"]) for row in named}
    _require_some(root, named, paths if recordings_needed else None)
    stems = _relative(root, paths)
    meanings = read_labels(row.cells.get("emotion", "") for row in named)
    rows_of = Counter(stems.values())
    utterances: dict[str, Utterance] = {}
    del rows
    for row in _used_up(named):
        path, stem = paths[row.line], stems[row.line]
        meaning = meanings[row.cells.get("emotion", "")]
        found = _utterance(root, row, path, stem, meaning, several=rows_of[stem] > 1)
        if isinstance(found, Utterance) and found.id in utterances:
            found = _complaint(row, "duplicate", _twice(utterances[found.id], found))
        if isinstance(found, LeftOut):
            left_out.append(found)
        else:
            utterances[found.id] = found
    _warn_of_two_genders(root, utterances.values())
    return Listing(tuple(utterances[name] for name in sorted(utterances)), tuple(left_out))


def _used_up(rows: list[Row]) -> Iterator[Row]:
    """The rows in their order; each is let go once it was used, so that rows and utterances do not pile up together."""
    rows.reverse()
    while rows:
        yield rows.pop()


def _utterance(
    root: Path, row: Row, path: Path, stem: str, meaning: str | Slip | None, *, several: bool
) -> Utterance | LeftOut:
    """The utterance of a row, or why it cannot be one; one of several in a recording is of its group."""
    if isinstance(meaning, Slip):
        return _complaint(row, "unknown label", str(meaning))
    facts = read_facts("table", row.cells, row.extra, where=_where(row), place=f"{root}, line {row.line}")
    if isinstance(facts, LeftOut):
        return facts
    facts["id"] = facts["id"] or span_name(stem, facts["start_s"], facts["end_s"])
    facts["audio"], facts["emotion"] = path, meaning
    facts["votes"] = {canonical_emotion(word) or word: count for word, count in facts["votes"].items()}
    facts["extra"]["line"] = str(row.line)
    if several and facts["group"] is None:
        facts["group"] = stem
    return Utterance(**facts)


def _complaint(row: Row, reason: LeftOutReason, detail: str) -> LeftOut:
    return LeftOut(_where(row), reason, detail)


def _where(row: Row) -> str:
    named = row.cells.get("file")
    return f"line {row.line}" if named is None else f"{named} (line {row.line})"


def _twice(first: Utterance, second: Utterance) -> str:
    same_sound = (first.audio, first.start_s, first.end_s) == (second.audio, second.start_s, second.end_s)
    detail = f"the same {'recording and span' if same_sound else 'utterance'} as line {first.extra['line']}"
    if first.emotion != second.emotion:
        detail += f", labelled {first.emotion} there and {second.emotion} here"
    return detail


def _path(folder: Path, cell: str) -> Path:
    """Where the recording lies, seen from the table's folder; tables written on Windows may have backslashes."""
    direct = folder / cell
    if os.sep == "/" and "\\" in cell and not is_there(direct):
        return folder / cell.replace("\\", "/")
    return direct


def _relative(root: Path, paths: Mapping[int, Path]) -> dict[int, str]:
    """Names for ids that hold no absolute path: relative to the table, else to the folder that is common to all."""
    base = os.path.abspath(root.parent)  # noqa: PTH100 - links stay as the user wrote them
    full = _absolute(paths)
    inside = os.path.join(base, "")  # noqa: PTH118 - with the separator at its end
    outside = [os.path.dirname(path) for path in full.values() if not path.startswith(inside)]  # noqa: PTH120
    common = os.path.join(os.path.commonpath(outside), "") if outside else inside  # noqa: PTH118
    return {
        line: path.removeprefix(inside if path.startswith(inside) else common).replace(os.sep, "/")
        for line, path in full.items()
    }


def _absolute(paths: Mapping[int, Path]) -> dict[int, str]:
    """Absolute paths without ``..``; a folder is looked at once, not once for each of its recordings."""
    folders: dict[str, str] = {}
    full = {}
    for line, path in paths.items():
        folder, name = os.path.split(path)
        if name in ("", os.curdir, os.pardir):
            full[line] = os.path.abspath(path)  # noqa: PTH100
            continue
        if folder not in folders:
            folders[folder] = os.path.join(os.path.abspath(folder), "")  # noqa: PTH100, PTH118
        full[line] = folders[folder] + name
    return full


def _require_some(root: Path, rows: Sequence[Row], paths: Mapping[int, Path] | None) -> None:
    """Raise where not one recording is in its place; the usual reason is that the table lies one level off.

    Args:
        root: the table.
        rows: those that name a recording.
        paths: where the recording of each line should be; None where that does not matter.

    Raises:
        CorpusError: names the folder where the first recording is.
    """
    if not rows:
        raise CorpusError("the table names no recording", where=root, expected="a line per utterance below the header")
    if paths is None or any(is_there(path) for path in paths.values()):
        return
    first = rows[0].cells["file"].replace("\\", "/")
    folder = root.resolve().parent
    near = [folder.parent, *sorted(path for path in folder.iterdir() if path.is_dir())]
    there = next((place for place in near if is_there(place / first)), None)
    raise CorpusError(
        f"not one of the {len(rows)} recordings of the table is there",
        where=root,
        found=f"line {rows[0].line} names {rows[0].cells['file']}, looked for at {paths[rows[0].line]}",
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
    list_labels=list_labels,
    layout="a CSV or TSV file with the columns file,speaker,gender,emotion, or a folder per class",
    notes="Without speakers nothing can be promised about new voices.",
)
