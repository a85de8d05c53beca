"""Unlabelled speech beside the labelled batches: an endless, reshuffled stream that is never in memory as a whole."""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Protocol, TypeVar

import torch

from serenade.core.errors import UsageError
from serenade.core.records import Utterance
from serenade.core.seeding import derive_seed
from serenade.training.system import Example, SemiSupervisedSystem, System, UnlabelledUse

__all__ = ["UnlabelledSpeech", "ahead", "endless", "require_fitting_use", "unlabelled_use"]

T = TypeVar("T")


class UnlabelledSpeech(Protocol):
    """Examples without targets, each read when it is asked for."""

    @property
    def utterances(self) -> Sequence[Utterance]:
        """What the examples are made of; several may come of one."""
        ...

    def __len__(self) -> int:
        """How many examples there are."""
        ...

    def __getitem__(self, index: int) -> Example:
        """One of them, read now; may be called from another thread."""
        ...


def endless(length: int, seed: int, start: int = 0) -> Iterator[int]:
    """Places 0 to length - 1 in a drawn order, then all of them again in another, for ever.

    Args:
        length: how many there are, at least 1.
        seed: of the run.
        start: how many were given before: a resumed run goes on where it was.
    """
    turn, within = divmod(start, length)
    while True:
        generator = torch.Generator().manual_seed(derive_seed(seed, "unlabelled order", turn))
        order = torch.randperm(length, generator=generator)
        yield from (int(place) for place in order[within:])
        turn, within = turn + 1, 0


def ahead(items: Iterator[T], count: int) -> Generator[T, None, None]:
    """The same items, up to `count` of them made beforehand in one other thread, in order.

    Closing the iterator stops the thread; an error in `items` is raised where its item would have come.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="serenade-ahead")
    waiting: deque[Future[list[T]]] = deque()
    try:
        for _ in range(count):
            waiting.append(pool.submit(_take, items))
        while taken := waiting.popleft().result():
            waiting.append(pool.submit(_take, items))
            yield from taken
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _take(items: Iterator[T]) -> list[T]:
    """The next item; nothing at the end."""
    return list(islice(items, 1))


def unlabelled_use(system: System) -> UnlabelledUse:
    """Whether a system may, must or must not be given unlabelled speech."""
    return system.unlabelled_use if isinstance(system, SemiSupervisedSystem) else "refused"


def require_fitting_use(system: System, *, given: bool) -> None:
    """Pass where unlabelled speech is given to a system that uses it, and not to another.

    Raises:
        UsageError: it is missing, or of no use.
    """
    use = unlabelled_use(system)
    if given and use == "refused":
        raise UsageError(
            "this system does not learn from unlabelled speech",
            hint="Leave out --unlabelled, or take a preset that does, such as mtl-aug-semi",
        )
    if not given and use == "required":
        raise UsageError(
            "this system learns from unlabelled speech beside the labelled, and none is given",
            hint="Say --unlabelled NAME=PATH, such as librispeech=/data/LibriSpeech/train-clean-100, or "
            "unlabelled=FOLDER for any folder of speech",
        )
