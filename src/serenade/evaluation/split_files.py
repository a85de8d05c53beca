"""A split as a file: published beside a paper, run by others, checked against the recordings that they have.

The file is JSON. It holds the protocol and its settings, the classes, the ids of every part of every fold, and of every
utterance what a leak check needs: speaker, class, recording group, dialogue, sentence, and the hash of the recording's
bytes. Everything is sorted and stands on a line of its own, so that two versions differ in few lines. It holds no words
and no path but the recording's below its corpus, so it may be published where the corpus may not.

`check_value` names the division itself: ids, classes and folds. It does not depend on the format of the recordings.
`serenade.evaluation.reproduction` makes folds from a file and tells what differs.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field

from serenade.core.errors import SettingsError, SplitError
from serenade.core.files import write_text
from serenade.core.records import Fold, Split, Utterance
from serenade.core.settings import Settings, make_settings
from serenade.core.wording import counted
from serenade.evaluation.nested import flatten, require_inside
from serenade.evaluation.splits import SplitSettings, settings_of

__all__ = [
    "SplitDocument",
    "check_value",
    "make_document",
    "read_split_file",
    "write_split_file",
]

_FORMAT = "serenade-split"
_VERSION = 1
_PARTS = ("train", "validation", "test")
_LONGEST_SENTENCE = 24  # characters; a longer one may be the words themselves, which are not published


@dataclass(frozen=True, slots=True)
class SplitDocument:
    """A split with all that is needed to check, run and export it.

    Args:
        split: the folds.
        protocol: the settings that made it, by name, without paths.
        corpora: names of the corpora, sorted.
        labels: the classes, sorted.
        utterances: those that some fold names, sorted by id; `audio` is relative to the corpus.
        label_map: what counted as which class; None for the corpora's own.
        where: facts that utterances had to have.
    """

    split: Split
    protocol: Mapping[str, Any]
    corpora: tuple[str, ...]
    labels: tuple[str, ...]
    utterances: tuple[Utterance, ...]
    label_map: str | None = None
    where: Mapping[str, str] = field(default_factory=dict)


class _Row(Settings):
    """An utterance in the file."""

    id: str
    corpus: str
    file: str
    speaker: str
    emotion: str
    group: str | None = None
    dialogue: str | None = None
    sentence: str | None = None
    start_s: float = 0.0
    end_s: float | None = None
    content: str | None = None


class _FoldRow(Settings):
    """A fold in the file."""

    name: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    inner: tuple["_FoldRow", ...] = ()


class _File(Settings):
    """The file as a whole."""

    format: Literal["serenade-split"]
    version: int
    name: str
    check: str
    protocol: dict[str, Any]
    corpora: tuple[str, ...]
    labels: tuple[str, ...]
    label_map: str | None = None
    where: dict[str, str] = Field(default_factory=dict)
    leaky: str | None
    select_on_test: bool
    notes: tuple[str, ...]
    utterances: tuple[_Row, ...]
    folds: tuple[_FoldRow, ...]


def make_document(
    split: Split,
    utterances: Sequence[Utterance],
    settings: SplitSettings,
    roots: Sequence[Path],
    *,
    label_map: str | None = None,
    where: Mapping[str, str] | None = None,
) -> SplitDocument:
    """A split as it can be published.

    Args:
        split: from `make_split`.
        utterances: at least those that the split names.
        settings: what made the split.
        roots: where the corpora lie (a folder, or the file of a table); paths become relative to them.
        label_map: what counted as which class.
        where: facts that utterances had to have.

    Raises:
        SplitError: a named utterance is missing or has no class.
    """
    used = _used(split)
    found = [u for u in sorted(utterances, key=lambda u: u.id) if u.id in used]
    absent = sorted(used - {u.id for u in found})
    unlabelled = [u.id for u in found if u.emotion is None]
    if absent or unlabelled:
        what = "not there" if absent else "without a class"
        raise SplitError(f"the split names an utterance that is {what}", where=(absent or unlabelled)[0])
    protocol = settings.model_dump(mode="json", exclude_none=True, include={"kind", *settings_of(settings.kind)})
    if "path" in protocol:
        protocol["path"] = Path(protocol["path"]).name
    return SplitDocument(
        split=split,
        protocol=protocol,
        corpora=tuple(sorted({u.corpus for u in found})),
        labels=tuple(sorted({str(u.emotion) for u in found})),
        utterances=tuple(_published(u, roots) for u in found),
        label_map=label_map,
        where=dict(where or {}),
    )


def write_split_file(path: Path, document: SplitDocument) -> None:
    """Write a split file; the same split gives the same bytes.

    Raises:
        StorageError: the disk is full or refuses.
    """
    write_text(path, _to_text(document))


def read_split_file(path: Path) -> SplitDocument:
    """A split from its file.

    A file that was changed by hand after it was made is read, and a note of the split says so.

    Raises:
        SplitError: the file is missing, cut short, of another version or of another kind, or its folds are not valid.
    """
    file = _parse(path)
    utterances = tuple(_utterance(row) for row in file.utterances)
    folds = tuple(_fold(row) for row in file.folds)
    split = Split(file.name, folds, file.leaky, file.select_on_test, file.notes)
    _require_valid(split, utterances, path)
    if check_value(split, utterances) != file.check:
        note = f"WARNING: the split file was changed after it was made: its check value was {file.check}"
        split = replace(split, notes=(*split.notes, note))
    return SplitDocument(
        split, file.protocol, file.corpora, file.labels, utterances, label_map=file.label_map, where=file.where
    )


def check_value(split: Split, utterances: Sequence[Utterance]) -> str:
    """16 hexadecimal digits that name a division: they change when an id, a class or a part of a fold changes.

    The order of folds, the notes, speakers and the format of the recordings have no influence.
    """
    used = _used(split)
    lines = [f"{u.id}\t{u.emotion}" for u in utterances if u.id in used]
    for fold in flatten(split).folds:
        lines += [f"{fold.name}\t{part}\t{name}" for part in _PARTS for name in getattr(fold, part)]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]


def _used(split: Split) -> set[str]:
    return {name for fold in flatten(split).folds for part in _PARTS for name in getattr(fold, part)}


def _published(utterance: Utterance, roots: Sequence[Path]) -> Utterance:
    """What of an utterance may be published."""
    return Utterance(
        id=utterance.id,
        audio=_relative(utterance, roots),
        corpus=utterance.corpus,
        speaker=utterance.speaker,
        emotion=utterance.emotion,
        group=utterance.group,
        dialogue=utterance.dialogue,
        sentence=_sentence_name(utterance),
        start_s=utterance.start_s,
        end_s=utterance.end_s,
        content=utterance.content,
    )


def _relative(utterance: Utterance, roots: Sequence[Path]) -> Path:
    """The recording's path below its corpus; a name made of the id where it lies elsewhere."""
    audio = utterance.audio
    folders = [root.parent if root.is_file() else root for root in roots]
    below = [audio.relative_to(folder) for folder in folders if audio.is_relative_to(folder)]
    if below:
        return min(below, key=lambda path: len(path.parts))
    return audio if not audio.is_absolute() else Path(f"{utterance.id}{audio.suffix}")


def _sentence_name(utterance: Utterance) -> str | None:
    """A name for the words that does not tell them; made of the text where the corpus names no sentence."""
    sentence = utterance.sentence
    if sentence is None:
        words = " ".join(utterance.text.casefold().split()) if utterance.text else ""
        return _hashed(words) if words else None
    readable = len(sentence) <= _LONGEST_SENTENCE and not any(map(str.isspace, sentence))
    return sentence if readable else _hashed(sentence)


def _hashed(words: str) -> str:
    return "words-" + hashlib.sha256(words.encode()).hexdigest()[:12]


def _to_text(document: SplitDocument) -> str:
    """The file's text: utterances one a line, ids one a line."""
    split = document.split
    head = {
        "format": _FORMAT,
        "version": _VERSION,
        "name": split.name,
        "check": check_value(split, document.utterances),
        "protocol": dict(document.protocol),
        "corpora": list(document.corpora),
        "labels": list(document.labels),
        "label_map": document.label_map,
        "where": dict(document.where),
        "leaky": split.leaky,
        "select_on_test": split.select_on_test,
        "notes": list(split.notes),
    }
    lines = [f"{_json(key)}: {_json(value)}," for key, value in head.items()]
    rows = ",\n".join(_json(_row(u)) for u in document.utterances)
    folds = json.dumps([_fold_values(fold) for fold in split.folds], indent=0, ensure_ascii=False)
    return "{\n" + "\n".join(lines) + f'\n"utterances": [\n{rows}\n],\n"folds": {folds}\n}}\n'


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _row(utterance: Utterance) -> dict[str, Any]:
    values = {
        "id": utterance.id,
        "corpus": utterance.corpus,
        "file": utterance.audio.as_posix(),
        **{name: getattr(utterance, name) for name in ("speaker", "emotion", "group", "dialogue", "sentence")},
        "start_s": utterance.start_s or None,
        "end_s": utterance.end_s,
        "content": utterance.content,
    }
    return {name: value for name, value in values.items() if value is not None}


def _fold_values(fold: Fold) -> dict[str, Any]:
    values: dict[str, Any] = {"name": fold.name, **{part: sorted(getattr(fold, part)) for part in _PARTS}}
    return values | ({"inner": [_fold_values(inner) for inner in fold.inner]} if fold.inner else {})


def _parse(path: Path) -> _File:
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise SplitError("there is no such split file", where=path) from error
    except OSError as error:
        raise SplitError("the split file cannot be read", where=path, found=error.strerror) from error
    except ValueError as error:
        hint = "It may be cut short: get it again"
        raise SplitError("the split file is not JSON", where=path, found=str(error), hint=hint) from error
    if not isinstance(values, dict) or values.get("format") != _FORMAT:
        found = f"format {values.get('format')!r}" if isinstance(values, dict) else f"a {type(values).__name__}"
        expected = "a file that `serenade split make` wrote"
        raise SplitError("this is not a split file", where=path, found=found, expected=expected)
    if values.get("version") != _VERSION:
        raise SplitError(
            "the split file is of another version",
            where=path,
            found=f"version {values.get('version')}",
            expected=f"version {_VERSION}",
            hint="Use the release of Serenade that made it, or make it again",
        )
    try:
        return make_settings(_File, values, where=str(path))
    except SettingsError as error:
        raise SplitError(
            f"the split file is not valid: {error.what}", where=path, found=error.found, expected=error.expected
        ) from error


def _utterance(row: _Row) -> Utterance:
    values = row.model_dump(exclude={"file"})
    return Utterance(audio=Path(PurePosixPath(row.file)), **values)


def _fold(row: _FoldRow) -> Fold:
    return Fold(row.name, row.train, row.validation, row.test, tuple(_fold(inner) for inner in row.inner))


def _require_valid(split: Split, utterances: Sequence[Utterance], path: Path) -> None:
    """Raise where ids are repeated, unknown, or in two parts."""
    ids = [u.id for u in utterances]
    if len(set(ids)) < len(ids):
        twice = next(name for place, name in enumerate(ids) if name in ids[:place])
        raise SplitError("an utterance is in the split file twice", where=path, found=twice)
    if not split.folds:
        raise SplitError("the split file has no folds", where=path)
    for where, problem in _problems(split, set(ids)):
        raise SplitError("the folds of the split file are not valid", where=f"{path}, fold {where}", found=problem)
    require_inside(split)


def _problems(split: Split, known: set[str]) -> Iterator[tuple[str, str]]:
    seen = set()
    for fold in flatten(split).folds:
        named = [*fold.train, *fold.validation, *fold.test]
        unknown = [name for name in named if name not in known]
        if fold.name in seen:
            yield fold.name, "two folds of this name"
        if unknown:
            yield fold.name, f"{counted(len(unknown), 'id')} that the file does not describe, such as {unknown[0]}"
        if len(set(named)) < len(named):
            yield fold.name, "an id that is in it twice"
        seen.add(fold.name)
