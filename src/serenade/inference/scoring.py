"""Scoring pieces in batches: segments of all recordings go through the network together, results come in order.

Every batch has the same size, the last one is filled up. A convolution sums in another order for another batch size,
which moved probabilities by 7e-6; at one size a segment's scores do not depend on its neighbours, to the last bit.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from serenade.core.errors import AudioError, SerenadeError
from serenade.inference.pieces import Chunk

__all__ = ["score_pieces"]

N = TypeVar("N")

_Scored = tuple[float, float, Tensor]


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

    def result(self) -> _Scored | SerenadeError:
        if self.error is not None:
            return self.error
        if self.span_s is None or self.total is None:
            return AudioError("the recording is shorter than one segment of this model", reason="empty")
        return *self.span_s, self.total / self.scored


class _Batches:
    """Collects segments until the network has enough of them, and scores several batches at a time."""

    def __init__(self, logits: Callable[[Tensor], Tensor], batch: int, threads: int) -> None:
        self._logits, self._batch, self._threads = logits, batch, threads
        self._held: deque[tuple[_Tally, Tensor]] = deque()
        self._count = 0
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="serenade-score")
        self._running: deque[tuple[Future[Tensor], list[tuple[_Tally, int]]]] = deque()

    def add(self, tally: _Tally, segments: Tensor) -> None:
        if len(segments) == 0:
            return
        tally.waiting += len(segments)
        self._held.append((tally, segments))
        self._count += len(segments)
        while self._count >= self._batch:
            self._start(self._batch)
        # One batch waits behind those that run, so that no thread is idle and memory stays bounded.
        self._credit(keep=self._threads + 1)

    def flush(self) -> None:
        if self._count:
            self._start(self._count)
        self._credit(keep=0)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _start(self, count: int) -> None:
        """Send the first segments through the network."""
        parts, owners = [], []
        while count:
            tally, segments = self._held.popleft()
            if len(segments) > count:
                self._held.appendleft((tally, segments[count:]))
                segments = segments[:count]
            parts.append(segments)
            owners.append((tally, len(segments)))
            count -= len(segments)
            self._count -= len(segments)
        missing = self._batch - sum(map(len, parts))
        filled = torch.cat([*parts, parts[-1][-1:].expand(missing, -1)])
        self._running.append((self._pool.submit(self._logits, filled), owners))

    def _credit(self, *, keep: int) -> None:
        """Give the scores of finished batches to their pieces; wait while more than `keep` are on their way."""
        while self._running and (len(self._running) > keep or self._running[0][0].done()):
            scores, owners = self._running.popleft()
            logits, first = scores.result(), 0
            for tally, count in owners:
                tally.add(logits[first : first + count])
                first += count


def score_pieces(
    recordings: Iterable[tuple[N, Iterable[Chunk]]],
    logits: Callable[[Tensor], Tensor],
    *,
    batch: int,
    threads: int = 1,
) -> Iterator[tuple[N, _Scored | SerenadeError]]:
    """Score the pieces of recordings.

    Args:
        recordings: the name of each and its chunks; iterating over chunks may raise `SerenadeError`.
        logits: scores (n, K) of segments (n, T).
        batch: segments that go through the network at a time, always as many.
        threads: batches that are scored at the same time.

    Yields:
        In order of the recordings: the name, and for each of its pieces start, end and the (K,) mean score of the
        segments; or the error that the recording ended with, after the pieces that were complete before it.
    """
    batches = _Batches(logits, batch, threads)
    order: deque[tuple[N, _Tally]] = deque()

    def finished() -> Iterator[tuple[N, _Scored | SerenadeError]]:
        while order and order[0][1].done:
            name, tally = order.popleft()
            yield name, tally.result()

    def begin(name: N) -> _Tally:
        order.append((name, _Tally()))
        return order[-1][1]

    try:
        for name, chunks in recordings:
            tally: _Tally | None = None
            try:
                for chunk in chunks:
                    tally = begin(name) if tally is None else tally
                    batches.add(tally, chunk.segments)
                    if chunk.span_s is not None:
                        tally.span_s, tally = chunk.span_s, None
                    yield from finished()
            except SerenadeError as error:
                tally = begin(name) if tally is None else tally
                tally.error = error
            yield from finished()
        batches.flush()
        yield from finished()
    finally:
        batches.close()
