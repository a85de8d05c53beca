"""The rows of a timeline as lanes for tools in which no two annotations of a tier may overlap."""

from collections.abc import Sequence
from dataclasses import dataclass

from serenade.core.records import Prediction
from serenade.core.timelines import Timeline, shown_label

__all__ = ["Lane", "Mark", "lanes_of"]


@dataclass(frozen=True, slots=True)
class Mark:
    """An annotation in whole milliseconds.

    Args:
        start_ms: where it begins.
        end_ms: where it ends, later than it begins.
        text: the class, or that it is uncertain.
        row: where it comes from.
    """

    start_ms: int
    end_ms: int
    text: str
    row: Prediction


@dataclass(frozen=True, slots=True)
class Lane:
    """What is said of one speaker, in order and without overlap.

    Args:
        speaker: who; None where nobody said who talks.
        marks: the annotations.
    """

    speaker: str | None
    marks: tuple[Mark, ...]

    def named(self, what: str) -> str:
        """The name of a tier: what it holds, and of whom."""
        return what if self.speaker is None else f"{what}@{self.speaker}"


def lanes_of(timeline: Timeline) -> tuple[Lane, ...]:
    """A lane for each speaker; one without a speaker where nobody talks or nobody said who."""
    return tuple(Lane(name, _marks(timeline.of(name))) for name in timeline.speakers) or (Lane(None, ()),)


def _marks(rows: Sequence[Prediction]) -> tuple[Mark, ...]:
    """Rows in order of their beginning; each ends where the next begins, if not before."""
    marks = []
    for place, row in enumerate(rows):
        following = rows[place + 1].start_s if place + 1 < len(rows) else row.end_s
        start, end = round(1000 * row.start_s), round(1000 * min(row.end_s, following))
        if end > start:
            marks.append(Mark(start, end, shown_label(row), row))
    return tuple(marks)
