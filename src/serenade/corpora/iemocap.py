"""IEMOCAP, the Interactive Emotional Dyadic Motion Capture Database: English, ten actors, 151 dialogues, 12 hours.

Recorded at the University of Southern California and published in 2008. In each of five sessions a woman and a man play
three scripts and improvise on given situations; the dialogues were cut into 10,039 turns. At least three people gave
each turn one or more classes; the label is what a majority gave, and 2,507 turns have none. They also marked valence,
activation and dominance from 1 to 5.

::

    Session1 ... Session5/
      dialog/EmoEvaluation/Ses01F_impro01.txt         labels, turn by turn
      dialog/transcriptions/Ses01F_impro01.txt        words
      sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav
      dialog/avi/DivX/Ses01F_impro01.avi              video of both actors side by side (may be absent)
      dialog/wav/Ses01F_impro01.wav                   sound of the dialogue, an actor a channel (may be absent)

**Who talks is the first letter of the last field.** In ``Ses01F_impro01_M003`` the man of session 1 talks; the F only
says that the woman wore the markers in this dialogue. The two letters differ in half of the turns, and whoever takes
the first one mixes both actors in one "speaker" and has each of them on both sides of every split.

Classes are the corpus's own: happy and excited apart. How publications read them are label maps (``merge``,
``exc_as_hap``, ``hap_only``), and 5,531 turns is ``merge`` with angry, happy, neutral, sad.

**Whose picture it is the same two letters say**: who wears the markers is in the left half and on the left channel, the
other in the right ones. Utterances carry their half of the dialogue's video; `list_uncut` gives the sound as a channel
of the dialogue too, as published multimodal systems cut it.

The two actors of a session talk with each other, so the session is the group that must not straddle a split. In
scripted turns the words give the class away; ``part`` in ``extra`` tells them from improvised ones.

Citation: C. Busso et al., "IEMOCAP: interactive emotional dyadic motion capture database", Language Resources and
Evaluation 42(4), pages 335-359, 2008.
"""

import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from serenade.core.errors import CorpusError
from serenade.core.records import Attributes, LeftOut, Listing, Utterance, Video
from serenade.core.wording import counted
from serenade.corpora.corpus import Corpus
from serenade.corpora.label_files import index_recordings, rated, read_lines
from serenade.corpora.layout import require_root, walk_files
from serenade.corpora.naming import plain_words

__all__ = ["CORPUS", "list_files", "list_uncut"]

_SESSION = re.compile(r"Session([1-5])", re.IGNORECASE)
_SESSIONS = ("1", "2", "3", "4", "5")
_ID = re.compile(
    r"(?P<dialogue>Ses0(?P<session>[1-5])[FM]_(?P<part>impro|script)[0-9a-z_]+)_(?P<gender>[FM])(?:\d{3}|XX\d+)"
)
_TURN = re.compile(
    r"\[\s*(?P<start>[\d.]+)\s*-\s*(?P<end>[\d.]+)\s*\]\s+(?P<id>\S+)\s+(?P<code>\w+)\s+\[(?P<marks>.*)\]"
)
_RATER = re.compile(r"C-(?P<rater>[EFM])\w*:\s*(?P<words>[^(]*)")
_LABELS = Path("dialog", "EmoEvaluation")
_WORDS = Path("dialog", "transcriptions")
_SOUND = Path("sentences", "wav")
_DIALOGUE_SOUND, _FILMS = Path("dialog", "wav"), Path("dialog", "avi", "DivX")

_CODES = {
    "ang": "angry",
    "dis": "disgusted",
    "exc": "excited",
    "fea": "fearful",
    "fru": "frustrated",
    "hap": "happy",
    "neu": "neutral",
    "oth": "other",
    "sad": "sad",
    "sur": "surprised",
    "xxx": None,  # no majority
}
_RATERS_WORDS = {
    "anger": "angry",
    "disgust": "disgusted",
    "excited": "excited",
    "fear": "fearful",
    "frustration": "frustrated",
    "happiness": "happy",
    "neutral": "neutral",
    "neutral state": "neutral",
    "other": "other",
    "sadness": "sad",
    "surprise": "surprised",
}
_GENDERS = {"F": "female", "M": "male"}
_PARTS = {"impro": "improvised", "script": "scripted"}

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Turn:
    """What a label file says of a turn."""

    where: str
    start_s: str
    end_s: str
    emotion: str | None
    attributes: Attributes | None
    votes: Counter[str] = field(default_factory=Counter)
    own: list[str] = field(default_factory=list)  # the actors' rating of themselves


def list_files(root: Path) -> Listing:
    """The turns below the folder that holds ``Session1`` to ``Session5``, by names and label files.

    Raises:
        CorpusError: there are no such folders (the message names a neighbour that has them), or not one of them has
            label files or recordings.
    """
    require_root(root, _looks_right, title=CORPUS.title, expected=CORPUS.layout)
    folders = {match[1]: path for path in sorted(root.iterdir()) if (match := _SESSION.fullmatch(path.name))}
    for what in (_LABELS, _SOUND):
        if not any((folder / what).is_dir() for folder in folders.values()):
            raise CorpusError(
                f"no session of IEMOCAP has a folder {what.as_posix()}",
                where=root,
                found=", ".join(sorted(path.name for path in folders.values())),
                expected=CORPUS.layout,
                hint="Unpack the archive anew; it seems to have ended halfway",
            )
    utterances: list[Utterance] = []
    left_out: list[LeftOut] = []
    for number in _SESSIONS:
        if number in folders:
            listing = _list_session(root, folders[number], number)
            utterances += listing.utterances
            left_out += listing.left_out
        else:
            left_out.append(LeftOut(f"Session{number}", "missing", "the whole session; unpack it too"))
    return Listing(tuple(sorted(utterances, key=lambda utterance: utterance.id)), tuple(left_out))


def list_uncut(root: Path) -> Listing:
    """The same turns as spans of the channel of the dialogue in which the speaker is recorded, where that is there.

    Raises:
        CorpusError: as `list_files`.
    """
    listing = list_files(root)
    return Listing(tuple(map(_uncut, listing.utterances)), listing.left_out)


def _uncut(utterance: Utterance) -> Utterance:
    sound = utterance.audio.parents[3] / _DIALOGUE_SOUND / f"{utterance.dialogue}.wav"
    span = _span(utterance.extra["dialogue_start_s"], utterance.extra["dialogue_end_s"])
    if span is None or not sound.is_file():
        return utterance
    channel = 0 if _side(utterance.id) == "left" else 1
    return utterance.with_(audio=sound, start_s=span[0], end_s=span[1], channel=channel)


def _side(name: str) -> Literal["left", "right"]:
    """Where who talks is to be seen and heard: on the left if he or she wears the markers."""
    return "left" if name[5] == name.rpartition("_")[2][0] else "right"


def _span(start: str, end: str) -> tuple[float, float] | None:
    """Seconds in the dialogue; None where the label file has none."""
    try:
        start_s, end_s = float(start), float(end)
    except ValueError:
        return None
    return (start_s, end_s) if end_s > start_s else None


def _film(folder: Path, name: str, turn: "_Turn") -> Video | None:
    """The half of the dialogue's video that shows who talks, while the turn lasts; None where it is not there."""
    path = folder / _FILMS / f"{name.rpartition('_')[0]}.avi"
    span = _span(turn.start_s, turn.end_s)
    return Video(path, *span, side=_side(name)) if span is not None and path.is_file() else None


def _looks_right(root: Path) -> bool:
    folders = [path for path in root.iterdir() if _SESSION.fullmatch(path.name) and path.is_dir()]
    return any((folder / name).is_dir() for folder in folders for name in ("dialog", "sentences"))


def _list_session(root: Path, folder: Path, number: str) -> Listing:
    """The turns of one session."""
    turns, left_out = _read_turns(root, folder)
    sound = folder / _SOUND
    recordings, passed_over = index_recordings(root, walk_files(sound) if sound.is_dir() else ())
    left_out += passed_over
    utterances = []
    if not turns:
        what = f"the labels of {counted(len(recordings), 'recording')}; unpack this folder too"
        return Listing((), (*left_out, LeftOut(f"{folder.name}/{_LABELS.as_posix()}", "missing", what)))
    if not recordings:
        what = f"the recordings of {counted(len(turns), 'turn')}; unpack this folder too"
        return Listing((), (*left_out, LeftOut(f"{folder.name}/{_SOUND.as_posix()}", "missing", what)))
    words = _read_words(folder)
    for name, path in recordings.items():
        found = _utterance(name, path, path.relative_to(root).as_posix(), number, turns, words)
        if isinstance(found, LeftOut):
            left_out.append(found)
        else:
            utterances.append(found.with_(video=_film(folder, name, turns[name])))
    for name in sorted(set(turns) - set(recordings)):
        dialogue = name.rpartition("_")[0]
        where = f"{folder.name}/{_SOUND.as_posix()}/{dialogue}/{name}.wav"
        left_out.append(LeftOut(where, "missing", f"labelled in {turns[name].where}"))
    return Listing(tuple(utterances), tuple(left_out))


def _utterance(
    name: str, path: Path, where: str, session: str, turns: Mapping[str, _Turn], words: Mapping[str, str]
) -> Utterance | LeftOut:
    """The utterance of a recording, or why there is none."""
    match = _ID.fullmatch(name)
    if match is None:
        return LeftOut(where, "unreadable name", "expected a name such as Ses01F_impro01_F000")
    if match["session"] != session:
        return LeftOut(
            where, "unreadable name", f"a turn of session {match['session']} in the folder of session {session}"
        )
    turn = turns.get(name)
    if turn is None:
        return LeftOut(where, "no label", f"not in Session{session}/{_LABELS.as_posix()}")
    text = words.get(name)
    extra = {"part": _PARTS[match["part"]], "dialogue_start_s": turn.start_s, "dialogue_end_s": turn.end_s}
    if turn.own:
        extra["self_rating"] = ",".join(turn.own)
    return Utterance(
        id=name,
        audio=path,
        corpus="iemocap",
        speaker=f"Ses0{session}{match['gender']}",
        emotion=turn.emotion,
        gender=_GENDERS[match["gender"]],
        language="en",
        group=f"Session{session}",
        dialogue=match["dialogue"],
        sentence=plain_words(text) or None if text is not None else None,
        text=text,
        attributes=turn.attributes,
        votes=dict(turn.votes),
        extra=extra,
    )


def _read_turns(root: Path, folder: Path) -> tuple[dict[str, _Turn], list[LeftOut]]:
    """What the label files of a session say, by the id of the turn; subfolders (single raters) are not read."""
    turns: dict[str, _Turn] = {}
    left_out: list[LeftOut] = []
    for path in _text_files(folder / _LABELS):
        for found in _read_label_file(path, path.relative_to(root).as_posix()):
            if isinstance(found, LeftOut):
                left_out.append(found)
                continue
            name, turn = found
            first = turns.setdefault(name, turn)
            if first is not turn:
                what = f"{name} is labelled {first.emotion} in {first.where} and {turn.emotion} here; the first counts"
                left_out.append(LeftOut(turn.where, "duplicate", what))
    return turns, left_out


def _text_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.glob("*.txt") if not path.name.startswith("."))


def _read_label_file(path: Path, where: str) -> Iterator[tuple[str, _Turn] | LeftOut]:
    """The turns of a label file, and lines that look like one and cannot be read.

    A turn's raters stand in the lines below it, so a turn is given out before it is complete.
    """
    turn: _Turn | None = None
    for number, line in read_lines(path):
        if line.startswith("["):
            turn = None
            found = _read_turn(line, f"{where}, line {number}")
            if isinstance(found, tuple):
                turn = found[1]
            yield found
        elif turn is not None and (rater := _RATER.match(line)):
            _count(turn, rater, f"{where}, line {number}")


def _read_turn(line: str, where: str) -> tuple[str, _Turn] | LeftOut:
    match = _TURN.match(line)
    marks = match["marks"].split(",") if match else []
    if match is None or len(marks) != 3:
        expected = "expected [start - end], id, code, [valence, activation, dominance]"
        return LeftOut(where, "unknown label", f"{line[:60]!r}, {expected}")
    if match["code"] not in _CODES:
        return LeftOut(where, "unknown label", f"code {match['code']}, expected one of {', '.join(_CODES)}")
    valence, activation, dominance = marks
    attributes = rated(1, 5, valence=valence, arousal=activation, dominance=dominance, where=where)
    return match["id"], _Turn(where, match["start"], match["end"], _CODES[match["code"]], attributes)


def _count(turn: _Turn, rater: re.Match[str], where: str) -> None:
    """Count a rater's classes; actors who rate themselves (C-F and C-M) have no vote."""
    words = [word.strip().lower() for word in rater["words"].split(";")]
    names = []
    for word in filter(None, words):
        if word in _RATERS_WORDS:
            names.append(_RATERS_WORDS[word])
        else:
            _log.warning("%s: the rater's word %r is none of IEMOCAP's and is not counted", where, word)
    if rater["rater"] == "E":
        turn.votes.update(set(names))
    else:
        turn.own += [name for name in names if name not in turn.own]


def _read_words(folder: Path) -> dict[str, str]:
    """The words by the id of the turn: what follows the first ``]:`` (a colon may be spoken too)."""
    if not (folder / _WORDS).is_dir():
        _log.warning("%s is not there: the words of its turns are not known", folder / _WORDS)
        return {}
    words: dict[str, str] = {}
    for path in _text_files(folder / _WORDS):
        for _, line in read_lines(path):
            name = line.partition(" ")[0]
            _, mark, text = line.partition("]:")
            if mark and _ID.fullmatch(name):
                words.setdefault(name, text.strip())
    return words


CORPUS = Corpus(
    name="iemocap",
    title="IEMOCAP",
    language="en",
    licence="IEMOCAP release form: research only",
    citation=(
        "C. Busso, M. Bulut, C.-C. Lee, A. Kazemzadeh, E. Mower, S. Kim, J. N. Chang, S. Lee, S. S. Narayanan: "
        "IEMOCAP: interactive emotional dyadic motion capture database. Language Resources and Evaluation 42(4), 2008."
    ),
    homepage="https://sail.usc.edu/iemocap/",
    commercial_use=False,
    list_files=list_files,
    list_uncut=list_uncut,
    looks_right=_looks_right,
    layout=(
        "folders Session1/ to Session5/, each with dialog/EmoEvaluation/, dialog/transcriptions/ and "
        "sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav"
    ),
    expected={
        "angry": 1103,
        "disgusted": 2,
        "excited": 1041,
        "fearful": 40,
        "frustrated": 1849,
        "happy": 595,
        "neutral": 1708,
        "other": 3,
        "sad": 1084,
        "surprised": 107,
    },
    notes="2,507 turns have no majority: votes, but no class. Scripted turns share their words across speakers.",
)
