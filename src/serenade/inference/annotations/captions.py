"""Timelines as captions for players: SubRip, and WebVTT (W3C)."""

from html import escape

from serenade.core.timelines import Timeline
from serenade.inference.annotations.lanes import Mark, lanes_of

__all__ = ["to_srt", "to_vtt"]


def to_srt(timeline: Timeline) -> bytes:
    """Numbered captions such as ``A: happy 71 %``."""
    blocks = []
    for number, (speaker, mark) in enumerate(_in_order(timeline), 1):
        who = "" if speaker is None else f"{' '.join(speaker.split())}: "
        blocks.append(f"{number}\n{_clock(mark.start_ms, ',')} --> {_clock(mark.end_ms, ',')}\n{who}{_said(mark)}\n")
    return "\n".join(blocks).encode("utf-8", errors="replace")


def to_vtt(timeline: Timeline) -> bytes:
    """Cues such as ``<v A>happy 71 %``; a player may style each voice."""
    blocks = ["WEBVTT\n"]
    for speaker, mark in _in_order(timeline):
        voice = "" if speaker is None else f"<v {escape(' '.join(speaker.split()), quote=False)}>"
        times = f"{_clock(mark.start_ms, '.')} --> {_clock(mark.end_ms, '.')}"
        blocks.append(f"{times}\n{voice}{escape(_said(mark), quote=False)}\n")
    return "\n".join(blocks).encode("utf-8", errors="replace")


def _in_order(timeline: Timeline) -> list[tuple[str | None, Mark]]:
    marks = [(lane.speaker, mark) for lane in lanes_of(timeline) for mark in lane.marks]
    return sorted(marks, key=lambda pair: (pair[1].start_ms, pair[1].end_ms))


def _said(mark: Mark) -> str:
    return mark.text if mark.row.uncertain else f"{mark.text} {100 * mark.row.score:.0f} %"


def _clock(milliseconds: int, point: str) -> str:
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}{point}{rest % 1000:03d}"
