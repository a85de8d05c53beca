"""Timelines as Praat TextGrids (P. Boersma, D. Weenink, "Praat: doing phonetics by computer"), long form."""

from collections.abc import Iterator, Sequence

from serenade.core.timelines import Timeline
from serenade.inference.annotations.lanes import Lane, Mark, lanes_of
from serenade.inference.formats import ATTRIBUTES

__all__ = ["to_textgrid"]


def to_textgrid(timeline: Timeline) -> bytes:
    """A tier of emotions and one of probabilities for each speaker, and of attributes where the model tells them."""
    end_ms = max([round(1000 * timeline.duration_s), 1, *(m.end_ms for lane in lanes_of(timeline) for m in lane.marks)])
    tiers = [tier for lane in lanes_of(timeline) for tier in _tiers(lane)]
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0",
        f"xmax = {_seconds(end_ms)}",
        "tiers? <exists>",
        f"size = {len(tiers)}",
        "item []:",
    ]
    for number, (name, marks) in enumerate(tiers, 1):
        intervals = list(_without_gaps(marks, end_ms))
        lines += [
            f"    item [{number}]:",
            '        class = "IntervalTier"',
            f"        name = {_quoted(name)}",
            "        xmin = 0",
            f"        xmax = {_seconds(end_ms)}",
            f"        intervals: size = {len(intervals)}",
        ]
        for place, (start, end, text) in enumerate(intervals, 1):
            lines += [
                f"        intervals [{place}]:",
                f"            xmin = {_seconds(start)}",
                f"            xmax = {_seconds(end)}",
                f"            text = {_quoted(text)}",
            ]
    return ("\n".join(lines) + "\n").encode("utf-8", errors="replace")


_Marked = tuple[int, int, str]


def _tiers(lane: Lane) -> Iterator[tuple[str, list[_Marked]]]:
    yield lane.named("emotion"), [(mark.start_ms, mark.end_ms, mark.text) for mark in lane.marks]
    yield lane.named("probability"), [(mark.start_ms, mark.end_ms, f"{mark.row.score:.3f}") for mark in lane.marks]
    for name in ATTRIBUTES:
        marks = [(mark.start_ms, mark.end_ms, _attribute(mark, name)) for mark in lane.marks]
        if any(text for _, _, text in marks):
            yield lane.named(name), marks


def _attribute(mark: Mark, name: str) -> str:
    value = None if mark.row.attributes is None else getattr(mark.row.attributes, name)
    return "" if value is None else f"{value:.3f}"


def _without_gaps(marks: Sequence[_Marked], end_ms: int) -> Iterator[_Marked]:
    """An interval tier covers all of the time: empty intervals lie between the marks."""
    position = 0
    for start, end, text in marks:
        if start > position:
            yield position, start, ""
        yield start, end, text
        position = end
    if position < end_ms:
        yield position, end_ms, ""


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:.3f}"


def _quoted(text: str) -> str:
    return '"' + " ".join(text.replace('"', '""').split()) + '"'
