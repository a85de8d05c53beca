"""Finding sound files below a folder, and telling a user who is one level off which folder to give."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path

from serenade.core.errors import CorpusError
from serenade.core.names import nearest
from serenade.core.records import LeftOut, Listing, Utterance

__all__ = [
    "FETCH_RECORD",
    "SOUND_SUFFIXES",
    "gather",
    "is_sound",
    "is_there",
    "name_below",
    "place_below",
    "require_root",
    "shown_base",
    "shown_place",
    "walk_files",
    "walk_sounds",
]

# fmt: off
SOUND_SUFFIXES = frozenset((
    ".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64", ".rf64",
    ".sph", ".m4a", ".mp4", ".aac", ".webm", ".mka", ".mkv", ".wma", ".amr", ".ac3", ".mov", ".avi", ".m4v",
    ".flv",
))
# fmt: on
FETCH_RECORD = "serenade-fetch.json"  # what `serenade corpus fetch` notes beside a corpus
_MOST_CHILDREN = 500  # subfolders looked into when a root is off
_ARCHIVES = (".zip", ".rar", ".7z", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")


def is_sound(path: Path) -> bool:
    """Whether the name ends as sound (or video with sound) does."""
    return path.suffix.lower() in SOUND_SUFFIXES


def is_there(path: str | Path) -> bool:
    """Whether something lies at a path; also for what can be no path, such as a name that is too long."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises for those


def shown_place(utterance: Utterance, root: Path) -> str:
    """The recording as a person would look for it: relative to the corpus, with its line in the user's table."""
    return place_below(utterance, shown_base(root))


def shown_base(root: Path) -> str:
    """What the paths of a corpus begin with and need not be shown: its folder, that of a table, with a slash."""
    base = (root if root.is_dir() else root.parent).as_posix()
    return base if base.endswith("/") else f"{base}/"


def place_below(utterance: Utterance, base: str) -> str:
    """`shown_place` for many utterances: what `shown_base` gives is asked of the disk once."""
    return name_below(str(utterance.audio), utterance.extra, base)


def name_below(path: str, extra: Mapping[str, str], base: str) -> str:
    """The same of an utterance that is not at hand.

    Args:
        path: its recording.
        extra: its further facts.
        base: what `shown_base` gives.
    """
    shown = path.replace(os.sep, "/").removeprefix(base)
    return f"{shown} (line {extra['line']})" if "line" in extra else shown


def walk_files(folder: Path) -> Iterator[Path]:
    """Every file below a folder, sorted; links are followed, but no folder is entered twice; hidden names are not seen.

    Hidden are names that begin with a dot (also the ``._x.wav`` files that a Mac leaves, which hold no sound),
    ``__MACOSX`` and the note that fetching leaves.

    Raises:
        OSError: a folder cannot be entered; what lies in it must not be missed silently.
    """
    seen: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=_raise):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        for name in sorted(names):
            if not _is_hidden(name):
                yield Path(parent) / name


def walk_sounds(folder: Path) -> Iterator[Path]:
    """The files of `walk_files` that are sound: for a root that also holds texts nobody would miss.

    Raises:
        OSError: a folder cannot be entered.
    """
    return (path for path in walk_files(folder) if is_sound(path))


def _raise(error: OSError) -> None:
    raise error


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in ("__MACOSX", FETCH_RECORD)


def gather(root: Path, paths: Iterable[Path], read_name: Callable[[Path, str], Utterance | LeftOut]) -> Listing:
    """A listing of files whose names tell what they are; of two with one id the first stays.

    Args:
        root: what the report is relative to.
        paths: the files.
        read_name: gives the utterance, or why there is none, from a path and how to call it in the report.
    """
    utterances: dict[str, Utterance] = {}
    left_out = []
    for path in paths:
        where = path.relative_to(root).as_posix()
        found = read_name(path, where)
        if isinstance(found, Utterance) and found.id in utterances:
            twin = utterances[found.id].audio.relative_to(root).as_posix()
            found = LeftOut(where, "duplicate", f"the same name as {twin}")
        if isinstance(found, LeftOut):
            left_out.append(found)
        else:
            utterances[found.id] = found
    return Listing(tuple(utterances[name] for name in sorted(utterances)), tuple(left_out))


def require_root(root: Path, looks_right: Callable[[Path], bool], *, title: str, expected: str) -> None:
    """Pass where a corpus lies; elsewhere say which folder near it to give.

    Args:
        root: what the user gave.
        looks_right: whether a folder is the root of the corpus.
        title: the corpus in people's words.
        expected: the layout in words.

    Raises:
        CorpusError: the corpus does not lie there; the message names the folder up to two levels
            away where it does, or the archive that must be unpacked first.
    """
    if root.is_dir() and looks_right(root):
        return
    if not root.exists():
        raise CorpusError(f"the folder of {title} is not there", where=root, expected=expected, hint=_similar(root))
    if not root.is_dir():
        raise CorpusError(f"{title} is read from a folder, and this is a file", where=root, expected=expected)
    there = _better_root(root, looks_right)
    raise CorpusError(
        f"this is not the folder of {title}",
        where=root,
        found=_contents(root),
        expected=expected,
        hint=f"The corpus lies in {there}: give that folder" if there is not None else _unpack(root),
    )


def _better_root(root: Path, looks_right: Callable[[Path], bool]) -> Path | None:
    """The folder up to two levels down or up that looks right, the nearest first."""
    children = _subfolders(root)[:_MOST_CHILDREN]
    parents = root.resolve().parents
    grandchildren = (below for folder in children for below in _subfolders(folder))
    near = chain(children, parents[:1], islice(grandchildren, _MOST_CHILDREN), parents[1:2])
    return next((folder for folder in near if _is_right(folder, looks_right)), None)


def _is_right(folder: Path, looks_right: Callable[[Path], bool]) -> bool:
    """Whether a folder looks right; one that may not be entered, and that nobody asked for, does not."""
    try:
        return looks_right(folder)
    except OSError:
        return False


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not _is_hidden(path.name))
    except PermissionError:
        return []


def _unpack(root: Path) -> str | None:
    """A hint at archives that lie in the folder still packed."""
    packed = sorted(path.name for path in root.iterdir() if path.name.lower().endswith(_ARCHIVES))
    return f"Unpack {', '.join(packed[:4])} first" if packed else None


def _contents(folder: Path) -> str:
    """The first few names in a folder."""
    names = sorted(path.name + ("/" if path.is_dir() else "") for path in folder.iterdir())
    if not names:
        return "an empty folder"
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more


def _similar(root: Path) -> str | None:
    """A hint at the neighbour whose name is closest to one that is not there."""
    if not root.parent.is_dir():
        return None
    close = nearest(root.name, [path.name for path in root.parent.iterdir() if not _is_hidden(path.name)])
    return f"Did you mean {root.parent / close}?" if close else None
