"""The labels of CMU-MOSEI, in either form: tables of single raters, or the means over raters in the toolkit's file.

::

    Labels/*.csv                a line per segment and rater, segments by VIDEO and CLIP
    CMU_MOSEI_Labels.csd        HDF5 of the authors' CMU-MultimodalSDK, in Labels, beside Transcript or beside Raw:
                                GROUP/data/VIDEO/features (N, 7), GROUP/data/VIDEO/intervals (N, 2) in seconds,
                                GROUP/metadata/dimension names

Tables go before the file, since they tell what single raters said. In the file segments have no clip but the beginning
and end that they have in the transcript.
"""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serenade.core.errors import CorpusError, MissingExtraError
from serenade.core.labels import canonical_emotion
from serenade.core.records import LeftOut
from serenade.corpora.delimited import Row, read_rows

__all__ = ["EMOTIONS", "Ratings", "Segment", "read_labels"]

EMOTIONS = ("angry", "disgusted", "fearful", "happy", "sad", "surprised")
"""The emotions that were asked for, in the order of published systems."""

_FOLDER = "Labels"
_FILE = "*[Ll]abels*.csd"
_OLDER_WITHOUT_EMOTIONS = "sentiment"  # CMU_MOSEI_LabelsSentiment.csd beside CMU_MOSEI_LabelsEmotions.csd
_COLUMN_OF = dict(zip(EMOTIONS, ("anger", "disgust", "fear", "happiness", "sadness", "surprise"), strict=True))
_NEEDED = ("Input.VIDEO_ID", "Input.CLIP", *(f"Answer.{word}" for word in _COLUMN_OF.values()))
_COLUMNS = (*_NEEDED, "Answer.sentiment", "AssignmentId")
_DIMENSIONS = ("sentiment", "happy", "sad", "anger", "surprise", "disgust", "fear")
_SAME_S = 0.001  # the file has the transcript's times in float


@dataclass(slots=True)
class Ratings:
    """What raters gave a segment.

    Args:
        raters: how many; 0 where means alone are known.
        strength: by emotion, added up over raters, or the mean where means alone are known.
        votes: how many raters gave an emotion more than 0.
        sentiments: -3 to 3, of every rater, or the mean.
    """

    raters: int = 0
    strength: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    votes: Counter[str] = field(default_factory=Counter)
    sentiments: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Segment:
    """A line of a transcript: the clip of a video from start to end."""

    video: str
    clip: str
    start_s: float
    end_s: float
    text: str
    where: str

    @property
    def id(self) -> str:
        """``VIDEO_CLIP``."""
        return f"{self.video}_{self.clip}"


def read_labels(root: Path, segments: Mapping[str, Sequence[Segment]]) -> tuple[dict[str, Ratings], list[LeftOut]]:
    """Ratings by the id of the segment.

    Args:
        root: the folder of the raw data.
        segments: what the transcripts have, by video.

    Raises:
        CorpusError: there are no labels, a table lacks a column, or the file of means is damaged or of another form.
        MissingExtraError: there is the file of means only, and h5py is not installed.
    """
    folder = root / _FOLDER
    tables = [path for path in sorted(folder.glob("*.csv")) if not path.name.startswith(".")]
    if tables:
        return _read_tables(tables)
    for place in (folder, root, root.resolve().parent):
        for path in sorted(place.glob(_FILE)):
            if _OLDER_WITHOUT_EMOTIONS not in path.name.lower():
                return _read_means(path, segments)
    raise CorpusError(
        "the labels of CMU-MOSEI are not there",
        where=root,
        expected="tables of raters such as Labels/5000_batch_raw.csv, or the toolkit's CMU_MOSEI_Labels.csd",
        hint="Some archives of the raw data lack the folder Labels: get it, or that file, apart from them",
    )


def _read_tables(tables: Sequence[Path]) -> tuple[dict[str, Ratings], list[LeftOut]]:
    """Ratings from all tables of raters. An assignment that is in two tables counts once."""
    ratings: dict[str, Ratings] = {}
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
                left_out.append(LeftOut(f"{_FOLDER}/{path.name}, line {row.line}", "unknown label", fault))
    return ratings, left_out


def _count(row: Row, ratings: dict[str, Ratings]) -> str | None:
    """Add what a rater gave; why it cannot be, if so. A rater who left all cells empty rated nothing."""
    video = row.cells.get("Input.VIDEO_ID", "").rpartition("/")[2]  # some tables name the video with a folder
    cells = {name: row.cells.get(f"Answer.{word}") for name, word in _COLUMN_OF.items()}
    try:
        clip = int(float(row.cells.get("Input.CLIP", "")))
        given = {name: float(cell) for name, cell in cells.items() if cell is not None}
        sentiment = row.cells.get("Answer.sentiment")
        sentiments = [] if sentiment is None else [float(sentiment)]
    except ValueError:
        shown = {column: row.cells.get(column, "") for column in _COLUMNS[1:-1]}
        return f"a cell is no number: {', '.join(f'{name}={cell}' for name, cell in shown.items())}"
    if not video:
        return "the cell Input.VIDEO_ID is empty"
    if not given and not sentiments:
        return None
    rated = ratings.setdefault(f"{video}_{clip}", Ratings())
    rated.raters += 1
    rated.sentiments += sentiments
    for name, strength in given.items():
        if strength > 0:
            rated.strength[name] += strength
            rated.votes[name] += 1
    return None


def _read_means(path: Path, segments: Mapping[str, Sequence[Segment]]) -> tuple[dict[str, Ratings], list[LeftOut]]:
    """Ratings from the toolkit's file, for the segments whose times it has."""
    ratings: dict[str, Ratings] = {}
    left_out: list[LeftOut] = []
    for video, times, means in _means(path):
        if video not in segments:
            detail = f"the transcript of {len(times)} labelled segments"
            left_out.append(LeftOut(f"Transcript/Segmented/Combined/{video}.txt", "missing", detail))
            continue
        for (start_s, end_s), values in zip(times, means, strict=True):
            found = next((s for s in segments[video] if _same(s, start_s, end_s)), None)
            where = f"{path.name}, {video} from {start_s:g} s to {end_s:g} s"
            if found is None:
                left_out.append(LeftOut(where, "not selected", "labelled, but its transcript has no such segment"))
            elif found.id in ratings:
                left_out.append(LeftOut(where, "duplicate", f"{found.id} stands above already"))
            else:
                sentiment = values.pop("sentiment", math.nan)
                rated = ratings[found.id] = Ratings(sentiments=[] if math.isnan(sentiment) else [sentiment])
                rated.strength.update({name: value for name, value in values.items() if value > 0})
    return ratings, left_out


def _same(segment: Segment, start_s: float, end_s: float) -> bool:
    """Whether times are those of a segment, whose negative start was made 0."""
    return abs(segment.start_s - max(0.0, start_s)) <= _SAME_S and abs(segment.end_s - end_s) <= _SAME_S


def _means(path: Path) -> Iterator[tuple[str, NDArray[np.float64], list[dict[str, float]]]]:
    """Video, (N, 2) times in seconds, and the means of every segment by emotion and ``sentiment``.

    Raises:
        CorpusError: the file is damaged, or not of this form.
        MissingExtraError: h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("h5py", extra="data", purpose=f"reading {path}") from error
    try:
        with h5py.File(path) as file:
            group = next(item for item in file.values() if "data" in item)
            names = _dimensions(group)
            for video, item in sorted(group["data"].items()):
                times = np.asarray(item["intervals"], dtype=np.float64)
                values = np.asarray(item["features"], dtype=np.float64)  # (N, D)
                if times.shape != (len(values), 2) or values.shape != (len(times), len(names)):
                    raise ValueError(f"{video} has intervals {times.shape} and features {values.shape}")
                yield video, times, [dict(zip(names, row, strict=True)) for row in values.tolist()]
    except (OSError, KeyError, ValueError, TypeError, AttributeError, StopIteration) as error:
        raise CorpusError(
            "the labels of CMU-MOSEI cannot be read",
            where=path,
            found=str(error) or "no group with data",
            expected=f"HDF5 with GROUP/data/VIDEO/features of {', '.join(_DIMENSIONS)} and .../intervals",
            hint="Download CMU_MOSEI_Labels.csd again",
        ) from error


def _dimensions(group: Any) -> list[str]:
    """What the columns of the features are: emotions by our names, and ``sentiment``."""
    written = group["metadata/dimension names"][0] if "metadata/dimension names" in group else json.dumps(_DIMENSIONS)
    words = [str(word) for word in json.loads(written)]
    names = [canonical_emotion(word) or word for word in words]
    if not set(EMOTIONS) <= set(names):
        raise ValueError(f"the dimensions are {', '.join(words)}")
    return names
