"""TESS, the Toronto emotional speech set: Canadian English, acted, two women, seven classes.

Recorded in Toronto in 2010 for studies of hearing and age. Two actresses, 64 (OAF) and 26 years old (YAF), say "Say the
word ..." with 200 words of the hearing test NU-6 in anger, disgust, fear, happiness, pleasant surprise, sadness and
neutrally: 2800 recordings, perfectly balanced.

A name such as ``OAF_back_angry`` is speaker, word, emotion (``ps`` is pleasant surprise). The official download is one
flat folder; the common copies have a folder per speaker and emotion (``OAF_angry``, ``OAF_Pleasant_surprise``,
``YAF_pleasant_surprised``, ...), and often the whole again inside itself, which is listed as duplicates. One file,
``OA_bite_neutral.wav``, lacks a letter; it is OAF's.

With two speakers nothing can be said of new voices: a test on the one has trained on the other alone. Random splits
reach nearly 100 % and mean nothing: the same voice says nearly the same sentence in the same way.

Citation: M. K. Pichora-Fuller, K. Dupuis, "Toronto emotional speech set (TESS)", Borealis, 2020,
doi:10.5683/SP2/E8H2MF.
"""

import re
from pathlib import Path

from serenade.core.records import LeftOut, Listing, Utterance
from serenade.corpora.completeness import with_absent
from serenade.corpora.corpus import Corpus
from serenade.corpora.layout import gather, require_root, walk_sounds
from serenade.corpora.naming import contradiction, holds, read_stem

__all__ = ["CORPUS", "list_files"]

_NAME = re.compile(r"(?P<speaker>[A-Z]+)_(?P<word>[a-z]+)_(?P<emotion>[a-z]+)")
_FOLDER = re.compile(r"[OY]AF_\w+", re.IGNORECASE)

_EMOTIONS = {
    "angry": "angry",
    "disgust": "disgusted",
    "fear": "fearful",
    "happy": "happy",
    "neutral": "neutral",
    "ps": "surprised",
    "sad": "sad",
}
_SPEAKERS = {"OAF": "OAF", "OA": "OAF", "YAF": "YAF"}  # the second is one odd name of the official release
_AGES = {"OAF": "64", "YAF": "26"}


def list_files(root: Path) -> Listing:
    """The recordings in the root or in its folders ``OAF_angry`` to ``YAF_sad``, by name.

    Raises:
        CorpusError: there are no recordings of TESS; the message names a neighbour that has them.
    """
    require_root(root, _looks_right, title=CORPUS.title, expected=CORPUS.layout)
    listing = gather(root, walk_sounds(root), _read_name)
    parts = [f"{speaker} {emotion}" for speaker in _AGES for emotion in sorted(_EMOTIONS.values())]
    return with_absent(listing, lambda utterance: f"{utterance.speaker} {utterance.emotion}", parts, kind="part")


def _looks_right(root: Path) -> bool:
    """Whether the recordings lie in the root (but not if that is the folder of one class) or in folders of it."""
    if _FOLDER.fullmatch(root.resolve().name):
        return False
    folders = [path for path in root.iterdir() if _FOLDER.fullmatch(path.name)]
    return any(holds(folder, _NAME) for folder in [root, *folders])


def _read_name(path: Path, where: str) -> Utterance | LeftOut:
    """The utterance that a file name tells of."""
    name = read_stem(path, where, _NAME, example="OAF_back_angry", emotion=_EMOTIONS, speaker=_SPEAKERS)
    if isinstance(name, LeftOut):
        return name
    speaker, word, emotion = _SPEAKERS[name["speaker"]], name["word"], _EMOTIONS[name["emotion"]]
    return contradiction(where, emotion) or Utterance(
        id=f"{speaker}_{word}_{name['emotion']}",
        audio=path,
        corpus="tess",
        speaker=speaker,
        emotion=emotion,
        gender="female",
        language="en",
        sentence=word,
        text=f"Say the word {word}.",
        extra={"age": _AGES[speaker]},
    )


CORPUS = Corpus(
    name="tess",
    title="TESS",
    language="en",
    licence="CC BY-NC-ND 4.0",
    citation=(
        "M. K. Pichora-Fuller, K. Dupuis: Toronto emotional speech set (TESS). Borealis, 2020, doi:10.5683/SP2/E8H2MF."
    ),
    homepage="https://doi.org/10.5683/SP2/E8H2MF",
    commercial_use=False,
    list_files=list_files,
    looks_right=_looks_right,
    layout="recordings such as OAF_back_angry.wav, or folders such as OAF_angry/ with them",
    expected={
        "angry": 400,
        "disgusted": 400,
        "fearful": 400,
        "happy": 400,
        "neutral": 400,
        "sad": 400,
        "surprised": 400,
    },
    notes="Two speakers: nothing can be said of new voices. The same 200 words in one carrier sentence.",
)
