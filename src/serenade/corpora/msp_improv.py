"""MSP-IMPROV: English, twelve actors in six sessions, 8,438 turns, four classes.

Recorded at the University of Texas at Dallas and published in 2017. For each of 20 sentences and four emotions two
actors improvise on a situation that leads one of them to say the sentence. So the same words come in every emotion, and
yet as part of a dialogue. Besides the target sentences the corpus has the other turns of the improvisations, target
sentences that were read, and what the actors said to each other between recordings.

::

    Evalution.txt                                     labels (so spelled in the release; Evaluation.txt in copies)
    Audio/session1/S01A/S/MSP-IMPROV-S01A-F01-S-FM01.wav   the level Audio/ may be absent

A name is the target sentence with the emotion that was **intended** (S01A; never the label), the speaker (F01: the
woman of session 1), the scenario (T, R, S, P) and the turn. At least five people rated each turn; the label is the
majority, and 555 turns have none. Attributes are activation, valence and dominance from 1 to 5.

The scenarios S and T can be taken for each other; the numbers of turns per scenario are therefore compared with the
published ones, and a warning is logged where they differ.

Citation: C. Busso et al., "MSP-IMPROV: An acted corpus of dyadic interactions to study emotion perception", IEEE
Transactions on Affective Computing 8(1), pages 67-80, 2017.
"""

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from serenade.core.errors import CorpusError
from serenade.core.records import Attributes, LeftOut, Listing, Utterance
from serenade.corpora.completeness import with_absent
from serenade.corpora.corpus import Corpus
from serenade.corpora.label_files import index_recordings, rated, read_lines
from serenade.corpora.layout import is_sound, require_root, walk_files

__all__ = ["CORPUS", "list_files"]

_NAME = re.compile(
    r"MSP-IMPROV-S(?P<sentence>\d\d)(?P<intended>[AHNS])-(?P<speaker>(?P<gender>[FM])0(?P<session>[1-6]))-"
    r"(?P<scenario>[A-Z])-(?P<turn>\w+)"
)
_SESSION = re.compile(r"session[1-6]", re.IGNORECASE)
_LABEL_FILES = ("evalution.txt", "evaluation.txt")
_CONSENSUS = ("UTD-IMPROV-", "MSP-IMPROV-")

_LETTERS = {"A": "angry", "H": "happy", "N": "neutral", "O": "other", "S": "sad", "X": None}  # X: no majority
_RATERS_WORDS = {"angry": "angry", "happy": "happy", "neutral": "neutral", "other": "other", "sad": "sad"}
_GENDERS = {"F": "female", "M": "male"}
_PARTS = {"T": "target-improvised", "R": "target-read", "S": "other-improvised", "P": "natural"}
_IMPROVISED = "TSP"  # people talk with each other; in R one reads alone

# Published turns by scenario: class letter -> count.
_PUBLISHED = {
    "T": {"A": 115, "S": 106, "H": 136, "N": 283, "O": 1, "X": 11},
    "R": {"A": 169, "S": 80, "H": 88, "N": 241, "O": 3, "X": 39},
    "S": {"A": 470, "S": 633, "H": 1048, "N": 1789, "O": 70, "X": 371},
    "P": {"A": 38, "S": 66, "H": 1372, "N": 1164, "O": 11, "X": 134},
}

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Turn:
    """What the label file says of a turn."""

    where: str
    letter: str
    attributes: Attributes | None
    naturalness: str | None
    raters: dict[str, str] = field(default_factory=dict)  # rater -> class; some lines stand in the file twice


def list_files(root: Path) -> Listing:
    """The turns below the folder that holds the label file, by names and that file.

    Raises:
        CorpusError: there is no label file in the folder (the message names a neighbour that has one), or no
            recording below it.
    """
    above = root.resolve().parent
    if root.is_dir() and _label_file(root) is None and _label_file(above) is None and _has_sessions(root):
        raise CorpusError(
            "the label file of MSP-IMPROV is not there",
            where=root,
            expected="Evalution.txt (or Evaluation.txt) beside the recordings",
            hint="Copy it from the release to there",
        )
    require_root(root, _looks_right, title=CORPUS.title, expected=CORPUS.layout)
    labels = _label_file(root)
    assert labels is not None  # the root looks right
    paths = [path for path in walk_files(root) if is_sound(path)]
    if not paths:
        raise CorpusError(
            "the recordings of MSP-IMPROV are not there",
            where=root,
            expected="folders session1/ to session6/, in the folder itself or in Audio/",
            hint="Unpack them beside the label file",
        )
    turns, left_out = _read_label_file(labels, labels.relative_to(root).as_posix())
    _compare_with_published(root, turns)
    recordings, passed_over = index_recordings(root, paths)
    left_out += passed_over
    listing = _join(root, recordings, turns, labels.name, left_out)
    sessions = [f"session{number}" for number in range(1, 7)]
    return with_absent(listing, lambda utterance: str(utterance.group), sessions, kind="session")


def _looks_right(root: Path) -> bool:
    return _label_file(root) is not None


def _label_file(root: Path) -> Path | None:
    return next((path for path in sorted(root.iterdir()) if path.name.lower() in _LABEL_FILES), None)


def _has_sessions(root: Path) -> bool:
    """Whether folders of sessions lie in the root, or in its folder Audio."""
    beds = [root, *(path for path in root.iterdir() if path.is_dir() and path.name.lower() == "audio")]
    return any(_SESSION.fullmatch(path.name) for bed in beds for path in bed.iterdir())


def _join(
    root: Path,
    recordings: Mapping[str, Path],
    turns: Mapping[str, _Turn],
    label_file: str,
    left_out: Iterable[LeftOut],
) -> Listing:
    """Recordings with what the label file says of them."""
    utterances, lost = [], list(left_out)
    for name, path in recordings.items():
        found = _utterance(name, path, path.relative_to(root).as_posix(), turns.get(name), label_file)
        if isinstance(found, LeftOut):
            lost.append(found)
        else:
            utterances.append(found)
    for name in sorted(set(turns) - set(recordings)):
        lost.append(LeftOut(f"{name}.wav", "missing", f"labelled in {turns[name].where}"))
    return Listing(tuple(sorted(utterances, key=lambda utterance: utterance.id)), tuple(lost))


def _utterance(name: str, path: Path, where: str, turn: _Turn | None, label_file: str) -> Utterance | LeftOut:
    """The utterance of a recording, or why there is none."""
    match = _NAME.fullmatch(name)
    if match is None or match["scenario"] not in _PARTS:
        return LeftOut(where, "unreadable name", "expected a name such as MSP-IMPROV-S01A-F01-S-FM01")
    if turn is None:
        return LeftOut(where, "no label", f"not in {label_file}")
    scenario = match["scenario"]
    extra = {
        "part": _PARTS[scenario],
        "scenario": scenario,
        "target_sentence": match["sentence"],
        "intended": str(_LETTERS[match["intended"]]),
    }
    if turn.naturalness is not None:
        extra["naturalness"] = turn.naturalness
    improvised = scenario in _IMPROVISED
    return Utterance(
        id=name,
        audio=path,
        corpus="msp-improv",
        speaker=match["speaker"],
        emotion=_LETTERS[turn.letter],
        gender=_GENDERS[match["gender"]],
        language="en",
        group=f"session{match['session']}",
        dialogue=f"session{match['session']}-S{match['sentence']}{match['intended']}" if improvised else None,
        sentence=match["sentence"] if scenario in "TR" else None,
        attributes=turn.attributes,
        votes=dict(Counter(turn.raters.values())),
        extra=extra,
    )


def _read_label_file(path: Path, where: str) -> tuple[dict[str, _Turn], list[LeftOut]]:
    """What the label file says, by the name of the recording: a line per turn, below it one per rater."""
    turns: dict[str, _Turn] = {}
    left_out: list[LeftOut] = []
    turn: _Turn | None = None
    for number, line in read_lines(path):
        cells = [cell.strip() for cell in line.split(";")]
        place = f"{where}, line {number}"
        if line.startswith(_CONSENSUS):
            found = _read_turn(cells, place)
            turn = found if isinstance(found, _Turn) else None
            if isinstance(found, LeftOut):
                left_out.append(found)
                continue
            name = "MSP" + cells[0].rpartition(".")[0][3:]
            first = turns.setdefault(name, found)
            if first is not found:
                what = (
                    f"{name} has the letter {first.letter} in {first.where} and {found.letter} here; the first counts"
                )
                left_out.append(LeftOut(place, "duplicate", what))
        elif turn is not None and len(cells) > 1:
            _count(turn, cells, place)
    return turns, left_out


def _read_turn(cells: Sequence[str], where: str) -> _Turn | LeftOut:
    """The line of the majority; attributes go by their prefix, since their order is no promise."""
    letter = cells[1] if len(cells) > 1 else ""
    if letter not in _LETTERS or not cells[0].rpartition(".")[0]:
        expected = "expected such as UTD-IMPROV-S01A-F01-S-FM01.avi; N; A:3.0; V:3.5; D:3.0; N:3.2; with one of"
        return LeftOut(
            where, "unknown label", f"{'; '.join(filter(None, cells))[:60]!r}, {expected} {', '.join(_LETTERS)}"
        )
    marks = {cell[0]: cell[2:].strip() for cell in cells[2:] if cell[1:2] == ":"}
    attributes = rated(1, 5, valence=marks.get("V"), arousal=marks.get("A"), dominance=marks.get("D"), where=where)
    naturalness = marks.get("N")
    return _Turn(where, letter, attributes, None if naturalness in (None, "", "NaN") else naturalness)


def _count(turn: _Turn, cells: Sequence[str], where: str) -> None:
    rater, word = cells[0], cells[1].lower()
    if word in _RATERS_WORDS:
        turn.raters.setdefault(rater, _RATERS_WORDS[word])
    else:
        _log.warning("%s: the rater's word %r is none of MSP-IMPROV's and is not counted", where, cells[1])


def _compare_with_published(root: Path, turns: Mapping[str, _Turn]) -> None:
    """Warn where turns per scenario and class are not as published: an incomplete file, or other codes."""
    counted = Counter((match["scenario"], turns[name].letter) for name in turns if (match := _NAME.fullmatch(name)))
    wrong = []
    for scenario, published in _PUBLISHED.items():
        have = {letter: counted[scenario, letter] for letter in published}
        if have != published:
            wrong.append(f"{scenario} {sum(have.values())} of {sum(published.values())} turns")
    if wrong:
        _log.warning(
            "%s: labels per scenario and class differ from the published ones (%s): not the complete corpus, or other "
            "codes for its scenarios",
            root,
            ", ".join(wrong),
        )


CORPUS = Corpus(
    name="msp-improv",
    title="MSP-IMPROV",
    language="en",
    licence="MSP-IMPROV licence agreement: research only",
    citation=(
        "C. Busso, S. Parthasarathy, A. Burmania, M. AbdelWahab, N. Sadoughi, E. Mower Provost: MSP-IMPROV: An acted "
        "corpus of dyadic interactions to study emotion perception. IEEE Trans. Affective Computing 8(1), 2017."
    ),
    homepage="https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Improv.html",
    commercial_use=False,
    list_files=list_files,
    looks_right=_looks_right,
    layout="the label file Evalution.txt, and recordings such as Audio/session1/S01A/S/MSP-IMPROV-S01A-F01-S-FM01.wav",
    expected={"angry": 792, "happy": 2644, "neutral": 3477, "other": 85, "sad": 885},
    notes="555 turns have no majority: votes, but no class. The emotion in a name is intended, never the label.",
)
