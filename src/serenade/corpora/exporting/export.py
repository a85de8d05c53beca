"""What all formats share: where the recordings are said to lie, and a folder that is there whole or not at all."""

import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from serenade.core.errors import UsageError
from serenade.core.files import storage_errors
from serenade.core.records import Utterance
from serenade.corpora.corpus import Corpus, Facts

__all__ = ["Export", "Format", "Media", "export_corpus"]

Media = Literal["reference", "link"]
"""How lists name recordings: by their absolute paths, or by links in the folder ``audio/`` beside the lists."""


@dataclass(frozen=True, slots=True)
class Export:
    """What a format writes.

    Args:
        corpus: where the utterances are from.
        utterances: with durations, sorted by id.
        folder: where to write; it is empty but for links to recordings.
        files: every recording to how lists name it.
        facts: rate, channels and length of a recording.
    """

    corpus: Corpus
    utterances: Sequence[Utterance]
    folder: Path
    files: Mapping[Path, str]
    facts: Callable[[Path], Facts]


@dataclass(frozen=True, slots=True)
class Format:
    """A format that a corpus can be written in.

    Args:
        reader: the corpus of `serenade.corpora.CORPORA` that reads it back.
        entry: what the reader is given: a file's name with ``{name}`` for the corpus's, or nothing for the folder.
        write: writes it.
        absolute: whether tools of the format see relative paths from where they run, so that links are named by their
            absolute paths.
    """

    reader: str
    entry: str
    write: Callable[[Export], None]
    absolute: bool = False


def export_corpus(
    corpus: Corpus,
    utterances: Sequence[Utterance],
    form: Format,
    out: Path,
    *,
    facts: Callable[[Path], Facts],
    media: Media = "reference",
) -> Path:
    """Write a corpus in a format, the folder whole or not at all.

    Args:
        corpus: where the utterances are from.
        utterances: examined, so that their durations are known.
        form: the format.
        out: a new or empty folder.
        facts: rate, channels and length of a recording.
        media: how lists name recordings.

    Returns:
        What the format's reader is given to read it back.

    Raises:
        UsageError: something lies in the folder already.
        MissingExtraError: the format needs a package that is not installed.
        StorageError: the disk is full or refuses.
    """
    out = out.absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError("the folder to write to is not empty", where=out, hint="Give a new folder with --out")
    temporary = out.parent / f".writing-{secrets.token_hex(8)}"
    with storage_errors(out):
        temporary.mkdir(parents=True)
        try:
            recordings = sorted({utterance.audio for utterance in utterances})
            names = (
                _link(recordings, temporary) if media == "link" else {path: str(path.absolute()) for path in recordings}
            )
            if form.absolute:
                names = {path: str(out / name) for path, name in names.items()}
            form.write(Export(corpus, utterances, temporary, names, facts))
            if out.exists():
                out.rmdir()
            temporary.replace(out)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    return out / form.entry.format(name=corpus.name)


def _link(recordings: Sequence[Path], folder: Path) -> dict[Path, str]:
    """Links to recordings below ``audio/``, in the folders that tell them apart."""
    full = {path: path.absolute() for path in recordings}
    common = Path(os.path.commonpath([path.parent for path in full.values()]))
    names = {}
    for path, target in full.items():
        names[path] = f"audio/{target.relative_to(common).as_posix()}"
        link = folder / names[path]
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    return names
