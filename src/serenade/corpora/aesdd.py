"""AESDD, the Acted Emotional Speech Dynamic Database: Greek, acted, five classes.

Begun in 2017 at the Aristotle University of Thessaloniki for lighting a stage by the actors' emotion, and growing since
(hence "dynamic"): the first version had five professional actors (three women, two men), later ones have more. They say
19 sentences that fit any emotion in anger, disgust, fear, happiness and sadness, and each actor one more of his or her
own for every emotion. Listeners recognised about 74 %. There is no neutral class.

A name such as ``a03 (4)`` is the initial of the emotion, the number of the sentence and, in brackets, of the speaker; a
second take has a letter behind it, ``f18 (5)b``. The folders ``anger`` to ``sadness`` say the emotion again. The sex of
the speakers and the words are not told with the recordings. Sentence 20 is the actor's own, so its number tells no
equal words.

Since the corpus grows there is no number that is complete; the common copies have 605 recordings. Of those
``sadness/s05 (3).wav`` cannot be decoded.

Citation: N. Vryzas, R. Kotsakis, A. Liatsou, C. A. Dimoulas, G. Kalliris, "Speech emotion recognition for performance
interaction", Journal of the Audio Engineering Society 66(6), pages 457-467, 2018.
"""

import re
from pathlib import Path

from serenade.core.records import LeftOut, Listing, Utterance
from serenade.corpora.completeness import with_absent
from serenade.corpora.corpus import Corpus
from serenade.corpora.layout import gather, require_root, walk_sounds
from serenade.corpora.naming import contradiction, holds, read_stem

__all__ = ["CORPUS", "list_files"]

_NAME = re.compile(r"(?P<emotion>[a-z])(?P<sentence>\d\d) ?\((?P<speaker>\d+)\) ?(?P<take>[a-z]?)")
_FOLDERS = ("anger", "disgust", "fear", "happiness", "sadness")
_EMOTIONS = {"a": "angry", "d": "disgusted", "f": "fearful", "h": "happy", "s": "sad"}
_SENTENCES = [f"{number:02d}" for number in range(1, 21)]
_IMPROVISED = "20"


def list_files(root: Path) -> Listing:
    """The recordings in the folders ``anger`` to ``sadness`` of the root, by name.

    Raises:
        CorpusError: there are no such folders with recordings of AESDD; the message names a neighbour that has them.
    """
    require_root(root, _looks_right, title=CORPUS.title, expected=CORPUS.layout)
    listing = gather(root, walk_sounds(root), _read_name)
    return with_absent(listing, lambda utterance: str(utterance.emotion), _EMOTIONS.values(), kind="class")


def _looks_right(root: Path) -> bool:
    return any(path.name.lower() in _FOLDERS and holds(path, _NAME) for path in root.iterdir())


def _read_name(path: Path, where: str) -> Utterance | LeftOut:
    """The utterance that a file name tells of."""
    name = read_stem(path, where, _NAME, example="a03 (4)", emotion=_EMOTIONS, sentence=_SENTENCES)
    if isinstance(name, LeftOut):
        return name
    emotion, sentence = _EMOTIONS[name["emotion"]], name["sentence"]
    return contradiction(where, emotion) or Utterance(
        id=f"{name['emotion']}{sentence} ({name['speaker']}){name['take']}",
        audio=path,
        corpus="aesdd",
        speaker=name["speaker"],
        emotion=emotion,
        language="el",
        sentence=None if sentence == _IMPROVISED else sentence,
        extra={"take": name["take"]} if name["take"] else {},
    )


CORPUS = Corpus(
    name="aesdd",
    title="AESDD",
    language="el",
    licence="free for research, with credit",
    citation=(
        "N. Vryzas, R. Kotsakis, A. Liatsou, C. A. Dimoulas, G. Kalliris: Speech emotion recognition for performance "
        "interaction. Journal of the Audio Engineering Society 66(6), pages 457-467, 2018."
    ),
    homepage="http://m3c.web.auth.gr/research/aesdd-speech-emotion-recognition/",
    commercial_use=False,
    list_files=list_files,
    looks_right=_looks_right,
    layout="folders anger/, disgust/, fear/, happiness/, sadness/ with recordings such as anger/a03 (4).wav",
    notes="The same 19 sentences in every emotion; no neutral class; the corpus grows, so copies differ.",
)
