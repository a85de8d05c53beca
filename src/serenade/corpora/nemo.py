"""nEMO, the Dataset of Emotional Speech in Polish: acted, nine speakers, 90 sentences, six classes.

Recorded for speech emotion recognition at the Adam Mickiewicz University in Poznań and published in 2024. Nine actors,
four women and five men, 23 to 28 years old, say the same 90 everyday sentences, chosen so that they hold all sounds of
Polish, in anger, fear, happiness, sadness, surprise and neutrally. Of one man (MP0) only 256 recordings were kept and
of one woman (MK0) no surprise; the others have nearly all 540.

A name such as ``EB0_anger_12`` is speaker, emotion and number of the sentence. ``data.tsv`` beside the folder
``samples`` adds the words (its cells have stray blanks around the speaker's name). Since every speaker says every
sentence in every emotion, words tell nothing of the emotion, but each sentence is in train and test of any
speaker-independent split.

Citation: I. Christop, "nEMO: Dataset of Emotional Speech in Polish", LREC-COLING 2024, pages 12111-12116.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path, PurePath

from serenade.core.labels import canonical_emotion
from serenade.core.records import LeftOut, Listing, Utterance
from serenade.corpora.completeness import with_absent
from serenade.corpora.corpus import Corpus
from serenade.corpora.delimited import Row
from serenade.corpora.layout import gather, require_root, walk_files
from serenade.corpora.naming import holds, read_stem
from serenade.corpora.side_table import read_side_table

__all__ = ["CORPUS", "list_files"]

_NAME = re.compile(r"(?P<speaker>[A-Z]{2}\d)_(?P<emotion>[a-z]+)_(?P<sentence>\d+)")
_TABLE = "data.tsv"
_COLUMNS = ("emotion", "raw_text", "speaker_id")

_EMOTIONS = {
    "anger": "angry",
    "fear": "fearful",
    "happiness": "happy",
    "neutral": "neutral",
    "sadness": "sad",
    "surprised": "surprised",
}

# speaker -> sex, age at the recording
_SPEAKERS = {
    "EB0": ("female", 27),
    "IC0": ("female", 28),
    "KD0": ("female", 28),
    "KS0": ("male", 23),
    "MK0": ("female", 23),
    "MP0": ("male", 24),
    "SM0": ("male", 24),
    "TP0": ("male", 26),
    "WR0": ("male", 23),
}
_SENTENCES = [str(number) for number in range(1, 91)]

_log = logging.getLogger(__name__)


def list_files(root: Path) -> Listing:
    """The recordings in ``root/samples/``, by name, with the words of ``root/data.tsv`` where that file is there.

    Raises:
        CorpusError: there is no folder ``samples`` with recordings of nEMO (the message names a neighbour that has
            one), or the table cannot be read.
    """
    require_root(root, _looks_right, title=CORPUS.title, expected=CORPUS.layout)
    rows = _read_table(root / _TABLE)
    listing = gather(root, walk_files(root / "samples"), lambda path, where: _read_name(path, where, rows))
    present = {utterance.id for utterance in listing.utterances} | {Path(item.where).stem for item in listing.left_out}
    unfound = [
        LeftOut(f"samples/{row.cells['file_id']}", "missing", f"named in {_TABLE}, line {row.line}")
        for name, row in rows.items()
        if name not in present
    ]
    listing = Listing(listing.utterances, (*listing.left_out, *unfound))
    return with_absent(listing, lambda utterance: utterance.speaker, _SPEAKERS, kind="speaker")


def _looks_right(root: Path) -> bool:
    return holds(root / "samples", _NAME)


def _read_table(path: Path) -> dict[str, Row]:
    """The rows by the stem of the file they name; recordings may have been converted since."""
    if not path.is_file():
        _log.warning("%s is not there: the words of nEMO are not known", path)
        return {}
    rows = read_side_table(path, key="file_id", columns=_COLUMNS)
    return {PurePath(name).stem: row for name, row in rows.items()}


def _read_name(path: Path, where: str, rows: Mapping[str, Row]) -> Utterance | LeftOut:
    """The utterance that a file name and its line in the table tell of."""
    name = read_stem(
        path, where, _NAME, example="EB0_anger_12", emotion=_EMOTIONS, speaker=_SPEAKERS, sentence=_SENTENCES
    )
    if isinstance(name, LeftOut):
        return name
    emotion, row = _EMOTIONS[name["emotion"]], rows.get(path.stem)
    if row is not None and canonical_emotion(row.cells.get("emotion", "")) != emotion:
        said = row.cells.get("emotion", "nothing")
        return LeftOut(where, "unknown label", f"{name['emotion']} by its name, {said} in {_TABLE}, line {row.line}")
    sex, age = _SPEAKERS[name["speaker"]]
    return Utterance(
        id=path.stem,
        audio=path,
        corpus="nemo",
        speaker=name["speaker"],
        emotion=emotion,
        gender=sex,
        language="pl",
        sentence=name["sentence"],
        text=None if row is None else row.cells.get("raw_text"),
        extra={"age": str(age)},
    )


CORPUS = Corpus(
    name="nemo",
    title="nEMO",
    language="pl",
    licence="CC BY-NC-SA 4.0",
    citation="I. Christop: nEMO: Dataset of Emotional Speech in Polish. LREC-COLING 2024, pages 12111-12116.",
    homepage="https://github.com/amu-cai/nEMO",
    commercial_use=False,
    list_files=list_files,
    looks_right=_looks_right,
    layout="a folder samples/ with recordings such as samples/EB0_anger_12.wav, and the table data.tsv",
    expected={
        "angry": 749,
        "fearful": 736,
        "happy": 749,
        "neutral": 809,
        "sad": 769,
        "surprised": 669,
    },
    notes="The same 90 sentences in every emotion; MK0 has no surprise and MP0 half as many recordings as the others.",
)
