"""What all lists of recordings share, whatever their format: from rows to utterances.

A list names recordings by paths that were right on the machine where it was written. They are looked for

1. as written, seen from the folder of the list, from the folders above it, and from where the command runs;
2. under any of these with leading folders left out, as long as one folder remains besides the file's name
   (``downloads/emodb/wav/03a01Fa.wav`` is found as ``emodb/wav/03a01Fa.wav``).

The first way that finds one of a few recordings of the list is taken for all of it. Where the user says in which
folder the recordings lie (``PATH#audio=FOLDER``), only that folder is looked into.

A recording that is not there under its own name, but in another sound format, is taken from that file: a copy of a
corpus in FLAC opens with the lists that name ``.wav``. How often that was so is logged.
"""

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from serenade.core.errors import CorpusError
from serenade.core.labels import canonical_emotion
from serenade.core.records import LeftOut, Listing, Utterance
from serenade.core.wording import counted
from serenade.corpora.cells import span_name
from serenade.corpora.layout import is_sound, is_there
from serenade.corpora.own_labels import Slip, read_labels

__all__ = ["AUDIO_CHOICE", "Draft", "Twins", "assemble"]

AUDIO_CHOICE = {"audio": "the folder of the recordings"}
"""The choice that every list of recordings knows."""

_PROBES = 25  # recordings looked for to learn how a list's paths are meant
_LEVELS = 3  # folders above the list that are looked into

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Draft:
    """An utterance as a row tells it.

    Args:
        where: the row as the report calls it.
        file: the recording as the row names it.
        utterance: its emotion and votes as written, its recording not yet looked for, its id empty where the row has
            none and the recording's name must do.
    """

    where: str
    file: str
    utterance: Utterance


class Twins:
    """Finds recordings also under another ending; `used` counts how often that was needed."""

    def __init__(self) -> None:
        self.used = 0
        self.example = ""
        self._folders: dict[Path, dict[str, str]] = {}

    def find(self, path: Path) -> Path:
        """The path itself where something lies there, else a sound file beside it with the same stem, else the path."""
        if is_there(path):
            return path
        twin = self._sounds(path.parent).get(path.stem)
        if twin is None:
            return path
        self.used += 1
        self.example = self.example or f"{twin} for {path.name}"
        return path.with_name(twin)

    def report(self, where: object) -> None:
        """Log how many recordings were taken from a file of another format."""
        if self.used:
            told = "%s: %s taken from a copy of another format, such as %s"
            _log.warning(told, where, counted(self.used, "recording"), self.example)

    def _sounds(self, folder: Path) -> dict[str, str]:
        if folder not in self._folders:
            try:
                names = sorted((entry.name for entry in os.scandir(folder)), reverse=True)
            except (OSError, ValueError):  # no folder, or no name that a folder can have
                names = []
            paths = map(Path, names)
            self._folders[folder] = {path.stem: path.name for path in paths if is_sound(path)}
        return self._folders[folder]


def assemble(
    root: Path,
    rows: Iterable[Draft | LeftOut],
    *,
    folder: Path,
    title: str,
    recordings_needed: bool,
    audio: str | None = None,
) -> Listing:
    """The listing of a list's rows: recordings found, labels and votes in known words, nothing twice.

    Args:
        root: what the user gave, for messages.
        rows: utterances, and rows that cannot be one.
        folder: where the list lies.
        title: what the list is, in words.
        recordings_needed: whether at least one recording must be there; where none is, paths stay as written.
        audio: where the user says that the recordings lie.

    Raises:
        CorpusError: there are no rows, or not one recording can be found that is needed.
    """
    rows = list(rows)
    drafts = [row for row in rows if isinstance(row, Draft)]
    left_out = [row for row in rows if isinstance(row, LeftOut)]
    if not rows:
        raise CorpusError(f"the {title} names no recording", where=root, expected="a line per utterance")
    place = _place(root, drafts, folder, audio, recordings_needed=recordings_needed)
    meanings = read_labels(draft.utterance.emotion or "" for draft in drafts)
    stems = _stems([draft.file for draft in drafts], folder)
    rows_of = Counter(stems)
    twins = Twins()
    kept: dict[str, tuple[Utterance, str]] = {}
    for draft, stem in zip(drafts, stems, strict=True):
        utterance, emotion = draft.utterance, meanings[draft.utterance.emotion or ""]
        if isinstance(emotion, Slip):
            left_out.append(LeftOut(draft.where, "unknown label", str(emotion)))
            continue
        found = utterance.with_(
            id=utterance.id or span_name(stem, utterance.start_s, utterance.end_s),
            audio=twins.find(place.path(draft.file)),
            emotion=emotion,
            votes={canonical_emotion(word) or word: count for word, count in utterance.votes.items()},
            group=stem if utterance.group is None and rows_of[stem] > 1 else utterance.group,
        )
        if found.id in kept:
            left_out.append(LeftOut(draft.where, "duplicate", _twice(*kept[found.id], found)))
        else:
            kept[found.id] = (found, draft.where)
    twins.report(root)
    return Listing(tuple(kept[name][0] for name in sorted(kept)), tuple(left_out))


def _twice(first: Utterance, where: str, second: Utterance) -> str:
    detail = f"the same utterance {first.id} as {where}"
    for name, word in (("emotion", "labelled"), ("speaker", "spoken by")):
        there, here = getattr(first, name), getattr(second, name)
        if there != here:
            detail += f", {word} {there} there and {here} here"
    return detail


@dataclass(frozen=True, slots=True)
class _Place:
    """How the paths of a list are meant.

    Args:
        folder: what they are seen from.
        left_out: how many of their leading folders to leave out; None where they are right as written.
    """

    folder: Path
    left_out: int | None

    def path(self, file: str) -> Path:
        if self.left_out is None:
            return self.folder / file.replace("\\", "/")
        return self.folder / "/".join(_parts(file)[self.left_out :])


def _place(root: Path, drafts: Sequence[Draft], folder: Path, audio: str | None, *, recordings_needed: bool) -> _Place:
    """The first place where one of a few recordings is; the paths as written where none is, nor needed.

    Raises:
        CorpusError: there is none and one is needed, or the folder that the user named is not there.
    """
    probes = drafts[:: max(1, len(drafts) // _PROBES)]
    folders = _folders(folder) if audio is None else _named(root, folder, audio)
    for place in _candidates(folders, probes, named=audio is not None):
        twins = Twins()
        if any(is_there(twins.find(place.path(draft.file))) for draft in probes):
            return place
    if not drafts or not recordings_needed:
        return _Place(folder, None)
    raise CorpusError(
        f"none of {counted(len(drafts), 'recording')} is there",
        where=root,
        found=f"{drafts[0].where} names {drafts[0].file}, looked for below {', '.join(map(str, folders))}",
        expected="paths that are right as seen from the list, or absolute ones",
        hint="If the recordings lie elsewhere, add their folder to the path: PATH#audio=FOLDER; "
        "to check the labels without them: serenade corpus check NAME PATH --no-audio",
    )


def _candidates(folders: Sequence[Path], probes: Sequence[Draft], *, named: bool) -> Iterator[_Place]:
    """Places in the order of preference; a folder must remain of a path unless the user named where to look."""
    if not named:
        yield from (_Place(folder, None) for folder in folders)
    deepest = max((len(_parts(draft.file)) for draft in probes), default=0)
    yield from (_Place(folder, count) for count in range(deepest - (0 if named else 1)) for folder in folders)


def _parts(file: str) -> list[str]:
    """The parts of a path as any system writes it, without root, drive and empty ones."""
    parts = file.replace("\\", "/").split("/")
    return [part for part in parts if part not in ("", ".") and not part.endswith(":")]


def _folders(folder: Path) -> list[Path]:
    """The list's folder, those above it (but not the top of the disk), and where the command runs."""
    above = [path for path in folder.absolute().parents if path != path.parent][:_LEVELS]
    return list(dict.fromkeys([folder.absolute(), *above, Path.cwd()]))


def _named(root: Path, folder: Path, audio: str) -> list[Path]:
    """The folder that the user named, seen from where the command runs or from the list.

    Raises:
        CorpusError: there is none.
    """
    places = [Path.cwd() / audio, folder.absolute() / audio]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise CorpusError("the folder of the recordings is not there", where=root, found=f"audio={audio}")
    return [found]


def _stems(files: Sequence[str], folder: Path) -> list[str]:
    """Names for ids that hold no absolute path: relative to the list, else to the folder that is common to all."""
    base = folder.absolute().as_posix() + "/"
    plain = [str(PurePosixPath(file.replace("\\", "/"))).removeprefix(base) for file in files]
    outside = [name.rpartition("/")[0] or "/" for name in plain if name.startswith("/")]
    common = os.path.commonpath(outside).rstrip("/") + "/" if outside else ""
    return [name.removeprefix(common) if name.startswith("/") else name for name in plain]
