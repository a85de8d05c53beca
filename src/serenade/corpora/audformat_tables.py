"""Opening the header and tables of an audformat database with its package, and never changing its folder.

The package prefers pickles, and writes one where it cannot read one. So it is given copies: of the header, and of one
file per table, Parquet before CSV. What is no UTF-8 is copied as UTF-8, which is all that the package reads.
"""

import csv
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serenade.core.errors import CorpusError, MissingExtraError
from serenade.corpora.delimited import decode

__all__ = ["HEADER", "Database", "three_letters", "two_letters"]

HEADER = "db.yaml"
"""The name of every database's header."""

# fmt: off
_TWO_LETTERS = {  # ISO 639-3 to 639-1, of languages that have corpora of emotional speech
    "amh": "am", "ara": "ar", "ben": "bn", "bul": "bg", "cat": "ca", "ces": "cs", "cmn": "zh", "cym": "cy", "dan": "da",
    "deu": "de", "ell": "el", "eng": "en", "est": "et", "eus": "eu", "fas": "fa", "fin": "fi", "fra": "fr", "gle": "ga",
    "guj": "gu", "hau": "ha", "heb": "he", "hin": "hi", "hrv": "hr", "hun": "hu", "ind": "id", "isl": "is", "ita": "it",
    "jav": "jv", "jpn": "ja", "kan": "kn", "kat": "ka", "kaz": "kk", "kor": "ko", "lav": "lv", "lit": "lt", "mal": "ml",
    "mar": "mr", "mlt": "mt", "msa": "ms", "nep": "ne", "nld": "nl", "nor": "no", "ori": "or", "pan": "pa", "pol": "pl",
    "por": "pt", "ron": "ro", "rus": "ru", "slk": "sk", "slv": "sl", "spa": "es", "sqi": "sq", "srp": "sr", "swa": "sw",
    "swe": "sv", "tam": "ta", "tel": "te", "tha": "th", "tur": "tr", "ukr": "uk", "urd": "ur", "uzb": "uz", "vie": "vi",
    "yor": "yo", "zho": "zh", "zul": "zu",
}
# fmt: on


def two_letters(language: str) -> str:
    """ISO 639-1 for a language as the package writes it (ISO 639-3); what is not known stays."""
    return _TWO_LETTERS.get(language, language)


def three_letters(language: str) -> str:
    """ISO 639-3 for ISO 639-1; what is not known stays."""
    return next((three for three, two in _TWO_LETTERS.items() if two == language), language)


@dataclass(slots=True)
class Database:
    """A database whose tables are read when they are asked for, from copies.

    Args:
        folder: where it lies.
        scratch: where copies of header and tables are made, so that the package changes nothing.
        trust_pickle: whether a table may be opened that lies as pickle only.
        header: the package's object.
    """

    folder: Path
    scratch: Path
    trust_pickle: bool
    header: Any
    _loaded: set[str] = field(default_factory=set)

    @classmethod
    def open(cls, folder: Path, scratch: Path, *, trust_pickle: bool) -> "Database":
        """Read the header.

        Raises:
            CorpusError: it cannot be read.
            MissingExtraError: the package is not installed.
        """
        try:
            import audformat
        except ImportError as error:
            raise MissingExtraError("audformat", extra="audformat", purpose="reading audformat databases") from error
        _copy_text(folder / HEADER, scratch / HEADER)
        try:
            header = audformat.Database.load(str(scratch), load_data=False)
        except Exception as error:  # the package raises classes of many kinds
            raise CorpusError(
                "the header of the database cannot be read",
                where=folder / HEADER,
                found=" ".join(f"{type(error).__name__}: {error}".split())[:200],
                expected="a header as audformat writes it, with schemes and tables",
            ) from error
        return cls(folder, scratch, trust_pickle, header)

    def table(self, name: str) -> Any:
        """A table (also a misc table) with its rows.

        Raises:
            CorpusError: its file is not there, lies as pickle only, or cannot be read.
        """
        table = self.header[name]
        if name in self._loaded:
            return table
        path = self._file(name)
        copy = self.scratch / path.name
        try:
            if path.suffix == ".csv":
                _copy_text(path, copy)
                _require_columns(path, copy, _columns(table))
            else:
                shutil.copyfile(path, copy)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # the package's own use of pandas
                table.load(str(self.scratch / f"db.{name}"))
        except CorpusError:
            raise
        except Exception as error:  # the package raises classes of many kinds
            raise CorpusError(
                "the table cannot be read",
                where=path,
                found=" ".join(f"{type(error).__name__}: {error}".split())[:200],
                expected="a table as the header describes it",
            ) from error
        self._loaded.add(name)
        return table

    def _file(self, name: str) -> Path:
        files = {ending: self.folder / f"db.{name}.{ending}" for ending in ("parquet", "csv", "pkl")}
        there = {ending: path for ending, path in files.items() if path.is_file()}
        if not there:
            raise CorpusError(
                f"the database has no file for the table {name!r}",
                where=self.folder,
                expected=f"db.{name}.csv, .parquet or .pkl",
                hint="The copy is not complete, or its tables were not downloaded",
            )
        if list(there) == ["pkl"] and not self.trust_pickle:
            raise CorpusError(
                f"the table {name!r} lies as pickle only, which can run any code when it is opened",
                where=there["pkl"],
                expected=f"db.{name}.csv or .parquet",
                hint="If you trust who made it, add #pickle=trusted to the path",
            )
        return next(iter(there.values()))


def _columns(table: Any) -> list[str]:
    """The columns of a table's file: the levels of its index, then its own."""
    levels = {"filewise": ["file"], "segmented": ["file", "start", "end"]}.get(getattr(table, "type", ""))
    return [*(list(table.levels) if levels is None else levels), *table.columns]


def _copy_text(source: Path, target: Path) -> None:
    """A copy in UTF-8 without byte order mark and with plain ends of line."""
    target.write_text(decode(source, source.read_bytes()).replace("\r\n", "\n"), encoding="utf-8")


def _require_columns(path: Path, copy: Path, expected: Sequence[str]) -> None:
    """Pass if the columns are those of the header in their order (the package goes by the order alone) in every line.

    Raises:
        CorpusError: they are not, or a line is cut off.
    """
    with copy.open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        found = next(lines, [])
        short = next((lines.line_num for cells in lines if cells and len(cells) != len(found)), None)
    if found != list(expected):
        absent = [name for name in expected if name not in found]
        raise CorpusError(
            f"the table has no column {absent[0]!r}" if absent else "the table's columns are not those of the header",
            where=f"{path}, line 1",
            found=", ".join(found),
            expected=", ".join(expected),
        )
    if short is not None:
        raise CorpusError(
            "a line of the table has another number of cells than the header",
            where=f"{path}, line {short}",
            expected=", ".join(expected),
            hint="If the file ends in the middle of a line, copy it again",
        )
