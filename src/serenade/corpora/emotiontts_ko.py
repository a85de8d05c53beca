"""The emotional part of the emotiontts open database: Korean, acted for speech synthesis, 15 speakers, four classes.

Recorded 2017 to 2019 by SELVAS AI under KAIST's direction for talking robots. Of the whole, 400 sentences by each
speaker, 5 % are public: 20 recordings of each speaker, five a class (neutral, happy, angry, sad). There are two parts:

* ``plain-to-emotional``: five speakers (``em?``) say the same neutral sentences in every emotion.
* ``emotional-to-emotional``: ten speakers (``ne?``) say, for each emotion, sentences that fit it.

A name such as ``ema00101`` is speaker and number: 1 to 100 neutral, 101 to 200 happy, 201 to 300 angry, 301 to 400 sad.
Beside ``wav`` stand ``script`` (what was to be read, with digits) and ``transcript`` (what was said, spelled out), both
UTF-8 with a byte order mark.

In the second part the words alone give the class away, and all its speakers read the same sentences: whoever feeds text
to a model, or tests on speakers whose sentences were in training, measures memory of sentences. The leak check warns of
it.

Citation: emotiontts open database, SELVAS AI and KAIST, 2020 (funded by the Korean Ministry of Trade, Industry and
Energy, No. 10080667).
"""

import logging
import re
from pathlib import Path

from serenade.core.records import LeftOut, Listing, Utterance
from serenade.corpora.completeness import with_absent
from serenade.corpora.corpus import Corpus
from serenade.corpora.layout import gather, require_root, walk_files
from serenade.corpora.naming import plain_words, read_stem

__all__ = ["CORPUS", "list_files"]

_NAME = re.compile(r"(?P<speaker>[a-z]{3})(?P<number>\d{5})")
_FOLDER = "Emotional"
_EMOTIONS = ("neutral", "happy", "angry", "sad")  # a hundred numbers each
_PARTS = ("plain-to-emotional", "emotional-to-emotional")
_TEXT_FOLDERS = ("script", "transcript")

_SPEAKERS = {
    **dict.fromkeys(("ema", "emb", "nea", "neb", "nec", "ned", "nee"), "female"),
    **dict.fromkeys(("emf", "emg", "emh", "nek", "nel", "nem", "nen", "neo"), "male"),
}
_NUMBERS = [f"{number:05d}" for number in range(1, 401)]

_log = logging.getLogger(__name__)


def list_files(root: Path) -> Listing:
    """The recordings in ``root/Emotional/``, by name, with the words that stand beside them.

    Raises:
        CorpusError: there is no such folder with the two parts; the message names a neighbour that has it.
    """
    require_root(root, _looks_right, title=CORPUS.title, expected=CORPUS.layout)
    folders = [root / _FOLDER / part for part in _PARTS]
    paths = (path for folder in folders for path in walk_files(folder) if path.parent.name not in _TEXT_FOLDERS)
    listing = gather(root, paths, _read_name)
    wordless = [utterance.id for utterance in listing.utterances if utterance.text is None]
    if wordless:
        total = len(listing.utterances)
        _log.warning("%s: %d of %d recordings have no transcript, such as %s", root, len(wordless), total, wordless[0])
    return with_absent(listing, lambda utterance: utterance.speaker, _SPEAKERS, kind="speaker")


def _looks_right(root: Path) -> bool:
    return any((root / _FOLDER / part).is_dir() for part in _PARTS)


def _read_name(path: Path, where: str) -> Utterance | LeftOut:
    """The utterance that a file name and the texts beside it tell of."""
    name = read_stem(path, where, _NAME, example="ema00101", speaker=_SPEAKERS, number=_NUMBERS)
    if isinstance(name, LeftOut):
        return name
    speaker, script, transcript = name["speaker"], *(_words(path, folder) for folder in _TEXT_FOLDERS)
    if path.parent.parent.name != speaker:
        return LeftOut(where, "unreadable name", f"speaker {speaker} in the folder {path.parent.parent.name}")
    part = path.parent.parent.parent.name
    prompt = script if script is not None else transcript
    return Utterance(
        id=path.stem,
        audio=path,
        corpus="emotiontts-ko",
        speaker=speaker,
        emotion=_EMOTIONS[(int(name["number"]) - 1) // 100],
        gender=_SPEAKERS[speaker],
        language="ko",
        sentence=None if prompt is None else plain_words(prompt),
        text=prompt if transcript is None else transcript,
        extra={"part": part} if script is None else {"part": part, "script": script},
    )


def _words(path: Path, folder: str) -> str | None:
    """What stands in the text file of a recording; None where there is none or it is empty."""
    file = path.parent.parent / folder / f"{path.stem}.txt"
    if not file.is_file():
        return None
    raw = file.read_bytes()
    for encoding in ("utf-8-sig", "cp949"):  # the second is what Korean Windows writes
        try:
            text = " ".join(raw.decode(encoding).split())
        except UnicodeDecodeError:
            continue
        return text if text else None
    _log.warning("%s is neither UTF-8 nor CP949 and is not read", file)
    return None


CORPUS = Corpus(
    name="emotiontts-ko",
    title="emotiontts (Korean, emotional part)",
    language="ko",
    licence="CC BY-NC-SA 4.0, for research only",
    citation=(
        "emotiontts open database: built by SELVAS AI under KAIST's direction, funded by the Korean Ministry of Trade, "
        "Industry and Energy (No. 10080667), 2020."
    ),
    homepage="https://github.com/emotiontts/emotiontts_open_db",
    commercial_use=False,
    list_files=list_files,
    looks_right=_looks_right,
    layout="a folder Emotional/ with recordings such as Emotional/plain-to-emotional/ema/wav/ema00101.wav",
    expected={"angry": 75, "happy": 75, "neutral": 75, "sad": 75},
    notes=(
        "In the part emotional-to-emotional the sentence tells the class and all speakers read the same sentences; "
        "300 recordings are few."
    ),
)
