"""Emotions over time as a stream: samples in, rows out; files, live sources and services all go through here."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from serenade.core.errors import SerenadeError
from serenade.core.records import Attributes, Prediction
from serenade.core.timelines import SpeakerTurn, Summariser, Summary
from serenade.inference.division import Piece, TimelineSettings, make_divider
from serenade.inference.engines import Engine
from serenade.inference.pieces import Chunk, segments_of
from serenade.inference.scoring import score_pieces
from serenade.signal.audio import SAMPLE_RATE, Resampler, from_array

__all__ = ["RowMaker", "Smoother", "TimelineStream", "rows_of_blocks"]

_AT_ONCE = 16  # segments of a piece that are handed on together


RowMaker = Callable[[float, float, str | None, Tensor], Prediction]
"""Makes a row of start, end, speaker and the (K,) scores of a piece."""


class Smoother:
    """A running mean over the rows of each speaker, s_n = a s_(n-1) + (1 - a) p_n with a = exp(-dt / time constant).

    dt is the time between the middles of two rows, so a long pause forgets. No row waits for a later one.

    Args:
        time_constant_s: 0 leaves rows as they are.
        uncertain_below: a row whose highest probability is lower is uncertain.
    """

    def __init__(self, time_constant_s: float, uncertain_below: float) -> None:
        self._tau, self._least = time_constant_s, uncertain_below
        self._before: dict[str | None, Prediction] = {}

    def __call__(self, row: Prediction) -> Prediction:
        """The row, smoothed and marked if it is uncertain."""
        before = self._before.get(row.speaker)
        if self._tau > 0 and before is not None:
            row = _mixed(before, row, math.exp(-max(0.0, _middle(row) - _middle(before)) / self._tau))
        self._before[row.speaker] = row
        return replace(row, uncertain=row.score < self._least)


def _middle(row: Prediction) -> float:
    return (row.start_s + row.end_s) / 2


def _mixed(before: Prediction, row: Prediction, share: float) -> Prediction:
    """A row with a share of the one before."""
    scores = {name: share * before.scores[name] + (1 - share) * score for name, score in row.scores.items()}
    label = max(scores, key=scores.__getitem__)
    attributes = row.attributes
    if attributes is not None and before.attributes is not None:
        attributes = _mixed_attributes(before.attributes, attributes, share)
    return replace(row, scores=scores, label=label, score=scores[label], attributes=attributes)


def _mixed_attributes(before: Attributes, now: Attributes, share: float) -> Attributes:
    values = {}
    for name in ("valence", "arousal", "dominance"):
        old, new = getattr(before, name), getattr(now, name)
        values[name] = new if old is None or new is None else share * old + (1 - share) * new
    return Attributes(now.low, now.high, **values)


class TimelineStream:
    """Follows one recording while it arrives; made by `Recognizer.stream`.

    Every row is told as soon as the samples it needs are there, at constant cost per second of sound and constant
    memory. One thread may use it at a time; many streams may share one recogniser.

    Args:
        engine: scores segments.
        make_row: of the recogniser.
        settings: how it is divided.
        smoother: a fresh one.
        sample_rate: of what is given, in Hz.
        speakers: who talks when.
    """

    def __init__(
        self,
        engine: Engine,
        make_row: RowMaker,
        settings: TimelineSettings,
        smoother: Smoother,
        *,
        sample_rate: int,
        speakers: Sequence[SpeakerTurn] = (),
    ) -> None:
        self.sample_rate = sample_rate
        self._engine, self._make_row, self._smooth = engine, make_row, smoother
        self._divider = make_divider(settings, speakers)
        self._resampler = Resampler(sample_rate)
        self._summariser = Summariser()
        self._samples = 0

    @property
    def position_s(self) -> float:
        """How much was heard, in seconds."""
        return self._samples / SAMPLE_RATE

    @property
    def summaries(self) -> tuple[Summary, ...]:
        """What the rows so far make of everyone and of each speaker."""
        return self._summariser.summaries()

    def add(self, samples: "NDArray[Any] | Tensor") -> list[Prediction]:
        """The rows that are complete with the next samples.

        Args:
            samples: (n,), (n, channels) or (channels, n) at the stream's rate; floats in [-1, 1] or integers of full
                scale. n may be anything.

        Raises:
            AudioError: samples are not finite.
            UsageError: another type or shape.
        """
        if len(samples) == 0:
            return []
        mono = from_array(samples, self.sample_rate, resample=False).numpy()
        return self._heard(self._resampler.add(mono))

    def finish(self) -> list[Prediction]:
        """The rows that the end of the stream completes; nothing may be added behind."""
        rows = self._heard(self._resampler.finish()) if self._samples else []
        return rows + self._rows(self._divider.finish())

    def _heard(self, samples: NDArray[np.float32]) -> list[Prediction]:
        self._samples += len(samples)
        return self._rows(self._divider.add(samples))

    def _rows(self, pieces: Iterator[Piece]) -> list[Prediction]:
        rows = [self._smooth(row) for row in _scored(pieces, self._engine, self._make_row, batch=1)]
        self._summariser.add(rows)
        return rows


def rows_of_blocks(
    blocks: Iterable[Tensor],
    engine: Engine,
    make_row: RowMaker,
    settings: TimelineSettings,
    smoother: Smoother,
    *,
    speakers: Sequence[SpeakerTurn] = (),
    threads: int = 1,
    heard: Callable[[int], None] | None = None,
) -> Iterator[Prediction]:
    """The rows of a recording that is there already: the same as those of a `TimelineStream`, but in full batches.

    Args:
        blocks: consecutive stretches of the waveform, each (n,) at 16 kHz.
        engine: scores segments.
        make_row: of the recogniser.
        settings: how it is divided.
        smoother: a fresh one.
        speakers: who talks when.
        threads: batches that are scored at the same time.
        heard: told how many samples each block has.
    """
    divider = make_divider(settings, speakers)

    def pieces() -> Iterator[Piece]:
        for block in blocks:
            if heard is not None:
                heard(len(block))
            yield from divider.add(block.numpy())
        yield from divider.finish()

    return map(smoother, _scored(pieces(), engine, make_row, batch=engine.batch, threads=threads))


def _scored(
    pieces: Iterator[Piece], engine: Engine, make_row: RowMaker, *, batch: int, threads: int = 1
) -> Iterator[Prediction]:
    """The row of each piece, in order."""
    speakers: deque[str | None] = deque()  # of pieces on their way

    def chunks() -> Iterator[Chunk]:
        for piece in pieces:
            parts = list(segments_of([piece.samples], engine.segments, _AT_ONCE))
            if parts:  # some models score nothing that is shorter than a segment
                speakers.append(piece.speaker)
            for place, segments in enumerate(parts):
                yield Chunk(segments, piece.span_s if place == len(parts) - 1 else None)

    first = next(source := chunks(), None)
    if first is None:
        return
    for _, result in score_pieces([(None, _with(first, source))], engine.logits, batch=batch, threads=threads):
        if isinstance(result, SerenadeError):
            raise result
        start_s, end_s, logits = result
        yield make_row(start_s, end_s, speakers.popleft(), logits)


def _with(first: Chunk, rest: Iterator[Chunk]) -> Iterator[Chunk]:
    yield first
    yield from rest
