"""Reading ahead: order, errors, bounds, and an end that leaves no thread behind."""

import itertools
import threading
import time
from collections.abc import Iterator

import pytest

from serenade.inference.prefetch import prefetch


def readers() -> int:
    return sum(thread.name.startswith("serenade-read") for thread in threading.enumerate())


def test_sources_come_in_order_with_all_their_chunks() -> None:
    def read(source: int) -> Iterator[tuple[int, int]]:
        time.sleep(0.002 * (source % 3))  # the first is not always ready first
        yield from ((source, chunk) for chunk in range(source % 7))

    found = [(source, list(chunks)) for source, chunks in prefetch(range(30), read, threads=3)]
    assert found == [(source, [(source, chunk) for chunk in range(source % 7)]) for source in range(30)]
    assert readers() == 0


def test_an_error_arises_where_its_source_is_used() -> None:
    def read(source: int) -> Iterator[int]:
        yield source
        if source == 1:
            raise OSError("the disk went away")

    seen = []
    for source, chunks in prefetch(range(3), read, threads=2):
        if source == 1:
            assert next(chunks) == 1
            with pytest.raises(OSError, match="went away"):
                next(chunks)
        else:
            seen += list(chunks)
    assert seen == [0, 2]


def test_memory_is_bounded_when_the_consumer_is_slow() -> None:
    taken, made = itertools.count(), itertools.count()

    def read(source: int) -> Iterator[int]:
        yield from made

    endless = prefetch(taken, read, threads=1, held=3)
    _, chunks = next(endless)
    assert [next(chunks) for _ in range(5)] == [0, 1, 2, 3, 4]
    time.sleep(0.05)
    assert next(made) <= 5 + 3 + 1  # used, waiting, in the hand
    assert next(taken) <= 2
    endless.close()  # type: ignore[attr-defined]
    assert readers() == 0
