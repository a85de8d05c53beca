"""Timelines as tables and JSON."""

import csv
import io
import json
from pathlib import Path

from serenade.core.timelines import Timeline, shown_label
from serenade.inference.formats import ATTRIBUTES, CsvWriter, JsonLinesWriter, to_row
from serenade.inference.parquet import write_parquet

__all__ = ["to_audformat", "to_csv", "to_json", "to_json_lines", "to_parquet"]


def to_json(timeline: Timeline) -> bytes:
    """One object: file, duration, how it was made, summaries, rows."""
    value = {
        "file": timeline.file,
        "duration": round(timeline.duration_s, 3),
        "labels": list(timeline.labels),
        "about": dict(timeline.about),
        "summaries": [summary.to_json() for summary in timeline.summaries],
        "rows": [to_row(row) for row in timeline.rows],
    }
    return (json.dumps(value, indent=1) + "\n").encode()


def to_json_lines(timeline: Timeline) -> bytes:
    """One row a line."""
    text = io.StringIO()
    with JsonLinesWriter(text, timeline.labels) as writer:
        for row in timeline.rows:
            writer.write(row)
    return _bytes(text)


def to_csv(timeline: Timeline) -> bytes:
    """A header and a row a line."""
    text = io.StringIO()
    with CsvWriter(text, timeline.labels, attributes=_tells_attributes(timeline)) as writer:
        for row in timeline.rows:
            writer.write(row)
    return _bytes(text)


def to_parquet(timeline: Timeline) -> bytes:
    """The columns of the CSV, typed; how it was made stands in the metadata under ``serenade``.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    buffer = io.BytesIO()
    write_parquet(
        buffer,
        timeline.rows,
        timeline.labels,
        attributes=_tells_attributes(timeline),
        metadata={"duration": timeline.duration_s, "about": dict(timeline.about)},
    )
    return buffer.getvalue()


def to_audformat(timeline: Timeline) -> bytes:
    """CSV with the segmented index ``file,start,end`` as time spans, and the columns of a table of emotions."""
    columns = ["speaker", "emotion", "emotion.score", *(f"emotion.{label}" for label in timeline.labels)]
    told = ATTRIBUTES if _tells_attributes(timeline) else ()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "start", "end", *columns, *told])
    file = "-" if timeline.file is None else Path(timeline.file).as_posix()
    for row in timeline.rows:
        scores = [f"{row.scores[label]:.6f}" for label in timeline.labels]
        values = [] if row.attributes is None else [getattr(row.attributes, name) for name in told]
        cells = [row.speaker, shown_label(row), f"{row.score:.6f}", *scores, *values]
        writer.writerow([file, _span(row.start_s), _span(row.end_s), *cells])
    return _bytes(text)


def _span(seconds: float) -> str:
    """As pandas writes a time span: 0 days 00:01:02.500000."""
    total = round(1000 * seconds)
    days, rest = divmod(total, 86_400_000)
    hours, rest = divmod(rest, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{days} days {hours:02d}:{minutes:02d}:{rest // 1000:02d}.{rest % 1000:03d}000"


def _tells_attributes(timeline: Timeline) -> bool:
    return any(row.attributes is not None for row in timeline.rows)


def _bytes(text: io.StringIO) -> bytes:
    return text.getvalue().encode("utf-8", errors="surrogateescape")  # names that are not UTF-8 stay what they are
