"""TurEV-DB, the Turkish Emotion Voice Database: acted single words, six speakers, four classes.

Published in 2020. Six people say the same 82 Turkish words angrily, calmly, happily and sadly; a recording is one word,
0.35 to 2.5 seconds long. Four of them said everything; of speaker 1157 only anger and sadness were published, of
speaker 7895 29 happy recordings. The sex of the speakers is not told.

A name such as ``1157_kz_acik`` is speaker, emotion (kz *kızgın* angry, sk *sakin* calm, mt *mutlu* happy, hl *hüzünlü*
sad) and word. The word is written without Turkish letters (``acik`` is *açık*, but ``koy`` may be *koy* or *köy*), so
it is a name of what was said and not its text. The folders ``Angry``, ``Calm``, ``Happy`` and ``Sad`` say the emotion
again. The repository also holds spectrograms under the same names, and its licence file is the GPL 3, while its page
says CC BY-NC-ND 4.0: keep to the stricter one.

Every speaker says every word in every emotion. EmoBox's public lists for this corpus share speakers between train and
test.

Citation: S. F. Canpolat, Z. Ormanoglu, D. Zeyrek, "Turkish Emotion Voice Database (TurEV-DB)", SLTU-CCURL 2020, pages
368-375.
"""

import re
from pathlib import Path

from serenade.core.records import LeftOut, Listing, Utterance
from serenade.corpora.completeness import with_absent
from serenade.corpora.corpus import Corpus
from serenade.corpora.layout import gather, require_root, walk_files
from serenade.corpora.naming import contradiction, holds, read_stem

__all__ = ["CORPUS", "list_files"]

_NAME = re.compile(r"(?P<speaker>\d{4})_(?P<emotion>[a-z]{2})_(?P<word>[a-z]+)(?P<version>\d*)")
_FOLDER = "Sound Source"
_EMOTIONS = {"kz": "angry", "sk": "calm", "mt": "happy", "hl": "sad"}
_SPEAKERS = ("1157", "1234", "1358", "1984", "6783", "7895")


def list_files(root: Path) -> Listing:
    """The recordings in ``root/Sound Source/``, by name alone.

    Raises:
        CorpusError: there is no such folder with recordings of TurEV-DB; the message names a neighbour that has one.
    """
    require_root(root, _looks_right, title=CORPUS.title, expected=CORPUS.layout)
    listing = gather(root, walk_files(root / _FOLDER), _read_name)
    listing = with_absent(listing, lambda utterance: str(utterance.emotion), _EMOTIONS.values(), kind="class")
    return with_absent(listing, lambda utterance: utterance.speaker, _SPEAKERS, kind="speaker")


def _looks_right(root: Path) -> bool:
    folder = root / _FOLDER
    return folder.is_dir() and any(holds(child, _NAME) for child in folder.iterdir())


def _read_name(path: Path, where: str) -> Utterance | LeftOut:
    """The utterance that a file name tells of."""
    name = read_stem(path, where, _NAME, example="1157_kz_acik", emotion=_EMOTIONS, speaker=_SPEAKERS)
    if isinstance(name, LeftOut):
        return name
    emotion = _EMOTIONS[name["emotion"]]
    return contradiction(where, emotion) or Utterance(
        id=path.stem,
        audio=path,
        corpus="turevdb",
        speaker=name["speaker"],
        emotion=emotion,
        language="tr",
        sentence=name["word"],
        extra={"version": name["version"]} if name["version"] else {},
    )


CORPUS = Corpus(
    name="turevdb",
    title="TurEV-DB",
    language="tr",
    licence="CC BY-NC-ND 4.0",
    citation=(
        "S. F. Canpolat, Z. Ormanoglu, D. Zeyrek: Turkish Emotion Voice Database (TurEV-DB). "
        "SLTU-CCURL 2020, pages 368-375."
    ),
    homepage="https://github.com/Xeonen/TurEV-DB",
    commercial_use=False,
    list_files=list_files,
    looks_right=_looks_right,
    layout="a folder 'Sound Source' with Angry/, Calm/, Happy/, Sad/ and recordings such as Angry/1157_kz_acik.wav",
    expected={"angry": 487, "calm": 408, "happy": 357, "sad": 483},
    notes="Single words, the same in every emotion; speaker 1157 has no calm and no happy.",
)
