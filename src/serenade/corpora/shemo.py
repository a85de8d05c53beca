"""ShEMO, the Sharif Emotional Speech Database: Persian, from radio plays, 87 speakers, six classes.

Cut from online radio plays and published in 2019: 3000 utterances, 3 hours and 25 minutes, by 31 women and 56 men.
Twelve people said which of anger, fear, happiness, sadness, surprise and neutral they heard; the majority decided
(kappa 0.64). "Semi-natural": acted, but for a listener who follows a story. The classes are very uneven: 1059 of anger
and 38 of fear, which many publications leave out.

A name such as ``F01A01`` is sex and number of the speaker, letter (A anger, F fear, H happiness, N neutral, S sadness,
W surprise) and number of the utterance. The archives unpack to ``female`` and ``male``.

The words come apart. ``shemo.json`` has them under the names of the *text files*, of which 162 are the names of no
recording, and others of another one. ``modified_shemo.json`` (github.com/aliyzd95/ShEMO-Modification; it has the
recordings in ``shemo``) gives each recording the text that speech recognition says is its own, and for 163 recordings
another label, that of the text. Here the label is always the one in the recording's name; where the modified table has
another it is kept in ``extra`` as ``modified_emotion``, and how many there are is told.

Citation: O. Mohamad Nezami, P. Jamshid Lou, M. Karami, "ShEMO: a large-scale validated database for Persian speech
emotion detection", Language Resources and Evaluation 53(1), pages 1-16, 2019.
"""

import json
import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath

from serenade.core.errors import CorpusError
from serenade.core.labels import canonical_emotion
from serenade.core.records import LeftOut, Listing, Utterance
from serenade.core.wording import counted
from serenade.corpora.completeness import refuse_pointers, with_absent
from serenade.corpora.corpus import Corpus
from serenade.corpora.layout import gather, require_root, walk_sounds
from serenade.corpora.naming import holds, plain_words, read_stem

__all__ = ["CORPUS", "list_files"]

_NAME = re.compile(r"(?P<speaker>[FM]\d\d)(?P<emotion>[A-Z])(?P<number>\d\d+)")
_FOLDERS = ("female", "male", "shemo")  # the last in the modified release
_TABLES = ("modified_shemo.json", "shemo.json")  # the first that is there is read

_EMOTIONS = {
    "A": "angry",
    "F": "fearful",
    "H": "happy",
    "N": "neutral",
    "S": "sad",
    "W": "surprised",
}
_SEXES = {"F": "female", "M": "male"}

_log = logging.getLogger(__name__)


def list_files(root: Path) -> Listing:
    """The recordings in ``root/female``, ``root/male`` and ``root/shemo``, by name, with words where a table has them.

    Raises:
        CorpusError: there are no such folders with recordings of ShEMO (the message names a neighbour that has them),
            the recordings were not downloaded, or a table cannot be read.
    """
    require_root(root, _looks_right, title=CORPUS.title, expected=CORPUS.layout)
    table = next((root / name for name in _TABLES if (root / name).is_file()), None)
    entries = {} if table is None else _read_table(table)
    paths = (path for folder in _FOLDERS if (root / folder).is_dir() for path in walk_sounds(root / folder))
    listing = gather(root, paths, lambda path, where: _read_name(path, where, entries))
    listing = with_absent(refuse_pointers(listing, root), _class_of, _EMOTIONS.values(), kind="class")
    _tell_other_labels(table, listing.utterances)
    return with_absent(listing, lambda utterance: str(utterance.gender), _SEXES.values(), kind="sex")


def _looks_right(root: Path) -> bool:
    return any(holds(root / folder, _NAME) for folder in _FOLDERS)


def _class_of(utterance: Utterance) -> str:
    return str(utterance.emotion)


def _read_name(path: Path, where: str, entries: Mapping[str, Mapping[str, str]]) -> Utterance | LeftOut:
    """The utterance that a file name and its entry in the table tell of."""
    name = read_stem(path, where, _NAME, example="F01A01", emotion=_EMOTIONS)
    if isinstance(name, LeftOut):
        return name
    sex, folder = _SEXES[name["speaker"][0]], path.parent.name
    if folder in _SEXES.values() and folder != sex:
        return LeftOut(where, "unreadable name", f"speaker {name['speaker']} in the folder {folder}")
    emotion, entry = _EMOTIONS[name["emotion"]], entries.get(path.stem, {})
    text = entry.get("transcript", "").strip("\ufeff ")
    modified = canonical_emotion(entry.get("emotion", ""))
    return Utterance(
        id=path.stem,
        audio=path,
        corpus="shemo",
        speaker=name["speaker"],
        emotion=emotion,
        gender=sex,
        language="fa",
        sentence=plain_words(text) if text else None,
        text=text if text else None,
        extra={} if modified in (None, emotion) else {"modified_emotion": str(modified)},
    )


def _read_table(path: Path) -> dict[str, dict[str, str]]:
    """The entries of a table of words by the name of the recording.

    Raises:
        CorpusError: the file is no JSON of one of the two forms, or has two entries for one recording.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        raise CorpusError("the table is not UTF-8", where=path, hint="Save it as UTF-8, or fetch it again") from error
    except json.JSONDecodeError as error:
        place = f"{path}, line {error.lineno}"
        raise CorpusError("the table is not JSON", where=place, found=error.msg, hint="Fetch it again") from error
    except ValueError as error:
        raise CorpusError("the table names something twice", where=path, found=error, hint="Delete one") from error
    if isinstance(found, dict):  # of the modified release: by file name
        return {PurePath(name).stem: _entry(path, name, entry, "transcript") for name, entry in found.items()}
    entries: dict[str, dict[str, str]] = {}
    for number, item in enumerate(found if isinstance(found, list) else [found], start=1):
        entry = _entry(path, f"entry {number}", item, "id", "transcript")
        if entries.setdefault(entry["id"], entry) != entry:
            raise CorpusError(
                "the table has two different entries for one recording",
                where=f"{path}, entry {number}",
                found=entry["id"],
                hint="Delete the one that is wrong",
            )
    return entries


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object whose names are all different; JSON itself would take the last.

    Raises:
        ValueError: holds the name that stands twice.
    """
    seen = dict(pairs)
    if len(seen) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(next(name for name in names if names.count(name) > 1))
    return seen


def _entry(path: Path, place: str, item: object, *needed: str) -> dict[str, str]:
    """The texts of an entry.

    Raises:
        CorpusError: it is no object with the fields that are needed.
    """
    entry = (
        {str(name): value for name, value in item.items() if isinstance(value, str)} if isinstance(item, dict) else {}
    )
    absent = [name for name in needed if name not in entry]
    if absent:
        raise CorpusError(
            f"an entry of the table has no {absent[0]!r}",
            where=f"{path}, {place}",
            found=", ".join(entry) if entry else "nothing",
            expected=f"the fields {', '.join(needed)}",
            hint="Fetch the table again",
        )
    return entry


def _tell_other_labels(table: Path | None, utterances: Iterable[Utterance]) -> None:
    other = [utterance.id for utterance in utterances if "modified_emotion" in utterance.extra]
    if other:
        _log.warning(
            "%s has another label for %s, such as %s; the label of the name is used, the other is in extra",
            *(table, counted(len(other), "recording"), other[0]),
        )


CORPUS = Corpus(
    name="shemo",
    title="ShEMO",
    language="fa",
    licence="free for academic use",
    citation=(
        "O. Mohamad Nezami, P. Jamshid Lou, M. Karami: ShEMO: a large-scale validated database for Persian speech "
        "emotion detection. Language Resources and Evaluation 53(1), pages 1-16, 2019."
    ),
    homepage="https://github.com/mansourehk/ShEMO",
    commercial_use=False,
    list_files=list_files,
    looks_right=_looks_right,
    layout="folders female/ and male/ with recordings such as female/F01A01.wav",
    expected={
        "angry": 1059,
        "fearful": 38,
        "happy": 201,
        "neutral": 1028,
        "sad": 449,
        "surprised": 225,
    },
    notes="Very uneven classes: 38 of fear. Some transcripts of shemo.json are those of other recordings.",
)
