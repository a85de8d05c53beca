"""CMU-MOSEI: English, monologues from the web, some 23,000 segments of more than 3,000 videos, six emotions at a time.

Published in 2018. A thousand people talk to a camera about films, products and whatever moves them. Three raters gave
every segment each of six emotions in a strength from 0 to 3, and a sentiment from -3 to 3; so a segment may have
several emotions, or none.

::

    Transcript/Segmented/Combined/VIDEO.txt      lines VIDEO___CLIP___START___END___TEXT
    Labels/*.csv                                 a line per segment and rater
    Audio/Full/WAV_16000/VIDEO.wav               one per video (Audio/WAV_16000 in some copies)
    cmu_mosei_std_folds.py                       the official parts, from the authors' toolkit (may be absent)

An id is ``VIDEO_CLIP``. Videos may have underscores in their names: the last one counts.

A segment has an emotion if the strengths that all raters gave it add up to more than 0, which is the rule of published
multi-label systems (MESM). All that such a system needs is in the record: ``labels`` in ``extra`` names the emotions,
``strength`` their sums, and ``votes`` count the raters who gave more than 0. ``emotion`` is set where there is exactly
one; a segment without any is not neutral by that, and has none.

Who talks is not published. The same person may be in several videos, also across the official parts; only the video is
known, and is the group.

Citation: A. Zadeh et al., "Multimodal Language Analysis in the Wild: CMU-MOSEI Dataset and Interpretable Dynamic Fusion
Graph", ACL 2018, pages 2236-2246.
"""

import ast
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from serenade.core.errors import CorpusError
from serenade.core.records import UNKNOWN_SPEAKER, LeftOut, Listing, Utterance
from serenade.corpora.corpus import Corpus
from serenade.corpora.delimited import Row, read_rows
from serenade.corpora.label_files import index_recordings, read_lines
from serenade.corpora.layout import is_sound, require_root, walk_files
from serenade.corpora.naming import plain_words

__all__ = ["CORPUS", "list_files"]

_TRANSCRIPTS = Path("Transcript", "Segmented", "Combined")
_LABELS = "Labels"
_SOUND = "Audio"
_FOLDS = "cmu_mosei_std_folds.py"
_FOLD_NAMES = {"standard_train_fold": "train", "standard_valid_fold": "validation", "standard_test_fold": "test"}
_VIDEO = re.compile(r"[\w-]{11}|\d{4,6}", re.ASCII)
_GAP = "___"  # between the fields of a transcript's line

# column of the raters' tables -> emotion
_EMOTIONS = {
    "Answer.anger": "angry",
    "Answer.disgust": "disgusted",
    "Answer.fear": "fearful",
    "Answer.happiness": "happy",
    "Answer.sadness": "sad",
    "Answer.surprise": "surprised",
}
_NEEDED = ("Input.VIDEO_ID", "Input.CLIP", *_EMOTIONS)
_COLUMNS = (*_NEEDED, "Answer.sentiment", "AssignmentId")


@dataclass(slots=True)
class _Ratings:
    """What the raters gave a segment."""

    raters: int = 0
    strength: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    votes: Counter[str] = field(default_factory=Counter)
    sentiments: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Segment:
    """A line of a transcript."""

    video: str
    clip: str
    start_s: float
    end_s: float
    text: str
    where: str


def list_files(root: Path) -> Listing:
    """The labelled segments of the recordings that are there.

    Raises:
        CorpusError: there are no transcripts (the message names a neighbour that has them), labels or recordings; a
            table of labels lacks a column; the file of the official parts cannot be read.
    """
    require_root(root, lambda folder: (folder / _TRANSCRIPTS).is_dir(), title=CORPUS.title, expected=CORPUS.layout)
    ratings, left_out = _read_labels(root)
    recordings, passed_over = _recordings(root)
    left_out += passed_over
    parts = _read_folds(root / _FOLDS)
    utterances: dict[str, Utterance] = {}
    spoken: set[str] = set()
    for path in sorted((root / _TRANSCRIPTS).glob("*.txt")):
        if path.name.startswith("."):
            continue
        spoken.add(path.stem)
        for found in _list_video(root, path, recordings.get(path.stem), ratings, parts.get(path.stem)):
            if isinstance(found, Utterance) and found.id in utterances:
                found = LeftOut(path.relative_to(root).as_posix(), "duplicate", f"{found.id} stands above already")
            if isinstance(found, LeftOut):
                left_out.append(found)
            else:
                utterances[found.id] = found
    left_out += _unmatched(root, ratings, recordings, spoken, {u.id for u in utterances.values()})
    return Listing(tuple(utterances[name] for name in sorted(utterances)), tuple(left_out))


def _recordings(root: Path) -> tuple[dict[str, Path], list[LeftOut]]:
    """The recordings by the name of their video.

    Raises:
        CorpusError: there are none.
    """
    folder = root / _SOUND
    paths = [path for path in walk_files(folder) if is_sound(path)] if folder.is_dir() else []
    if not paths:
        raise CorpusError(
            "the recordings of CMU-MOSEI are not there",
            where=root,
            expected="Audio/Full/WAV_16000/VIDEO.wav",
            hint="Unpack the folder Audio of the raw data beside Transcript",
        )
    return index_recordings(root, paths)


def _list_video(
    root: Path, transcript: Path, recording: Path | None, ratings: Mapping[str, _Ratings], part: str | None
) -> Iterator[Utterance | LeftOut]:
    """The segments of one video; if its recording is not there, that is said once."""
    where = transcript.relative_to(root).as_posix()
    labelled = 0
    for number, line in read_lines(transcript):
        if not line.strip():
            continue
        segment = _read_segment(line, transcript.stem, f"{where}, line {number}")
        if isinstance(segment, LeftOut):
            yield segment
            continue
        rated = ratings.get(f"{segment.video}_{segment.clip}")
        if rated is None:
            yield LeftOut(segment.where, "no label", f"clip {segment.clip}")
        elif recording is not None:
            yield _utterance(segment, recording, rated, part)
        else:
            labelled += 1
    if labelled:
        yield LeftOut(f"{_SOUND}/{transcript.stem}.wav", "missing", f"the recording of {labelled} segments")


def _read_segment(line: str, video: str, where: str) -> _Segment | LeftOut:
    """The fields of a line; a video's name may end in underscores, so it is not searched for but known."""
    head = f"{video}{_GAP}"
    fields = line.removeprefix(head).split(_GAP, 3)
    try:
        clip, start, end, text = fields
        start_s, end_s = float(start), float(end)
        if not (line.startswith(head) and clip.isdigit() and math.isfinite(start_s) and math.isfinite(end_s)):
            raise ValueError(line)
    except ValueError:
        expected = f"expected {video}{_GAP}CLIP{_GAP}START{_GAP}END{_GAP}TEXT"
        return LeftOut(where, "unreadable name", f"{line[:60]!r}, {expected}")
    if end_s <= max(0.0, start_s):
        return LeftOut(where, "bad span", f"{start_s:g} s to {end_s:g} s")
    return _Segment(video, str(int(clip)), max(0.0, start_s), end_s, text.strip(), where)


def _utterance(segment: _Segment, recording: Path, ratings: _Ratings, part: str | None) -> Utterance:
    """The utterance of a segment."""
    present = [name for name in _EMOTIONS.values() if ratings.strength[name] > 0]
    extra = {
        "video": segment.video,
        "clip": segment.clip,
        "labels": ",".join(present),
        "strength": ",".join(f"{name}={ratings.strength[name]:g}" for name in present),
        "raters": str(ratings.raters),
    }
    if ratings.sentiments:
        extra["sentiment"] = f"{sum(ratings.sentiments) / len(ratings.sentiments):.4f}"
    return Utterance(
        id=f"{segment.video}_{segment.clip}",
        audio=recording,
        corpus="cmu-mosei",
        speaker=UNKNOWN_SPEAKER,
        emotion=present[0] if len(present) == 1 else None,
        start_s=segment.start_s,
        end_s=segment.end_s,
        language="en",
        group=segment.video,
        sentence=plain_words(segment.text) or None,
        text=segment.text or None,
        split=part,
        votes=dict(ratings.votes),
        extra=extra,
    )


def _read_labels(root: Path) -> tuple[dict[str, _Ratings], list[LeftOut]]:
    """Ratings by the id of the segment, from all tables. An assignment that is in two tables counts once.

    Raises:
        CorpusError: there is no table, or one lacks a column.
    """
    folder = root / _LABELS
    tables = sorted(folder.glob("*.csv")) if folder.is_dir() else []
    tables = [path for path in tables if not path.name.startswith(".")]
    if not tables:
        raise CorpusError(
            "the labels of CMU-MOSEI are not there",
            where=root,
            expected="tables of raters such as Labels/5000_batch_raw.csv",
            hint="Some archives of the raw data lack the folder Labels: get it apart from them",
        )
    ratings: dict[str, _Ratings] = {}
    left_out: list[LeftOut] = []
    assignments: set[str] = set()
    header = f"a header with {', '.join(_NEEDED)}"
    for path in tables:
        for row in read_rows(path, {name.lower(): name for name in _COLUMNS}, needed=_NEEDED, header=header):
            assignment = row.cells.get("AssignmentId")
            if assignment is not None and assignment in assignments:
                continue
            if assignment is not None:
                assignments.add(assignment)
            fault = _count(row, ratings)
            if fault is not None:
                left_out.append(LeftOut(f"{_LABELS}/{path.name}, line {row.line}", "unknown label", fault))
    return ratings, left_out


def _count(row: Row, ratings: dict[str, _Ratings]) -> str | None:
    """Add what a rater gave; why it cannot be, if so. A rater who left all cells empty rated nothing."""
    video = row.cells.get("Input.VIDEO_ID", "").rpartition("/")[2]  # some tables name the video with a folder
    try:
        clip = int(float(row.cells.get("Input.CLIP", "")))
        given = {name: float(row.cells[column]) for column, name in _EMOTIONS.items() if column in row.cells}
        sentiment = row.cells.get("Answer.sentiment")
        sentiments = [] if sentiment is None else [float(sentiment)]
    except ValueError:
        cells = {column: row.cells.get(column, "") for column in _COLUMNS[1:-1]}
        return f"a cell is no number: {', '.join(f'{name}={cell}' for name, cell in cells.items())}"
    if not video:
        return "the cell Input.VIDEO_ID is empty"
    if not given and not sentiments:
        return None
    rated = ratings.setdefault(f"{video}_{clip}", _Ratings())
    rated.raters += 1
    rated.sentiments += sentiments
    for name, strength in given.items():
        if strength > 0:
            rated.strength[name] += strength
            rated.votes[name] += 1
    return None


def _unmatched(
    root: Path, ratings: Mapping[str, _Ratings], recordings: Mapping[str, Path], spoken: set[str], used: set[str]
) -> list[LeftOut]:
    """Labels without a segment and recordings without a transcript, once per video."""
    found = []
    rated: Counter[str] = Counter()
    for name in ratings:
        video = name.rpartition("_")[0]
        if video not in spoken:
            rated[video] += 1
        elif name not in used and video in recordings:
            found.append(
                LeftOut(name, "not selected", "labelled, but its transcript has no such segment that can be used")
            )
    for video, count in sorted(rated.items()):
        where = f"{_TRANSCRIPTS.as_posix()}/{video}.txt"
        found.append(LeftOut(where, "missing", f"the transcript of {count} labelled segments"))
    for video in sorted(set(recordings) - spoken - set(rated)):
        where = recordings[video].relative_to(root).as_posix()
        if _VIDEO.fullmatch(video):
            found.append(LeftOut(where, "no label", "neither transcript nor labels"))
        else:
            found.append(
                LeftOut(where, "unreadable name", "expected the name of a video, such as -3g5yACwYnA or 125344")
            )
    return found


def _read_folds(path: Path) -> dict[str, str]:
    """Part by video, from the lists in the toolkit's file, which is read and never run.

    Raises:
        CorpusError: the file does not hold the three lists.
    """
    if not path.is_file():
        return {}
    text = "\n".join(line for _, line in read_lines(path))
    try:
        nodes = [node for node in ast.parse(text).body if isinstance(node, ast.Assign)]
        values = {ast.unparse(node.targets[0]): node.value for node in nodes}
        lists = {name: ast.literal_eval(values[name]) for name in _FOLD_NAMES}
        return {str(video): _FOLD_NAMES[name] for name, videos in lists.items() for video in videos}
    except (SyntaxError, ValueError, KeyError, TypeError) as error:
        raise CorpusError(
            "the official parts of CMU-MOSEI cannot be read",
            where=path,
            found=str(error),
            expected=f"the lists {', '.join(_FOLD_NAMES)} of the authors' toolkit",
            hint="Copy the file anew, or take it away to go without official parts",
        ) from error


CORPUS = Corpus(
    name="cmu-mosei",
    title="CMU-MOSEI",
    language="en",
    licence="terms of the CMU Multimodal SDK: research only; the videos belong to their makers",
    citation=(
        "A. Zadeh, P. P. Liang, S. Poria, E. Cambria, L.-P. Morency: Multimodal Language Analysis in the Wild: "
        "CMU-MOSEI Dataset and Interpretable Dynamic Fusion Graph. ACL 2018."
    ),
    homepage="http://multicomp.cs.cmu.edu/resources/cmu-mosei-dataset/",
    commercial_use=False,
    list_files=list_files,
    layout="Transcript/Segmented/Combined/VIDEO.txt, Labels/*.csv and Audio/Full/WAV_16000/VIDEO.wav of the raw data",
    notes="Several emotions at a time: the class is set where there is exactly one. Who talks is not known.",
)
