"""Writing a corpus in the formats of other toolkits: lists and tables only, the recordings stay as they are.

Every format is one file with a `Format`: what is written, and which corpus of `serenade.corpora.CORPORA` reads it back.
"""

from serenade.core.names import NameTable
from serenade.corpora.exporting.export import Format, export_corpus

__all__ = ["FORMATS", "Format", "export_corpus"]

FORMATS: NameTable[Format] = NameTable(
    "format",
    [
        ("csv", "serenade.corpora.exporting.csv_table:FORMAT"),
        ("audformat", "serenade.corpora.exporting.audformat:FORMAT"),
        ("lhotse", "serenade.corpora.exporting.lhotse:FORMAT"),
        ("kaldi", "serenade.corpora.exporting.kaldi:FORMAT"),
        ("emobox", "serenade.corpora.exporting.emobox:FORMAT"),
    ],
)
