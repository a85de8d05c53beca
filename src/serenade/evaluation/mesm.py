"""The lists of MESM: utterance ids of train, valid and test, as its authors published them for IEMOCAP and CMU-MOSEI.

One id per line, no header, unsorted for IEMOCAP. The user brings the files; nothing of them is kept here but their
counts, which are checked.

IEMOCAP's lists were drawn at random over utterances: all ten speakers are in all three parts, and all 151 dialogues in
train and in test. Figures on them are neither speaker- nor dialogue-independent, and the split says so. CMU-MOSEI's
lists follow the corpus's own folds of videos; no video is in two parts.

Source: W. Dai, S. Cahyawijaya, Z. Liu, P. Fung, "Multimodal End-to-End Sparse Model for Emotion Recognition", NAACL
2021; counts recomputed from the published lists.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from serenade.core.errors import SplitError
from serenade.core.records import Fold, Split, Utterance
from serenade.evaluation.splits import SplitSettings

__all__ = ["from_mesm", "read_ids"]

_FILES = {"train": ("train",), "validation": ("valid", "val", "dev"), "test": ("test",)}
_SUFFIXES = (".txt", ".csv", ".lst", "")
_IEMOCAP = re.compile(r"Ses0[1-5][FM]_(impro\d\d[ab]?|script\d\d_\d[ab]?)_[FM]\d{3}")

# utterances per part; for IEMOCAP also per class (angry and so on in the words of this project)
_COUNTS = {
    "IEMOCAP": {"train": 5162, "validation": 737, "test": 1481},
    "CMU-MOSEI": {"train": 14524, "validation": 1765, "test": 4188},
}
_IEMOCAP_CLASSES = {
    "angry": (757, 112, 234),
    "excited": (736, 92, 213),
    "frustrated": (1298, 180, 371),
    "happy": (398, 62, 135),
    "neutral": (1214, 173, 321),
    "sad": (759, 118, 207),
}
_LEAKY = (
    "MESM's lists for IEMOCAP are random over utterances: all ten speakers are in train, validation and test, and all "
    "dialogues in train and test; neither speaker- nor dialogue-independent"
)


def from_mesm(utterances: Sequence[Utterance], settings: SplitSettings) -> Split:
    """One fold from the folder of the lists: ``train_split.txt``, ``valid_split.txt``, ``test_split.txt``.

    Ids are the utterances' own, without the corpus's name before them. What does not meet, and counts that are not the
    published ones, are told in the notes. For IEMOCAP the split declares itself leaky.

    Raises:
        SplitError: a list is not there or not readable, an id is listed twice, or the lists are of another corpus.
    """
    lists = _read_lists(settings.path)
    by_name = {u.id.rpartition("/")[2]: u for u in utterances}
    listed = {name for names in lists.values() for name in names}
    if not any(name in by_name for name in listed):
        raise SplitError(
            "none of the listed utterances is here; are the lists of another corpus?",
            where=settings.path,
            found=f"ids such as {min(listed)}",
            expected=f"ids such as {min(by_name)}",
        )
    parts = {part: [by_name[name] for name in names if name in by_name] for part, names in lists.items()}
    corpus = _corpus(listed, [u for found in parts.values() for u in found])
    unlike = [] if corpus is None else _unlike(corpus, lists, parts)
    notes = [*unlike, *_unmet(listed, by_name)]
    train, validation, test = (tuple(sorted(u.id for u in parts[part])) for part in ("train", "validation", "test"))
    fold = Fold("mesm", train, validation, test)
    return Split("mesm", (fold,), leaky=_LEAKY if corpus == "IEMOCAP" else None, notes=tuple(notes))


def _corpus(listed: Iterable[str], found: Iterable[Utterance]) -> str | None:
    """The corpus whose published lists these should be; None where the user keeps lists of another one."""
    if all(_IEMOCAP.fullmatch(name) for name in listed):
        return "IEMOCAP"
    return "CMU-MOSEI" if any(u.corpus == "cmu-mosei" for u in found) else None


def read_ids(path: Path) -> list[str]:
    """The ids in a text file, one a line; a byte-order mark, Windows' ends of line and empty lines do no harm.

    Raises:
        SplitError: the file cannot be read as text, holds no id, or one twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise SplitError("the list cannot be read", where=path, found=error.strerror) from error
    except UnicodeDecodeError as error:
        raise SplitError("the list is not UTF-8 text", where=path, found=str(error)) from error
    ids = [line.strip() for line in lines if line.strip()]
    if not ids:
        raise SplitError("the list is empty", where=path, expected="one utterance id per line")
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        raise SplitError("an utterance is in the list twice", where=path, found=", ".join(twice[:5]))
    return ids


def _read_lists(folder: Path | None) -> dict[str, list[str]]:
    if folder is None:
        raise SplitError("the split mesm needs the folder of its lists", expected="mesm:PATH/data/IEMOCAP_SPLIT")
    lists = {part: read_ids(_file_of(folder, words)) for part, words in _FILES.items()}
    counts = Counter(name for names in lists.values() for name in names)
    twice = sorted(name for name, count in counts.items() if count > 1)
    if twice:
        found = f"{len(twice)}, such as {twice[0]}"
        raise SplitError("utterances are in more than one of the lists", where=folder, found=found)
    return lists


def _file_of(folder: Path, words: Sequence[str]) -> Path:
    """The one list whose name holds a word, such as ``valid_split.txt``."""
    expected = "train_split.txt, valid_split.txt and test_split.txt, one utterance id per line"
    if not folder.is_dir():
        raise SplitError("the folder of the lists is not there", where=folder, expected=expected)
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.suffix.lower() in _SUFFIXES]
    found = [path for path in files if set(re.findall("[a-z]+", path.stem.lower())) & {*words, f"{words[0]}ation"}]
    if len(found) != 1:
        shown = ", ".join(path.name for path in found or files)
        raise SplitError(f"expected one {words[0]} list", where=folder, found=shown or "none", expected=expected)
    return found[0]


def _unlike(corpus: str, lists: Mapping[str, Sequence[str]], parts: Mapping[str, Sequence[Utterance]]) -> list[str]:
    """Where the counts are not the published ones: of the lists themselves, and of the classes where all is here."""
    expected = _COUNTS[corpus]
    found = {part: len(names) for part, names in lists.items()}
    if found != expected:
        return [f"WARNING: these are not the published lists for {corpus}: {_shown(found)}, not {_shown(expected)}"]
    if corpus != "IEMOCAP" or any(len(parts[part]) < count for part, count in expected.items()):
        return []
    notes = []
    for place, part in enumerate(_FILES):
        classes = Counter(str(u.emotion) for u in parts[part])
        wanted = {name: counts[place] for name, counts in _IEMOCAP_CLASSES.items()}
        if classes != wanted:
            notes.append(f"WARNING: the classes of {part} are {_shown(classes)}, published are {_shown(wanted)}")
    return notes


def _shown(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {counts[name]}" for name in sorted(counts))


def _unmet(listed: Iterable[str], by_name: Mapping[str, Utterance]) -> list[str]:
    names = set(listed)
    absent, unlisted = sorted(names - by_name.keys()), sorted(by_name.keys() - names)
    notes = []
    if absent:
        notes.append(f"{len(absent)} of {len(names)} listed utterances are not here or not used, such as {absent[0]}")
    if unlisted:
        notes.append(f"{len(unlisted)} of {len(by_name)} utterances are in no list and not used, such as {unlisted[0]}")
    return notes
