"""URDU: spontaneous speech of Urdu talk shows, four classes.

Cut from talk shows on YouTube and published in 2018: 400 utterances, 100 each of anger, happiness, neutral and sadness.
It is the one corpus of this group that is not acted: guests and hosts in argument, with the sound of the studio.

A name such as ``SM1_F10_A010`` is speaker (SM a man, SF a woman), number of the utterance by this speaker, initial of
the emotion (A, H, N, S) and its number within the class. The folders ``Angry``, ``Happy``, ``Neutral`` and ``Sad`` say
the emotion again. The page speaks of 38 speakers (27 men); the names tell 29 (18 men).

26 of the 29 speakers have utterances of one class only, and one man (SM5) has 72 of the 100 neutral ones: whoever
recognises voices, microphones or shows recognises classes. Speaker-independent splits help, but each test speaker is
then of one class; look at the recall of each class, not at accuracy.

Citation: S. Latif, A. Qayyum, M. Usman, J. Qadir, "Cross Lingual Speech Emotion Recognition: Urdu vs. Western
Languages", International Conference on Frontiers of Information Technology, pages 88-93, 2018.
"""

import re
from pathlib import Path

from serenade.core.records import LeftOut, Listing, Utterance
from serenade.corpora.completeness import with_absent
from serenade.corpora.corpus import Corpus
from serenade.corpora.layout import gather, require_root, walk_sounds
from serenade.corpora.naming import contradiction, holds, read_stem

__all__ = ["CORPUS", "list_files"]

_NAME = re.compile(r"(?P<speaker>S[MF]\d+)_F(?P<take>\d+)_(?P<emotion>[A-Z])\d+")
_FOLDERS = ("angry", "happy", "neutral", "sad")
_EMOTIONS = {"A": "angry", "H": "happy", "N": "neutral", "S": "sad"}


def list_files(root: Path) -> Listing:
    """The recordings in the folders ``Angry``, ``Happy``, ``Neutral`` and ``Sad`` of the root, by name.

    Raises:
        CorpusError: there are no such folders with recordings of URDU; the message names a neighbour that has them.
    """
    require_root(root, _looks_right, title=CORPUS.title, expected=CORPUS.layout)
    listing = gather(root, walk_sounds(root), _read_name)
    return with_absent(listing, lambda utterance: str(utterance.emotion), _EMOTIONS.values(), kind="class")


def _looks_right(root: Path) -> bool:
    return any(path.name.lower() in _FOLDERS and holds(path, _NAME) for path in root.iterdir())


def _read_name(path: Path, where: str) -> Utterance | LeftOut:
    """The utterance that a file name tells of."""
    name = read_stem(path, where, _NAME, example="SM1_F10_A010", emotion=_EMOTIONS)
    if isinstance(name, LeftOut):
        return name
    speaker, emotion = name["speaker"], _EMOTIONS[name["emotion"]]
    return contradiction(where, emotion) or Utterance(
        id=path.stem,
        audio=path,
        corpus="urdu",
        speaker=speaker,
        emotion=emotion,
        gender="male" if speaker.startswith("SM") else "female",
        language="ur",
    )


CORPUS = Corpus(
    name="urdu",
    title="URDU",
    language="ur",
    licence="for research only",
    citation=(
        "S. Latif, A. Qayyum, M. Usman, J. Qadir: Cross Lingual Speech Emotion Recognition: Urdu vs. Western "
        "Languages. International Conference on Frontiers of Information Technology, pages 88-93, 2018."
    ),
    homepage="https://github.com/siddiquelatif/URDU-Dataset",
    commercial_use=False,
    list_files=list_files,
    looks_right=_looks_right,
    layout="folders Angry/, Happy/, Neutral/, Sad/ with recordings such as Angry/SM1_F10_A010.wav",
    expected={"angry": 100, "happy": 100, "neutral": 100, "sad": 100},
    notes="26 of the 29 speakers have one class only, so a voice tells the class.",
)
