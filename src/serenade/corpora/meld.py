"""MELD, the Multimodal EmotionLines Dataset: English, television (the series Friends), 1,433 dialogues, seven classes.

Published in 2019. The 13,708 utterances of dialogues with two and more people were labelled by three people from text,
sound and picture; the label is what the majority said. The recordings are cut from the episodes, with music, laughter
and several voices in many of them.

::

    train_sent_emo.csv  dev_sent_emo.csv  test_sent_emo.csv      in the folder, or in a folder below
    train_splits/dia0_utt0.mp4  dev_splits_complete/  output_repeated_splits_test/

Copies whose sound was extracted have ``.wav`` in the same folders or in ``train``, ``dev`` and ``test``; sound goes
before video, which stays the picture of the utterance. The published texts hold quotes and dashes of Windows-1252 as
control characters; they are put right.

Numbers of dialogues begin anew in every part, so an id names the part: ``train_dia0_utt0``. The six main characters
speak in all parts: the official split is not speaker-independent. Minor speakers have names such as "Woman" that need
not be one person; "All" and "Joey and Ross" are several.

Two recordings of the published corpus cannot be had: train dia125_utt3 (damaged) and dev dia110_utt7 (absent). Both
are neutral. A copy in which they were repaired has them.

Citation: S. Poria et al., "MELD: A Multimodal Multi-Party Dataset for Emotion Recognition in Conversations", ACL 2019,
pages 527-536.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path

from serenade.core.errors import CorpusError
from serenade.core.records import LeftOut, Listing, Utterance, Video
from serenade.core.wording import counted
from serenade.corpora.corpus import Corpus
from serenade.corpora.delimited import Row, read_rows
from serenade.corpora.label_files import first_videos, index_recordings, is_video, windows_text
from serenade.corpora.layout import is_sound, require_root, walk_files
from serenade.corpora.naming import plain_words

__all__ = ["CORPUS", "list_files"]

_PARTS = {"train": "train", "dev": "validation", "test": "test"}
_TABLES = {f"{part}_sent_emo.csv": part for part in _PARTS}
_FOLDERS = {
    **dict.fromkeys(("train_splits", "train"), "train"),
    **dict.fromkeys(("dev_splits_complete", "dev_splits", "dev"), "dev"),
    **dict.fromkeys(("output_repeated_splits_test", "test_splits", "test"), "test"),
}
_TABLE_FOLDERS = frozenset((*_PARTS, "annotations", "csv", "data", "labels"))
_COLUMNS = ("Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID")
_MORE_COLUMNS = ("Season", "Episode", "StartTime", "EndTime")
_RECORDING = re.compile(r"dia\d+_utt\d+")
_SPARE = re.compile(r"final_videos_testdia\d+_utt\d+")  # in the published folder of the test part
_DAMAGED = "train_dia125_utt3"  # the video; a repaired copy may have its sound
_ABSENT = "dev_dia110_utt7"

_EMOTIONS = {
    "anger": "angry",
    "disgust": "disgusted",
    "fear": "fearful",
    "joy": "happy",
    "neutral": "neutral",
    "sadness": "sad",
    "surprise": "surprised",
}
_GENDERS = {
    **dict.fromkeys(("Monica", "Phoebe", "Rachel"), "female"),
    **dict.fromkeys(("Chandler", "Joey", "Ross"), "male"),
}

_log = logging.getLogger(__name__)


def list_files(root: Path) -> Listing:
    """The utterances of the three tables, with what is there of their recordings.

    Raises:
        CorpusError: there is no table (the message names a neighbour that has one), a table cannot be read or lacks a
            column, or there is no folder with recordings.
    """
    require_root(root, _looks_right, title=CORPUS.title, expected=CORPUS.layout)
    tables = _tables(root)
    recordings, films, left_out = _recordings(root)
    if not any(recordings.values()):
        raise CorpusError(
            "the recordings of MELD are not there",
            where=root,
            expected="a folder train_splits, dev_splits_complete or output_repeated_splits_test with dia0_utt0.mp4",
            hint="Unpack train.tar.gz, dev.tar.gz and test.tar.gz beside the tables",
        )
    utterances: list[Utterance] = []
    spellings: dict[str, str] = {}
    for part in _PARTS:
        if part not in tables:
            what = f"the labels of {counted(len(recordings[part]), 'recording')}; unpack this table too"
            left_out.append(LeftOut(f"{part}_sent_emo.csv", "missing", what))
            continue
        listing = _list_part(root, tables[part], part, recordings[part], spellings)
        seen = films[part]
        utterances += [
            u.with_(video=Video(film)) if (film := seen.get(u.id.partition("_")[2])) is not None else u
            for u in listing.utterances
        ]
        left_out += listing.left_out
    return Listing(tuple(sorted(utterances, key=lambda utterance: utterance.id)), tuple(left_out))


def _looks_right(root: Path) -> bool:
    return bool(_tables(root))


def _tables(root: Path) -> dict[str, Path]:
    """The tables by their part, in the folder itself or in one for tables or for a part."""
    beds = [root, *(path for path in sorted(root.iterdir()) if path.is_dir() and path.name.lower() in _TABLE_FOLDERS)]
    found: dict[str, Path] = {}
    for bed in beds:
        for name, part in _TABLES.items():
            if (bed / name).is_file():
                found.setdefault(part, bed / name)
    return found


_ByPart = dict[str, dict[str, Path]]


def _recordings(root: Path) -> tuple[_ByPart, _ByPart, list[LeftOut]]:
    """The recordings and the videos by part and stem, and sound that is none of them."""
    by_part: dict[str, list[Path]] = {part: [] for part in _PARTS}
    left_out = []
    for path in walk_files(root):
        if not is_sound(path):
            continue  # tables and papers are no recordings that could be missed
        folders = path.relative_to(root).parts[:-1]
        part = next((_FOLDERS[name.lower()] for name in reversed(folders) if name.lower() in _FOLDERS), None)
        where = path.relative_to(root).as_posix()
        if part is None:
            left_out.append(LeftOut(where, "other material", "in no folder of a part, such as train_splits"))
        elif _SPARE.fullmatch(path.stem):
            left_out.append(LeftOut(where, "other material", "a recording without a label, as published"))
        elif not _RECORDING.fullmatch(path.stem):
            left_out.append(LeftOut(where, "unreadable name", "expected a name such as dia0_utt0"))
        else:
            by_part[part].append(path)
    indexed, films = {}, {}
    for part, paths in by_part.items():
        indexed[part], passed_over = index_recordings(root, paths)
        films[part] = first_videos(paths)
        seen = {film.relative_to(root).as_posix() for film in films[part].values()}
        left_out += [item for item in passed_over if item.where not in seen]
    return indexed, films, left_out


def _list_part(
    root: Path, table: Path, part: str, recordings: Mapping[str, Path], spellings: dict[str, str]
) -> Listing:
    """The utterances of one table."""
    columns = {name.lower(): name for name in (*_COLUMNS, *_MORE_COLUMNS)}
    header = f"a header with {','.join(_COLUMNS)}"
    rows = read_rows(table, columns, needed=_COLUMNS, header=header)
    utterances: dict[str, Utterance] = {}
    left_out = []
    if not recordings:
        what = f"the recordings of {counted(len(rows), 'utterance')}; unpack the folder too"
        return Listing((), (LeftOut(f"{part} recordings", "missing", what),))
    named = set()
    for row in rows:
        stem = f"dia{row.cells.get('Dialogue_ID')}_utt{row.cells.get('Utterance_ID')}"
        named.add(stem)
        found = _utterance(row, f"{table.name}, line {row.line}", part, stem, recordings.get(stem), spellings)
        if isinstance(found, Utterance) and found.id in utterances:
            found = LeftOut(f"{table.name}, line {row.line}", "duplicate", f"{stem} stands above already")
        if isinstance(found, LeftOut):
            left_out.append(found)
        else:
            utterances[found.id] = found
    for stem in sorted(set(recordings) - named):
        left_out.append(LeftOut(recordings[stem].relative_to(root).as_posix(), "no label", f"not in {table.name}"))
    return Listing(tuple(utterances.values()), tuple(left_out))


def _utterance(
    row: Row, where: str, part: str, stem: str, path: Path | None, spellings: dict[str, str]
) -> Utterance | LeftOut:
    """The utterance of a line of the table, or why there is none."""
    name = f"{part}_{stem}"
    if name == _DAMAGED and (path is None or is_video(path)):
        return LeftOut(where, "not selected", f"{stem}: damaged in the published corpus")
    if name == _ABSENT and path is None:
        return LeftOut(where, "not selected", f"{stem}: not in the published corpus")
    if not _RECORDING.fullmatch(stem):
        return LeftOut(where, "unreadable name", "Dialogue_ID or Utterance_ID is no number")
    emotion = row.cells.get("Emotion", "").lower()
    if emotion not in _EMOTIONS:
        return LeftOut(where, "unknown label", f"Emotion {emotion!r}, expected one of {', '.join(_EMOTIONS)}")
    if path is None:
        return LeftOut(where, "missing", f"no recording {stem} in the folder of {part}")
    cells = {key: windows_text(cell) for key, cell in row.cells.items()}
    speaker = _speaker(cells.get("Speaker", ""), spellings)
    text = cells.get("Utterance")
    return Utterance(
        id=name,
        audio=path,
        corpus="meld",
        speaker=speaker,
        emotion=_EMOTIONS[emotion],
        gender=_GENDERS.get(speaker),
        language="en",
        dialogue=f"{part}_{stem.partition('_')[0]}",
        sentence=None if text is None else plain_words(text) or None,
        text=text,
        split=_PARTS[part],
        extra=_extra(cells),
    )


def _extra(cells: Mapping[str, str]) -> dict[str, str]:
    """Sentiment, and where in the series the utterance is."""
    names = {"sentiment": "Sentiment", "episode_start": "StartTime", "episode_end": "EndTime"}
    extra = {ours: cells[theirs] for ours, theirs in names.items() if theirs in cells}
    if "Season" in cells and "Episode" in cells:
        extra["episode"] = f"{cells['Season']}x{cells['Episode']}"
    return extra


def _speaker(cell: str, spellings: dict[str, str]) -> str:
    """One spelling per name: blanks, case, a full stop at the end and the order of several people do not matter."""
    people = [" ".join(part.split()) for part in re.split(r"\s+and\s+|\s*&\s*|,", cell, flags=re.IGNORECASE)]
    name = " and ".join(sorted(filter(None, people))) or "unknown"
    return spellings.setdefault(name.casefold().rstrip("."), name)


CORPUS = Corpus(
    name="meld",
    title="MELD",
    language="en",
    licence="GPL-3.0 (annotations); the recordings are cut from a television series",
    citation=(
        "S. Poria, D. Hazarika, N. Majumder, G. Naik, E. Cambria, R. Mihalcea: MELD: A Multimodal Multi-Party Dataset "
        "for Emotion Recognition in Conversations. ACL 2019."
    ),
    homepage="https://affective-meld.github.io/",
    commercial_use=False,
    list_files=list_files,
    looks_right=_looks_right,
    layout="train_sent_emo.csv, dev_sent_emo.csv, test_sent_emo.csv, and recordings such as train_splits/dia0_utt0.mp4",
    expected={
        "angry": 1607,
        "disgusted": 361,
        "fearful": 358,
        "happy": 2308,
        "neutral": 6434,
        "sad": 1002,
        "surprised": 1636,
    },
    notes="The official split shares its speakers. Many recordings hold laughter, music or several voices.",
)
