"""Timelines as NIST's RTTM, and the turns of speakers from it.

The ten fields of a row: SPEAKER, file, channel, start, duration, <ortho>, <stype>, speaker, confidence, <slat>.

Reference: NIST, "The 2009 (RT-09) Rich Transcription Meeting Recognition Evaluation Plan", appendix A.
"""

from pathlib import Path

from serenade.core.errors import UsageError
from serenade.core.records import UNKNOWN_SPEAKER
from serenade.core.timelines import SpeakerTurn, Timeline, shown_label

__all__ = ["parse_rttm", "read_rttm", "to_rttm"]

_FIELDS = 9  # older files leave the last one out
_MISSING = "<NA>"


def to_rttm(timeline: Timeline) -> bytes:
    """A row SPEAKER for every row; the emotion stands where the words of a row would, as <ortho>."""
    name = "-" if timeline.file is None else _word(Path(timeline.file).stem)
    lines = []
    for row in timeline.rows:
        speaker = UNKNOWN_SPEAKER if row.speaker is None else _word(row.speaker)
        times = f"{row.start_s:.3f} {row.end_s - row.start_s:.3f}"
        emotion = _word(shown_label(row))
        lines.append(f"SPEAKER {name} 1 {times} {emotion} {_MISSING} {speaker} {row.score:.4f} {_MISSING}\n")
    return "".join(lines).encode("utf-8", errors="replace")


def _word(text: str) -> str:
    """Fields are divided by blanks, so a name has none."""
    return "_".join(text.split()) or _MISSING


def read_rttm(path: Path, recording: str) -> tuple[SpeakerTurn, ...]:
    """The turns of the speakers of a recording, as a diarisation tool wrote them.

    Args:
        path: the RTTM file; lines of other kinds than SPEAKER and comments (;;) are passed over.
        recording: name of the recording without its suffix. A file that tells of one recording only is taken to be
            of this one, whatever it calls it.

    Raises:
        UsageError: it cannot be read, a line is not valid, or none is of this recording.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError("the list of speakers cannot be read", where=path, found=error.strerror) from error
    return parse_rttm(data, recording, path)


def parse_rttm(data: bytes, recording: str, where: object) -> tuple[SpeakerTurn, ...]:
    """What `read_rttm` gives, of the bytes of such a file.

    Args:
        data: of the file.
        recording: as for `read_rttm`.
        where: what to call the file in messages.

    Raises:
        UsageError: as `read_rttm`.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError("the list of speakers cannot be read", where=where, found="it is not text") from error
    turns: dict[str, list[SpeakerTurn]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        if fields and fields[0] == "SPEAKER":
            turns.setdefault(fields[1] if len(fields) > 1 else "", []).append(_turn(fields, f"{where}, line {number}"))
    only = next(iter(turns.values())) if len(turns) == 1 else None
    chosen = turns.get(recording) or turns.get(_word(recording)) or only
    if chosen is None:
        raise UsageError(
            "this list of speakers has no turn of the recording",
            where=where,
            found=", ".join(sorted(turns)[:5]) or "no SPEAKER line",
            expected=f"lines SPEAKER {recording} ...",
        )
    return tuple(sorted(chosen, key=lambda turn: (turn.start_s, turn.end_s)))


def _turn(fields: list[str], where: str) -> SpeakerTurn:
    try:
        if len(fields) < _FIELDS:
            raise ValueError(f"{len(fields)} fields")
        start_s, duration_s = float(fields[3]), float(fields[4])
        if not (0 <= start_s < 1e9 and 0 < duration_s < 1e9):
            raise ValueError(f"start {fields[3]}, duration {fields[4]}")
    except ValueError as error:
        raise UsageError(
            "a line of the list of speakers is not valid",
            where=where,
            found=str(error),
            expected="SPEAKER FILE 1 START DURATION <NA> <NA> NAME <NA> <NA>, seconds",
        ) from error
    return SpeakerTurn(start_s, start_s + duration_s, fields[7])
