"""SAVEE, the Surrey Audio-Visual Expressed Emotion database: British English, acted, four men, seven classes.

Recorded at the University of Surrey, published in 2009. Four native speakers, postgraduate students and researchers 27
to 31 years old, say for each emotion 15 sentences of TIMIT in anger, disgust, fear, happiness, sadness and surprise: 3
that are common to all emotions, 2 that fit the emotion, and 10 others. The 3 common and the 2 x 6 that fit an emotion
were also said neutrally: 30 neutral recordings. 120 recordings a speaker, 480 in all.

The official archive has ``AudioData/DC/a01.wav``: the speaker's folder, then letter (a anger, d disgust, f fear, h
happiness, n neutral, sa sadness, su surprise) and number of the sentence *within the emotion*. Copies have all in one
folder as ``DC_a01.wav``. Both have the id ``DC_a01``.

Twelve of the fifteen sentences of an emotion are said in no other emotion (but two of them neutrally), and by all four
speakers: words tell most of the class, and whoever tests on one speaker has trained on the same sentences with the same
label. Which words a number stands for is not in the archive, so ``sentence`` (a01, ...) tells equal words within an
emotion only.

Citation: S. Haq, P. J. B. Jackson, "Multimodal Emotion Recognition", in W. Wang (editor), Machine Audition: Principles,
Algorithms and Systems, IGI Global, pages 398-423, 2010.
"""

import re
from pathlib import Path

from serenade.core.records import LeftOut, Listing, Utterance
from serenade.corpora.completeness import with_absent
from serenade.corpora.corpus import Corpus
from serenade.corpora.layout import gather, require_root, walk_sounds
from serenade.corpora.naming import holds, read_stem

__all__ = ["CORPUS", "list_files"]

_SENTENCE = r"(?P<emotion>[a-z]{1,2})(?P<number>\d\d)"
_IN_FOLDER = re.compile(_SENTENCE)
_FLAT = re.compile(r"(?P<speaker>[A-Z]{2})_" + _SENTENCE)
_EITHER = re.compile(r"(?:(?P<speaker>[A-Z]{2})_)?" + _SENTENCE)

_EMOTIONS = {
    "a": "angry",
    "d": "disgusted",
    "f": "fearful",
    "h": "happy",
    "n": "neutral",
    "sa": "sad",
    "su": "surprised",
}
_SPEAKERS = ("DC", "JE", "JK", "KL")
_NUMBERS = [f"{number:02d}" for number in range(1, 31)]


def list_files(root: Path) -> Listing:
    """The recordings in ``root/AudioData/``, below folders of speakers in the root, or side by side in it, by name.

    Raises:
        CorpusError: there are no recordings of SAVEE; the message names a neighbour that has them.
    """
    require_root(root, _looks_right, title=CORPUS.title, expected=CORPUS.layout)
    folder = root / "AudioData"
    listing = gather(root, walk_sounds(folder if folder.is_dir() else root), _read_name)
    return with_absent(listing, lambda utterance: utterance.speaker, _SPEAKERS, kind="speaker")


def _looks_right(root: Path) -> bool:
    folders = [base / speaker for base in (root / "AudioData", root) for speaker in _SPEAKERS]
    return any(holds(folder, _IN_FOLDER) for folder in folders) or holds(root, _FLAT)


def _read_name(path: Path, where: str) -> Utterance | LeftOut:
    """The utterance that a file name, and where it tells no speaker the folder, tell of."""
    name = read_stem(path, where, _EITHER, example="DC_a01", emotion=_EMOTIONS, speaker=_SPEAKERS, number=_NUMBERS)
    if isinstance(name, LeftOut):
        return name
    folder, sentence = path.parent.name, name["emotion"] + name["number"]
    speaker = name.get("speaker", folder)
    if speaker not in _SPEAKERS or (folder in _SPEAKERS and folder != speaker):
        return LeftOut(where, "unreadable name", f"{path.stem} in the folder {folder}, expected one of a speaker")
    if int(name["number"]) > 15 and name["emotion"] != "n":
        return LeftOut(where, "unreadable name", f"sentence {sentence}, but only neutral has more than 15")
    return Utterance(
        id=f"{speaker}_{sentence}",
        audio=path,
        corpus="savee",
        speaker=speaker,
        emotion=_EMOTIONS[name["emotion"]],
        gender="male",
        language="en",
        sentence=sentence,
    )


CORPUS = Corpus(
    name="savee",
    title="SAVEE",
    language="en",
    licence="free for research, after registration",
    citation=(
        "S. Haq, P. J. B. Jackson: Multimodal Emotion Recognition. In W. Wang (editor): Machine Audition: Principles, "
        "Algorithms and Systems. IGI Global, pages 398-423, 2010."
    ),
    homepage="http://kahlan.eps.surrey.ac.uk/savee/",
    commercial_use=False,
    list_files=list_files,
    looks_right=_looks_right,
    layout="a folder AudioData/ with recordings such as AudioData/DC/a01.wav, or recordings such as DC_a01.wav",
    expected={
        "angry": 60,
        "disgusted": 60,
        "fearful": 60,
        "happy": 60,
        "neutral": 120,
        "sad": 60,
        "surprised": 60,
    },
    notes="Four men; most sentences are said in one emotion only, by all of them, so words tell the class.",
)
