"""File names that say who speaks and how: patterns such as ``{speaker}_{emotion}_{text}``, and guessing them.

A pattern is held against the end of a path without its extension, folder by folder.

* ``{speaker}`` is a piece of the name, up to the character that follows in the pattern; the last one of a folder or
  file name takes the rest. A name that Serenade does not know (``{intensity}``) becomes a column of its own.
* ``{speaker:2}`` is a piece of two characters.
* Two pieces side by side, ``{emotion}{take}``, are parted where letters and digits meet.
* ``{_}`` is a piece that does not matter, ``*`` anything within a folder or file name.
* A piece that stands twice must be the same in both places.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePosixPath

from serenade.core.errors import UsageError
from serenade.core.labels import canonical_emotion
from serenade.corpora.cells import COLUMNS
from serenade.corpora.layout import SOUND_SUFFIXES

__all__ = ["GENDER_WORDS", "NamePattern", "guess_pattern"]

GENDER_WORDS = {
    **dict.fromkeys(
        (
            *("f", "w", "female", "woman", "weiblich", "frau", "femme", "féminin", "mujer", "femenino", "donna"),
            *("femmina", "kobieta", "kadın", "kadin", "vrouw", "女", "女性", "여", "여성", "женский"),
        ),
        "female",
    ),
    **dict.fromkeys(
        (
            *("m", "male", "man", "männlich", "maennlich", "mann", "homme", "masculin", "hombre", "masculino", "uomo"),
            *("maschio", "mężczyzna", "erkek", "男", "男性", "남", "남성", "мужской"),
        ),
        "male",
    ),
}
"""Words for the two usual values of a column of sexes, in lower case."""

_PIECE = re.compile(r"\{(?P<name>\w+)(?::(?P<width>\d+))?\}|(?P<any>\*)|(?P<text>[^{}*]+)|(?P<fault>.)")
_RUN = r"[^\W\d_]++|\d++"  # all letters or all digits up to where they meet, never a part of them
_PERSON = re.compile(r"(actor|speaker|spk|sprecher|person|subject|sub|s|p|f|m|vp)[-_ ]?\d+", re.IGNORECASE)
_PARTS = frozenset(("train", "training", "test", "testing", "dev", "val", "valid", "validation"))
_DELIMITERS = "_- ."
_MOST = 0.9  # of the files must agree before a pattern is guessed
_EMOTIONAL = 0.8  # of the files must have a known emotion in a piece that is taken for it
_MOST_RUNS = 4
_MISSPELT = 0.8  # from this likeness on, a name is a slip of a known one; others are columns of their own
_LONG_NUMBER = 3  # digits from which a number is rather a person than a take


@dataclass(frozen=True, slots=True)
class NamePattern:
    """A pattern of paths.

    Args:
        text: as the user writes it.

    Raises:
        UsageError: braces that do not match, no piece at all, or a misspelt piece.
    """

    text: str

    def __post_init__(self) -> None:
        pieces = [match for part in self._folders() for match in _PIECE.finditer(part)]
        if any(match["fault"] for match in pieces):
            raise self._fault("a brace has no partner")
        names = [match["name"] for match in pieces if match["name"] and match["name"] != "_"]
        if not names:
            raise self._fault("it names nothing")
        for name in names:
            close = get_close_matches(name, COLUMNS, 1, _MISSPELT)
            if name not in COLUMNS and close:
                raise self._fault(f"there is no piece {name!r}", f"Did you mean {{{close[0]}}}?")

    def _fault(self, what: str, hint: str | None = None) -> UsageError:
        return UsageError(
            f"the pattern of the file names cannot be used, {what}",
            found=repr(self.text),
            expected="such as {speaker}_{emotion}_{text} or {speaker}/{emotion}/*",
            hint=hint,
        )

    def _folders(self) -> list[str]:
        """The parts between slashes, without an extension of sound."""
        path = PurePosixPath(self.text.strip().strip("/"))
        return list((path.with_suffix("") if path.suffix.lower() in SOUND_SUFFIXES else path).parts)

    @property
    def names(self) -> tuple[str, ...]:
        """The pieces that matter, in their order."""
        return tuple(self.compiled().groupindex)

    def compiled(self) -> re.Pattern[str]:
        """The pattern as a regular expression for as many last parts of a path as it has."""
        seen: set[str] = set()
        return re.compile("/".join(_folder_expression(part, seen) for part in self._folders()))

    def reader(self) -> Callable[[str], dict[str, str] | None]:
        """What reads the pieces of a path (with slashes, with extension); None where it does not fit."""
        expression, depth = self.compiled(), len(self._folders())

        def read(path: str) -> dict[str, str] | None:
            parts = PurePosixPath(path).with_suffix("").parts
            match = expression.fullmatch("/".join(parts[-depth:])) if len(parts) >= depth else None
            return None if match is None else match.groupdict()

        return read


def _folder_expression(part: str, seen: set[str]) -> str:
    """The regular expression of a folder's or file's name; `seen` takes the names of its pieces."""
    pieces = list(_PIECE.finditer(part))
    texts = []
    for place, piece in enumerate(pieces):
        before, after = (pieces[n] if 0 <= n < len(pieces) else None for n in (place - 1, place + 1))
        texts.append(_piece_expression(piece, before, after, seen))
    return "".join(texts)


def _piece_expression(
    piece: re.Match[str], before: re.Match[str] | None, after: re.Match[str] | None, seen: set[str]
) -> str:
    if piece["text"]:
        return re.escape(piece["text"])
    if piece["any"]:
        return "[^/]*"
    name = piece["name"]
    if name in seen:
        return f"(?P={name})"
    if piece["width"]:
        what = f"[^/]{{{piece['width']}}}"
    elif any(other is not None and other["name"] and not other["width"] for other in (before, after)):
        what = _RUN
    elif after is not None and after["text"]:
        what = f"[^/{re.escape(after['text'][0])}]+"
    else:
        what = "[^/]+"
    if name == "_":
        return f"(?:{what})"
    seen.add(name)
    return f"(?P<{name}>{what})"


@dataclass(frozen=True, slots=True)
class _Slot:
    """A place in the path: its value in every file, and what stands before it."""

    values: tuple[str, ...]
    before: str
    is_folder: bool


def guess_pattern(paths: Sequence[str]) -> NamePattern | None:
    """The pattern that most paths follow and that names an emotion at least; None where there is none to be seen.

    The emotion is the piece whose values are known emotions in at least 80 % of the files; the speaker a piece whose
    values return, by preference one that looks like a person's name or number (``actor_03``, ``s01``, ``anna``). It is
    a guess: show it before it is used.

    Args:
        paths: relative, with slashes and extensions.
    """
    folders, names = _fitting(paths)
    if not names:
        return None
    slots = _slots(folders, names)
    meanings: dict[int, str] = {}
    for meaning, score in (("emotion", _as_emotion), ("gender", _as_gender), ("split", _as_split)):
        best = max(range(len(slots)), key=lambda place: 0 if place in meanings else score(slots[place]))
        if best not in meanings and score(slots[best]) > 0:
            meanings[best] = meaning
    if "emotion" not in meanings.values():
        return None
    emotions = slots[next(place for place, meaning in meanings.items() if meaning == "emotion")].values
    likely = {place: _as_speaker(slot, emotions) for place, slot in enumerate(slots) if place not in meanings}
    if any(likely.values()):
        meanings[max(likely, key=lambda place: (likely[place], -place))] = "speaker"
    return NamePattern(_written(slots, meanings))


def _fitting(paths: Sequence[str]) -> tuple[list[tuple[str, ...]], list[str]]:
    """Folders and stems of the files that lie as deep as most do; nothing where most do not agree."""
    split = [PurePosixPath(path) for path in paths]
    if not split:
        return [], []
    depth, count = Counter(len(path.parts) for path in split).most_common(1)[0]
    if count < _MOST * len(split):
        return [], []
    kept = [path for path in split if len(path.parts) == depth]
    return [path.parts[:-1] for path in kept], [path.stem for path in kept]


def _slots(folders: Sequence[tuple[str, ...]], names: Sequence[str]) -> list[_Slot]:
    """Every folder and every piece of the file name."""
    found = [_Slot(tuple(values), "", is_folder=True) for values in zip(*folders, strict=True)]
    delimiter, count = max(((mark, _agreed(name.count(mark) for name in names)) for mark in _DELIMITERS), key=_by_count)
    if count > 0:
        fitting = [name.split(delimiter) for name in names if name.count(delimiter) == count]
        found = [_only(slot, [name.count(delimiter) == count for name in names]) for slot in found]
    else:
        fitting = [[name] for name in names]
    for place, values in enumerate(zip(*fitting, strict=True)):
        found += _runs(values, delimiter if place else "")
    return found


def _by_count(item: tuple[str, int]) -> int:
    return item[1]


def _agreed(counts: Iterator[int]) -> int:
    """The number that nearly all have; 0 where they do not agree."""
    tally = Counter(counts)
    value, times = tally.most_common(1)[0]
    return value if times >= _MOST * tally.total() else 0


def _only(slot: _Slot, kept: Sequence[bool]) -> _Slot:
    return _Slot(
        tuple(value for value, keep in zip(slot.values, kept, strict=True) if keep), slot.before, slot.is_folder
    )


def _runs(values: Sequence[str], before: str) -> list[_Slot]:
    """A piece, or its letters and digits apart where that shows an emotion in it (``happy01``)."""
    whole = _Slot(tuple(values), before, is_folder=False)
    runs = [re.findall(_RUN, value) for value in values]
    plain = all("".join(run) == value for run, value in zip(runs, values, strict=True))
    if not plain or len({len(run) for run in runs}) != 1 or not 1 < len(runs[0]) <= _MOST_RUNS:
        return [whole]
    parts = [
        _Slot(tuple(run[place] for run in runs), before if place == 0 else "", is_folder=False)
        for place in range(len(runs[0]))
    ]
    return parts if any(_as_emotion(part) for part in parts) else [whole]


def _as_emotion(slot: _Slot) -> float:
    known = [len(value) > 1 and canonical_emotion(value) is not None for value in slot.values]
    share = sum(known) / len(known)
    return share if share >= _EMOTIONAL and len(set(slot.values)) > 1 else 0.0


def _as_gender(slot: _Slot) -> float:
    words = {value.lower() for value in slot.values}
    return 1.0 if words <= set(GENDER_WORDS) and len(words) == 2 else 0.0


def _as_split(slot: _Slot) -> float:
    words = {value.lower() for value in slot.values}
    return 1.0 if words <= _PARTS and len(words) > 1 else 0.0


def _as_speaker(slot: _Slot, emotions: Sequence[str]) -> float:
    """How much a piece looks like a person: it returns with another emotion, and is no short number in a name."""
    spoken: dict[str, set[str]] = defaultdict(set)
    for value, emotion in zip(slot.values, emotions, strict=True):
        spoken[value].add(emotion)
    versatile = sum(len(those) > 1 for those in spoken.values())
    if len(spoken) < 2 or versatile * 2 < len(spoken) or _as_emotion(slot):
        return 0.0
    if all(_PERSON.fullmatch(value) for value in spoken):
        return 3.0
    if all(value.isdigit() for value in spoken):
        long = all(len(value) >= _LONG_NUMBER for value in spoken)
        return 1.5 if slot.is_folder or long else 0.0
    return 2.0 if slot.is_folder else 1.0


def _written(slots: Sequence[_Slot], meanings: dict[int, str]) -> str:
    """The pattern from the outermost folder that matters."""
    folders: list[str] = []
    pieces: list[str] = []
    for place, slot in enumerate(slots):
        piece = f"{{{meanings.get(place, '_')}}}"
        if not slot.is_folder:
            pieces.append(slot.before + piece)
        elif place in meanings or folders:
            folders.append(piece if place in meanings else "*")
    in_name = any(place in meanings for place, slot in enumerate(slots) if not slot.is_folder)
    return "/".join([*folders, "".join(pieces) if in_name else "*"])
