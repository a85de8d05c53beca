"""Dividing a recording of any length into the pieces that get a row, as a stream: turns, windows, speakers' turns."""

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from serenade.core.errors import UsageError
from serenade.core.settings import Settings
from serenade.core.timelines import SpeakerTurn
from serenade.inference.levels import SHORTEST_S, SILENCE
from serenade.signal.audio import SAMPLE_RATE
from serenade.signal.voice_activity import SPEECH, DetectorName, TurnFinder, TurnRules, VoiceDetector, make_detector

__all__ = ["Divider", "Piece", "TimelineSettings", "make_divider"]

_Samples = NDArray[np.float32]


class TimelineSettings(Settings):
    """How the emotions of a recording are followed over time."""

    window_s: float | None = Field(
        None, ge=SHORTEST_S, le=60, description="a row for every window of this length; unset: for every turn"
    )
    hop_s: float | None = Field(None, ge=0.01, description="from window to window; unset: side by side")
    detector: DetectorName = Field(
        "auto", description="what finds speech: silero, webrtc, energy, none; auto: the best that is installed"
    )
    least_speech: float = Field(
        0.5, ge=0, le=1, description="share of a window that must be speech, else it has no row"
    )
    smoothing_s: float | None = Field(
        None, ge=0, description="time constant of the running mean over rows; unset: 2 s for windows, 0 for turns"
    )
    uncertain_below: float | None = Field(
        None, ge=0, le=1, description="probability from which a class counts; unset: what the model says, else 0.5"
    )
    shortest_turn_s: float = Field(0.3, gt=0, description="shorter speech is passed over")
    longest_turn_s: float = Field(15.0, ge=1, le=60, description="longer turns are divided at a quiet place")
    pause_s: float = Field(0.4, gt=0, description="silence that ends a turn")
    margin_s: float = Field(0.1, ge=0, description="put before and behind a turn; at most half a pause")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.hop_s is not None and self.window_s is None:
            raise ValueError("hop_s needs window_s")
        if 2 * self.margin_s > self.pause_s:
            raise ValueError(f"margin_s must be at most half of pause_s: found {self.margin_s} and {self.pause_s}")
        return self

    @property
    def smoothing(self) -> float:
        """The time constant in seconds, resolved."""
        if self.smoothing_s is not None:
            return self.smoothing_s
        return 0.0 if self.window_s is None else 2.0

    @property
    def grid(self) -> tuple[int, int] | None:
        """Window and hop in samples; None for turns."""
        if self.window_s is None:
            return None
        hop_s = self.window_s if self.hop_s is None else self.hop_s
        return round(self.window_s * SAMPLE_RATE), max(1, round(hop_s * SAMPLE_RATE))

    @property
    def turns(self) -> TurnRules:
        """How frames of speech become turns."""
        return TurnRules(self.shortest_turn_s, self.longest_turn_s, self.pause_s, self.margin_s)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch that gets a row.

    Args:
        start: its first sample in the recording.
        samples: (T,) at 16 kHz.
        speaker: who talks; None where unknown.
    """

    start: int
    samples: Tensor
    speaker: str | None = None

    @property
    def span_s(self) -> tuple[float, float]:
        """Where it begins and ends, in seconds."""
        return self.start / SAMPLE_RATE, (self.start + len(self.samples)) / SAMPLE_RATE


class Divider(Protocol):
    """Divides one stream; what it holds does not grow."""

    def add(self, samples: _Samples) -> Iterator[Piece]:
        """The pieces that are complete with the (n,) next samples."""
        ...

    def finish(self) -> Iterator[Piece]:
        """The pieces that the end of the stream completes."""
        ...


def make_divider(settings: TimelineSettings, speakers: Sequence[SpeakerTurn] = ()) -> Divider:
    """A divider for one stream.

    Args:
        settings: turns or windows, and how speech is found.
        speakers: who talks when; then these are the turns, and no speech is looked for.

    Raises:
        MissingExtraError: the detector is not installed.
    """
    if speakers:
        return _BySpeaker(settings, speakers)
    detector = make_detector(settings.detector)
    return _ByTurn(detector, settings.turns) if settings.grid is None else _ByWindow(detector, settings)


class _Held:
    """The end of a stream from some sample on."""

    def __init__(self) -> None:
        self.first = 0
        self._samples = np.zeros(0, np.float32)

    @property
    def end(self) -> int:
        return self.first + len(self._samples)

    def add(self, samples: _Samples) -> None:
        self._samples = np.concatenate([self._samples, samples])

    def drop_before(self, place: int) -> None:
        gone = min(max(0, place - self.first), len(self._samples))
        self.first, self._samples = self.first + gone, self._samples[gone:]

    def piece(self, start: int, end: int, speaker: str | None = None) -> Iterator[Piece]:
        """The piece there, if there is something to hear in it."""
        samples = self._samples[max(0, start - self.first) : max(0, end - self.first)]
        if len(samples) >= SHORTEST_S * SAMPLE_RATE and float(np.abs(samples).max()) >= SILENCE:
            yield Piece(start, torch.from_numpy(samples.copy()), speaker)


class _ByTurn:
    """A piece for every turn that a detector finds."""

    def __init__(self, detector: VoiceDetector, rules: TurnRules) -> None:
        self._turns, self._held = TurnFinder(detector, rules), _Held()

    def add(self, samples: _Samples) -> Iterator[Piece]:
        self._held.add(samples)
        for start, end in self._turns.add(samples):
            yield from self._held.piece(start, end)
        self._held.drop_before(self._turns.settled)

    def finish(self) -> Iterator[Piece]:
        for start, end in self._turns.finish():
            yield from self._held.piece(start, end)


class _ByWindow:
    """A piece for every window that is speech enough; windows lie on a grid from the beginning of the stream.

    All are full but the last one, which ends with the stream. A window is told when its last frame is: no later than a
    frame of the detector behind its end.
    """

    def __init__(self, detector: VoiceDetector, settings: TimelineSettings) -> None:
        assert settings.grid is not None
        self._window, self._hop = settings.grid
        self._detector, self._least = detector, settings.least_speech
        self._held = _Held()
        self._next = 0  # where the next window begins
        self._covered = 0  # where the last one ended
        self._judged = 0  # frames
        self._speech = np.zeros(0, bool)  # of the last frames
        self._rest = np.zeros(0, np.float32)

    def add(self, samples: _Samples) -> Iterator[Piece]:
        self._held.add(samples)
        frame = self._detector.frame
        waiting = np.concatenate([self._rest, samples])
        count = len(waiting) // frame
        self._judge(waiting[: count * frame])
        self._rest = waiting[count * frame :]
        while self._next + self._window <= min(self._held.end, self._judged * frame):
            yield from self._tell(self._next + self._window)
        self._held.drop_before(self._next)

    def finish(self) -> Iterator[Piece]:
        if len(self._rest):
            self._judge(np.pad(self._rest, (0, self._detector.frame - len(self._rest))))
        while self._next + self._window <= self._held.end:
            yield from self._tell(self._next + self._window)
        if self._next < self._held.end and self._covered < self._held.end:
            yield from self._tell(self._held.end)

    def _judge(self, samples: _Samples) -> None:
        frames = samples.reshape(-1, self._detector.frame)
        if len(frames):
            found = self._detector.probabilities(frames) >= SPEECH
            self._speech = np.concatenate([self._speech, found])
            self._judged += len(frames)

    def _tell(self, end: int) -> Iterator[Piece]:
        """The window from `_next` to `end`, if it is speech; then go on to the next one."""
        frame, first = self._detector.frame, self._judged - len(self._speech)
        inside = self._speech[self._next // frame - first : math.ceil(end / frame) - first]
        if len(inside) and inside.mean() >= self._least:
            yield from self._held.piece(self._next, end)
        self._covered, self._next = end, self._next + self._hop
        self._speech = self._speech[max(0, self._next // frame - first) :]


class _BySpeaker:
    """A piece for every turn of a speaker, or for every window in it."""

    def __init__(self, settings: TimelineSettings, speakers: Sequence[SpeakerTurn]) -> None:
        self._held = _Held()
        turns = sorted(speakers, key=lambda turn: (turn.start_s, turn.end_s, turn.speaker))
        self._last_start_s = turns[-1].start_s
        # One at a time: a list may tell of turns that are far longer than the recording.
        self._waiting = heapq.merge(*(_spans_of(turn, settings) for turn in turns))
        self._next = next(self._waiting, None)

    def add(self, samples: _Samples) -> Iterator[Piece]:
        self._held.add(samples)
        while self._next is not None and self._next[1] <= self._held.end:
            yield from self._held.piece(*self._next)
            self._next = next(self._waiting, None)
        self._held.drop_before(self._held.end if self._next is None else self._next[0])

    def finish(self) -> Iterator[Piece]:
        duration_s = self._held.end / SAMPLE_RATE
        if self._last_start_s >= duration_s:
            raise UsageError(
                "a speaker's turn lies behind the end of the recording",
                found=f"{self._last_start_s:.2f} s",
                expected=f"less than {duration_s:.2f} s",
                hint="Is the list of speakers that of another recording?",
            )
        while self._next is not None and self._next[0] < self._held.end:
            start, end, speaker = self._next
            yield from self._held.piece(start, min(end, self._held.end), speaker)
            self._next = next(self._waiting, None)


def _spans_of(turn: SpeakerTurn, settings: TimelineSettings) -> Iterator[tuple[int, int, str]]:
    """First and behind the last sample of the pieces of a turn, in order: windows, or equal parts of a long turn."""
    start, end = round(turn.start_s * SAMPLE_RATE), round(turn.end_s * SAMPLE_RATE)
    if settings.grid is not None:
        window, hop = settings.grid
        for place in range(start, max(start + 1, end - window + hop), hop):
            yield place, min(place + window, end), turn.speaker
        return
    parts = max(1, math.ceil((end - start) / (settings.longest_turn_s * SAMPLE_RATE)))
    for part in range(parts):
        first, last = (start + round(edge * (end - start) / parts) for edge in (part, part + 1))
        yield first, last, turn.speaker
