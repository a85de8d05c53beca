"""The names behind the class numbers of a Hugging Face dataset, from where the `datasets` library keeps them.

A column of the type ``ClassLabel`` holds numbers; their names stand beside the data, in one of

* ``README.md``: ``dataset_info`` in its head, a list of features with ``class_label: names: {'0': angry, '1': sad}``,
* ``dataset_infos.json`` or ``dataset_info.json``: a feature ``{"names": ["angry", "sad"], "_type": "ClassLabel"}``,
* the schema of a Parquet table, under ``huggingface``: the same.

Whichever it is, and whether for one configuration or several, the features are searched for in the whole of it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from serenade.core.errors import CorpusError, MissingExtraError
from serenade.corpora.delimited import decode

__all__ = ["ClassNames"]

_JSON_FILES = ("dataset_infos.json", "dataset_info.json")
_CARD = "README.md"
_CARD_HEAD = re.compile(r"---[ \t]*\r?\n(?P<head>.*?)\n---", re.DOTALL)
_NUMBER = re.compile(r"(?P<whole>-?\d+)(?:\.0+)?")


class ClassNames:
    """Names of class numbers, by the name of the column.

    Args:
        root: the folder of the dataset.
        tables: metadata, of which Parquet may hold names too.

    Raises:
        CorpusError: a file that holds names cannot be read, or two of them contradict each other.
        MissingExtraError: names stand in ``README.md``, and PyYAML is not installed.
    """

    def __init__(self, root: Path, tables: list[Path]) -> None:
        self._names: dict[str, dict[int, str]] = {}
        self._told: dict[str, Path] = {}
        for name in _JSON_FILES:
            if (root / name).is_file():
                self._add(root / name, _json(root / name))
        for path in tables:
            if path.suffix == ".parquet":
                self._add(path, _parquet(path))
        if (root / _CARD).is_file():
            self._add(root / _CARD, _card(root / _CARD))

    def __iter__(self) -> Iterator[str]:
        """The columns whose numbers have names."""
        return iter(self._names)

    def name(self, column: str, cell: str) -> str:
        """The name of a class number; nothing for -1, no label; any other cell as it is.

        Raises:
            LookupError: the number has no name; the message says what the numbers are.
        """
        number = _NUMBER.fullmatch(cell)
        if number is None:
            return cell
        names = self._names[column]
        place = int(number["whole"])
        if place == -1:  # what `datasets` writes where a label is held back
            return ""
        if place not in names:
            there = ", ".join(f"{place} {name}" for place, name in sorted(names.items()))
            raise LookupError(f"{cell}, which {self._told[column].name} does not name; it has {there}")
        return names[place]

    def _add(self, path: Path, value: Any) -> None:
        for column, names in _features(value):
            known = self._names.setdefault(column, names)
            if known != names:
                raise CorpusError(
                    f"the names of the classes in the column {column!r} contradict each other",
                    where=path,
                    found=", ".join(names.values()),
                    expected=f"as in {self._told[column]}: {', '.join(known.values())}",
                    hint="Delete what is wrong, or write the names into the metadata in place of numbers",
                )
            self._told.setdefault(column, path)


def _features(value: Any) -> Iterator[tuple[str, dict[int, str]]]:
    """Column and names of every class label in a JSON value, in either of the forms that `datasets` writes."""
    if isinstance(value, list):
        for item in value:
            yield from _features(item)
    if not isinstance(value, Mapping):
        return
    kind = value.get("dtype")
    if isinstance(value.get("name"), str) and isinstance(kind, Mapping) and "class_label" in kind:
        yield from _class_label(value["name"], kind["class_label"])
    for column, feature in value.items():
        if isinstance(feature, Mapping) and "ClassLabel" in (feature.get("_type"), feature.get("id")):
            yield from _class_label(str(column), feature)
        else:
            yield from _features(feature)


def _class_label(column: str, feature: Any) -> Iterator[tuple[str, dict[int, str]]]:
    """The names of one class label: a list, or an object by number."""
    names = feature.get("names") if isinstance(feature, Mapping) else None
    if isinstance(names, list):
        yield column, {place: str(name) for place, name in enumerate(names)}
    elif isinstance(names, Mapping) and all(str(place).isdecimal() for place in names):
        yield column, {int(place): str(name) for place, name in names.items()}


def _json(path: Path) -> Any:
    try:
        return json.loads(decode(path, path.read_bytes()))
    except json.JSONDecodeError as error:
        raise CorpusError(
            "the description of the dataset is not JSON", where=path, found=str(error), hint="Copy it again"
        ) from error


def _parquet(path: Path) -> Any:
    """What the library wrote into the schema of a table; None where that is nothing."""
    from pyarrow import parquet

    written = (parquet.read_schema(path).metadata or {}).get(b"huggingface")
    return None if written is None else json.loads(written)


def _card(path: Path) -> Any:
    """The head of the dataset's card, where it speaks of class labels.

    Raises:
        CorpusError: it is no YAML.
        MissingExtraError: PyYAML is not installed.
    """
    head = _CARD_HEAD.match(decode(path, path.read_bytes()))
    if head is None or "class_label" not in head["head"]:
        return None
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError("PyYAML", extra="data", purpose=f"reading the names of classes in {path}") from error
    try:
        return yaml.safe_load(head["head"])
    except yaml.YAMLError as error:
        raise CorpusError(
            "the head of the dataset's card is not YAML",
            where=path,
            found=" ".join(str(error).split())[:200],
            hint="Correct it, or write the names of the classes into the metadata in place of numbers",
        ) from error
