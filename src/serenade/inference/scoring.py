"""Scoring pieces in batches: segments of all recordings go through the network together, results come in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from serenade.core.errors import AudioError, SerenadeError
from serenade.inference.pieces import Chunk

__all__ = ["score_pieces"]

N = TypeVar("N")

Scored = tuple[float, float, Tensor]


@dataclass(slots=True)
class _Tally:
    """The running sum over a piece's segments; in float64, so that the order of adding does not show."""

    total: Tensor | None = None
    waiting: int = 0
    scored: int = 0
    span_s: tuple[float, float] | None = None
    error: SerenadeError | None = None

    @property
    def done(self) -> bool:
        return self.error is not None or (self.span_s is not None and self.waiting == 0)

    def add(self, logits: Tensor) -> None:
        total = logits.sum(0)
        self.total = total if self.total is None else self.total + total
        self.waiting -= len(logits)
        self.scored += len(logits)

    def result(self) -> Scored | SerenadeError:
        if self.error is not None:
            return self.error
        if self.span_s is None or self.total is None:
            return AudioError("the recording is shorter than one segment of this model", reason="empty")
        return *self.span_s, self.total / self.scored


class _Batches:
    """Collects segments until the network has enough of them."""

    def __init__(self, logits: Callable[[Tensor], Tensor], batch: int) -> None:
        self._logits, self._batch = logits, batch
        self._held: list[tuple[_Tally, Tensor]] = []
        self._count = 0

    def add(self, tally: _Tally, segments: Tensor) -> None:
        if len(segments) == 0:
            return
        tally.waiting += len(segments)
        self._held.append((tally, segments))
        self._count += len(segments)
        while self._count >= self._batch:
            self._score(self._batch)

    def flush(self) -> None:
        while self._count:
            self._score(min(self._count, self._batch))

    def _score(self, count: int) -> None:
        """Put the first segments through the network and credit them to their pieces."""
        taken: list[tuple[_Tally, Tensor]] = []
        missing = count
        while missing:
            tally, segments = self._held.pop(0)
            if len(segments) > missing:
                self._held.insert(0, (tally, segments[missing:]))
                segments = segments[:missing]
            taken.append((tally, segments))
            missing -= len(segments)
        self._count -= count
        logits = self._logits(torch.cat([segments for _, segments in taken]))
        first = 0
        for tally, segments in taken:
            tally.add(logits[first : first + len(segments)])
            first += len(segments)


def score_pieces(
    recordings: Iterable[tuple[N, Iterable[Chunk]]], logits: Callable[[Tensor], Tensor], *, batch: int
) -> Iterator[tuple[N, Scored | SerenadeError]]:
    """Score the pieces of recordings.

    Args:
        recordings: the name of each and its chunks; iterating over chunks may raise `SerenadeError`.
        logits: scores (n, K) of segments (n, T).
        batch: segments that go through the network at a time.

    Yields:
        In order of the recordings: the name, and for each of its pieces start, end and the (K,) mean score of the
        segments; or the error that the recording ended with, after the pieces that were complete before it.
    """
    batches = _Batches(logits, batch)
    order: deque[tuple[N, _Tally]] = deque()

    def finished() -> Iterator[tuple[N, Scored | SerenadeError]]:
        while order and order[0][1].done:
            name, tally = order.popleft()
            yield name, tally.result()

    for name, chunks in recordings:
        tally: _Tally | None = None
        try:
            for chunk in chunks:
                if tally is None:
                    tally = _Tally()
                    order.append((name, tally))
                batches.add(tally, chunk.segments)
                if chunk.span_s is not None:
                    tally.span_s, tally = chunk.span_s, None
                yield from finished()
        except SerenadeError as error:
            if tally is None:
                tally = _Tally()
                order.append((name, tally))
            tally.error = error
        yield from finished()
    batches.flush()
    yield from finished()
