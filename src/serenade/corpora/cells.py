"""What the cells of a row say of an utterance, whichever format the row comes from, and the cells of an utterance.

The names of columns, their other spellings and the forms of their values stand here once: the user's own table, Hugging
Face metadata, EmoBox lists, Kaldi's ``utt2...`` files, lhotse's ``custom`` and audformat's columns are read with them.

Valence, arousal and dominance mean something only on a scale, so they are read where the column ``scale`` states one
(``1..5``); elsewhere they stay among the other facts, as they are. Votes are written ``angry=3;sad=1``. Where there is
a dialogue and no group, the dialogue is the group too: splits keep groups whole.
"""

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from serenade.core.errors import CorpusError
from serenade.core.names import did_you_mean
from serenade.core.records import UNKNOWN_SPEAKER, Attributes, LeftOut, Utterance
from serenade.corpora.naming import plain_words

__all__ = ["COLUMNS", "MEANINGS", "cells_of", "read_facts", "read_utterance", "sort_cells", "span_name"]

COLUMNS: dict[str, tuple[str, ...]] = {
    "file": ("path", "filename", "file_name", "filepath", "file_path", "audio", "audio_path", "wav", "recording"),
    "utterance": ("utterance_id", "utt_id", "utt"),
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
    "group": ("session",),
    "dialogue": ("dialog", "conversation"),
    "valence": (),
    "arousal": ("activation",),
    "dominance": (),
    "scale": (),
    "votes": (),
}
"""Our names of columns, each with its other spellings in lower case."""

MEANINGS = {word: name for name, others in COLUMNS.items() for word in (name, *others)}
"""Every spelling to our name."""

_EXTRA = "extra_"  # before the name of a further fact that would be taken for a column

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
_ATTRIBUTES = ("valence", "arousal", "dominance")
_STATED = (*_ATTRIBUTES, "scale")
_NO_PATH = Path()
_NO_VALUE = frozenset(("", "nan", "nat", "none", "null", "n/a"))
_CLOCK = re.compile(r"(?:(?P<days>\d+) days? )?(?:(?P<hours>\d+):)?(?P<minutes>\d+):(?P<seconds>\d+(?:\.\d+)?)")
_SCALE = re.compile(r"(?P<low>[-+.\w]+?)\s*\.\.\s*(?P<high>[-+.\w]+)")
_sentence = lru_cache(4096)(plain_words)  # emotion corpora say few sentences often


def read_utterance(
    corpus: str, cells: Mapping[str, str], extra: Mapping[str, str], *, where: str, place: str
) -> Utterance | LeftOut:
    """The utterance of a row without id and recording, its emotion as written; or why there is none.

    The arguments and errors are those of `read_facts`.
    """
    facts = read_facts(corpus, cells, extra, where=where, place=place)
    return facts if isinstance(facts, LeftOut) else Utterance(**facts)


def read_facts(
    corpus: str, cells: Mapping[str, str], extra: Mapping[str, str], *, where: str, place: str
) -> dict[str, Any] | LeftOut:
    """The arguments of the `Utterance` of a row, without id and recording, its emotion as written; or why it is none.

    Args:
        corpus: the corpus's name.
        cells: by our names of columns; empty ones may be left out.
        extra: other facts.
        where: the row as the report calls it.
        place: the row as an error calls it: file and line.

    Raises:
        CorpusError: a word in ``split``, a value of an attribute, a scale or a vote that cannot be read.
    """
    cells = {name: cell for name, cell in cells.items() if cell}
    span = _span(cells)
    if span is None:
        return LeftOut(where, "bad span", f"{cells.get('start', '')} to {cells.get('end', '')}, expected seconds")
    attributes = _attributes(cells, place)
    further = {_own_name(name): value for name, value in extra.items()}
    if attributes is None:
        further |= {name: cells[name] for name in _STATED if name in cells}
    gender = cells.get("gender")
    return {
        "id": cells.get("utterance", ""),
        "audio": _NO_PATH,
        "corpus": corpus,
        "speaker": cells.get("speaker", UNKNOWN_SPEAKER),
        "emotion": cells.get("emotion"),
        "start_s": span[0],
        "end_s": span[1],
        "gender": None if gender is None else _GENDERS.get(gender.lower(), gender.lower()),
        "language": cells["language"].lower() if "language" in cells else None,
        "group": cells.get("group", cells.get("dialogue")),
        "dialogue": cells.get("dialogue"),
        "sentence": cells.get("sentence", _sentence(cells["text"]) if "text" in cells else None),
        "text": cells.get("text"),
        "split": _part(cells, place),
        "fold": cells.get("fold"),
        "attributes": attributes,
        "votes": _votes(cells, place),
        "extra": further,
    }


def sort_cells(named: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The cells of a row by our names of columns, and those that are none; empty ones are left out.

    Our own name goes before its other spellings, and among those the first; what they hold besides stays as it is.
    """
    filled = {name: cell for name, cell in named.items() if cell}
    exact = {name.lower() for name in filled} & COLUMNS.keys()
    cells: dict[str, str] = {}
    extra: dict[str, str] = {}
    for name, cell in filled.items():
        ours = MEANINGS.get(name.lower())
        if ours is not None and ours not in cells and (name.lower() == ours or ours not in exact):
            cells[ours] = cell
        else:
            extra[name] = cell
    return cells, extra


def _own_name(name: str) -> str:
    plain = name.removeprefix(_EXTRA)
    return plain if plain.lower() in MEANINGS else name


def cells_of(utterance: Utterance) -> dict[str, str]:
    """The cells that `read_utterance` reads back, without file, start and end; what is not known is left out.

    A fact among the extra ones that has the name of a column is written with ``extra_`` before it, which is read back.
    """
    known = {name: getattr(utterance, name) for name in ("gender", "emotion", "language", "split", "fold", "text")}
    known |= {"utterance": utterance.id, "sentence": utterance.sentence, "group": utterance.group}
    known["speaker"] = None if utterance.speaker == UNKNOWN_SPEAKER else utterance.speaker
    if utterance.attributes is not None:
        stated = utterance.attributes
        known["scale"] = f"{stated.low:g}..{stated.high:g}"
        known |= {name: _plain(getattr(stated, name)) for name in _ATTRIBUTES}
    known["votes"] = ";".join(f"{name}={_plain(count)}" for name, count in utterance.votes.items())
    known["dialogue"] = utterance.dialogue
    others = {f"{_EXTRA}{name}" if name.lower() in MEANINGS else name: value for name, value in utterance.extra.items()}
    return {name: value for name, value in (known | others).items() if value}


def span_name(stem: str, start_s: float, end_s: float | None) -> str:
    """An id made of the recording's name and the span, where there is one."""
    if start_s <= 0 and end_s is None:
        return stem
    return f"{stem}#{start_s:.3f}-" + ("" if end_s is None else f"{end_s:.3f}")


def _plain(value: float | None) -> str:
    return "" if value is None else repr(int(value) if float(value).is_integer() else float(value))


def _span(cells: Mapping[str, str]) -> tuple[float, float | None] | None:
    """Beginning and end in seconds; None where they are no times or the end is not after the beginning."""
    if "start" not in cells and "end" not in cells:
        return 0.0, None
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
    return _number(cell)


def _number(cell: str) -> float:
    """The number of a cell, with a point or a comma.

    Raises:
        ValueError: it is none, or not finite.
    """
    number = float(cell.replace(",", "."))
    if not math.isfinite(number):
        raise ValueError(cell)
    return number


def _part(cells: Mapping[str, str], place: str) -> str | None:
    """The part of the split that a row names.

    Raises:
        CorpusError: the word is none that is known.
    """
    word = cells.get("split")
    if word is None:
        return None
    part = _SPLITS.get(word.lower())
    if part is None:
        raise CorpusError(
            "unknown word in the column split",
            where=place,
            found=repr(word),
            expected="train, validation (or dev), test, or nothing",
            hint=did_you_mean(word.lower(), _SPLITS),
        )
    return part


def _attributes(cells: Mapping[str, str], place: str) -> Attributes | None:
    """Valence, arousal and dominance of a row that states their scale.

    Raises:
        CorpusError: the scale or a value cannot be read, or the value lies outside the scale.
    """
    if "scale" not in cells:
        return None
    stated = {name: cells[name] for name in _ATTRIBUTES if cells.get(name, "").lower() not in _NO_VALUE}
    if not stated:
        return None
    try:
        scale = _SCALE.fullmatch(cells["scale"].strip())
        if scale is None:
            raise ValueError(f"scale {cells['scale']!r}")
        values = {name: _number(cell) for name, cell in stated.items()}
        return Attributes(_number(scale["low"]), _number(scale["high"]), **values)
    except ValueError as error:
        raise CorpusError(
            "valence, arousal or dominance cannot be read",
            where=place,
            found=str(error),
            expected="numbers on the scale that the column scale states, such as 1..5",
        ) from error


def _votes(cells: Mapping[str, str], place: str) -> dict[str, float]:
    """The votes of a row, by the words in it.

    Raises:
        CorpusError: they are not written WORD=COUNT;WORD=COUNT.
    """
    votes: dict[str, float] = {}
    for part in filter(None, cells.get("votes", "").split(";")):
        word, _, count = (piece.strip() for piece in part.rpartition("="))
        try:
            votes[word] = votes.get(word, 0.0) + _number(count)
        except ValueError as error:
            raise CorpusError(
                "votes cannot be read", where=place, found=repr(part), expected="such as angry=3;sad=1"
            ) from error
    return votes
