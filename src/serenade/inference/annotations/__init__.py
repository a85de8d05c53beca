"""Timelines as files: what people open in their annotation tool, player or table program.

Every format is a function from a `Timeline` to the bytes of a file.

=========  ============================================================================================
json       one object: file, duration, how it was made, summaries, rows
jsonl      one row a line
csv        a row a line: file, start, end, speaker, label, score, uncertain, (attributes), every class
parquet    the same table, typed (extra `data`)
rttm       NIST's rows SPEAKER: start, duration, the emotion as <ortho>, who talks, the probability
textgrid   Praat, long form: a tier per speaker, and one of probabilities
eaf        ELAN 3.0: a tier per speaker with a vocabulary of the classes, tiers of probabilities
srt        SubRip captions
vtt        WebVTT captions, the speaker as voice
audformat  CSV with audformat's segmented index, as audformat and audinterface read it
=========  ============================================================================================

Tiers hold no two annotations at a time: of overlapping rows of one speaker each ends where the next begins.
"""

from collections.abc import Callable

from serenade.core.names import NameTable
from serenade.core.timelines import Timeline

__all__ = ["SUFFIXES", "TIMELINE_FORMATS", "Annotate"]

Annotate = Callable[[Timeline], bytes]

TIMELINE_FORMATS: NameTable[Annotate] = NameTable(
    "timeline format",
    [
        ("json", "serenade.inference.annotations.rows:to_json"),
        ("jsonl", "serenade.inference.annotations.rows:to_json_lines"),
        ("csv", "serenade.inference.annotations.rows:to_csv"),
        ("parquet", "serenade.inference.annotations.rows:to_parquet"),
        ("rttm", "serenade.inference.annotations.rttm:to_rttm"),
        ("textgrid", "serenade.inference.annotations.textgrid:to_textgrid"),
        ("eaf", "serenade.inference.annotations.elan:to_eaf"),
        ("srt", "serenade.inference.annotations.captions:to_srt"),
        ("vtt", "serenade.inference.annotations.captions:to_vtt"),
        ("audformat", "serenade.inference.annotations.rows:to_audformat"),
    ],
)

SUFFIXES = {
    "json": ".json",
    "jsonl": ".jsonl",
    "csv": ".csv",
    "parquet": ".parquet",
    "rttm": ".rttm",
    "textgrid": ".TextGrid",
    "eaf": ".eaf",
    "srt": ".srt",
    "vtt": ".vtt",
    "audformat": ".audformat.csv",
    "html": ".html",
}
"""How the files of a format end; `html` is the page, which `reports` makes."""
