"""Predictions as Parquet (extra `data`): the columns of the CSV, typed, written in groups of rows."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, BinaryIO

from serenade.core.errors import MissingExtraError
from serenade.core.records import Prediction
from serenade.inference.formats import ATTRIBUTES, to_row

__all__ = ["write_parquet"]

_GROUP_ROWS = 10_000  # held in memory at a time


def write_parquet(
    stream: BinaryIO,
    rows: Iterable[Prediction],
    labels: Sequence[str],
    *,
    attributes: bool = False,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write rows, of which any number may come.

    Names that are not valid UTF-8, which Parquet cannot hold, are written with their odd bytes as ``\\xff``.

    Args:
        stream: where to.
        rows: predictions.
        labels: the classes, in the order of the columns.
        attributes: the model tells valence, arousal and dominance.
        metadata: stands in the file's metadata as JSON, under ``serenade``.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", extra="data", purpose="writing Parquet") from error
    text, number = pyarrow.string(), pyarrow.float64()
    columns = [("file", text), ("start", number), ("end", number), ("speaker", text), ("label", text)]
    columns += [("score", number), ("uncertain", pyarrow.bool_())]
    columns += [(name, number) for name in (*(ATTRIBUTES if attributes else ()), *labels)]
    about = None if metadata is None else {"serenade": json.dumps(metadata)}
    schema = pyarrow.schema(columns, metadata=about)
    flat = map(_flat, rows)
    with parquet.ParquetWriter(stream, schema, compression="zstd") as writer:
        while group := list(islice(flat, _GROUP_ROWS)):
            writer.write_table(pyarrow.Table.from_pylist(group, schema))


def _flat(prediction: Prediction) -> dict[str, Any]:
    row = to_row(prediction)
    file = row["file"]
    named = None if file is None else file.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return {**{name: value for name, value in row.items() if name != "scores"}, **row["scores"], "file": named}
