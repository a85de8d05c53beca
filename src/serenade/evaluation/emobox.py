"""EmoBox's lists: fixed folds for 32 corpora, matched to the recordings at hand.

A corpus's folder holds ``fold_N/NAME_train_fold_N.jsonl``, ``NAME_test_fold_N.jsonl``, of some corpora
``NAME_valid_fold_N.jsonl``, and ``label_map.json`` from the corpus's labels to EmoBox's. A line names a recording by
the path that it has on EmoBox's disk (``wav``), which here may lie in other folders and another format. So recordings
are matched by the stem of the file name; where a stem is met twice (MELD's dia0_utt0 is in all three parts) the folders
decide; and a stem such as ``JE_a03`` also means ``JE/a03`` (SAVEE is published both ways).

Not all lists keep speakers apart: those of EMO-DB and TurEV-DB, among others, have the same speakers on both sides.
The leak check says so before anything is trained.

Source: Z. Ma et al., "EmoBox: Multilingual Multi-corpus Speech Emotion Recognition Toolkit and Benchmark", Interspeech
2024.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from serenade.core.errors import SplitError
from serenade.core.labels import canonical_emotion
from serenade.core.records import Split, Utterance
from serenade.evaluation.lists import fixed_fold
from serenade.evaluation.splits import SplitSettings

__all__ = ["from_emobox"]

_FOLD_FOLDER = re.compile(r"fold_(\d+)")
_PARTS = ("train", "valid", "test")

_Tail = tuple[str, ...]  # a path from its end: the stem, the folder it lies in, ...


@dataclass(frozen=True, slots=True)
class _Entry:
    """A recording as the lists know it.

    Args:
        wav: its path on EmoBox's disk.
        label: the corpus's own label; None where the line has none.
    """

    wav: str
    label: str | None


def from_emobox(utterances: Sequence[Utterance], settings: SplitSettings) -> Split:
    """The folds of EmoBox for one corpus.

    List entries without a recording, recordings in no list, and labels that differ are told in the split's notes. Where
    the lists have no validation part, `validation_speakers` speakers of the training side are taken.

    Raises:
        SplitError: there are no lists, a line cannot be read, recordings cannot be told apart, or the lists are of
            another corpus.
    """
    folder = _list_folder(settings.path)
    folders = sorted((path for path in folder.glob("fold_*") if path.is_dir()), key=_number)
    lists = {path.name: {part: _read_list(path, part) for part in _PARTS} for path in folders}
    entries = sorted({entry for parts in lists.values() for found in parts.values() for entry in found}, key=_by_wav)
    matched = _match([entry.wav for entry in entries], utterances)
    notes = _notes(entries, matched, utterances, folder) + _label_notes(entries, matched, folder)
    folds = []
    for name, parts in lists.items():
        train, valid, test = ([u for e in parts[part] for u in matched.get(e.wav, [])] for part in _PARTS)
        folds.append(fixed_fold(name, train + valid, test, valid if valid else None, settings))
    return Split(f"emobox-{folder.name}", tuple(folds), notes=tuple(notes))


def _list_folder(path: Path | None) -> Path:
    """The folder that holds ``fold_1``; one level off is an error that names the right one."""
    if path is None:
        raise SplitError("the split emobox needs the folder of its lists", expected="emobox:PATH/data/ravdess")
    if any(path.glob("fold_*")):
        return path
    near = [folder for folder in (path.parent, *sorted(path.glob("*"))) if any(folder.glob("fold_*"))]
    raise SplitError(
        "there are no EmoBox lists",
        where=path,
        expected="folders fold_1, fold_2, ... with *_train_fold_1.jsonl and *_test_fold_1.jsonl",
        hint=f"There are lists in {', '.join(map(str, near))}" if near else None,
    )


def _number(folder: Path) -> tuple[int, str]:
    found = _FOLD_FOLDER.fullmatch(folder.name)
    return (int(found[1]) if found else 0, folder.name)


def _by_wav(entry: _Entry) -> tuple[str, str]:
    return entry.wav, str(entry.label)


def _read_list(folder: Path, part: str) -> list[_Entry]:
    """One list; a valid list may be missing."""
    files = sorted(folder.glob(f"*_{part}_{folder.name}.jsonl"))
    if part == "valid" and not files:
        return []
    if len(files) != 1:
        found = ", ".join(file.name for file in files)
        raise SplitError(
            f"expected one {part} list", where=folder, found=found if found else "none", expected=f"*_{part}_*.jsonl"
        )
    entries = []
    for number, line in enumerate(_text(files[0]).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
            entries.append(_Entry(str(PurePosixPath(values["wav"])), values.get("emo")))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SplitError(
                "a line of the list cannot be read",
                where=f"{files[0]}, line {number}",
                found=line[:80],
                expected='a JSON object with "wav"',
            ) from error
    return entries


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SplitError("the list is not UTF-8 text", where=path, found=str(error)) from error


def _match(wavs: Iterable[str], utterances: Sequence[Utterance]) -> dict[str, list[Utterance]]:
    """The utterances of every list entry that has a recording here."""
    files: dict[str, list[Utterance]] = defaultdict(list)
    for u in utterances:
        files[u.audio.as_posix()].append(u)
    entries = {wav: _tail(wav) for wav in wavs}
    matched = _match_tails(entries, {file: _tail(file) for file in files})
    taken = set(matched.values())
    others = {wav: (tail[0],) for wav, tail in entries.items() if wav not in matched}
    joined = {file: (_with_folder(file),) for file in files if file not in taken}
    matched |= _match_tails(others, joined)
    return {wav: files[file] for wav, file in matched.items()}


def _tail(path: str) -> _Tail:
    pure = PurePosixPath(path)
    return (pure.stem, *(_folder_name(part) for part in reversed(pure.parts[:-1])))


def _folder_name(folder: str) -> str:
    """The folder without case; of a corpus's part (``dev_splits_complete``, ``dev``) the part's name alone."""
    name = folder.casefold()
    parts = {"train", "dev", "test"}.intersection(re.findall("[a-z]+", name))
    return parts.pop() if len(parts) == 1 else name


def _with_folder(path: str) -> str:
    pure = PurePosixPath(path)
    return f"{pure.parent.name}_{pure.stem}"


def _match_tails(entries: Mapping[str, _Tail], files: Mapping[str, _Tail]) -> dict[str, str]:
    """Entries and files of the same stem, each with the other that it has most folders in common with.

    Raises:
        SplitError: of several with one stem no folder tells which is which.
    """
    by_stem: dict[str, list[str]] = defaultdict(list)
    for file, tail in files.items():
        by_stem[tail[0]].append(file)
    of_entries: dict[str, list[str]] = defaultdict(list)
    for entry, tail in entries.items():
        of_entries[tail[0]].append(entry)
    matched = {}
    for stem in sorted(of_entries.keys() & by_stem.keys()):
        ours, theirs = by_stem[stem], of_entries[stem]
        if len(ours) == len(theirs) == 1:
            matched[theirs[0]] = ours[0]
        else:
            matched |= _match_folders({e: entries[e] for e in theirs}, {f: files[f] for f in ours}, stem)
    return matched


def _match_folders(entries: Mapping[str, _Tail], files: Mapping[str, _Tail], stem: str) -> dict[str, str]:
    """Pairs that are each other's only best by the number of common folders; at least one folder must be common."""
    common = {(e, f): _common(entry, file) for e, entry in entries.items() for f, file in files.items()}
    best_of_entry = {e: max(common[e, f] for f in files) for e in entries}
    best_of_file = {f: max(common[e, f] for e in entries) for f in files}
    pairs = [(e, f) for (e, f), length in common.items() if 1 < length == best_of_entry[e] == best_of_file[f]]
    if not pairs or len({e for e, _ in pairs}) < len(pairs) or len({f for _, f in pairs}) < len(pairs):
        raise SplitError(
            "two recordings have the name that the lists know",
            where=stem,
            found=", ".join(sorted(files)),
            expected=f"folders that tell which is which, as in {min(entries)}",
        )
    return dict(pairs)


def _common(one: _Tail, other: _Tail) -> int:
    """How many parts two paths have in common, from their ends."""
    length = 0
    for ours, theirs in zip(one, other, strict=False):
        if ours != theirs:
            break
        length += 1
    return length


def _notes(
    entries: Sequence[_Entry], matched: Mapping[str, Sequence[Utterance]], utterances: Sequence[Utterance], folder: Path
) -> list[str]:
    """What does not meet; raises where so little meets that the lists must be of another corpus."""
    wavs = sorted({entry.wav for entry in entries})
    used = {u.id for found in matched.values() for u in found}
    absent = [PurePosixPath(wav).stem for wav in wavs if wav not in matched]
    unlisted = sorted(u.audio.stem for u in utterances if u.id not in used)
    if 2 * len(unlisted) > len(utterances):
        raise SplitError(
            "most recordings are in none of the lists; are they of another corpus?",
            where=folder,
            found=f"{len(unlisted)} of {len(utterances)} not listed, such as {unlisted[0]}",
            expected=f"recordings such as {PurePosixPath(wavs[0]).stem}" if wavs else None,
        )
    notes = []
    if absent:
        notes.append(f"{len(absent)} of {len(wavs)} listed recordings are not here or not used, such as {min(absent)}")
    if unlisted:
        notes.append(
            f"{len(unlisted)} of {len(utterances)} recordings are in no list and not used, such as {unlisted[0]}"
        )
    return notes


def _label_notes(entries: Sequence[_Entry], matched: Mapping[str, Sequence[Utterance]], folder: Path) -> list[str]:
    """Recordings whose class in the lists, through the label map, is not the one that they have here."""
    names = _label_map(folder)
    pairs = {(e.wav, str(e.label)) for e in entries if e.wav in matched and e.label is not None}
    differ, unmapped = [], set()
    for wav, label in sorted(pairs):
        name = names.get(label.casefold(), label)  # the map of EMO-DB says Neutral, its lists say neutral
        theirs = canonical_emotion(name)
        if theirs is None:
            unmapped.add(label)
            continue
        ours = {str(u.emotion) for u in matched[wav]}
        if ours != {theirs}:
            differ.append(f"{PurePosixPath(wav).stem}: {theirs} there, {' and '.join(sorted(ours))} here")
    notes = [f"the lists have labels that nobody knows: {', '.join(sorted(unmapped))}"] if unmapped else []
    if differ:
        notes.append(f"{len(differ)} of {len(pairs)} recordings have another class in the lists, such as {differ[0]}")
    return notes


def _label_map(folder: Path) -> dict[str, str]:
    """The corpus's labels, case folded, in EmoBox's words; empty where there is no such file."""
    path = folder / "label_map.json"
    if not path.is_file():
        return {}
    try:
        values: Any = json.loads(_text(path))
    except ValueError as error:
        raise SplitError("the label map is not JSON", where=path, found=str(error)) from error
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values.values()):
        raise SplitError("the label map is not readable", where=path, expected='a JSON object such as {"ang": "Angry"}')
    return {str(label).casefold(): name for label, name in values.items()}
