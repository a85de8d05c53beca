"""CaFE, the Canadian French Emotional speech dataset: acted, twelve speakers, six sentences, seven classes.

Recorded at the Université de Sherbrooke, published in 2018. Six actresses and six actors, 15 to 64 years old, say six
sentences about animals, without any emotion of their own, in anger, disgust, joy, fear, surprise and sadness, each
mildly and strongly, and neutrally: 936 recordings, perfectly balanced but for neutral, which has half.

A name such as ``01-C-2-3`` is actor, initial (C *colère* anger, D *dégoût* disgust, J *joie* joy, N *neutre* neutral, P
*peur* fear, S *surprise*, T *tristesse* sadness), intensity (1 mild, 2 strong) and sentence. Odd actors are men, even
ones women. The folders ``Colère/Fort``, ``Neutre``, ... say the same; the official archive, made on another system,
unpacks to folders such as ``ColŠre`` and ``D‚go–t``. So the names of files count, and folders only where they can be
read: as written, with accents in one piece or two, without accents, or in English.

Every speaker says every sentence in every emotion.

Citation: P. Gournay, O. Lahaie, R. Lefebvre, "A Canadian French Emotional Speech Dataset", ACM Multimedia Systems
Conference, pages 399-402, 2018.
"""

import re
from pathlib import Path

from serenade.core.records import LeftOut, Listing, Utterance
from serenade.corpora.completeness import with_absent
from serenade.corpora.corpus import Corpus
from serenade.corpora.layout import gather, require_root, walk_sounds
from serenade.corpora.naming import contradiction, holds, read_stem

__all__ = ["CORPUS", "list_files"]

_NAME = re.compile(r"(?P<actor>\d\d)-(?P<emotion>[A-Z])-(?P<intensity>\d)-(?P<sentence>\d)")
_INTENSITY_FOLDERS = frozenset(("faible", "fort", "weak", "mild", "low", "strong", "high"))

_EMOTIONS = {
    "C": "angry",  # colère
    "D": "disgusted",  # dégoût
    "J": "happy",  # joie
    "N": "neutral",  # neutre
    "P": "fearful",  # peur
    "S": "surprised",  # surprise
    "T": "sad",  # tristesse
}
_INTENSITIES = {"1": "mild", "2": "strong"}

# age of the actors 01 to 12 at the recording; odd ones are men
_ACTORS = {f"{actor:02d}": age for actor, age in enumerate((46, 64, 18, 50, 22, 34, 15, 25, 42, 20, 35, 37), start=1)}

_SENTENCES = {
    "1": "Un cheval fou dans mon jardin.",
    "2": "Deux ânes aigris au pelage brun.",
    "3": "Trois cygnes aveugles au bord du lac.",
    "4": "Quatre vieilles truies éléphantesques.",
    "5": "Cinq pumas fiers et passionnés.",
    "6": "Six ours aimants domestiqués.",
}


def list_files(root: Path) -> Listing:
    """The recordings below the folders of the classes, by the names of the files.

    Raises:
        CorpusError: there are no folders with recordings of CaFE; the message names a neighbour that has them.
    """
    require_root(root, _looks_right, title=CORPUS.title, expected=CORPUS.layout)
    listing = gather(root, walk_sounds(root), _read_name)
    return with_absent(listing, lambda utterance: str(utterance.emotion), _EMOTIONS.values(), kind="class")


def _looks_right(root: Path) -> bool:
    """Whether folders lie in the root that hold recordings, directly or below an intensity; their names may be odd."""
    folders = [path for path in root.iterdir() if path.is_dir()]
    if any(folder.name.lower() in _INTENSITY_FOLDERS for folder in folders):
        return False  # the folder of one class
    return any(holds(path, _NAME) for folder in folders for path in (folder, *_intensities(folder)))


def _intensities(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.lower() in _INTENSITY_FOLDERS]


def _read_name(path: Path, where: str) -> Utterance | LeftOut:
    """The utterance that a file name tells of."""
    name = read_stem(
        path,
        where,
        _NAME,
        example="01-C-2-3",
        emotion=_EMOTIONS,
        actor=_ACTORS,
        intensity=_INTENSITIES,
        sentence=_SENTENCES,
    )
    if isinstance(name, LeftOut):
        return name
    actor, emotion, sentence = name["actor"], _EMOTIONS[name["emotion"]], name["sentence"]
    if emotion == "neutral" and name["intensity"] != "1":
        return LeftOut(where, "unreadable name", "neutral with strong intensity, which the corpus does not have")
    intensity = {} if emotion == "neutral" else {"intensity": _INTENSITIES[name["intensity"]]}
    return contradiction(where, emotion) or Utterance(
        id=path.stem,
        audio=path,
        corpus="cafe",
        speaker=actor,
        emotion=emotion,
        gender="male" if int(actor) % 2 else "female",
        language="fr",
        sentence=sentence,
        text=_SENTENCES[sentence],
        extra={"age": str(_ACTORS[actor]), **intensity},
    )


CORPUS = Corpus(
    name="cafe",
    title="CaFE",
    language="fr",
    licence="CC BY-NC-SA 4.0",
    citation=(
        "P. Gournay, O. Lahaie, R. Lefebvre: A Canadian French Emotional Speech Dataset. "
        "ACM Multimedia Systems Conference, pages 399-402, 2018."
    ),
    homepage="https://zenodo.org/record/1478765",
    commercial_use=False,
    list_files=list_files,
    looks_right=_looks_right,
    layout="folders such as Colère/Fort/ and Neutre/ with recordings such as Colère/Fort/01-C-2-3.wav",
    expected={
        "angry": 144,
        "disgusted": 144,
        "fearful": 144,
        "happy": 144,
        "neutral": 72,
        "sad": 144,
        "surprised": 144,
    },
    notes="The same six sentences in every emotion; neutral has half as many recordings as the other classes.",
)
