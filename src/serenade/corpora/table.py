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
| `group`    | session, dialogue, dialog, conversation     | recordings that belong together                          |

Other columns are kept as they are in `Utterance.extra`. Commas, semicolons, tabs and bars are told apart by the header.
Text is UTF-8, with or without a byte order mark, or UTF-16 with one; what is neither is read as Latin-1, with a
warning. Every complaint names the line.

Where several utterances lie in one recording and there is no `group`, the recording is the group: two people of one
conversation share its room and its microphone.
"""

import logging
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from serenade.core.errors import CorpusError
from serenade.core.names import nearest
from serenade.core.records import UNKNOWN_SPEAKER, LeftOut, LeftOutReason, Listing, Utterance
from serenade.corpora.class_folders import list_class_folders
from serenade.corpora.corpus import Corpus
from serenade.corpora.delimited import Row, read_rows
from serenade.corpora.layout import is_there
from serenade.corpora.own_labels import Slip, read_labels

__all__ = ["CORPUS", "list_files"]

_COLUMNS = {
    "file": ("path", "filename", "file_name", "filepath", "file_path", "audio", "audio_path", "wav", "recording"),
    "speaker": ("speaker_id", "spk", "spk_id", "actor", "subject", "participant"),
    "gender": ("sex",),
    "emotion": ("label", "class", "category", "emo"),
    "start": ("start_s", "begin", "onset"),
    "end": ("end_s", "stop", "offset"),
    "language": ("lang",),
    "split": ("part", "subset", "partition", "set"),
    "fold": (),
    "text": ("transcript", "transcription", "words"),
    "sentence": ("sentence_id", "prompt", "statement"),
    "group": ("session", "dialogue", "dialog", "conversation"),
}
_MEANING = {word: name for name, others in _COLUMNS.items() for word in (name, *others)}
_GENDERS = {"f": "female", "w": "female", "woman": "female", "m": "male", "man": "male"}
_SPLITS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "devel": "validation",
    "development": "validation",
    "test": "test",
    "testing": "test",
}
_NO_VALUE = frozenset(("", "nan", "nat", "none", "null", "n/a"))
_CLOCK = re.compile(r"(?:(?P<days>\d+) days? )?(?:(?P<hours>\d+):)?(?P<minutes>\d+):(?P<seconds>\d+(?:\.\d+)?)")

_log = logging.getLogger(__name__)


def list_files(root: Path) -> Listing:
    """The utterances of a table (a file) or of a folder per class, by name alone.

    Raises:
        CorpusError: the table or folder is not there or cannot be read, or none of its recordings is where it says.
    """
    if root.is_dir():
        return list_class_folders(root)
    rows = read_rows(root, _MEANING, needed="file")
    named = [row for row in rows if "file" in row.cells]
    left_out = [_complaint(row, "missing", "the cell of the file is empty") for row in rows if "file" not in row.cells]
    paths = {row.line: _path(root, row.cells["file"]) for row in named}
    _require_some(root, named, paths)
    stems = _relative(root, paths)
    meanings = read_labels(row.cells.get("emotion", "") for row in named)
    rows_of = Counter(paths.values())
    utterances: dict[str, Utterance] = {}
    for row in named:
        path = paths[row.line]
        found = _utterance(root, row, path, stems[row.line], meanings[row.cells.get("emotion", "")])
        if isinstance(found, Utterance) and found.group is None and rows_of[path] > 1:
            found = found.with_(group=stems[row.line])
        if isinstance(found, Utterance) and found.id in utterances:
            found = _complaint(row, "duplicate", _twice(utterances[found.id], found))
        if isinstance(found, LeftOut):
            left_out.append(found)
        else:
            utterances[found.id] = found
    _warn_of_two_genders(root, utterances.values())
    return Listing(tuple(utterances[name] for name in sorted(utterances)), tuple(left_out))


def _utterance(root: Path, row: Row, path: Path, stem: str, meaning: str | Slip | None) -> Utterance | LeftOut:
    """The utterance of a row, or why it cannot be one."""
    cells = row.cells
    if isinstance(meaning, Slip):
        return _complaint(row, "unknown label", str(meaning))
    span = _span(cells)
    if span is None:
        return _complaint(row, "bad span", f"{cells.get('start', '')} to {cells.get('end', '')}, expected seconds")
    start_s, end_s = span
    has_span = start_s > 0 or end_s is not None
    shown_end = "" if end_s is None else f"{end_s:.3f}"
    gender = cells.get("gender")
    return Utterance(
        id=f"{stem}#{start_s:.3f}-{shown_end}" if has_span else stem,
        audio=path,
        corpus="table",
        speaker=cells.get("speaker", UNKNOWN_SPEAKER),
        emotion=meaning,
        start_s=start_s,
        end_s=end_s,
        gender=None if gender is None else _GENDERS.get(gender.lower(), gender.lower()),
        language=cells["language"].lower() if "language" in cells else None,
        group=cells.get("group"),
        sentence=cells.get("sentence", _plain_words(cells.get("text"))),
        text=cells.get("text"),
        split=_part(root, row),
        fold=cells.get("fold"),
        extra={**row.extra, "line": str(row.line)},
    )


def _complaint(row: Row, reason: LeftOutReason, detail: str) -> LeftOut:
    named = row.cells.get("file")
    return LeftOut(f"line {row.line}" if named is None else f"{named} (line {row.line})", reason, detail)


def _twice(first: Utterance, second: Utterance) -> str:
    detail = f"the same recording and span as line {first.extra['line']}"
    if first.emotion != second.emotion:
        detail += f", labelled {first.emotion} there and {second.emotion} here"
    return detail


def _path(root: Path, cell: str) -> Path:
    """Where the recording lies; tables written on Windows may have backslashes."""
    direct = root.parent / cell
    if os.sep == "/" and "\\" in cell and not is_there(direct):
        return root.parent / cell.replace("\\", "/")
    return direct


def _relative(root: Path, paths: Mapping[int, Path]) -> dict[int, str]:
    """Names for ids that hold no absolute path: relative to the table, else to the folder that is common to all."""
    base = Path(os.path.abspath(root.parent))  # noqa: PTH100 - links stay as the user wrote them
    full = {line: Path(os.path.abspath(path)) for line, path in paths.items()}  # noqa: PTH100
    outside = [path.parent for path in full.values() if not path.is_relative_to(base)]
    common = Path(os.path.commonpath(outside)) if outside else base
    return {
        line: path.relative_to(base if path.is_relative_to(base) else common).as_posix() for line, path in full.items()
    }


def _require_some(root: Path, rows: Sequence[Row], paths: Mapping[int, Path]) -> None:
    """Raise where not one recording is in its place; the usual reason is that the table lies one level off.

    Raises:
        CorpusError: names the folder where the first recording is.
    """
    if not rows:
        raise CorpusError("the table names no recording", where=root, expected="a line per utterance below the header")
    if any(is_there(path) for path in paths.values()):
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
        hint=f"It is in {there}: put the table there, or write the paths as seen from the table" if there else None,
    )


def _span(cells: Mapping[str, str]) -> tuple[float, float | None] | None:
    """Beginning and end in seconds; None where they are no times or the end is not after the beginning."""
    try:
        start_s, end_s = (_seconds(cells.get(name, "")) for name in ("start", "end"))
    except ValueError:
        return None
    start_s = 0.0 if start_s is None else start_s
    if start_s < 0 or (end_s is not None and end_s <= start_s):
        return None
    return start_s, end_s


def _seconds(cell: str) -> float | None:
    """Seconds of ``1.5``, ``1,5``, ``0:01.5`` or ``0 days 00:00:01.5``; None for no value.

    Raises:
        ValueError: the cell is no time.
    """
    if cell.lower() in _NO_VALUE:
        return None
    clock = _CLOCK.fullmatch(cell)
    if clock is not None:
        days, hours, minutes = (int(clock[name] or 0) for name in ("days", "hours", "minutes"))
        return ((days * 24 + hours) * 60 + minutes) * 60 + float(clock["seconds"])
    seconds = float(cell.replace(",", "."))
    if not math.isfinite(seconds):
        raise ValueError(cell)
    return seconds


def _plain_words(text: str | None) -> str | None:
    """The words without case, punctuation and blanks at the ends, as a key for equal sentences."""
    return None if text is None else " ".join(re.findall(r"\w+", text.casefold()))


def _part(root: Path, row: Row) -> str | None:
    """The part of the split that a row names.

    Raises:
        CorpusError: the word is none that is known.
    """
    word = row.cells.get("split")
    if word is None:
        return None
    part = _SPLITS.get(word.lower())
    if part is None:
        close = nearest(word.lower(), _SPLITS)
        raise CorpusError(
            "unknown word in the column split",
            where=f"{root}, line {row.line}",
            found=repr(word),
            expected="train, validation (or dev), test, or nothing",
            hint=f"Did you mean {close!r}?" if close else None,
        )
    return part


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
    layout="a CSV or TSV file with the columns file,speaker,gender,emotion, or a folder per class",
    notes="Without speakers nothing can be promised about new voices.",
)
