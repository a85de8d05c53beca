"""Timelines as files: independent readers find in them what was in the timeline."""

import io
import json
import warnings
from pathlib import Path

import pytest

from serenade.core.errors import UsageError
from serenade.core.records import Attributes, Prediction
from serenade.core.timelines import SpeakerTurn, Summariser, Timeline, shown_label
from serenade.inference.annotations import SUFFIXES, TIMELINE_FORMATS
from serenade.inference.annotations.rttm import read_rttm

LABELS = ("angry", "happy", "sad")


def row(start_s: float, end_s: float, label: str, speaker: str | None, **more: object) -> Prediction:
    scores = {name: 0.7 if name == label else 0.15 for name in LABELS}
    return Prediction("interview ä.wav", start_s, end_s, label, 0.7, scores, speaker, **more)  # type: ignore[arg-type]


def timeline(rows: list[Prediction], duration_s: float = 3700.0) -> Timeline:
    summariser = Summariser()
    summariser.add(rows)
    about = {"model": "glam", "temperature": 1.5, "uncertain_below": 0.5}
    return Timeline("interview ä.wav", duration_s, LABELS, tuple(rows), summariser.summaries(), about)


SPOKEN = timeline(
    [
        row(0.0, 2.5, "happy", "A <1>"),
        row(2.0, 4.001, "sad", 'Bea "B"', uncertain=True),
        row(4.0, 9.25, "angry", "A <1>"),
        row(3600.5, 3661.125, "happy", 'Bea "B"'),
    ]
)
WINDOWS = timeline([row(0.5 * place, 0.5 * place + 2.0, LABELS[place % 3], None) for place in range(8)], 6.0)
FELT = timeline([row(1.0, 2.0, "sad", None, attributes=Attributes(0.0, 1.0, 0.25, 0.75, 0.5))], 3.0)
EMPTY = timeline([], 10.0)
TIMELINES = pytest.mark.parametrize("given", [SPOKEN, WINDOWS, FELT, EMPTY], ids=["spoken", "windows", "felt", "empty"])


def written(name: str, given: Timeline) -> bytes:
    return TIMELINE_FORMATS.resolve(name)(given)


def lanes(given: Timeline) -> dict[str | None, list[tuple[float, float, str]]]:
    """The definition: each row of a speaker ends where the next one begins, if not before."""
    expected: dict[str | None, list[tuple[float, float, str]]] = {}
    for speaker in given.speakers:
        rows = given.of(speaker)
        ends = [min(a.end_s, b.start_s) for a, b in zip(rows, [*rows[1:], rows[-1]], strict=True)]
        ends[-1] = rows[-1].end_s
        expected[speaker] = [(r.start_s, end, shown_label(r)) for r, end in zip(rows, ends, strict=True)]
    return expected


def approx(spans: list[tuple[float, float, str]]) -> list[tuple[object, object, str]]:
    return [(pytest.approx(start, abs=6e-4), pytest.approx(end, abs=6e-4), text) for start, end, text in spans]


def test_every_format_has_a_suffix() -> None:
    assert set(TIMELINE_FORMATS) | {"html"} == set(SUFFIXES)


@TIMELINES
def test_json_holds_everything(given: Timeline) -> None:
    value = json.loads(written("json", given))
    assert (value["file"], value["duration"], value["labels"]) == (given.file, given.duration_s, list(LABELS))
    assert [r["label"] for r in value["rows"]] == [r.label for r in given.rows]
    assert [r["uncertain"] for r in value["rows"]] == [r.uncertain for r in given.rows]
    assert len(value["summaries"]) == len(given.summaries)
    if given is FELT:
        assert value["rows"][0]["arousal"] == 0.75
    lines = [json.loads(line) for line in written("jsonl", given).splitlines()]
    assert lines == value["rows"]


@TIMELINES
def test_pandas_reads_csv_and_parquet_alike(given: Timeline, tmp_path: Path) -> None:
    pandas, _ = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    read = pandas.read_csv(io.BytesIO(written("csv", given)))
    (tmp_path / "rows.parquet").write_bytes(written("parquet", given))
    typed = pandas.read_parquet(tmp_path / "rows.parquet")
    assert list(read.columns) == list(typed.columns)
    assert ("valence" in read.columns) == (given is FELT)
    for table in (read, typed):
        assert table["start"].tolist() == pytest.approx([r.start_s for r in given.rows], abs=6e-4)
        assert table["label"].tolist() == [r.label for r in given.rows]
        assert table["uncertain"].tolist() == [r.uncertain for r in given.rows]
        assert table["sad"].tolist() == pytest.approx([r.scores["sad"] for r in given.rows])
        assert [None if pandas.isna(name) else name for name in table["speaker"]] == [r.speaker for r in given.rows]


@TIMELINES
def test_audformat_reads_its_table(given: Timeline, tmp_path: Path) -> None:
    audformat = pytest.importorskip("audformat")
    path = tmp_path / "rows.csv"
    path.write_bytes(written("audformat", given))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the package itself
        table = audformat.utils.read_csv(str(path))
    assert audformat.index_type(table.index) == "segmented"
    assert audformat.is_segmented_index(table.index)
    starts = table.index.get_level_values("start").total_seconds().tolist()
    ends = table.index.get_level_values("end").total_seconds().tolist()
    assert starts == pytest.approx([r.start_s for r in given.rows], abs=6e-4)
    assert ends == pytest.approx([r.end_s for r in given.rows], abs=6e-4)
    if given.rows:
        assert table["emotion"].tolist() == [shown_label(r) for r in given.rows]
        assert table["emotion.happy"].tolist() == pytest.approx([r.scores["happy"] for r in given.rows])
        assert set(table.index.get_level_values("file")) == {"interview ä.wav"}


@TIMELINES
def test_praat_tiers(given: Timeline, tmp_path: Path) -> None:
    textgrid = pytest.importorskip("praatio.textgrid")
    path = tmp_path / "a.TextGrid"
    path.write_bytes(written("textgrid", given))
    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=False)
    assert grid.maxTimestamp == pytest.approx(given.duration_s)
    for speaker, spans in lanes(given).items():
        tier = grid.getTier("emotion" if speaker is None else f"emotion@{speaker}")
        assert [tuple(entry) for entry in tier.entries] == approx(spans)
    assert ("arousal" in grid.tierNames) == (given is FELT)


@TIMELINES
def test_elan_tiers(given: Timeline, tmp_path: Path) -> None:
    elan = pytest.importorskip("pympi.Elan")
    path = tmp_path / "a.eaf"
    path.write_bytes(written("eaf", given))
    document = elan.Eaf(str(path))
    for speaker, spans in lanes(given).items():
        name = "emotion" if speaker is None else f"emotion@{speaker}"
        found = sorted((start, end, text) for start, end, text in document.get_annotation_data_for_tier(name))
        assert [(start / 1000, end / 1000, text) for start, end, text in found] == approx(spans)
        assert document.get_parameters_for_tier(name).get("PARTICIPANT") == speaker
    assert {"valence", "arousal", "dominance"} <= set(document.get_tier_names()) or given is not FELT
    entries = document.get_cv_entries("emotions")
    words = {value for values, _ in entries.values() for value, _, _ in values}
    assert words == {*LABELS, "uncertain"}
    assert document.get_linked_files()[0]["RELATIVE_MEDIA_URL"] == "./interview ä.wav"


def captions(given: Timeline) -> list[tuple[float, float, str | None, str]]:
    spans = [(start, end, speaker, text) for speaker, lane in lanes(given).items() for start, end, text in lane]
    return sorted(spans, key=lambda span: span[:2])


@TIMELINES
def test_subrip_captions(given: Timeline) -> None:
    srt = pytest.importorskip("srt")
    read = list(srt.parse(written("srt", given).decode()))
    assert [caption.index for caption in read] == list(range(1, len(given.rows) + 1))
    for caption, (start, end, speaker, text) in zip(read, captions(given), strict=True):
        assert caption.start.total_seconds() == pytest.approx(start, abs=6e-4)
        assert caption.end.total_seconds() == pytest.approx(end, abs=6e-4)
        share = "" if text == "uncertain" else " 70 %"
        assert caption.content == ("" if speaker is None else f"{speaker}: ") + text + share


@TIMELINES
def test_web_captions(given: Timeline) -> None:
    webvtt = pytest.importorskip("webvtt")
    read = list(webvtt.from_buffer(io.StringIO(written("vtt", given).decode()))) if given.rows else []
    for caption, (start, end, speaker, text) in zip(read, captions(given), strict=True):
        assert caption.start_in_seconds + caption.start_time.milliseconds / 1000 == pytest.approx(start, abs=6e-4)
        assert caption.end_in_seconds + caption.end_time.milliseconds / 1000 == pytest.approx(end, abs=6e-4)
        assert caption.text.startswith(text)
        assert speaker is None or caption.raw_text.startswith("<v ")
    assert written("vtt", given).startswith(b"WEBVTT\n")


@TIMELINES
def test_rttm_is_read_back(given: Timeline, tmp_path: Path) -> None:
    path = tmp_path / "a.rttm"
    path.write_bytes(written("rttm", given))
    fields = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    assert all(len(line) == 10 and line[0] == "SPEAKER" and line[1] == "interview_ä" for line in fields)
    assert [line[5] for line in fields] == [shown_label(r) for r in given.rows]
    if given.rows:
        turns = read_rttm(path, "interview ä")
        assert [turn.start_s for turn in turns] == pytest.approx([r.start_s for r in given.rows], abs=6e-4)
        assert [turn.end_s for turn in turns] == pytest.approx([r.end_s for r in given.rows], abs=2e-3)


DIARISED = """;; made by a diarisation tool
SPKR-INFO meeting 1 <NA> <NA> <NA> unknown ada <NA> <NA>
SPEAKER meeting 1 5.0 2.5 <NA> <NA> bob <NA> <NA>
SPEAKER meeting 1 0.25 4.5 <NA> <NA> ada <NA> <NA>
SPEAKER other 1 0.0 1.0 <NA> <NA> eve <NA>
"""


def test_speakers_are_read_from_rttm(tmp_path: Path) -> None:
    path = tmp_path / "all.rttm"
    path.write_text(DIARISED)
    assert read_rttm(path, "meeting") == (SpeakerTurn(0.25, 4.75, "ada"), SpeakerTurn(5.0, 7.5, "bob"))
    assert read_rttm(path, "other") == (SpeakerTurn(0.0, 1.0, "eve"),)
    with pytest.raises(UsageError, match=r"no turn of the recording.*Found: meeting, other"):
        read_rttm(path, "third")
    path.write_text(DIARISED.partition("SPEAKER other")[0])
    assert len(read_rttm(path, "whatever it is called")) == 2


@pytest.mark.parametrize(
    "line",
    ["SPEAKER m 1 x 2 <NA> <NA> a <NA> <NA>", "SPEAKER m 1 1 -2 <NA> <NA> a <NA> <NA>", "SPEAKER m 1 1", "SPEAKER"],
)
def test_bad_lines_are_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.rttm"
    path.write_text(f";; comment\n{line}\n")
    with pytest.raises(UsageError, match=r"bad\.rttm, line 2"):
        read_rttm(path, "m")


def test_no_list_of_speakers(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_rttm(tmp_path / "none.rttm", "m")
