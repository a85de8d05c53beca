"""Tables in Parquet, against the same table in CSV."""

from pathlib import Path

import pytest

from serenade.core.errors import CorpusError
from serenade.corpora.delimited import read_rows

pyarrow = pytest.importorskip("pyarrow", reason="needs the extra data")

MEANINGS = {"file": "file", "emotion": "emotion", "start": "start"}


def test_parquet_reads_like_csv(tmp_path: Path) -> None:
    from pyarrow import parquet

    columns = {"file": ["a.wav", "b.wav"], "start": [0.5, None], "emotion": ["sad", "angry"], "take": [1, 2]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_text("file,start,emotion,take\na.wav,0.5,sad,1\nb.wav,,angry,2\n")
    assert read_rows(tmp_path / "t.parquet", MEANINGS, needed="file") == read_rows(
        tmp_path / "t.csv", MEANINGS, needed="file"
    )


def test_damaged_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(CorpusError, match=r"not a Parquet file, or damaged: .*t\.parquet"):
        read_rows(tmp_path / "t.parquet", MEANINGS, needed="file")
