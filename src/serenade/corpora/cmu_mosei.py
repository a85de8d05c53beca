"""CMU-MOSEI: English, monologues from the web, some 23,000 segments of more than 3,000 videos, six emotions at a time.

Published in 2018. A thousand people talk to a camera about films, products and whatever moves them. Three raters gave
every segment each of six emotions in a strength from 0 to 3, and a sentiment from -3 to 3; so a segment may have
several emotions, or none.

::

    Transcript/Segmented/Combined/VIDEO.txt      lines VIDEO___CLIP___START___END___TEXT
    Labels/*.csv                                 a line per segment and rater; or CMU_MOSEI_Labels.csd, means over them
    Audio/Full/WAV_16000/VIDEO.wav               one per video (Audio/WAV_16000 in some copies)
    Videos/Full/Combined/VIDEO.mp4               may be absent
    cmu_mosei_std_folds.py                       the official parts, from the authors' toolkit (may be absent)

An id is ``VIDEO_CLIP``. Videos may have underscores in their names: the last one counts.

A segment has an emotion if the strengths that all raters gave it add up to more than 0, which is the rule of published
multi-label systems (MESM). All that such a system needs is in the record: ``labels`` in ``extra`` names the emotions,
``strength`` their sums, and ``votes`` count the raters who gave more than 0. ``emotion`` is set where there is exactly
one; a segment without any is not neutral by that, and has none. The toolkit's file has no single raters: from it there
is ``mean_strength`` and no votes, but the same labels, since a mean is more than 0 where the sum is.

Who talks is not published. The same person may be in several videos, also across the official parts; only the video is
known, and is the group.

Citation: A. Zadeh et al., "Multimodal Language Analysis in the Wild: CMU-MOSEI Dataset and Interpretable Dynamic Fusion
Graph", ACL 2018, pages 2236-2246.
"""

import ast
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from serenade.core.errors import CorpusError
from serenade.core.records import UNKNOWN_SPEAKER, LeftOut, Listing, Utterance, Video
from serenade.corpora.corpus import Corpus
from serenade.corpora.label_files import index_recordings, read_lines, videos_below
from serenade.corpora.layout import is_sound, require_root, walk_files
from serenade.corpora.mosei_labels import EMOTIONS, Ratings, Segment, read_labels
from serenade.corpora.naming import plain_words

__all__ = ["CORPUS", "list_files"]

_TRANSCRIPTS = Path("Transcript", "Segmented", "Combined")
_SOUND, _FILMS = "Audio", Path("Videos", "Full")
_FOLDS = "cmu_mosei_std_folds.py"
_FOLD_NAMES = {"standard_train_fold": "train", "standard_valid_fold": "validation", "standard_test_fold": "test"}
_VIDEO = re.compile(r"[\w-]{11}|\d{4,6}", re.ASCII)
_GAP = "___"  # between the fields of a transcript's line


def list_files(root: Path) -> Listing:
    """The labelled segments of the recordings that are there.

    Raises:
        CorpusError: there are no transcripts (the message names a neighbour that has them), labels or recordings; a
            table of labels lacks a column; the file of the labels or of the official parts cannot be read.
        MissingExtraError: the labels are in a file that h5py reads, and that is not installed.
    """
    require_root(root, _looks_right, title=CORPUS.title, expected=CORPUS.layout)
    folder = root / _TRANSCRIPTS
    transcripts = {
        path.stem: list(_read_transcript(root, path))
        for path in sorted(folder.glob("*.txt"))
        if not path.name.startswith(".")
    }
    spoken = {video: [s for s in found if isinstance(s, Segment)] for video, found in transcripts.items()}
    ratings, left_out = read_labels(root, spoken)
    recordings, passed_over = _recordings(root)
    left_out += passed_over
    parts = _read_folds(root / _FOLDS)
    films = videos_below(root / _FILMS)
    utterances: dict[str, Utterance] = {}
    for video, segments in transcripts.items():
        for found in _list_video(video, segments, recordings.get(video), ratings, parts.get(video)):
            if isinstance(found, Utterance) and found.id in utterances:
                found = LeftOut(
                    f"{_TRANSCRIPTS.as_posix()}/{video}.txt", "duplicate", f"{found.id} stands above already"
                )
            if isinstance(found, LeftOut):
                left_out.append(found)
            else:
                film = films.get(video)
                seen = None if film is None else Video(film, found.start_s, found.end_s)
                utterances[found.id] = found.with_(video=seen)
    left_out += _unmatched(root, ratings, recordings, set(transcripts), set(utterances))
    return Listing(tuple(utterances[name] for name in sorted(utterances)), tuple(left_out))


def _looks_right(root: Path) -> bool:
    return (root / _TRANSCRIPTS).is_dir()


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


def _read_transcript(root: Path, path: Path) -> Iterator[Segment | LeftOut]:
    """The segments of a video, and lines that are none."""
    where = path.relative_to(root).as_posix()
    for number, line in read_lines(path):
        if line.strip():
            yield _read_segment(line, path.stem, f"{where}, line {number}")


def _list_video(
    video: str,
    segments: Sequence[Segment | LeftOut],
    recording: Path | None,
    ratings: Mapping[str, Ratings],
    part: str | None,
) -> Iterator[Utterance | LeftOut]:
    """The utterances of one video; if its recording is not there, that is said once."""
    labelled = 0
    for segment in segments:
        if isinstance(segment, LeftOut):
            yield segment
            continue
        rated = ratings.get(segment.id)
        if rated is None:
            yield LeftOut(segment.where, "no label", f"clip {segment.clip}")
        elif recording is not None:
            yield _utterance(segment, recording, rated, part)
        else:
            labelled += 1
    if labelled:
        yield LeftOut(f"{_SOUND}/{video}.wav", "missing", f"the recording of {labelled} segments")


def _read_segment(line: str, video: str, where: str) -> Segment | LeftOut:
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
    return Segment(video, str(int(clip)), max(0.0, start_s), end_s, text.strip(), where)


def _utterance(segment: Segment, recording: Path, ratings: Ratings, part: str | None) -> Utterance:
    """The utterance of a segment."""
    present = [name for name in EMOTIONS if ratings.strength[name] > 0]
    strength = ",".join(f"{name}={ratings.strength[name]:g}" for name in present)
    extra = {"video": segment.video, "clip": segment.clip, "labels": ",".join(present)}
    extra |= {"strength": strength, "raters": str(ratings.raters)} if ratings.raters else {"mean_strength": strength}
    if ratings.sentiments:
        extra["sentiment"] = f"{sum(ratings.sentiments) / len(ratings.sentiments):.4f}"
    return Utterance(
        id=segment.id,
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


def _unmatched(
    root: Path, ratings: Mapping[str, Ratings], recordings: Mapping[str, Path], spoken: set[str], used: set[str]
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
    looks_right=_looks_right,
    layout=(
        "Transcript/Segmented/Combined/VIDEO.txt, Labels/*.csv (or CMU_MOSEI_Labels.csd) and "
        "Audio/Full/WAV_16000/VIDEO.wav of the raw data"
    ),
    notes="Several emotions at a time: the class is set where there is exactly one. Who talks is not known.",
)
