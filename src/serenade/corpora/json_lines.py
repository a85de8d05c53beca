"""Reading lists that have a JSON object in every line, packed with gzip or not; complaints name the line."""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from serenade.core.errors import CorpusError
from serenade.corpora.delimited import decode

__all__ = ["plain_cell", "read_objects"]


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
    return value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
