"""Reading lists of JSON objects: one in every line, or a whole list in JSON or YAML, packed with gzip or not."""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from serenade.core.errors import CorpusError, MissingExtraError
from serenade.corpora.delimited import decode

__all__ = ["LIST_ENDINGS", "plain_cell", "read_list", "read_objects"]

LIST_ENDINGS = tuple(f"{form}{packed}" for form in (".jsonl", ".json", ".yaml", ".yml") for packed in ("", ".gz"))
"""Endings of the files that `read_list` reads."""


def read_objects(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Number and object of every line that is not blank.

    Args:
        path: a ``.jsonl`` file, or one packed with gzip.

    Raises:
        CorpusError: the file is cut off or damaged, or a line is no JSON object.
        OSError: the file cannot be read.
    """
    # Not splitlines: a text may hold U+2028 and other ends of line that are none in JSON.
    for line, text in enumerate(map(str.strip, _read_text(path).split("\n")), start=1):
        if not text:
            continue
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            raise CorpusError(
                "a line of the list is not JSON",
                where=f"{path}, line {line}",
                found=f"{error.msg} at column {error.colno}: {text[:60]}",
                expected="one JSON object a line",
                hint="If the file ends in the middle of a line, copy it again",
            ) from error
        if not isinstance(value, dict):
            raise CorpusError(
                "a line of the list is not a JSON object",
                where=f"{path}, line {line}",
                found=text[:60],
                expected='such as {"key": "a", "wav": "a.wav"}',
            )
        yield line, value


def read_list(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Place (such as ``line 3``) and object of every entry of a list.

    Args:
        path: one list in JSON (``.json``) or YAML (``.yaml``, ``.yml``), any other name JSON lines; all also packed
            with gzip.

    Raises:
        CorpusError: the file is cut off or damaged, holds no list, or an entry is no object.
        MissingExtraError: it is YAML, and PyYAML is not installed.
        OSError: the file cannot be read.
    """
    if not {".json", ".yaml", ".yml"} & set(path.suffixes[-2:]):
        yield from ((f"line {line}", value) for line, value in read_objects(path))
        return
    values = _whole(path)
    if not isinstance(values, list):
        raise CorpusError(
            "the file holds no list", where=path, found=type(values).__name__, expected="a list of objects"
        )
    for number, value in enumerate(values, start=1):
        if not isinstance(value, dict):
            raise CorpusError(
                "an entry of the list is no object",
                where=f"{path}, entry {number}",
                found=repr(value)[:60],
                expected='such as {"id": "a", ...}',
            )
        yield f"entry {number}", value


def _whole(path: Path) -> Any:
    """The one value of a JSON or YAML file.

    Raises:
        CorpusError: it is neither.
        MissingExtraError: PyYAML is not installed.
    """
    text = _read_text(path)
    if ".json" in path.suffixes[-2:]:
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            found = f"{error.msg} at line {error.lineno}, column {error.colno}"
            raise _broken(path, "JSON", found) from error
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError("PyYAML", extra="data", purpose=f"reading {path}") from error
    try:
        return yaml.load(
            text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        )  # the safe loader, ten times faster
    except yaml.YAMLError as error:
        raise _broken(path, "YAML", " ".join(str(error).split())[:200]) from error


def _broken(path: Path, form: str, found: str) -> CorpusError:
    return CorpusError(
        f"the list is not {form}", where=path, found=found, hint="If the file ends in the middle, copy it again"
    )


def _read_text(path: Path) -> str:
    raw = path.read_bytes()
    if path.suffix.lower() == ".gz":
        try:
            raw = gzip.decompress(raw)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise CorpusError(
                "the packed list is damaged or cut off", where=path, found=str(error), hint="Copy or download it again"
            ) from error
    return decode(path, raw)


def plain_cell(value: Any) -> str:
    """A JSON value as the cell of a table: nothing for null, text as it is, anything else as JSON."""
    if value is None:
        return ""
    return value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
