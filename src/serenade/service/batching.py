"""Segments of all requests go through the network together; the answer to none depends on the others.

Every batch has the same size, the last of it is filled up, so a segment's scores are the same to the last bit whether
it came alone or among others (a convolution sums in another order for another size).
"""

import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Lock, Thread

import torch
from torch import Tensor

from serenade.inference.engines import Engine
from serenade.service.problems import Problem
from serenade.signal.segments import SegmentSettings

__all__ = ["MicroBatcher"]

_Item = tuple[Tensor, "Future[Tensor]"]


class MicroBatcher:
    """An engine that many threads share: each gives the segments it has, and they are scored together.

    Args:
        engine: what scores.
        batch: segments that go through the network at a time, always as many; 1 for pieces that are not cut.
        wait_s: time a segment waits for others.
        threads: batches that are scored at the same time.
        observe: told how many of a batch were segments and not filling.
    """

    def __init__(
        self, engine: Engine, *, batch: int, wait_s: float, threads: int, observe: Callable[[int], None]
    ) -> None:
        self.segments: SegmentSettings | None = engine.segments
        self.attributes = engine.attributes
        self.batch = 1 if engine.segments is None else batch
        self._engine, self._wait_s, self._observe = engine, wait_s, observe
        self._lock, self._closed = Lock(), False
        self._silence: Future[Tensor] | None = None
        self._waiting: SimpleQueue[_Item | None] = SimpleQueue()
        self._threads = [Thread(target=self._work, name="serenade-batch", daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    @property
    def depth(self) -> int:
        """Segments that wait."""
        return self._waiting.qsize()

    def logits(self, waveforms: Tensor) -> Tensor:
        """(N, K) float64 scores of (N, T) segments at 16 kHz; waits for them.

        Equal segments at the end, with which a caller fills up a batch, are scored once and leave room for others.

        Raises:
            Problem: the service is stopping.
        """
        futures = [self._future_of(waveform) for waveform in waveforms[: _unfilled(waveforms)]]
        scores = [future.result() for future in futures]
        return torch.stack(scores + scores[-1:] * (len(waveforms) - len(scores)))

    def _future_of(self, waveform: Tensor) -> "Future[Tensor]":
        """The score of a segment, once it is known; that of digital silence is kept: hours of it cost little."""
        if self.segments is None or bool(waveform.any()):
            return self._ask(waveform)
        if self._silence is None or _failed(self._silence):  # asked twice by two at once it is the same
            self._silence = self._ask(waveform)
        return self._silence

    def _ask(self, waveform: Tensor) -> "Future[Tensor]":
        future: Future[Tensor] = Future()
        with self._lock:
            if self._closed:  # nobody would answer any more
                raise Problem("draining", "The service is stopping.")
            self._waiting.put((waveform, future))
        return future

    def close(self) -> None:
        """Score what waits, then end; whoever comes later is refused."""
        with self._lock:
            self._closed = True
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            items, last = self._gather(first)
            self._score(items)
            if last:
                return

    def _gather(self, first: _Item) -> tuple[list[_Item], bool]:
        """As many as fit that come in time; and whether the end was among them."""
        items, end_s = [first], time.monotonic() + self._wait_s
        while len(items) < self.batch:
            try:
                item = self._waiting.get(timeout=max(0.0, end_s - time.monotonic()))
            except Empty:
                break
            if item is None:
                return items, True
            items.append(item)
        return items, False

    def _score(self, items: list[_Item]) -> None:
        self._observe(len(items))
        try:
            rows = [waveform for waveform, _ in items]
            filled = rows + rows[-1:] * (self.batch - len(rows))
            scores = self._engine.logits(torch.stack(filled))
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait, this thread goes on
            for _, future in items:
                future.set_exception(error)
            return
        for (_, future), score in zip(items, scores, strict=False):
            future.set_result(score)


def _failed(future: "Future[Tensor]") -> bool:
    return future.done() and future.exception() is not None


def _unfilled(waveforms: Tensor) -> int:
    """How many of (N, T) segments there are before the last one is only repeated."""
    count = len(waveforms)
    while count > 1 and torch.equal(waveforms[count - 1], waveforms[count - 2]):
        count -= 1
    return count
