"""EMOVO: Italian, acted, six speakers, 14 sentences, seven classes.

Recorded at the Fondazione Ugo Bordoni in Rome, published in 2014. Three actresses and three actors, 23 to 30 years old,
say 14 sentences in disgust, joy, fear, anger, surprise, sadness and neutrally: everyday ones, questions, and some
without sense (grammatical, but meaning nothing). 98 recordings a speaker, 588 in all, perfectly balanced. 24 listeners
recognised 80 % of two of the sentences.

A name such as ``dis-f1-b1`` is emotion (dis disgust, gio joy, pau fear, rab anger, sor surprise, tri sadness, neu
neutral), speaker and sentence (b short, l long, n without sense, d question). The recordings have two channels.

Every speaker says every sentence in every emotion. Three sentences (b1, b3, l4) are also those of the corpus
Emozionalmente: in tests across corpora these two share words.

Citation: G. Costantini, I. Iaderola, A. Paoloni, M. Todisco, "EMOVO Corpus: an Italian Emotional Speech Database", LREC
2014, pages 3501-3504.
"""

import re
from pathlib import Path

from serenade.core.records import LeftOut, Listing, Utterance
from serenade.corpora.completeness import with_absent
from serenade.corpora.corpus import Corpus
from serenade.corpora.layout import gather, require_root, walk_sounds
from serenade.corpora.naming import holds, read_stem

__all__ = ["CORPUS", "list_files"]

_NAME = re.compile(r"(?P<emotion>[a-z]{3})-(?P<speaker>[fm]\d)-(?P<sentence>[a-z]\d)")

_EMOTIONS = {
    "dis": "disgusted",  # disgusto
    "gio": "happy",  # gioia
    "neu": "neutral",
    "pau": "fearful",  # paura
    "rab": "angry",  # rabbia
    "sor": "surprised",  # sorpresa
    "tri": "sad",  # tristezza
}
_SPEAKERS = {"f1": 28, "f2": 23, "f3": 25, "m1": 30, "m2": 27, "m3": 30}  # age at the recording

_SENTENCES = {
    "b1": "Gli operai si alzano presto.",
    "b2": "I vigili sono muniti di pistola.",
    "b3": "La cascata fa molto rumore.",
    "l1": "L'autunno prossimo Tony partirà per la Spagna nella prima metà di ottobre.",
    "l2": "Ora prendo la felpa di là ed esco per fare una passeggiata.",
    "l3": "Un attimo dopo s'è incamminato ... ed è inciampato.",
    "l4": "Vorrei il numero telefonico del Signor Piatti.",
    "n1": "La casa forte vuole col pane.",
    "n2": "La forza trova il passo e l'aglio rosso.",
    "n3": "Il gatto sta scorrendo nella pera.",
    "n4": "Insalata pastasciutta coscia d'agnello limoncello.",
    "n5": "Uno quarantatré dieci mille cinquantasette venti.",
    "d1": "Sabato sera cosa farà?",
    "d2": "Porti con te quella cosa?",
}


def list_files(root: Path) -> Listing:
    """The recordings in the folders ``f1`` to ``m3`` of the root, by name.

    Raises:
        CorpusError: there are no such folders with recordings of EMOVO; the message names a neighbour that has them.
    """
    require_root(root, _looks_right, title=CORPUS.title, expected=CORPUS.layout)
    listing = gather(root, walk_sounds(root), _read_name)
    return with_absent(listing, lambda utterance: utterance.speaker, _SPEAKERS, kind="speaker")


def _looks_right(root: Path) -> bool:
    return any(holds(root / speaker, _NAME) for speaker in _SPEAKERS)


def _read_name(path: Path, where: str) -> Utterance | LeftOut:
    """The utterance that a file name tells of."""
    name = read_stem(path, where, _NAME, example="dis-f1-b1", emotion=_EMOTIONS, speaker=_SPEAKERS, sentence=_SENTENCES)
    if isinstance(name, LeftOut):
        return name
    speaker, folder = name["speaker"], path.parent.name
    if folder in _SPEAKERS and folder != speaker:
        return LeftOut(where, "unreadable name", f"speaker {speaker} in the folder {folder}")
    return Utterance(
        id=path.stem,
        audio=path,
        corpus="emovo",
        speaker=speaker,
        emotion=_EMOTIONS[name["emotion"]],
        gender="female" if speaker.startswith("f") else "male",
        language="it",
        sentence=name["sentence"],
        text=_SENTENCES[name["sentence"]],
        extra={"age": str(_SPEAKERS[speaker])},
    )


CORPUS = Corpus(
    name="emovo",
    title="EMOVO",
    language="it",
    licence="free for non-commercial use, with credit",
    citation=(
        "G. Costantini, I. Iaderola, A. Paoloni, M. Todisco: EMOVO Corpus: an Italian Emotional Speech Database. "
        "LREC 2014, pages 3501-3504."
    ),
    homepage="http://voice.fub.it/activities/corpora/emovo/index.html",
    commercial_use=False,
    list_files=list_files,
    looks_right=_looks_right,
    layout="folders f1/ to m3/ with recordings such as f1/dis-f1-b1.wav",
    expected={
        "angry": 84,
        "disgusted": 84,
        "fearful": 84,
        "happy": 84,
        "neutral": 84,
        "sad": 84,
        "surprised": 84,
    },
    notes="The same 14 sentences in every emotion; six speakers.",
)
