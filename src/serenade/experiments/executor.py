"""Doing independent jobs at once: here in processes of this machine."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from serenade.core.errors import SerenadeError

__all__ = ["run_all"]

J = TypeVar("J")
_POLL_S = 0.5


def run_all(
    function: Callable[[J], None],
    jobs: Sequence[J],
    *,
    workers: int,
    on_tick: Callable[[], None] = lambda: None,
) -> Iterator[tuple[J, SerenadeError | None]]:
    """Do jobs, several at once, and yield each as it ends, with its error if it failed; the others go on.

    Args:
        function: what to do; importable, as other processes call it.
        jobs: what to do it to.
        workers: processes; with one the jobs are done in this process.
        on_tick: called about twice a second, to show progress.

    Raises:
        KeyboardInterrupt: after stopping the workers; what they finished is kept.
    """
    if workers == 1 or len(jobs) == 1:
        yield from _one_by_one(function, jobs, on_tick)
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_set_up_worker)
    try:
        pending: dict[Future[None], J] = {pool.submit(function, job): job for job in jobs}
        while pending:
            done, _ = wait(pending, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            on_tick()
            for future in done:
                yield pending.pop(future), _outcome(future)
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _one_by_one(
    function: Callable[[J], None], jobs: Sequence[J], on_tick: Callable[[], None]
) -> Iterator[tuple[J, SerenadeError | None]]:
    for job in jobs:
        error = None
        try:
            function(job)
        except SerenadeError as failed:
            error = failed
        on_tick()
        yield job, error


def _outcome(future: Future[None]) -> SerenadeError | None:
    try:
        future.result()
    except SerenadeError as error:
        return error
    except BrokenProcessPool:
        return SerenadeError(
            "a worker process died",
            hint="It may have run out of memory: try fewer --workers; finished jobs are kept, run the command again",
        )
    return None


def _set_up_worker() -> None:
    """Ctrl-C reaches the whole process group and the parent alone decides; without a parent the worker ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
