"""EMO-DB, the Berlin Database of Emotional Speech: German, acted, ten speakers, seven classes.

Recorded in 1997 and 1999 in the anechoic chamber of the Technical University of Berlin. Ten actors, five women and
five men, spoke ten everyday sentences (five short, five longer) in anger, boredom, disgust, fear, happiness, sadness
and neutrally; of some they gave several versions. Of about 800 recordings those 535 were published that at least 80 %
of 20 listeners recognised and at least 60 % found natural. That is why the classes and speakers are uneven, and why
people do so well on it: what remained is the clear part of acted speech.

A name such as ``03a01Fa`` holds everything: speaker 03, sentence a01, emotion F (the German initial: W anger, L
boredom, E disgust, A fear, F happiness, T sadness, N neutral), version a. Every speaker says every sentence, so words
tell nothing of the emotion, but each sentence is in train and test of any speaker-independent split.

``erkennung.txt`` (or the same as ``perception.tsv``) beside the recordings says how many per cent of the 20 listeners
recognised the emotion and how many found it natural, for every recording that was made. Where the file is there, both
are in ``extra``.

The corpus has no official folds. Publications that shuffle utterances have the same ten voices on both sides.

Citation: F. Burkhardt, A. Paeschke, M. Rolfes, W. Sendlmeier, B. Weiss, "A Database of German Emotional Speech",
Interspeech 2005.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path

from serenade.core.records import LeftOut, Listing, Utterance
from serenade.corpora.corpus import Corpus
from serenade.corpora.label_files import read_lines
from serenade.corpora.layout import gather, is_sound, require_root, walk_files

__all__ = ["CORPUS", "list_files"]

_NAME = re.compile(r"(?P<speaker>\d\d)(?P<sentence>[ab]\d\d)(?P<emotion>[A-Z])(?P<version>[a-z])")

_PERCEPTION_FILES = ("erkennung.txt", "perception.tsv")  # the original, and the same in UTF-8
_PERCEPTION = re.compile(
    r"(?:\d+\s+)?(?P<stem>\d\d[ab]\d\d[A-Z][a-z])(?:\.wav)?\s+(?P<recognised>[\d.,]+)\s+(?P<natural>[\d.,]+)\s*"
)

_EMOTIONS = {
    "W": "angry",  # Wut (Ärger)
    "L": "bored",  # Langeweile
    "E": "disgusted",  # Ekel
    "A": "fearful",  # Angst
    "F": "happy",  # Freude
    "T": "sad",  # Trauer
    "N": "neutral",
}

_HEARD = ("recognised", "natural")

# speaker -> sex, age at the recording
_SPEAKERS = {
    "03": ("male", 31),
    "08": ("female", 34),
    "09": ("female", 21),
    "10": ("male", 32),
    "11": ("male", 26),
    "12": ("male", 30),
    "13": ("female", 32),
    "14": ("female", 35),
    "15": ("male", 25),
    "16": ("female", 31),
}

_SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}

_log = logging.getLogger(__name__)


def list_files(root: Path) -> Listing:
    """The recordings in ``root/wav/``, by name alone.

    Raises:
        CorpusError: there is no folder ``wav`` with recordings of EMO-DB (the message names a neighbour that has one),
            or the file of what listeners said is no text.
    """
    require_root(root, _looks_right, title=CORPUS.title, expected=CORPUS.layout)
    perception = _read_perception(root)
    return gather(root, walk_files(root / "wav"), lambda path, where: _read_name(path, where, perception))


def _looks_right(root: Path) -> bool:
    folder = root / "wav"
    return folder.is_dir() and any(_NAME.fullmatch(path.stem) for path in folder.iterdir())


def _read_perception(root: Path) -> dict[str, dict[str, str]]:
    """What listeners said, by the stem of the recording; empty where no file tells.

    Lines that cannot be read are passed over with a warning: nothing depends on them.
    """
    path = next((root / name for name in _PERCEPTION_FILES if (root / name).is_file()), None)
    found: dict[str, dict[str, str]] = {}
    for number, line in read_lines(path)[1:] if path is not None else []:
        match = _PERCEPTION.fullmatch(line.strip())
        percent = [_percent(match[name]) for name in _HEARD] if match else [None]
        if match is not None and None not in percent:
            if match["stem"] in found:
                _log.warning("%s, line %d: %s stands above already; the last line counts", path, number, match["stem"])
            found[match["stem"]] = {f"{name}_percent": str(p) for name, p in zip(_HEARD, percent, strict=True)}
        elif line.strip():
            _log.warning(
                "%s, line %d: expected a name such as 03a01Fa and two percentages: %r", path, number, line[:60]
            )
    return found


def _percent(cell: str) -> str | None:
    """A number from 0 to 100, also with a decimal comma, in its shortest form; None where it is none."""
    try:
        value = float(cell.replace(",", "."))
    except ValueError:
        return None
    return f"{value:g}" if 0 <= value <= 100 else None


def _read_name(path: Path, where: str, perception: Mapping[str, Mapping[str, str]]) -> Utterance | LeftOut:
    """The utterance that a file name tells of."""
    if not is_sound(path):
        return LeftOut(where, "other material", "not a sound file")
    name = _NAME.fullmatch(path.stem)
    if name is None:
        return LeftOut(where, "unreadable name", "expected a name such as 03a01Fa")
    speaker, sentence = name["speaker"], name["sentence"]
    if name["emotion"] not in _EMOTIONS:
        known = ", ".join(sorted(_EMOTIONS))
        return LeftOut(where, "unknown label", f"emotion letter {name['emotion']}, expected one of {known}")
    if speaker not in _SPEAKERS:
        return LeftOut(where, "unreadable name", f"speaker {speaker}, expected one of {', '.join(_SPEAKERS)}")
    if sentence not in _SENTENCES:
        return LeftOut(where, "unreadable name", f"sentence {sentence}, expected one of {', '.join(_SENTENCES)}")
    sex, age = _SPEAKERS[speaker]
    return Utterance(
        id=path.stem,
        audio=path,
        corpus="emodb",
        speaker=speaker,
        emotion=_EMOTIONS[name["emotion"]],
        gender=sex,
        language="de",
        sentence=sentence,
        text=_SENTENCES[sentence],
        extra={"version": name["version"], "age": str(age), **perception.get(path.stem, {})},
    )


CORPUS = Corpus(
    name="emodb",
    title="EMO-DB",
    language="de",
    licence="CC0 1.0",
    citation=(
        "F. Burkhardt, A. Paeschke, M. Rolfes, W. Sendlmeier, B. Weiss: A Database of German Emotional Speech. "
        "Interspeech 2005."
    ),
    homepage="https://github.com/audeering/emodb",
    commercial_use=True,
    list_files=list_files,
    looks_right=_looks_right,
    layout="a folder wav/ with recordings such as wav/03a01Fa.wav",
    expected={
        "angry": 127,
        "bored": 81,
        "disgusted": 46,
        "fearful": 69,
        "happy": 71,
        "neutral": 79,
        "sad": 62,
    },
    notes="Acted, and only what listeners recognised was published: easier than speech in the wild.",
)
