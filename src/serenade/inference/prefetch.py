"""Reading ahead: several recordings are decoded in threads while the network works, in bounded memory."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Generic, TypeVar

__all__ = ["prefetch"]

S = TypeVar("S")
C = TypeVar("C")

_STEP_S = 0.1  # how often a waiting reader looks whether it is still wanted


class _End:
    """Closes a queue; carries the error that reading ended with, if any."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error


class _Reading(Generic[C]):
    """One source on its way: a thread fills the queue, the consumer empties it."""

    def __init__(self, held: int) -> None:
        self._queue: queue.Queue[C | _End] = queue.Queue(held)

    def fill(self, read: Callable[[], Iterable[C]], stopped: threading.Event) -> None:
        end = _End(None)
        try:
            for chunk in read():
                if not self._put(chunk, stopped):
                    return
        except Exception as error:  # noqa: BLE001 - handed over whole; raised again in the consumer
            end = _End(error)
        self._put(end, stopped)

    def _put(self, item: C | _End, stopped: threading.Event) -> bool:
        while not stopped.is_set():
            try:
                self._queue.put(item, timeout=_STEP_S)
            except queue.Full:
                continue
            return True
        return False

    def chunks(self) -> Iterator[C]:
        while True:
            item = self._queue.get()
            if not isinstance(item, _End):
                yield item
            elif item.error is not None:
                raise item.error
            else:
                return


def prefetch(
    sources: Iterable[S], read: Callable[[S], Iterable[C]], *, threads: int, held: int = 4
) -> Iterator[tuple[S, Iterator[C]]]:
    """Read sources in threads, a few ahead of the consumer, and hand them over in order.

    Sources are taken from their iterable one at a time, so it may be of any length. At most ``2 * threads`` of them
    are open or waiting, each with at most `held` chunks in memory.

    Args:
        sources: what to read.
        read: gives the chunks of a source; runs in a thread.
        threads: how many are read at a time.
        held: chunks kept per source.

    Yields:
        A source and its chunks. The chunks must be used up before the next source is asked for; iterating over them
        raises what `read` raised.
    """
    remaining = iter(sources)
    stopped = threading.Event()
    waiting: deque[tuple[S, _Reading[C]]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="serenade-read")

    def start(source: S) -> None:
        reading: _Reading[C] = _Reading(held)
        pool.submit(reading.fill, lambda: read(source), stopped)
        waiting.append((source, reading))

    try:
        for source in islice(remaining, 2 * threads):
            start(source)
        while waiting:
            source, reading = waiting.popleft()
            yield source, reading.chunks()
            for following in islice(remaining, 1):
                start(following)
    finally:
        stopped.set()
        pool.shutdown(wait=True, cancel_futures=True)
