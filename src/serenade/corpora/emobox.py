"""EmoBox lists as a corpus: ``<corpus>.jsonl`` with ``label_map.json`` beside it, the recordings elsewhere.

A line has ``key``, ``dataset``, ``wav`` (a path in the original layout below ``downloads/``), ``emo``, and the rate,
length and channels of the original file. ``label_map.json`` maps the corpus's words to those of the benchmark
(``boredem`` to ``Boredom``). The two may differ in case: EMO-DB's list says ``neutral``, its map ``Neutral``.

The lists name no speakers. Without them no split can keep people apart, so this reader is for corpora that have no
reader of their own; for those that have one, read the corpus itself and take the lists as a split
(``--split emobox:FOLDER``). Lists that do name a speaker, a gender, a language or a text (as `serenade corpus export`
writes them) are read with them.

Where there are several ``fold_N/`` folders, the fold in which an utterance is tested becomes its ``fold``; where there
is one, its lists become the ``split``.

Citation: Z. Ma et al., "EmoBox: Multilingual Multi-corpus Speech Emotion Recognition Toolkit and Benchmark",
Interspeech 2024.
"""

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from serenade.core.errors import CorpusError
from serenade.core.labels import canonical_emotion
from serenade.core.records import LeftOut, Listing
from serenade.corpora.cells import read_utterance, sort_cells
from serenade.corpora.choices import split_choices
from serenade.corpora.corpus import Corpus
from serenade.corpora.delimited import decode
from serenade.corpora.json_lines import plain_cell, read_objects
from serenade.corpora.layout import require_root
from serenade.corpora.manifests import AUDIO_CHOICE, Draft, assemble

__all__ = ["CORPUS", "list_files"]

_MAP = "label_map.json"
_FILE_FACTS = ("type", "task", "sample_rate", "num_frame", "length", "channel")  # of the original file, not of ours


def list_files(root: Path, *, recordings_needed: bool = True) -> Listing:
    """The utterances of a list (the file, or the folder that holds it), by name alone.

    Args:
        root: the list, or the folder that it lies in.
        recordings_needed: whether one of the recordings at least must be at hand.

    Raises:
        CorpusError: there is no such list, it cannot be read, or not one recording is there.
        UsageError: a choice after ``#`` is not known.
    """
    path, choices = split_choices(root, AUDIO_CHOICE)
    if not path.is_file():
        require_root(path, lambda folder: bool(_lists(folder)), title=CORPUS.title, expected=CORPUS.layout)
        path = _only_list(path)
    folder = path.parent
    rows = _rows(path, _label_map(folder / _MAP), _parts(folder))
    return assemble(
        root, rows, folder=folder, title="EmoBox list", recordings_needed=recordings_needed, audio=choices.get("audio")
    )


def _lists(folder: Path) -> list[Path]:
    """The lists of whole corpora in a folder: all but those of folds."""
    return sorted(path for path in folder.glob("*.jsonl") if "_fold_" not in path.name)


def _only_list(folder: Path) -> Path:
    """The list of a folder.

    Raises:
        CorpusError: there are several.
    """
    lists = _lists(folder)
    named = [path for path in lists if path.stem == folder.resolve().name]
    if len(lists) > 1 and len(named) != 1:
        raise CorpusError(
            "the folder holds several lists",
            where=folder,
            found=", ".join(path.name for path in lists),
            hint=f"Give the file, such as {lists[0]}",
        )
    return named[0] if named else lists[0]


def _rows(
    path: Path, label_map: Mapping[str, str], parts: Mapping[str, Mapping[str, str]]
) -> Iterator[Draft | LeftOut]:
    listed = set()
    for line, values in read_objects(path):
        place = f"{path}, line {line}"
        listed.add(plain_cell(values.get("key")))
        cells = {name: plain_cell(value) for name, value in values.items()}
        absent = [name for name in ("key", "wav") if not cells.get(name)]
        if absent:
            raise CorpusError(
                f"a line of the list has no {absent[0]!r}",
                where=place,
                found=", ".join(values),
                expected="key, dataset, wav and emo",
            )
        key, file, word = cells.pop("key"), cells.pop("wav"), cells.pop("emo", "")
        name = label_map.get(word.casefold(), word)
        if word and label_map and word.casefold() not in label_map and canonical_emotion(word) is None:
            yield LeftOut(f"{key} (line {line})", "unknown label", f"{word}, which {_MAP} does not have")
            continue
        own = {"utterance": key, "emotion": name} | dict(parts.get(key, {}))
        known, extra = sort_cells({name: cell for name, cell in cells.items() if name not in _FILE_FACTS})
        found = read_utterance("emobox", known | own, extra, where=f"{key} (line {line})", place=place)
        yield found if isinstance(found, LeftOut) else Draft(f"{key} (line {line})", file, found)
    for key in sorted(parts.keys() - listed):
        yield LeftOut(key, "missing", f"in the lists of the folds, but not in {path.name}")


def _label_map(path: Path) -> dict[str, str]:
    """The corpus's words, in lower case, to those of the benchmark; empty where there is no map.

    Raises:
        CorpusError: the file is no JSON object of words.
    """
    if not path.is_file():
        return {}
    try:
        mapped = json.loads(decode(path, path.read_bytes()))
        return {str(word).casefold(): str(name) for word, name in mapped.items()}
    except (json.JSONDecodeError, AttributeError) as error:
        raise CorpusError(
            "the label map cannot be read",
            where=path,
            found=str(error),
            expected='such as {"ang": "Angry"}',
            hint="Copy it again",
        ) from error


def _parts(folder: Path) -> dict[str, dict[str, str]]:
    """Fold or part of the split by key, from the lists in ``fold_N/``."""
    folds = sorted(path for path in folder.glob("fold_*") if path.is_dir())
    parts: dict[str, dict[str, str]] = {}
    for fold in folds:
        for part in ("train", "valid", "test") if len(folds) == 1 else ("test",):
            for path in fold.glob(f"*_{part}_fold_*.jsonl"):
                name = {"split": part} if len(folds) == 1 else {"fold": fold.name.removeprefix("fold_")}
                parts.update((plain_cell(values.get("key")), name) for _, values in read_objects(path))
    return parts


CORPUS = Corpus(
    name="emobox",
    title="an EmoBox list",
    language=None,
    licence="that of the recordings; the lists are MIT",
    citation=(
        "Z. Ma et al.: EmoBox: Multilingual Multi-corpus Speech Emotion Recognition Toolkit and Benchmark. "
        "Interspeech 2024."
    ),
    homepage="https://github.com/emo-box/EmoBox",
    commercial_use=None,
    list_files=list_files,
    looks_right=lambda root: bool(_lists(root)) and (root / _MAP).is_file(),
    list_labels=partial(list_files, recordings_needed=False),
    layout="a folder with <corpus>.jsonl and label_map.json, or the list itself; PATH#audio=FOLDER for the recordings",
    notes="The lists name no speakers: where the corpus has a reader of its own, use that one.",
)
