"""The user's recordings in a folder per class: EMOTION/file, EMOTION/SPEAKER/file or SPEAKER/EMOTION/file."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from serenade.core.errors import CorpusError
from serenade.core.labels import canonical_emotion
from serenade.core.records import UNKNOWN_SPEAKER, LeftOut, Listing, Utterance
from serenade.corpora.layout import is_sound, require_root, walk_files
from serenade.corpora.own_labels import Slip, read_labels

__all__ = ["list_class_folders", "names_emotions", "tell_own_classes"]

_LAYOUT = "at least two folders named by their class: EMOTION/file.wav, EMOTION/SPEAKER/file.wav or SPEAKER/EMOTION/..."
_PARTS = frozenset(("train", "training", "test", "testing", "dev", "val", "valid", "validation", "eval"))

_log = logging.getLogger(__name__)


def list_class_folders(root: Path) -> Listing:
    """The recordings below a folder per class, by name alone.

    Folders under a class name the speaker. Where there are none the speaker is unknown, and no split can keep people
    apart.

    Raises:
        CorpusError: there are no folders with recordings; the message names a neighbour that has them.
    """
    try:
        require_root(
            root,
            lambda folder: _looks_right(folder) and (folder == root or names_emotions(folder)),
            title="recordings sorted by class",
            expected=_LAYOUT,
        )
    except CorpusError as error:
        raise _with_tables(error, root) from error
    files = list(walk_files(root))
    sounds = [path.relative_to(root) for path in files if is_sound(path)]
    depth = _class_depth(sounds)
    named = {path: path.parts[depth] for path in sounds if len(path.parts) > depth + 1}
    meanings = read_labels(named.values())
    tell_own_classes(root, [meaning for meaning in meanings.values() if isinstance(meaning, str)])
    utterances = []
    left_out = [LeftOut(p.relative_to(root).as_posix(), "other material", "not a sound file") for p in _loose(files)]
    for path in sounds:
        meaning = meanings[named[path]] if path in named else None
        if path not in named:
            left_out.append(LeftOut(path.as_posix(), "no label", "lies outside the folders of the classes"))
        elif isinstance(meaning, Slip):
            left_out.append(LeftOut(path.as_posix(), "unknown label", str(meaning)))
        else:
            utterances.append(_utterance(root, path, meaning, depth))
    return Listing(tuple(sorted(utterances, key=lambda u: u.id)), tuple(left_out))


def _utterance(root: Path, path: Path, emotion: str | None, depth: int) -> Utterance:
    folders = path.parts[:-1]
    speaker = folders[1 - depth] if len(folders) > 1 else UNKNOWN_SPEAKER
    return Utterance(id=path.as_posix(), audio=root / path, corpus="table", speaker=speaker, emotion=emotion)


def _loose(files: Sequence[Path]) -> Iterator[Path]:
    return (path for path in files if not is_sound(path))


def _looks_right(root: Path) -> bool:
    """Whether two folders hold recordings, themselves or in folders of their own."""
    if not root.is_dir():
        return False
    folders = [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
    found = 0
    for folder in folders:
        found += any(is_sound(path) for path in walk_files(folder))
        if found == 2:
            return True
    return False


def _class_depth(sounds: Sequence[Path]) -> int:
    """Whether the class is the first folder (0) or the second (1, below the speaker).

    Raises:
        CorpusError: the first folders are parts such as train and test.
    """
    first = {path.parts[0] for path in sounds if len(path.parts) > 1}
    second = {path.parts[1] for path in sounds if len(path.parts) > 2}
    if {name.lower() for name in first} <= _PARTS:
        raise CorpusError(
            "the folders are parts of a split, not classes",
            found=", ".join(sorted(first)),
            expected=_LAYOUT,
            hint="Write a table with the columns file, speaker, emotion and split",
        )
    nested = all(len(path.parts) != 2 for path in sounds)
    below = second and nested and all(canonical_emotion(name) for name in second)
    return 1 if below and not any(canonical_emotion(name) for name in first) else 0


def names_emotions(folder: Path) -> bool:
    """Whether a folder in it, or one in that, is named by an emotion: any folder of folders may have sound in them."""
    inner = [path for path in folder.iterdir() if path.is_dir()]
    inner += [path for parent in inner for path in parent.iterdir() if path.is_dir()]
    return any(canonical_emotion(path.name) is not None for path in inner)


def tell_own_classes(root: Path, names: Sequence[str]) -> None:
    """Warn where not one of the classes that folders name is an emotion: it may be another corpus's folder."""
    if names and not any(canonical_emotion(name) for name in names):
        shown = ", ".join(sorted(set(names))[:8])
        _log.warning(
            "%s: no folder is named by an emotion that Serenade knows; taken as classes of your own: %s", root, shown
        )


def _with_tables(error: CorpusError, root: Path) -> CorpusError:
    """The same error, with a hint at tables that lie in the folder."""
    tables = sorted(p.name for p in root.iterdir() if p.suffix.lower() in (".csv", ".tsv")) if root.is_dir() else []
    if not tables:
        return error
    hint = f"To read the table, give the file: {root / tables[0]}"
    return CorpusError(
        error.what,
        where=error.where,
        found=error.found,
        expected=error.expected,
        hint=f"{error.hint}. {hint}" if error.hint else hint,
    )
