"""Kaldi data folders: ``wav.scp`` and the files beside it, as Kaldi, ESPnet and WeNet write them.

| file                   | a line                           | what becomes of it                                      |
| ---------------------- | -------------------------------- | ------------------------------------------------------- |
| ``wav.scp``            | recording, path                  | needed                                                  |
| ``segments``           | utterance, recording, start, end | without it each recording is one utterance              |
| ``utt2spk``            | utterance, speaker               | without it the speaker is not known                     |
| ``spk2gender``         | speaker, f or m                  | ``utt2gender`` is read too                              |
| ``text``               | utterance, words                 |                                                         |
| ``utt2emo``            | utterance, emotion               | also ``utt2emotion`` and ``utt2label``                  |
| ``utt2lang``           | utterance, language              |                                                         |
| other ``utt2NAME``     | utterance, value                 | a column of `serenade.corpora.cells`, or a further fact |

A segment that ends at -1 ends with its recording. ``utt2id`` gives back ids that an export had to change, since Kaldi
wants ids without blanks that begin with the speaker.

A line of ``wav.scp`` may be a shell command that ends with ``|``, or a place in an archive (``x.ark:123``). Neither is
run or opened: a corpus must not run code. The error says how to write plain files.
"""

import logging
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from serenade.core.errors import CorpusError
from serenade.core.records import LeftOut, Listing
from serenade.corpora.cells import read_utterance, sort_cells
from serenade.corpora.choices import split_choices
from serenade.corpora.corpus import Corpus
from serenade.corpora.label_files import read_lines
from serenade.corpora.layout import require_root
from serenade.corpora.manifests import AUDIO_CHOICE, Draft, assemble

__all__ = ["CORPUS", "list_files"]

_FACTS = {"utt2spk": "speaker", "text": "text", "utt2emo": "emotion", "utt2id": "utterance"}
_log = logging.getLogger(__name__)

_NOT_FACTS = ("utt2dur", "utt2num_frames", "utt2uniq", "utt2max_frames")  # what Kaldi computes for itself


def list_files(root: Path, *, recordings_needed: bool = True) -> Listing:
    """The utterances of a data folder, by name alone.

    Args:
        root: the list, or the folder that it lies in.
        recordings_needed: whether one of the recordings at least must be at hand.

    Raises:
        CorpusError: there is no ``wav.scp``, a file of the folder cannot be read, or not one recording is there.
        UsageError: a choice after ``#`` is not known.
    """
    folder, choices = split_choices(root, AUDIO_CHOICE)
    if folder.name == "wav.scp":
        folder = folder.parent
    require_root(folder, _looks_right, title=CORPUS.title, expected=CORPUS.layout)
    return assemble(
        root,
        _rows(folder),
        folder=folder,
        title="file wav.scp",
        recordings_needed=recordings_needed,
        audio=choices.get("audio"),
    )


def _looks_right(root: Path) -> bool:
    return (root / "wav.scp").is_file()


def _rows(folder: Path) -> Iterator[Draft | LeftOut]:
    recordings = _recordings(folder / "wav.scp")
    facts = _facts(folder)
    genders = _pairs(folder / "spk2gender")
    segments = list(_segments(folder, recordings))
    if segments:
        yield from _unheard(facts, {fields[0] for _, fields in segments})
    for place, (utterance_id, recording, start, end) in segments:
        where = f"{utterance_id} ({place})"
        if recording not in recordings:
            yield LeftOut(where, "missing", f"wav.scp does not name the recording {recording}")
            continue
        told = {"utterance": utterance_id} | {name: values.get(utterance_id, "") for name, values in facts.items()}
        cells, extra = sort_cells(told)
        cells.setdefault("gender", genders.get(cells.get("speaker", ""), ""))
        span = {"start": start, "end": "" if end.startswith("-") else end}
        found = read_utterance("kaldi", cells | span, extra, where=where, place=f"{folder}, {place}")
        yield found if isinstance(found, LeftOut) else Draft(where, recordings[recording], found)


def _unheard(facts: Mapping[str, Mapping[str, str]], there: set[str]) -> Iterator[LeftOut]:
    """Utterances that have facts and no recording; and a warning where a fact is known of some only."""
    for name, values in facts.items():
        lacking = sorted(there - values.keys())
        if lacking:
            told = "the file of the fact %r does not have %d of %d utterances, such as %s"
            _log.warning(told, name, len(lacking), len(there), lacking[0])
    for utterance_id in sorted({one for values in facts.values() for one in values} - there):
        names = ", ".join(name for name, values in facts.items() if utterance_id in values)
        yield LeftOut(utterance_id, "missing", f"its {names} is known, but neither wav.scp nor segments name it")


def _recordings(path: Path) -> dict[str, str]:
    """Files by the name of the recording.

    Raises:
        CorpusError: a line has no path, or names a command or an archive.
    """
    recordings = _pairs(path)
    for name, file in recordings.items():
        command = file.endswith("|") or file.startswith("|")
        head, colon, offset = file.rpartition(":")
        if command or (colon and head.endswith(".ark") and offset.isdigit()):
            raise CorpusError(
                "the file names a command that makes the sound, not a sound file"
                if command
                else "the file names a place in an archive, not a sound file",
                where=f"{path}, recording {name}",
                found=file[:120],
                expected="a path to a sound file; commands of a corpus are not run",
                hint="With Kaldi at hand, write files once: wav-copy scp:wav.scp scp,p:new.scp; "
                "or put the path of the file inside the command in its place",
            )
    return recordings


def _facts(folder: Path) -> dict[str, dict[str, str]]:
    """Values by utterance of every file that says something of utterances, by the name of the fact."""
    files = [path for path in sorted(folder.iterdir()) if path.name in _FACTS or path.name.startswith("utt2")]
    return {
        _FACTS.get(path.name, path.name.removeprefix("utt2")): _pairs(path, values_needed=False)
        for path in files
        if path.name not in _NOT_FACTS
    }


def _segments(folder: Path, recordings: dict[str, str]) -> Iterator[tuple[str, tuple[str, str, str, str]]]:
    """Where it is said, and utterance, recording, start and end.

    Raises:
        CorpusError: a line of ``segments`` has not four fields.
    """
    path = folder / "segments"
    if not path.is_file():
        yield from (("wav.scp", (name, name, "", "")) for name in recordings)
        return
    for number, line in read_lines(path):
        fields = line.split()
        if not fields:
            continue
        if len(fields) not in (4, 5):  # the fifth is a channel
            raise CorpusError(
                "a line of segments has another number of fields",
                where=f"{path}, line {number}",
                found=line[:80],
                expected="utterance, recording, start and end in seconds",
            )
        yield f"segments, line {number}", (fields[0], fields[1], fields[2], fields[3])


def _pairs(path: Path, *, values_needed: bool = True) -> dict[str, str]:
    """The first field of every line to the rest of it; nothing where the file is not there.

    Raises:
        CorpusError: a line has one field only where two are needed, or a name stands twice with different values.
    """
    pairs: dict[str, str] = {}
    if path.name != "wav.scp" and not path.is_file():
        return pairs
    for number, line in read_lines(path):
        name, _, value = line.strip().replace("\t", " ").partition(" ")
        if not name:
            continue
        value = value.strip()
        if values_needed and not value:
            raise CorpusError("a line has one field only", where=f"{path}, line {number}", found=line, expected="two")
        if pairs.setdefault(name, value) != value:
            raise CorpusError(
                f"{name} stands twice",
                where=f"{path}, line {number}",
                found=f"{value}, before it {pairs[name]}",
                hint="Delete the line that is wrong",
            )
    return pairs


CORPUS = Corpus(
    name="kaldi",
    title="a Kaldi data folder",
    language=None,
    licence="yours to know",
    citation="",
    homepage="https://kaldi-asr.org/doc/data_prep.html",
    commercial_use=None,
    list_files=list_files,
    looks_right=_looks_right,
    list_labels=partial(list_files, recordings_needed=False),
    layout="a folder with wav.scp, and segments, utt2spk, spk2gender, text, utt2emo where there are such",
    notes="Commands in wav.scp are not run.",
)
