"""EMO-DB, the Berlin Database of Emotional Speech: German, acted, ten speakers, seven classes.

Recorded in 1997 and 1999 in the anechoic chamber of the Technical University of Berlin. Ten actors, five women and
five men, spoke ten everyday sentences (five short, five longer) in anger, boredom, disgust, fear, happiness, sadness
and neutrally; of some they gave several versions. Of about 800 recordings those 535 were published that at least 80 %
of 20 listeners recognised and at least 60 % found natural. That is why the classes and speakers are uneven, and why
people do so well on it: what remained is the clear part of acted speech.

A name such as ``03a01Fa`` holds everything: speaker 03, sentence a01, emotion F (the German initial: W anger, L
boredom, E disgust, A fear, F happiness, T sadness, N neutral), version a. Every speaker says every sentence, so words
tell nothing of the emotion, but each sentence is in train and test of any speaker-independent split.

The corpus has no official folds. Publications that shuffle utterances have the same ten voices on both sides.

Citation: F. Burkhardt, A. Paeschke, M. Rolfes, W. Sendlmeier, B. Weiss, "A Database of German Emotional Speech",
Interspeech 2005.
"""

import re
from pathlib import Path

from serenade.core.records import LeftOut, Listing, Utterance
from serenade.corpora.corpus import Corpus
from serenade.corpora.layout import gather, is_sound, require_root, walk_files

__all__ = ["CORPUS", "list_files"]

_NAME = re.compile(r"(?P<speaker>\d\d)(?P<sentence>[ab]\d\d)(?P<emotion>[A-Z])(?P<version>[a-z])")

_EMOTIONS = {
    "W": "angry",  # Wut (Ärger)
    "L": "bored",  # Langeweile
    "E": "disgusted",  # Ekel
    "A": "fearful",  # Angst
    "F": "happy",  # Freude
    "T": "sad",  # Trauer
    "N": "neutral",
}

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


def list_files(root: Path) -> Listing:
    """The recordings in ``root/wav/``, by name alone.

    Raises:
        CorpusError: there is no folder ``wav`` with recordings of EMO-DB; the message names a neighbour that has one.
    """
    require_root(root, _looks_right, title=CORPUS.title, expected=CORPUS.layout)
    return gather(root, walk_files(root / "wav"), _read_name)


def _looks_right(root: Path) -> bool:
    folder = root / "wav"
    return folder.is_dir() and any(_NAME.fullmatch(path.stem) for path in folder.iterdir())


def _read_name(path: Path, where: str) -> Utterance | LeftOut:
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
        extra={"version": name["version"], "age": str(age)},
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
