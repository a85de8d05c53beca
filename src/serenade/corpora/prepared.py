"""What `serenade corpus prepare` has cut: utterances with their sound, their faces and their words, ready for training.

::

    utterances.jsonl      one utterance a line, with paths within the folder
    left_out.jsonl        what the preparation left out, and why
    sound/ID.flac  faces/ID.safetensors

Ids, labels, speakers and the name of the corpus are those of what was prepared, so its splits fit. The folder may be
moved. An utterance may have no sound, or sound and no face.
"""

from pathlib import Path

from serenade.core.errors import CorpusError
from serenade.core.files import read_json_lines
from serenade.core.records import NO_RECORDING, LeftOut, Listing, Utterance
from serenade.corpora.corpus import Corpus
from serenade.corpora.layout import require_root

__all__ = ["CORPUS", "list_files"]

_UTTERANCES, _LEFT_OUT = "utterances.jsonl", "left_out.jsonl"


def list_files(root: Path) -> Listing:
    """The utterances of a prepared folder.

    Raises:
        CorpusError: the folder was not prepared, or its preparation was interrupted.
    """
    require_root(root, _looks_right, title=CORPUS.title, expected=CORPUS.layout)
    if not (root / _UTTERANCES).is_file():
        raise CorpusError(
            "the preparation of this folder was interrupted",
            where=root,
            hint="Run the same serenade corpus prepare again; it goes on where it stopped",
        )
    try:
        utterances = [_placed(Utterance.from_json(values), root) for values in read_json_lines(root / _UTTERANCES)]
        left_out = [LeftOut(**values) for values in read_json_lines(root / _LEFT_OUT)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorpusError("the list of what was prepared cannot be read", where=root, found=str(error)) from error
    return Listing(tuple(sorted(utterances, key=lambda utterance: utterance.id)), tuple(left_out))


def _looks_right(root: Path) -> bool:
    return (root / "prepare.toml").is_file()


def _placed(utterance: Utterance, root: Path) -> Utterance:
    audio = root / utterance.audio if utterance.has_audio else NO_RECORDING
    return utterance.with_(audio=audio, faces=None if utterance.faces is None else root / utterance.faces)


CORPUS = Corpus(
    name="prepared",
    title="a prepared corpus",
    language=None,
    licence="that of what was prepared",
    citation="",
    homepage="",
    commercial_use=None,
    list_files=list_files,
    looks_right=_looks_right,
    layout="a folder that serenade corpus prepare has filled: prepare.toml, utterances.jsonl, sound/ and faces/",
)
