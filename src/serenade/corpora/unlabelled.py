"""Any folder of sound as unlabelled speech.

Every sound file below the folder is one utterance without an emotion; what is no sound is passed over. Nobody can know
from a folder who speaks, so the speaker is unknown, unless the user says that folders are people:

* ``PATH`` - the speaker is unknown; recordings in one folder are a group, which must not straddle train and test;
* ``PATH#speaker=folder`` - the first folder below ``PATH`` is the speaker: ``anna/2024/1.wav`` is spoken by anna. A
  recording that lies in no folder has no known speaker.
"""

from functools import partial
from pathlib import Path

from serenade.core.errors import UsageError
from serenade.core.records import UNKNOWN_SPEAKER, LeftOut, Listing, Utterance
from serenade.corpora.choices import split_choices
from serenade.corpora.corpus import Corpus
from serenade.corpora.layout import gather, is_sound, require_root, walk_files

__all__ = ["CORPUS", "list_files"]


def list_files(root: Path) -> Listing:
    """Every sound file below ``root``, by name alone.

    Raises:
        CorpusError: there is no folder, or no sound in it.
        UsageError: a choice after ``#`` is not known.
    """
    folder, choices = split_choices(root, {"speaker": "folder: the first folder names who speaks"})
    told = choices.get("speaker")
    if told not in (None, "folder"):
        raise UsageError("the speaker can be told by folders only", found=f"speaker={told}", expected="speaker=folder")
    # Sound lies near every folder: no neighbour is looked at.
    require_root(folder, lambda path: path == folder and _has_sound(path), title=CORPUS.title, expected=CORPUS.layout)
    return gather(folder, walk_files(folder), partial(_read_name, folder, told is not None))


def _has_sound(folder: Path) -> bool:
    return any(is_sound(path) for path in walk_files(folder))


def _read_name(root: Path, folders_speak: bool, path: Path, where: str) -> Utterance | LeftOut:
    if not is_sound(path):
        return LeftOut(where, "other material", "not a sound file")
    inside = path.relative_to(root)
    first = inside.parts[0] if len(inside.parts) > 1 else None
    return Utterance(
        id=where,
        audio=path,
        corpus="unlabelled",
        speaker=first if folders_speak and first is not None else UNKNOWN_SPEAKER,
        emotion=None,
        group=None if first is None else inside.parent.as_posix(),
    )


CORPUS = Corpus(
    name="unlabelled",
    title="unlabelled speech",
    language=None,
    licence="yours to know",
    citation="",
    homepage="",
    commercial_use=None,
    list_files=list_files,
    layout="any folder with sound in it; PATH#speaker=folder where its folders are people",
    notes="Without labels: for unlabelled training and for prediction, not for testing.",
)
