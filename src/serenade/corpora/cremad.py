"""CREMA-D, the Crowd-sourced Emotional Multimodal Actors Dataset: American English, acted, 91 speakers, six classes.

Recorded in Philadelphia, published in 2014. 48 men and 43 women, 20 to 74 years old and of many origins, say twelve
sentences in anger, disgust, fear, happiness, sadness and neutrally; one sentence (IEO) in three intensities. 2443
raters from a crowd then said what they heard (voice only), saw, or both, about ten for each clip and condition.

A name such as ``1001_DFA_ANG_XX`` is actor, sentence, *intended* emotion, intensity. What raters heard often differs:
by voice alone they recognised the intended emotion in 41 % (by face 58 %, by both 64 %). The label here is the intended
one; the votes of those who only heard the voice are in ``votes``, where ``tabulatedVotes.csv`` is there.

Known odd files: ``1040_ITH_SAD_X.wav`` (the tables call it ``..._XX``) is read; ``1076_MTI_SAD_XX.wav`` is silent and
left out when it is examined; ``1064_IEO_DIS_MD.wav`` holds a minute of all emotions.

Where the videos are there too (the folder VideoFlash, or one named VideoMP4 of a converted copy), utterances have them.

The repository keeps recordings in Git LFS; its zip holds only texts in their place, which is told. All speakers say
the same sentences.

Citation: H. Cao, D. G. Cooper, M. K. Keutmann, R. C. Gur, A. Nenkova, R. Verma, "CREMA-D: Crowd-sourced Emotional
Multimodal Actors Dataset", IEEE Transactions on Affective Computing 5(4), pages 377-390, 2014.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from serenade.core.errors import CorpusError
from serenade.core.records import LeftOut, Listing, Utterance, Video
from serenade.corpora.completeness import refuse_pointers, with_absent
from serenade.corpora.corpus import Corpus
from serenade.corpora.delimited import Row
from serenade.corpora.label_files import videos_below
from serenade.corpora.layout import gather, require_root, walk_files
from serenade.corpora.naming import holds, read_stem
from serenade.corpora.side_table import UNNAMED, read_side_table

__all__ = ["CORPUS", "list_files"]

_NAME = re.compile(r"(?P<actor>1\d{3})_(?P<sentence>[A-Z]{3})_(?P<emotion>[A-Z]{3})_(?P<intensity>[A-Z]{1,2})")
_FOLDERS = ("AudioWAV", "AudioMP3")  # the same clips; the first that is there is read
_FILMS = ("VideoMP4", "VideoFlash")  # of a clip that is in both the first; Flash is what the corpus came with
_VOTES = Path("processedResults") / "tabulatedVotes.csv"
_DEMOGRAPHICS = Path("VideoDemographics.csv")

_EMOTIONS = {
    "ANG": "angry",
    "DIS": "disgusted",
    "FEA": "fearful",
    "HAP": "happy",
    "NEU": "neutral",
    "SAD": "sad",
}
_VOTE_COLUMNS = {"A": "angry", "D": "disgusted", "F": "fearful", "H": "happy", "N": "neutral", "S": "sad"}
_VOICE_ONLY = "1"  # first digit of a row's number: 1 heard, 2 seen, 3 both
_INTENSITIES = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified", "X": "unspecified"}

_SENTENCES = {
    "IEO": "It's eleven o'clock.",
    "TIE": "That is exactly what happened.",
    "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.",
    "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}

_ACTORS = [str(actor) for actor in range(1001, 1092)]
# of VideoDemographics.csv, which many copies lack
# fmt: off
_WOMEN = frozenset((
    1002, 1003, 1004, 1006, 1007, 1008, 1009, 1010, 1012, 1013, 1018, 1020, 1021, 1024, 1025, 1028, 1029, 1030,
    1037, 1043, 1046, 1047, 1049, 1052, 1053, 1054, 1055, 1056, 1058, 1060, 1061, 1063, 1072, 1073, 1074, 1075,
    1076, 1078, 1079, 1082, 1084, 1089, 1091,
))
# fmt: on


@dataclass(frozen=True, slots=True)
class _Tables:
    """Votes by the name of the clip, and rows of the demographics by actor; empty where a table is not there."""

    votes: Mapping[str, Mapping[str, float]]
    actors: Mapping[str, Row]


def list_files(root: Path) -> Listing:
    """The recordings in ``root/AudioWAV/`` (or ``AudioMP3``), by name, with votes and ages where the tables are there.

    Raises:
        CorpusError: there is no such folder with recordings of CREMA-D (the message names a neighbour that has one),
            the recordings were not downloaded, or a table cannot be read.
    """
    require_root(root, _looks_right, title=CORPUS.title, expected=CORPUS.layout)
    folder = next(root / name for name in _FOLDERS if holds(root / name, _NAME))
    tables = _Tables(_read_votes(root / _VOTES), _read_demographics(root / _DEMOGRAPHICS))
    listing = gather(root, walk_files(folder), lambda path, where: _read_name(path, where, tables))
    listing = refuse_pointers(listing, root)
    films = {stem: path for name in _FILMS[::-1] for stem, path in videos_below(root / name).items()}
    listing = Listing(tuple(_with_film(found, films) for found in listing.utterances), listing.left_out)
    return with_absent(listing, lambda utterance: utterance.speaker, _ACTORS, kind="actor")


def _with_film(utterance: Utterance, films: Mapping[str, Path]) -> Utterance:
    film = films.get(utterance.audio.stem)
    return utterance if film is None else utterance.with_(video=Video(film))


def _looks_right(root: Path) -> bool:
    return any(holds(root / name, _NAME) for name in _FOLDERS)


def _read_name(path: Path, where: str, tables: _Tables) -> Utterance | LeftOut:
    """The utterance that a file name and the tables tell of."""
    name = read_stem(
        path,
        where,
        _NAME,
        example="1001_DFA_ANG_XX",
        emotion=_EMOTIONS,
        actor=_ACTORS,
        sentence=_SENTENCES,
        intensity=_INTENSITIES,
    )
    if isinstance(name, LeftOut):
        return name
    actor, sentence = name["actor"], name["sentence"]
    clip = path.stem + "X" if name["intensity"] == "X" else path.stem
    row = tables.actors.get(actor)
    stated = None if row is None else row.cells.get("Sex")
    extra = {"intensity": _INTENSITIES[name["intensity"]]}
    return Utterance(
        id=clip,
        audio=path,
        corpus="cremad",
        speaker=actor,
        emotion=_EMOTIONS[name["emotion"]],
        gender=("female" if int(actor) in _WOMEN else "male") if stated is None else stated.lower(),
        language="en",
        sentence=sentence,
        text=_SENTENCES[sentence],
        votes=tables.votes.get(clip, {}),
        extra=extra if row is None or "Age" not in row.cells else {**extra, "age": row.cells["Age"]},
    )


def _read_votes(path: Path) -> dict[str, dict[str, float]]:
    """How many of those who heard the voice alone chose each class, by clip.

    Raises:
        CorpusError: the table cannot be read, a count is no number, or a clip has two rows.
    """
    if not path.is_file():
        return {}
    rows = read_side_table(path, key=UNNAMED, columns=("fileName", *_VOTE_COLUMNS))
    votes: dict[str, dict[str, float]] = {}
    for number, row in rows.items():
        if not number.startswith(_VOICE_ONLY):
            continue
        clip = row.cells.get("fileName", "")
        if clip in votes:
            raise CorpusError("a clip has two rows of votes by voice", where=f"{path}, line {row.line}", found=clip)
        votes[clip] = _counts(path, row)
    return votes


def _counts(path: Path, row: Row) -> dict[str, float]:
    """The votes of a row, without those for nothing."""
    counts = {}
    for column, emotion in _VOTE_COLUMNS.items():
        cell = row.cells.get(column, "0")
        if not cell.isdigit():
            raise CorpusError(
                f"the number of votes in the column {column} is none",
                where=f"{path}, line {row.line}",
                found=repr(cell),
                expected="a whole number",
            )
        if int(cell) > 0:
            counts[emotion] = float(cell)
    return counts


def _read_demographics(path: Path) -> dict[str, Row]:
    return read_side_table(path, key="ActorID", columns=("Age", "Sex")) if path.is_file() else {}


CORPUS = Corpus(
    name="cremad",
    title="CREMA-D",
    language="en",
    licence="ODbL 1.0, contents DbCL 1.0",
    citation=(
        "H. Cao, D. G. Cooper, M. K. Keutmann, R. C. Gur, A. Nenkova, R. Verma: CREMA-D: Crowd-sourced Emotional "
        "Multimodal Actors Dataset. IEEE Transactions on Affective Computing 5(4), pages 377-390, 2014."
    ),
    homepage="https://github.com/CheyneyComputerScience/CREMA-D",
    commercial_use=True,
    list_files=list_files,
    looks_right=_looks_right,
    layout="a folder AudioWAV/ with recordings such as AudioWAV/1001_DFA_ANG_XX.wav",
    expected={
        "angry": 1271,
        "disgusted": 1271,
        "fearful": 1271,
        "happy": 1271,
        "neutral": 1087,
        "sad": 1271,
    },
    notes=(
        "The label is what the actor intended; who only heard the voice recognised it in 41 % (votes). Twelve "
        "sentences, the same for all."
    ),
)
