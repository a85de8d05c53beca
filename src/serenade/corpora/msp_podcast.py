"""MSP-Podcast: English, natural speech from podcasts; the largest rated corpus, and it grows with every release.

Collected at the University of Texas at Dallas since 2016. Short segments of one speaker are cut from podcasts under
open licences; at least five people give each one a class and mark activation, valence and dominance from 1 to 7.
Release 1.11 has 151,654 segments, release 2.0 264,705. The authors name the parts: Train, Development, Test1 (speakers
of no other part), Test2 (podcasts of no other part), Test3 (balanced classes; its labels are held back in some
releases).

::

    Labels/labels_consensus.csv     FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set
    Labels/labels_detailed.csv      a line per segment and rater (may be absent)
    Audios/MSP-PODCAST_0001_0008.wav
    Transcripts/MSP-PODCAST_0001_0008.txt   (may be absent)

The labels can be read before the recordings are there; these are then reported as missing. Where the speaker is
"Unknown", nobody can promise that he is not in another part too.

Citation: R. Lotfian, C. Busso, "Building Naturalistic Emotionally Balanced Speech Corpus by Retrieving Emotional Speech
From Existing Podcast Recordings", IEEE Transactions on Affective Computing 10(4), pages 471-483, 2019.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from serenade.core.errors import CorpusError
from serenade.core.records import UNKNOWN_SPEAKER, LeftOut, Listing, Utterance
from serenade.corpora.corpus import Corpus
from serenade.corpora.delimited import Row, read_rows
from serenade.corpora.label_files import index_recordings, rated, read_lines
from serenade.corpora.layout import require_root, walk_files
from serenade.corpora.naming import plain_words
from serenade.corpora.side_table import read_side_table

__all__ = ["CORPUS", "list_files"]

_NAME = re.compile(r"MSP-PODCAST_\d+(_\d+)+")
_COLUMNS = ("EmoClass", "EmoAct", "EmoVal", "EmoDom", "SpkrID", "Gender", "Split_Set")
_LABEL_FOLDERS = ("labels", "label")
_CONSENSUS = ("labels_consensus.csv", "labels_concensus.csv")  # the second spelling is that of older releases
_DETAILED = "labels_detailed.csv"
_SOUND_FOLDERS = ("audios", "audio")
_TRANSCRIPTS = "Transcripts"

_LETTERS = {
    "A": "angry",
    "C": "contempt",
    "D": "disgusted",
    "F": "fearful",
    "H": "happy",
    "N": "neutral",
    "O": "other",
    "S": "sad",
    "U": "surprised",
    "X": None,  # no agreement
}
_RATERS_WORDS = {
    "angry": "angry",
    "contempt": "contempt",
    "disgust": "disgusted",
    "fear": "fearful",
    "happy": "happy",
    "neutral": "neutral",
    "sad": "sad",
    "surprise": "surprised",
}  # whatever else raters wrote counts as other
_SPLITS = {"train": "train", "development": "validation", "test1": "test", "test2": "test", "test3": "test"}
_NO_VALUE = ("unknown", "nan", "")


@dataclass(frozen=True, slots=True)
class _Beside:
    """What there is beside the label table."""

    base: Path
    recordings: Mapping[str, Path]
    votes: Mapping[str, Counter[str]]
    transcripts: Path | None


def list_files(root: Path) -> Listing:
    """The segments of the label table, with what is there of recordings, raters' votes and transcripts.

    Args:
        root: the folder that holds ``Labels``, or that folder.

    Raises:
        CorpusError: there is no label table (the message names a neighbour that has one), it lacks a column, has two
            different lines for a recording, or names a part that nobody knows.
    """
    require_root(root, _looks_right, title=CORPUS.title, expected=CORPUS.layout)
    table = _label_table(root)
    assert table is not None  # the root looks right
    base = table.parent.parent if table.parent.name.lower() in _LABEL_FOLDERS else table.parent
    rows = read_side_table(table, key="FileName", columns=_COLUMNS)
    recordings, left_out = _recordings(base, len(rows))
    votes = _read_votes(table.parent / _DETAILED)
    transcripts = base / _TRANSCRIPTS
    beside = _Beside(base, recordings, votes, transcripts if transcripts.is_dir() else None)
    utterances: list[Utterance] = []
    for row in rows.values():
        found = _utterance(row, f"{table.name}, line {row.line}", beside)
        if isinstance(found, LeftOut):
            left_out.append(found)
        else:
            utterances.append(found)
    named = {PurePath(name).stem for name in rows} if recordings else set()
    left_out += [_unnamed(recordings[name], base, table) for name in sorted(set(recordings) - named)]
    return Listing(tuple(sorted(utterances, key=lambda utterance: utterance.id)), tuple(left_out))


def _looks_right(root: Path) -> bool:
    return _label_table(root) is not None


def _unnamed(path: Path, base: Path, table: Path) -> LeftOut:
    """Why a recording is not used that no line names."""
    where = path.relative_to(base).as_posix()
    if _NAME.fullmatch(path.stem):
        return LeftOut(where, "no label", f"not in {table.name}")
    return LeftOut(where, "unreadable name", "expected a name such as MSP-PODCAST_0001_0008")


def _label_table(root: Path) -> Path | None:
    """The table of labels in the folder or in its folder Labels."""
    beds = [root, *(path for path in sorted(root.iterdir()) if path.is_dir() and path.name.lower() in _LABEL_FOLDERS)]
    return next((path for bed in beds for path in sorted(bed.iterdir()) if path.name.lower() in _CONSENSUS), None)


def _recordings(base: Path, labelled: int) -> tuple[dict[str, Path], list[LeftOut]]:
    """The recordings by their stem, wherever they lie in the folder Audios."""
    folder = next(
        (path for path in sorted(base.iterdir()) if path.is_dir() and path.name.lower() in _SOUND_FOLDERS), None
    )
    if folder is None:
        return {}, [LeftOut("Audios", "missing", f"the recordings of {labelled} segments; unpack this folder too")]
    return index_recordings(base, walk_files(folder))


def _utterance(row: Row, where: str, beside: _Beside) -> Utterance | LeftOut:
    """The utterance of a line of the table, or why there is none."""
    cells = row.cells
    name = PurePath(cells["FileName"]).stem
    letter = cells.get("EmoClass", "X")
    if letter not in _LETTERS:
        return LeftOut(where, "unknown label", f"EmoClass {letter}, expected one of {', '.join(_LETTERS)}")
    official = cells.get("Split_Set")
    speaker = cells.get("SpkrID", "")
    gender = cells.get("Gender", "").lower()
    text = None if beside.transcripts is None else _text(beside.transcripts / f"{name}.txt")
    return Utterance(
        id=name,
        audio=beside.recordings.get(name, beside.base / "Audios" / cells["FileName"]),
        corpus="msp-podcast",
        speaker=UNKNOWN_SPEAKER if speaker.lower() in _NO_VALUE else speaker,
        emotion=_LETTERS[letter],
        gender=None if gender in _NO_VALUE else gender,
        language="en",
        dialogue="_".join(name.split("_")[:2]),
        sentence=None if text is None else plain_words(text) or None,
        text=text,
        split=None if official is None else _part(official, where),
        attributes=rated(
            *(1, 7),
            valence=cells.get("EmoVal"),
            arousal=cells.get("EmoAct"),
            dominance=cells.get("EmoDom"),
            where=where,
        ),
        votes=dict(beside.votes.get(name, {})),
        extra={} if official is None else {"split_set": official},
    )


def _part(official: str, where: str) -> str:
    """Our name of a part.

    Raises:
        CorpusError: nobody knows the part.
    """
    part = _SPLITS.get(official.lower())
    if part is None:
        raise CorpusError(
            "unknown word in the column Split_Set",
            where=where,
            found=repr(official),
            expected="Train, Development, Test1, Test2 or Test3",
        )
    return part


def _text(path: Path) -> str | None:
    """The words of a segment; None where there is no transcript."""
    try:
        lines = read_lines(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return " ".join(line.strip() for _, line in lines if line.strip()) or None


def _read_votes(path: Path) -> dict[str, Counter[str]]:
    """Votes by the stem of the recording.

    The first class of a rater stands in a column ``EmoClass_Major``, or as the second part of a cell such as
    ``WORKER00000163; Neutral; Neutral,Concerned; A:3; V:4; D:2;``.
    """
    if not path.is_file():
        return {}
    votes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    meanings = {"filename": "FileName", "emoclass_major": "EmoClass_Major"}
    for row in read_rows(path, meanings, needed="FileName", header="a header that begins with FileName"):
        word = row.cells.get("EmoClass_Major") or _packed_word(row)
        if word is not None and "FileName" in row.cells:
            votes[PurePath(row.cells["FileName"]).stem][_RATERS_WORDS.get(word.lower(), "other")] += 1
    return dict(votes)


def _packed_word(row: Row) -> str | None:
    """The class in a cell that holds all that a rater said."""
    for cell in row.extra.values():
        parts = [part.strip() for part in cell.split(";")]
        if len(parts) > 2:
            return parts[1] or None
    return None


CORPUS = Corpus(
    name="msp-podcast",
    title="MSP-Podcast",
    language="en",
    licence="MSP-Podcast licence agreement: research only (a commercial licence can be bought)",
    citation=(
        "R. Lotfian, C. Busso: Building Naturalistic Emotionally Balanced Speech Corpus by Retrieving Emotional Speech "
        "From Existing Podcast Recordings. IEEE Transactions on Affective Computing 10(4), 2019."
    ),
    homepage="https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Podcast.html",
    commercial_use=False,
    list_files=list_files,
    looks_right=_looks_right,
    layout="Labels/labels_consensus.csv, and recordings such as Audios/MSP-PODCAST_0001_0008.wav",
    notes="Every release has other numbers: name yours. Speakers who are not known are in all parts.",
)
