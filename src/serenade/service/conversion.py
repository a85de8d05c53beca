"""A timeline that a client has, as a file of any format."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serenade.core.errors import UnknownNameError, UsageError
from serenade.core.records import Attributes, Prediction
from serenade.core.timelines import Summariser, Timeline
from serenade.inference.annotations import SUFFIXES, TIMELINE_FORMATS

__all__ = ["StatedRow", "StatedTimeline", "convert", "timeline_schema"]

_MOST_ROWS = 500_000
_MOST_TEXT = 255


class StatedRow(BaseModel):
    """A row as clients have it."""

    model_config = ConfigDict(allow_inf_nan=False)

    start: float = Field(ge=0)
    end: float = Field(ge=0)
    speaker: str | None = Field(None, max_length=_MOST_TEXT)
    label: str = Field(max_length=_MOST_TEXT)
    score: float = Field(ge=0, le=1)
    uncertain: bool = False
    valence: float | None = Field(None, ge=0, le=1)
    arousal: float | None = Field(None, ge=0, le=1)
    dominance: float | None = Field(None, ge=0, le=1)
    scores: dict[str, float]


class StatedTimeline(BaseModel):
    """A timeline as clients have it."""

    model_config = ConfigDict(allow_inf_nan=False)

    file: str | None = Field(None, max_length=_MOST_TEXT, description="what to call the recording")
    duration_s: float = Field(ge=0)
    labels: list[str] = Field(min_length=1, max_length=1000)
    rows: list[StatedRow] = Field(max_length=_MOST_ROWS)
    about: dict[str, Any] = Field(default_factory=dict)


def timeline_schema() -> dict[str, Any]:
    """JSON schema of a `StatedTimeline`, in one piece."""
    schema = StatedTimeline.model_json_schema()
    schema["properties"]["rows"]["items"] = schema.pop("$defs")["StatedRow"]
    return schema


def convert(text: bytes, format_name: str) -> tuple[bytes, str]:
    """The bytes of a file, and what to call it.

    Args:
        text: a `StatedTimeline` as JSON.
        format_name: of `TIMELINE_FORMATS`.

    Raises:
        MissingExtraError: the format needs a package that is not installed.
        UnknownNameError: there is no such format, or a row lacks a class.
        UsageError: it is not such a timeline.
    """
    write = TIMELINE_FORMATS.resolve(format_name)
    try:
        stated = StatedTimeline.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or None
        raise UsageError("this is no timeline", where=where, found=first["msg"]) from error
    rows = tuple(_row(row, stated) for row in stated.rows)
    summariser = Summariser()
    summariser.add(rows)
    timeline = Timeline(
        stated.file, stated.duration_s, tuple(stated.labels), rows, summariser.summaries(), stated.about
    )
    return write(timeline), f"emotions{SUFFIXES[format_name]}"


def _row(row: StatedRow, stated: StatedTimeline) -> Prediction:
    missing = [name for name in stated.labels if name not in row.scores]
    if missing:
        raise UnknownNameError("a row has no probability of a class", found=missing[0][:_MOST_TEXT])
    told = {name: getattr(row, name) for name in ("valence", "arousal", "dominance")}
    attributes = Attributes(0.0, 1.0, **told) if any(value is not None for value in told.values()) else None
    scores = {name: row.scores[name] for name in stated.labels}
    return Prediction(
        stated.file, row.start, row.end, row.label, row.score, scores, row.speaker, row.uncertain, attributes
    )
