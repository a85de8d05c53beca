"""A corpus as a Kaldi data folder, sorted as Kaldi wants it (by bytes, utterances in the order of their speakers).

Kaldi has no file for emotions and further facts: they become ``utt2emo``, ``utt2lang`` and ``utt2NAME``. Ids of Kaldi
hold no blanks, and sort like their speakers; ids that do not are changed and given back by ``utt2id``.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from serenade.core.files import write_text
from serenade.core.records import UNKNOWN_SPEAKER, Utterance
from serenade.corpora.cells import cells_of
from serenade.corpora.exporting.export import Export, Format

__all__ = ["FORMAT"]

_FILES = {"text": "text", "emotion": "utt2emo", "language": "utt2lang"}
_LETTERS = {"female": "f", "male": "m"}

_log = logging.getLogger(__name__)


def _write(export: Export) -> None:
    utterances = export.utterances
    speakers = {u.id: _word(u.speaker) for u in utterances}
    if any(_word(u.speaker) != u.speaker for u in utterances):
        _log.warning("blanks in the names of speakers became underscores: Kaldi knows no others")
    ids = _ids(utterances, speakers)
    facts = {ids[u.id]: cells_of(u) for u in utterances}
    for name in sorted(
        {name for cells in facts.values() for name in cells} - {"speaker", "gender", "utterance", "line"}
    ):
        file = _FILES.get(name, f"utt2{_word(name)}")
        _write_pairs(export, file, {key: cells[name] for key, cells in facts.items() if name in cells})
    _write_pairs(export, "utt2spk", {ids[u.id]: speakers[u.id] for u in utterances})
    lists: dict[str, list[str]] = {}
    for u in utterances:
        lists.setdefault(speakers[u.id], []).append(ids[u.id])
    _write_pairs(export, "spk2utt", {name: " ".join(sorted(keys)) for name, keys in lists.items()})
    _write_genders(export, ids, speakers)
    if any(key != name for name, key in ids.items()):
        _write_pairs(export, "utt2id", {key: name for name, key in ids.items()})
    _write_recordings(export, ids)


def _ids(utterances: Sequence[Utterance], speakers: Mapping[str, str]) -> dict[str, str]:
    """Every id to one that Kaldi takes: without blanks, and so that ids sort like their speakers."""
    plain = {u.id: _word(u.id) for u in utterances}
    if len(set(plain.values())) < len(plain):  # two ids that differ in a blank only
        plain = {name: f"{word}-{number}" for number, (name, word) in enumerate(plain.items())}
    in_order = sorted(plain, key=lambda name: plain[name])
    if [speakers[name] for name in in_order] == sorted(speakers[name] for name in in_order):
        return plain
    return {
        name: word if word.startswith(f"{speakers[name]}-") else f"{speakers[name]}-{word}"
        for name, word in plain.items()
    }


def _write_genders(export: Export, ids: Mapping[str, str], speakers: Mapping[str, str]) -> None:
    """``spk2gender`` where everybody is female or male, as Kaldi has it; else a file by utterance."""
    told = {(speakers[u.id], u.gender) for u in export.utterances}
    sure = len({name for name, _ in told}) == len(told) and UNKNOWN_SPEAKER not in speakers.values()
    if sure and all(gender in _LETTERS for _, gender in told):
        _write_pairs(export, "spk2gender", {name: _LETTERS[str(gender)] for name, gender in told})
    else:
        _write_pairs(export, "utt2gender", {ids[u.id]: u.gender for u in export.utterances if u.gender is not None})


def _write_recordings(export: Export, ids: Mapping[str, str]) -> None:
    """``wav.scp``, and ``segments`` where an utterance is a part of its recording."""
    utterances = export.utterances
    whole = all(u.start_s == 0 and u.end_s is None for u in utterances)
    if whole and len({u.audio for u in utterances}) == len(utterances):
        _write_pairs(export, "wav.scp", {ids[u.id]: export.files[u.audio] for u in utterances})
        return
    stems = {audio: _word(PurePosixPath(file).stem) for audio, file in export.files.items()}
    if len(set(stems.values())) < len(stems):
        stems = {audio: f"{stem}-{number}" for number, (audio, stem) in enumerate(stems.items())}
    _write_pairs(export, "wav.scp", {stems[audio]: file for audio, file in export.files.items()})
    ends = {u.id: "-1" if u.end_s is None else repr(u.end_s) for u in utterances}
    _write_pairs(export, "segments", {ids[u.id]: f"{stems[u.audio]} {u.start_s!r} {ends[u.id]}" for u in utterances})


def _write_pairs(export: Export, name: str, pairs: Mapping[str, str]) -> None:
    """A file with a line per key, in the order of the keys' bytes; nothing where there are none."""
    plain = pairs if name == "wav.scp" else {key: " ".join(value.split()) for key, value in pairs.items()}
    if pairs:
        write_text(export.folder / name, "".join(f"{key} {plain[key]}\n" for key in sorted(plain)))


def _word(name: str) -> str:
    """A name without blanks."""
    return re.sub(r"\s+", "_", name)


FORMAT = Format(reader="kaldi", entry="", write=_write, absolute=True)
