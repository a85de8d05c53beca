"""LibriSpeech: about 1,000 hours of English audio books, read by 2,484 people; no emotion labels.

Made by Johns Hopkins University from LibriVox recordings in 2015, for speech recognition: chapters cut at pauses into
utterances of up to about 35 s, 16 kHz FLAC. Here it is unlabelled speech: for pre-training, for semi-supervised
training beside a labelled corpus, for babble noise. Every reader is in one of the seven subsets only; "clean" and
"other" say how well a recogniser understood the reader.

A name such as ``103-1240-0000`` is reader 103, chapter 1240, utterance 0000. ``SPEAKERS.TXT`` in the root has the sex
of the readers (``id | sex | subset | minutes | name``; lines that begin with ``;`` are comments), and
``<reader>-<chapter>.trans.txt`` beside the recordings has the words. Recordings may lie in
``<subset>/<reader>/<chapter>/`` as in the archives, or flatter: the name alone is read.

Citation: V. Panayotov, G. Chen, D. Povey, S. Khudanpur, "Librispeech: an ASR corpus based on public domain audio
books", ICASSP 2015.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from serenade.core.errors import CorpusError
from serenade.core.records import LeftOut, Listing, Utterance
from serenade.core.wording import counted
from serenade.corpora.corpus import Corpus
from serenade.corpora.label_files import read_lines
from serenade.corpora.layout import gather, is_sound, require_root, walk_files

__all__ = ["CORPUS", "list_files"]

_NAME = re.compile(r"(?P<reader>\d+)-(?P<chapter>\d+)-(?P<number>\d{4})")
_SUBSETS = (
    *("train-clean-100", "train-clean-360", "train-other-500"),
    *("dev-clean", "dev-other", "test-clean", "test-other"),
    *("train-clean-5", "dev-clean-2"),  # Mini LibriSpeech
)
_PARTS = {"train": "train", "dev": "validation", "test": "test"}
_SEXES = {"F": "female", "M": "male"}
_READERS = "SPEAKERS.TXT"
_WORDS = ".trans.txt"
_PAPERS = frozenset(("BOOKS.TXT", "CHAPTERS.TXT", "LICENSE.TXT", "README.TXT", "README.MD", _READERS))

_log = logging.getLogger(__name__)


def list_files(root: Path) -> Listing:
    """The recordings of all subsets below ``root``, or of one subset, by name alone.

    Raises:
        CorpusError: there is no subset with recordings of LibriSpeech; the message names a neighbour that has one.
    """
    require_root(root, _looks_right, title=CORPUS.title, expected=CORPUS.layout)
    top = root.absolute().parent if root.absolute().name in _SUBSETS else root
    files = [path for path in walk_files(root) if path.name.upper() not in _PAPERS]
    transcripts = [path for path in files if path.name.endswith(_WORDS)]
    words = _words(transcripts)
    readers = _readers(top / _READERS)
    sexes = {reader: sex for reader, (sex, _) in readers.items()}
    recordings = [path for path in files if not path.name.endswith(_WORDS)]
    listing = gather(root, recordings, partial(_read_name, top, sexes, words))
    _tell_unknown(top / _READERS, listing, sexes)
    if transcripts:
        _tell_wordless(root, listing)
    absent = [*_absent(root, listing, transcripts, words), *_absent_readers(listing, readers)]
    return Listing(listing.utterances, (*listing.left_out, *absent))


def _looks_right(root: Path) -> bool:
    subsets = (
        [root] if root.absolute().name in _SUBSETS else [root / name for name in _SUBSETS if (root / name).is_dir()]
    )
    return any(_NAME.fullmatch(path.stem) and is_sound(path) for subset in subsets for path in walk_files(subset))


def _read_name(
    top: Path, sexes: Mapping[str, str], words: Mapping[str, str], path: Path, where: str
) -> Utterance | LeftOut:
    """The utterance that a file name tells of."""
    if not is_sound(path):
        return LeftOut(where, "other material", "not a sound file")
    name = _NAME.fullmatch(path.stem)
    if name is None:
        return LeftOut(where, "unreadable name", "expected a name such as 103-1240-0000")
    subset = path.absolute().relative_to(top.absolute()).parts[0]
    reader = name["reader"]
    return Utterance(
        id=path.stem,
        audio=path,
        corpus="librispeech",
        speaker=reader,
        emotion=None,
        gender=sexes.get(reader),
        language="en",
        group=f"{reader}-{name['chapter']}",
        text=words.get(path.stem),
        split=_PARTS.get(subset.partition("-")[0]),
        extra={"subset": subset, "chapter": name["chapter"]},
    )


def _words(transcripts: list[Path]) -> dict[str, str]:
    """The words by utterance."""
    lines = (line.strip().partition(" ") for path in transcripts for _, line in read_lines(path))
    return {name: text.strip() for name, _, text in lines if name}


def _readers(path: Path) -> dict[str, tuple[str, str]]:
    """Sex and subset by reader; empty where the file is not there.

    Raises:
        CorpusError: a line is none of the file's, or tells something else of a reader than one before it.
    """
    if not path.is_file():
        _log.warning("%s is not there: the sex of the readers is not known", path)
        return {}
    readers: dict[str, tuple[str, str]] = {}
    for number, line in read_lines(path):
        if not line.strip() or line.startswith(";"):
            continue
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) < 3 or cells[1].upper() not in _SEXES:
            raise CorpusError(
                "a line of the list of readers cannot be read",
                where=f"{path}, line {number}",
                found=line[:80],
                expected="id | sex | subset | minutes | name, with F or M",
            )
        told = (_SEXES[cells[1].upper()], cells[2])
        if readers.setdefault(cells[0], told) != told:
            raise CorpusError(
                f"the list of readers has the reader {cells[0]} twice",
                where=f"{path}, line {number}",
                found=f"{', '.join(told)}, before it {', '.join(readers[cells[0]])}",
                hint="Delete the line that is wrong",
            )
    return readers


def _tell_unknown(path: Path, listing: Listing, sexes: Mapping[str, str]) -> None:
    unknown = sorted({u.speaker for u in listing.utterances if u.speaker not in sexes}) if path.is_file() else []
    if unknown:
        _log.warning("%s does not have %d of the readers, such as %s", path, len(unknown), unknown[0])


def _tell_wordless(root: Path, listing: Listing) -> None:
    wordless = [u.id for u in listing.utterances if not u.text]
    if wordless:
        there = counted(len(wordless), "recording")
        _log.warning("%s: %s without a transcript, such as %s", root, there, wordless[0])


def _absent(root: Path, listing: Listing, transcripts: list[Path], words: Mapping[str, str]) -> Iterator[LeftOut]:
    """Utterances that a transcript names and that have no recording: the copy was unpacked halfway."""
    present = {utterance.id for utterance in listing.utterances}
    if words.keys() <= present:
        return
    for path in transcripts:
        names = [line.split()[0] for _, line in read_lines(path) if line.strip()]
        absent = [name for name in names if name not in present]
        if absent:
            where = path.relative_to(root).as_posix()
            yield LeftOut(where, "missing", f"{len(absent)} of {len(names)} recordings, such as {absent[0]}")


def _absent_readers(listing: Listing, readers: Mapping[str, tuple[str, str]]) -> Iterator[LeftOut]:
    """Readers of a subset of whom there is nothing at all, in subsets of which there is something."""
    present: dict[str, set[str]] = {}
    for utterance in listing.utterances:
        present.setdefault(utterance.extra["subset"], set()).add(utterance.speaker)
    for subset, found in sorted(present.items()):
        named = [reader for reader, (_, own) in readers.items() if own == subset]
        absent = [reader for reader in named if reader not in found]
        if absent:
            yield LeftOut(subset, "missing", f"{len(absent)} of {len(named)} readers, such as {absent[0]}")


CORPUS = Corpus(
    name="librispeech",
    title="LibriSpeech",
    language="en",
    licence="CC BY 4.0",
    citation=(
        "V. Panayotov, G. Chen, D. Povey, S. Khudanpur: Librispeech: an ASR corpus based on public domain audio books. "
        "ICASSP 2015."
    ),
    homepage="https://www.openslr.org/12",
    commercial_use=True,
    list_files=list_files,
    looks_right=_looks_right,
    layout="a folder with subsets such as train-clean-100/, and SPEAKERS.TXT beside them; or one subset",
    notes="Read speech without emotion labels, for unlabelled training.",
)
