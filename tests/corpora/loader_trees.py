"""What the contract of all loaders needs to know of each corpus: a tree-maker, and where to break the tree.

A new loader adds a line to `TREES`. Its maker takes the root and, by name, ``suffix`` (of recordings) and ``write``
(makes one), and leaves out nothing that the loader asks for: the listing of a fresh tree has nothing left out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.corpora import acted_trees, conversation_trees
from tests.corpora.acted_trees import Write
from tests.corpora.format_trees import make_librispeech
from tests.corpora.trees import make_emodb, make_ravdess, write_bytes


@dataclass(frozen=True)
class Table:
    """A CSV or TSV file beside the recordings.

    Args:
        path: the file.
        column: a column it cannot do without.
        key: what its first row is about.
        change: what to replace in that row, and by what, to get another row with the same key.
    """

    path: str
    column: str
    key: str
    change: tuple[str, str]


@dataclass(frozen=True)
class Tree:
    """How to make a corpus in miniature, and where to break it.

    Args:
        make: makes it below a root.
        inside: a folder in it that somebody may take for the root.
        part: a folder whose loss must be told; None where a loss only shows in the counts of `Corpus.expected`.
        absent: how that is called in the report.
        foreign: a folder where a recording of a foreign name must be told.
        tables: tables beside the recordings.
    """

    make: Callable[..., Path]
    inside: str
    part: str | None
    absent: str = ""
    foreign: str = ""
    tables: tuple[Table, ...] = ()


def _emodb(root: Path, *, suffix: str = ".wav", write: Write = write_bytes) -> Path:
    return make_emodb(root, ["03a01Wa", "03a01Nc"], suffix=suffix, write=write)


def _ravdess(root: Path, *, suffix: str = ".wav", write: Write = write_bytes) -> Path:
    return make_ravdess(root, ["03-01-06-02-01-02-12", "03-01-01-01-01-02-01"], suffix=suffix, write=write)


_TTS = "Emotional/plain-to-emotional/ema"
_VOTES = Table("processedResults/tabulatedVotes.csv", "fileName", "100001", (",6,2,", ",7,1,"))
_ACTORS = Table("VideoDemographics.csv", "Sex", "1001", (",51,", ",52,"))
_TURNS = "Session1/sentences/wav"
_VIDEOS = "Audio/Full/WAV_16000"
_SEGMENTS = Table("Labels/labels_consensus.csv", "Split_Set", "MSP-PODCAST_0001_0008.wav", (",N,", ",S,"))


def _librispeech(root: Path, *, suffix: str = ".wav", write: Write = write_bytes) -> Path:
    names = {"train-clean-100": ["103-1240-0000", "103-1240-0001", "1034-121119-0000"]}
    make_librispeech(root, names, suffix=suffix, write=write)
    with (root / "SPEAKERS.TXT").open("a", encoding="utf-8") as file:
        file.write("1034 | M | train-clean-100 | 25.0 | Somebody\n")
    return root


TREES = {
    "emodb": Tree(_emodb, "wav", None, foreign="wav"),
    "ravdess": Tree(_ravdess, "Actor_12", None, foreign="Actor_12"),
    "nemo": Tree(
        acted_trees.make_nemo,
        "samples",
        None,
        foreign="samples",
        tables=(Table("data.tsv", "raw_text", "EB0_anger_1.wav", ("\t27", "\t28")),),
    ),
    "turevdb": Tree(acted_trees.make_turevdb, "Sound Source", "Sound Source/Calm", "class calm", "Sound Source/Sad"),
    "emotiontts-ko": Tree(acted_trees.make_emotiontts_ko, "Emotional", _TTS, "speaker ema", f"{_TTS}/wav"),
    "librispeech": Tree(
        _librispeech, "train-clean-100/103", "train-clean-100/1034", "train-clean-100", "train-clean-100"
    ),
    "cremad": Tree(acted_trees.make_cremad, "AudioWAV", None, foreign="AudioWAV", tables=(_VOTES, _ACTORS)),
    "savee": Tree(acted_trees.make_savee, "AudioData/DC", "AudioData/KL", "speaker KL", "AudioData/DC"),
    "tess": Tree(acted_trees.make_tess, "OAF_Sad", "YAF_fear", "part YAF fearful", "OAF_Sad"),
    "emovo": Tree(acted_trees.make_emovo, "f1", "m2", "speaker m2", "f1"),
    "urdu": Tree(acted_trees.make_urdu, "Angry", "Sad", "class sad", "Angry"),
    "shemo": Tree(acted_trees.make_shemo, "female", "male", "sex male", "female"),
    "aesdd": Tree(acted_trees.make_aesdd, "anger", "fear", "class fearful", "anger"),
    "cafe": Tree(acted_trees.make_cafe, "Colère", "Peur", "class fearful", "Neutre"),
    "iemocap": Tree(conversation_trees.one_iemocap, "Session1", "Session4", "Session4", f"{_TURNS}/Ses01F_impro01"),
    "msp-improv": Tree(
        conversation_trees.one_msp_improv, "Audio", "Audio/session4", "session session4", "Audio/session1"
    ),
    "msp-podcast": Tree(
        conversation_trees.one_msp_podcast, "Audios", "Audios", "Audios", "Audios", tables=(_SEGMENTS,)
    ),
    "meld": Tree(conversation_trees.one_meld, "train_splits", "dev_splits_complete", "dev recordings", "train_splits"),
    "cmu-mosei": Tree(conversation_trees.one_cmu_mosei, "Transcript", f"{_VIDEOS}/more", "Audio/125344.wav", _VIDEOS),
}

NO_TREE = {
    "audformat",
    "audiofolder",
    "emobox",
    "kaldi",
    "lhotse",
    "noise",
    "prepared",
    "synthetic",
    "table",
    "unlabelled",
    "synthetic-av",
}
"""What has no corpus's layout: formats, the user's own folders, and what Serenade makes; they have their own tests."""

PENDING: set[str] = set()
"""Loaders whose tree is not here yet; their own tests stand for them."""
