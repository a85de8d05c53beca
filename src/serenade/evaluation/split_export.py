"""A split in the formats of other tools; each exporter gives the files as text by their path below a folder."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from serenade.core.errors import SplitError
from serenade.core.records import Fold, Utterance
from serenade.evaluation.nested import flatten
from serenade.evaluation.split_files import SplitDocument
from serenade.evaluation.splits import file_names
from serenade.evaluation.superb import CLASSES as SUPERB_CLASSES
from serenade.evaluation.superb import name_of, pool_order

__all__ = ["FORMATS", "export_split"]

_PARTS = ("train", "validation", "test")
_SHORT = {"train": "train", "validation": "valid", "test": "test"}

# EmoBox's words for the classes; others keep theirs with a capital
_EMOBOX_WORDS = {
    "fearful": "Fear",
    "disgusted": "Disgust",
    "surprised": "Surprise",
    "bored": "Boredom",
    "frustrated": "Frustration",
}
_SUPERB_WORDS = {"neutral": "neu", "happy": "hap", "angry": "ang", "sad": "sad"}


def export_split(document: SplitDocument, kind: str) -> dict[str, str]:
    """The files of a split in another format.

    Args:
        document: the split; the order of its folds stays.
        kind: a name of `FORMATS`.

    Returns:
        Text by path below the folder to write to, with ``/`` between folders.

    Raises:
        SplitError: the format has no place for something in the split: inner folds, stretches of recordings.
    """
    return FORMATS[kind](document)


def _as_csv(document: SplitDocument) -> dict[str, str]:
    """One line per fold and utterance; inner folds are folds of their own."""
    header = ("id", "file", "start", "end", "corpus", "speaker", "emotion", "fold", "part")
    rows = [
        (u.id, u.audio.as_posix(), u.start_s or "", _blank(u.end_s), u.corpus, u.speaker, u.emotion, fold.name, part)
        for fold, parts in _folds(document)
        for part, utterances in parts.items()
        for u in utterances
    ]
    return {"folds.csv": _csv([header, *rows])}


def _as_ids(document: SplitDocument) -> dict[str, str]:
    """Per fold a folder with the ids of each part, one a line; a part that is empty has no file."""
    return {
        f"{name}/{_SHORT[part]}.txt": "".join(f"{u.id}\n" for u in utterances)
        for name, (_, parts) in _named(_folds(document))
        for part, utterances in parts.items()
        if utterances
    }


def _as_emobox(document: SplitDocument) -> dict[str, str]:
    """EmoBox's JSONL lists, its label map, and `folds.json` with the names that the numbered folds had.

    ``num_frame``, ``length`` and ``sample_rate`` are left out: the split does not know the sound.
    """
    _require_plain(document, "emobox")
    name = "+".join(document.corpora)
    files = {f"{name}.jsonl": _emobox_lines(document.utterances)}
    for number, (_, parts) in enumerate(_folds(document), start=1):
        for part, utterances in parts.items():
            if utterances or part != "validation":
                path = f"fold_{number}/{name}_{_SHORT[part]}_fold_{number}.jsonl"
                files[path] = _emobox_lines(utterances)
    label_map = {label: _EMOBOX_WORDS.get(label, label.capitalize()) for label in document.labels}
    names = {f"fold_{number}": fold.name for number, fold in enumerate(document.split.folds, start=1)}
    return files | {"label_map.json": _json(label_map), "folds.json": _json(names)}


def _emobox_lines(utterances: Iterable[Utterance]) -> str:
    rows = (
        {
            "key": f"{u.corpus}-{name_of(u)}",
            "dataset": u.corpus,
            "wav": u.audio.as_posix(),
            "type": "raw",
            "task": "category",
            "emo": u.emotion,
        }
        for u in utterances
    )
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _as_superb(document: SplitDocument) -> dict[str, str]:
    """Per fold the pool (train and validation) and the test list, as SUPERB's emotion task reads them.

    Its toolkit draws validation from the pool itself: for the split `superb`, whose pools are in the published order,
    it draws the same.
    """
    _require_plain(document, "superb")
    own = set(document.labels) == set(SUPERB_CLASSES)
    labels = [(name, _SUPERB_WORDS[name]) for name in SUPERB_CLASSES] if own else [(n, n) for n in document.labels]
    words = dict(labels)
    indices = {word: index for index, (_, word) in enumerate(labels)}
    files = {}
    for name, (_, parts) in _named(_folds(document)):
        folder = re.sub(r"^session-(?=[1-5]$)", "Session", name)
        for part, utterances in {"train": [*parts["train"], *parts["validation"]], "test": parts["test"]}.items():
            rows = [
                {"path": u.audio.as_posix(), "label": words[str(u.emotion)], "speaker": u.speaker}
                for u in _superb_order(utterances)
            ]
            files[f"{folder}/{part}_meta_data.json"] = _json({"labels": indices, "meta_data": rows})
    return files


def _superb_order(utterances: Sequence[Utterance]) -> list[Utterance]:
    """In the order of SUPERB's lists where they are IEMOCAP's, else by id."""
    try:
        return sorted(utterances, key=lambda u: pool_order(name_of(u)))
    except SplitError:
        return sorted(utterances, key=lambda u: u.id)


def _as_audformat(document: SplitDocument) -> dict[str, str]:
    """A table per fold and part as audformat stores them: the index (a segmented one where needed), then columns."""
    segmented = any(u.start_s or u.end_s is not None for u in document.utterances)
    header = ("file", *(("start", "end") if segmented else ()), "emotion", "speaker")
    files = {}
    for name, (_, parts) in _named(_folds(document)):
        for part, utterances in parts.items():
            spans = [(_timedelta(u.start_s), _timedelta(u.end_s)) if segmented else () for u in utterances]
            rows = [
                (u.audio.as_posix(), *span, u.emotion, u.speaker) for u, span in zip(utterances, spans, strict=True)
            ]
            if rows:
                files[f"db.{name}.{'dev' if part == 'validation' else part}.csv"] = _csv([header, *rows])
    return files


def _timedelta(seconds: float | None) -> str:
    """As pandas writes one; empty for the end of the recording."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds * 1e6), 60_000_000)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days} days {hours:02d}:{minutes:02d}:{rest / 1e6:09.6f}"


FORMATS: dict[str, Callable[[SplitDocument], dict[str, str]]] = {
    "csv": _as_csv,
    "ids": _as_ids,
    "emobox": _as_emobox,
    "superb": _as_superb,
    "audformat": _as_audformat,
}
"""Formats by name."""

_Parts = Mapping[str, Sequence[Utterance]]


def _folds(document: SplitDocument) -> list[tuple[Fold, _Parts]]:
    """All folds, inner ones too, with the utterances of their parts."""
    by_id = {u.id: u for u in document.utterances}
    return [
        (fold, {part: [by_id[name] for name in getattr(fold, part)] for part in _PARTS})
        for fold in flatten(document.split).folds
    ]


def _named(folds: Sequence[tuple[Fold, _Parts]]) -> list[tuple[str, tuple[Fold, _Parts]]]:
    """With names that can be folders."""
    return list(zip(file_names([fold.name for fold, _ in folds]), folds, strict=True))


def _require_plain(document: SplitDocument, kind: str) -> None:
    """Raise where the format would silently lose something."""
    spans = [u.id for u in document.utterances if u.start_s or u.end_s is not None]
    inner = [fold.name for fold in document.split.folds if fold.inner]
    if spans or inner:
        found = f"the stretch {spans[0]} of a recording" if spans else f"inner folds in {inner[0]}"
        hint = "csv, ids and audformat can hold it"
        raise SplitError(f"the format {kind} has no place for a part of this split", found=found, hint=hint)


def _blank(value: float | None) -> object:
    return "" if value is None else value


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def _csv(rows: Iterable[Sequence[object]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()
