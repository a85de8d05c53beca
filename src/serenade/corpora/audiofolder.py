"""Hugging Face's audiofolder: ``metadata.csv``, ``.jsonl`` or ``.parquet`` beside recordings, or folders that tell.

Metadata lie in the folder itself or in its parts (``train/metadata.csv``); ``file_name`` is seen from the folder of
the metadata. Other columns are those of the user's own table (`serenade.corpora.cells`), so ``label``, ``emotion``,
``speaker_id``, ``text`` and so on are understood. Where there are metadata they say everything: recordings that they do
not name are not used, and the names of folders tell the part of the split only. Class numbers (``ClassLabel``) are
read by the names that the dataset tells beside them (`serenade.corpora.class_names`).

Without metadata a folder's name is the class, below the folder of the part where there is one:
``train/angry/1.wav``, or ``angry/1.wav``. Who speaks is then not known.

Parts go by the names that ``datasets`` knows: train, training, validation, valid, val, dev, test, testing, eval,
evaluation.
"""

import logging
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from serenade.core.errors import CorpusError
from serenade.core.records import UNKNOWN_SPEAKER, LeftOut, Listing, Utterance
from serenade.corpora.cells import MEANINGS, read_utterance, sort_cells
from serenade.corpora.class_folders import names_emotions, tell_own_classes
from serenade.corpora.class_names import ClassNames
from serenade.corpora.corpus import Corpus
from serenade.corpora.delimited import read_rows
from serenade.corpora.json_lines import plain_cell, read_objects
from serenade.corpora.layout import is_sound, require_root, walk_files
from serenade.corpora.manifests import Draft, assemble

__all__ = ["CORPUS", "list_files"]

_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}

_log = logging.getLogger(__name__)


def list_files(root: Path, *, recordings_needed: bool = True) -> Listing:
    """The utterances of a folder, by name alone.

    Args:
        root: the folder, or the metadata in it.
        recordings_needed: whether one of the recordings at least must be at hand.

    Raises:
        CorpusError: there are neither metadata nor folders with recordings, metadata cannot be read, or not one
            recording is there.
    """
    if root.name in _METADATA and root.is_file():
        root = root.parent
    require_root(
        root,
        lambda folder: _looks_right(folder) and (folder == root or _has_metadata(folder) or names_emotions(folder)),
        title=CORPUS.title,
        expected=CORPUS.layout,
    )
    files = list(walk_files(root))
    metadata = [path for path in files if path.name in _METADATA]
    rows = list(_of_tables(root, metadata) if metadata else _of_folders(root, files))
    if not metadata:
        tell_own_classes(root, [str(row.utterance.emotion) for row in rows if isinstance(row, Draft)])
    title = "metadata" if metadata else "folder"
    return assemble(root, rows, folder=root, title=title, recordings_needed=recordings_needed)


def _looks_right(root: Path) -> bool:
    if _has_metadata(root):
        return True
    inner = [folder for part in _folders(root) if part.name.lower() in _PARTS for folder in _folders(part)]
    classes = inner or [folder for folder in _folders(root) if folder.name.lower() not in _PARTS]
    return sum(any(is_sound(path) for path in folder.iterdir()) for folder in classes) > 1


def _has_metadata(root: Path) -> bool:
    return any((folder / name).is_file() for folder in (root, *_folders(root)) for name in _METADATA)


def _folders(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if path.is_dir()] if root.is_dir() else []


def _of_tables(root: Path, tables: list[Path]) -> Iterator[Draft | LeftOut]:
    rows = [(path, *line) for path in tables for line in _lines(path)]
    names = ClassNames(root, tables)
    _warn_of_numbers(root, {cells.get("emotion", "") for _, _, cells, _ in rows}, names)
    for path, line, cells, extra in rows:
        where = f"{cells.get('file', '')} ({path.relative_to(root).as_posix()}, line {line})".strip()
        if "file" not in cells:
            yield LeftOut(where, "missing", "the row names no recording")
            continue
        file = (path.parent.relative_to(root) / cells["file"].replace("\\", "/")).as_posix()
        try:
            cells, extra = _named(cells, names), _named(extra, names)
        except LookupError as error:
            yield LeftOut(where, "unknown label", str(error))
            continue
        told = {"split": _part(Path(file))} | {name: cell for name, cell in cells.items() if name != "file"}
        found = read_utterance("audiofolder", told, extra, where=where, place=f"{path}, line {line}")
        yield found if isinstance(found, LeftOut) else Draft(where, file, found)


def _named(cells: Mapping[str, str], names: ClassNames) -> dict[str, str]:
    """Cells with the names of classes in place of their numbers.

    Raises:
        LookupError: a number has no name.
    """
    columns = {own: column for column in names for own in (MEANINGS.get(column.lower(), column), column)}
    return {own: names.name(columns[own], cell) if own in columns else cell for own, cell in cells.items()}


def _warn_of_numbers(root: Path, labels: set[str], names: ClassNames) -> None:
    """Warn of classes that are numbers without a name; they are taken as classes of the user's own."""
    numbers = sorted(labels - {""})
    named = any(MEANINGS.get(column.lower()) == "emotion" for column in names)
    if numbers and not named and all(label.isdecimal() for label in numbers):
        _log.warning(
            "%s: the labels are numbers (%s) and nothing names them: copy the dataset's README.md or "
            "dataset_infos.json there, or write the names into the metadata",
            root,
            ", ".join(numbers[:10]),
        )


def _lines(path: Path) -> Iterator[tuple[int, Mapping[str, str], Mapping[str, str]]]:
    """Line, cells by our names of columns, and other cells.

    Raises:
        CorpusError: the metadata cannot be read or have no column ``file_name``.
    """
    if path.suffix != ".jsonl":
        for row in read_rows(path, MEANINGS, needed="file", header="a header with file_name and label"):
            yield row.line, row.cells, row.extra
        return
    for line, values in read_objects(path):
        cells, extra = sort_cells({name: plain_cell(value) for name, value in values.items()})
        if not any(MEANINGS.get(name.lower()) == "file" for name in values):
            raise CorpusError(
                "a line of the metadata has no 'file_name'", where=f"{path}, line {line}", found=", ".join(values)
            )
        yield line, cells, extra


def _of_folders(root: Path, files: list[Path]) -> Iterator[Draft | LeftOut]:
    for path in files:
        inside = path.relative_to(root)
        part = _part(inside)
        folders = inside.parts[1 if part else 0 : -1]
        if not is_sound(path):
            yield LeftOut(inside.as_posix(), "other material", "not a sound file")
        elif len(folders) != 1:
            yield LeftOut(inside.as_posix(), "no label", "does not lie in the folder of a class")
        else:
            utterance = Utterance("", path, "audiofolder", UNKNOWN_SPEAKER, folders[0], split=part or None)
            yield Draft(inside.as_posix(), inside.as_posix(), utterance)


def _part(inside: Path) -> str:
    """The part of the split that the first folder tells; nothing where it tells none."""
    return _PARTS.get(inside.parts[0].lower(), "") if len(inside.parts) > 1 else ""


CORPUS = Corpus(
    name="audiofolder",
    title="a Hugging Face audiofolder",
    language=None,
    licence="yours to know",
    citation="",
    homepage="https://huggingface.co/docs/datasets/audio_dataset",
    commercial_use=None,
    list_files=list_files,
    looks_right=_has_metadata,
    list_labels=partial(list_files, recordings_needed=False),
    layout="metadata.csv, .jsonl or .parquet with file_name and label; or a folder per class, also below train/",
    notes="Without a column for the speaker nothing can be promised about new voices.",
)
