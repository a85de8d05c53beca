"""Reading label files line by line, and pairing what they say with the recordings that are there."""

import codecs
import logging
from collections.abc import Iterable
from pathlib import Path

from serenade.core.errors import CorpusError
from serenade.core.records import Attributes, LeftOut
from serenade.corpora.layout import is_sound, walk_files

__all__ = ["first_videos", "index_recordings", "is_video", "rated", "read_lines", "videos_below", "windows_text"]

_VIDEO_SUFFIXES = frozenset((".mp4", ".m4v", ".avi", ".mov", ".mkv", ".webm", ".flv"))
_C1 = {code: bytes([code]).decode("cp1252", errors="replace") for code in range(0x80, 0xA0)}

_log = logging.getLogger(__name__)


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Number (from 1) and text of every line, blank ones too, without blanks at its end.

    UTF-8 and UTF-16 are known by themselves; anything else is read as Windows-1252, of which Latin-1 is a part. The
    ends of line may be those of any system.

    Raises:
        CorpusError: the file is no text.
        OSError: it cannot be read.
    """
    raw = path.read_bytes()
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = raw.decode("utf-16", errors="replace")
    else:
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = raw.decode("cp1252", errors="replace")
    if "\0" in text:
        raise CorpusError("the label file is not text", where=path, hint="Unpack or copy it again")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [(number, line.rstrip()) for number, line in enumerate(lines, start=1)]


def windows_text(text: str) -> str:
    """Text in which quotes and dashes of Windows-1252 were taken for control characters, put right.

    >>> windows_text("It\\x92s")
    'It’s'
    """
    return text.translate(_C1)


def is_video(path: Path) -> bool:
    """Whether the name ends as video with sound does."""
    return path.suffix.lower() in _VIDEO_SUFFIXES


def first_videos(paths: Iterable[Path]) -> dict[str, Path]:
    """The videos among files by the stem of their names, of one stem the first in the order of names."""
    found: dict[str, Path] = {}
    for path in sorted(filter(is_video, paths)):
        found.setdefault(path.stem, path)
    return found


def videos_below(folder: Path) -> dict[str, Path]:
    """The videos below a folder by the stem of their names; none where the folder is not there."""
    return first_videos(walk_files(folder)) if folder.is_dir() else {}


def index_recordings(root: Path, paths: Iterable[Path]) -> tuple[dict[str, Path], list[LeftOut]]:
    """Recordings by the stem of their names, and what was passed over.

    Of one stem, sound goes before video and then the first in the order of names; another sound of it is a duplicate.

    Args:
        root: what the report is relative to.
        paths: files of any kind.
    """
    recordings: dict[str, Path] = {}
    left_out = []
    for path in sorted(paths, key=lambda path: (is_video(path), path)):
        where = path.relative_to(root).as_posix()
        if not is_sound(path):
            left_out.append(LeftOut(where, "other material", "not a sound file"))
            continue
        first = recordings.setdefault(path.stem, path)
        if first is path:
            continue
        twin = first.relative_to(root).as_posix()
        if is_video(path) and not is_video(first):
            left_out.append(LeftOut(where, "other material", f"the video of {twin}"))
        else:
            left_out.append(LeftOut(where, "duplicate", f"the same name as {twin}"))
    return recordings, left_out


def rated(
    low: float, high: float, *, valence: str | None, arousal: str | None, dominance: str | None, where: str
) -> Attributes | None:
    """Attributes from the cells of a label file.

    A cell that is empty or NaN has no value, nor has one that is no number or lies off the scale; of those a warning
    is logged.

    Args:
        low: lower end of the corpus's scale.
        high: its upper end.
        valence: the cell; None where there is none.
        arousal: as valence.
        dominance: as valence.
        where: file and line, for the warning.

    Returns:
        None where not one of the three has a value.
    """
    cells = {"valence": valence, "arousal": arousal, "dominance": dominance}
    values = {name: _mark(name, cell, low, high, where) for name, cell in cells.items()}
    if all(value is None for value in values.values()):
        return None
    return Attributes(low, high, **values)


def _mark(name: str, cell: str | None, low: float, high: float, where: str) -> float | None:
    if cell is None or cell.strip().lower() in ("", "nan"):
        return None
    try:
        value = float(cell)
    except ValueError:
        value = float("nan")
    if low <= value <= high:
        return value
    _log.warning("%s: %s %s is not on the scale from %g to %g and not used", where, name, cell.strip(), low, high)
    return None
