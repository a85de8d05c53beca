"""Doing independent jobs at once: in processes of this machine, or on a Ray cluster.

Either way jobs are taken from their iterable as they are needed, so there may be a million of them, and a worker that
dies costs nobody else's work.
"""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import chain, islice
from multiprocessing.process import BaseProcess
from typing import Any, Literal, TypeVar

from serenade.core.devices import cpu_budget
from serenade.core.errors import MissingExtraError, SerenadeError, UsageError

__all__ = ["ENGINES", "Engine", "choose_engine", "run_all", "run_together"]

Engine = Literal["processes", "ray"]
ENGINES: tuple[Engine, ...] = ("processes", "ray")

J = TypeVar("J")
R = TypeVar("R")
_POLL_S = 0.5
_AHEAD = 2  # jobs handed out per worker, so that none waits for the next
_RETRIES = 3  # of a job whose worker died on a cluster, where machines come and go


def choose_engine(name: str) -> Engine:
    """The engine of a name.

    Raises:
        UsageError: there is none.
    """
    for engine in ENGINES:
        if name == engine:
            return engine
    raise UsageError("there is no such engine", found=name, expected=" or ".join(ENGINES))


def run_all(
    function: Callable[[J], R],
    jobs: Iterable[J],
    *,
    workers: int | None,
    engine: Engine = "processes",
    threads: int = 1,
    on_tick: Callable[[], None] = lambda: None,
) -> Iterator[tuple[J, R | SerenadeError]]:
    """Do jobs, several at once, and yield each as it ends, with its result or its error; the others go on.

    A job whose worker process died is done again, by itself; if it dies again, that is its error.

    Args:
        function: what to do; importable, as other processes call it.
        jobs: what to do it to, taken a few at a time.
        workers: jobs at a time; None for as many as there are processors here, or in Ray's cluster. With one process
            the jobs are done in this process.
        engine: where: processes of this machine, or Ray, whose cluster is that of $RAY_ADDRESS, else one of this
            machine alone. On several machines the paths in jobs must mean the same everywhere.
        threads: processors that a job takes, for Ray.
        on_tick: called about twice a second, to show progress.

    Raises:
        KeyboardInterrupt: after stopping the workers; what they finished is kept.
        MissingExtraError: Ray is not installed.
    """
    if engine == "ray":
        yield from _on_ray(function, jobs, workers, threads, on_tick)
        return
    workers = max(1, cpu_budget() // threads) if workers is None else workers
    source = iter(jobs)
    first = list(islice(source, 2))
    if workers == 1 or len(first) < 2:
        yield from _one_by_one(function, chain(first, source), on_tick)
    else:
        yield from _in_processes(function, chain(first, source), workers, on_tick)


def _one_by_one(
    function: Callable[[J], R], jobs: Iterable[J], on_tick: Callable[[], None]
) -> Iterator[tuple[J, R | SerenadeError]]:
    for job in jobs:
        outcome = _attempt(function, job)
        on_tick()
        yield job, outcome


def _attempt(function: Callable[[J], R], job: J) -> R | SerenadeError:
    try:
        return function(job)
    except SerenadeError as error:
        return error


def _died() -> SerenadeError:
    return SerenadeError(
        "a worker process died",
        hint="It may have run out of memory: try fewer --workers; finished jobs are kept, run the command again",
    )


def _in_processes(
    function: Callable[[J], R], jobs: Iterator[J], workers: int, on_tick: Callable[[], None]
) -> Iterator[tuple[J, R | SerenadeError]]:
    attempt = partial(_attempt, function)
    others = multiprocessing.active_children()
    pool = _pool(workers)
    try:
        pending: dict[Future[R | SerenadeError], J] = {}
        while True:
            victims: list[J] = []
            for job in islice(jobs, _AHEAD * workers - len(pending)):
                try:
                    pending[pool.submit(attempt, job)] = job
                except BrokenProcessPool:
                    victims.append(job)
                    break
            if not (pending or victims):
                return
            done, _ = wait(pending, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            on_tick()
            for future in done:
                job = pending.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    victims.append(job)
                else:
                    yield job, future.result()
            if victims:  # with one process all of its pool are lost
                victims += pending.values()
                pending = {}
                pool.shutdown(wait=True, cancel_futures=True)
                for job in victims:
                    yield job, _alone(attempt, job, on_tick)
                pool = _pool(workers)
    except BaseException:  # also Ctrl-C and a reader that wants no more: nobody waits for what is under way
        _end_all_but(others)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def run_together(function: Callable[[J], None], jobs: Sequence[J]) -> None:
    """Do jobs that wait for each other, each in a process of its own; where one fails all end.

    Raises:
        SerenadeError: that of the first that failed.
    """
    others = multiprocessing.active_children()
    pool = _pool(len(jobs))
    try:
        futures = [pool.submit(function, job) for job in jobs]
        done, waiting = wait(futures, return_when=FIRST_EXCEPTION)
        if waiting:
            _end_all_but(others)
        for future in sorted(done, key=lambda future: isinstance(future.exception(), BrokenProcessPool)):
            if isinstance(future.exception(), BrokenProcessPool):
                raise _died()
            future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _end_all_but(others: Collection[BaseProcess]) -> None:
    """End the processes started since, which are those of a pool; what the caller's program runs besides goes on."""
    for process in multiprocessing.active_children():
        if process not in others:
            process.terminate()


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_set_up_worker)


def _alone(attempt: Callable[[J], R | SerenadeError], job: J, on_tick: Callable[[], None]) -> R | SerenadeError:
    """A job whose process died, or one beside it did: in a process that it shares with none."""
    with _pool(1) as pool:
        future = pool.submit(attempt, job)
        while not wait([future], timeout=_POLL_S).done:
            on_tick()
        return _died() if isinstance(future.exception(), BrokenProcessPool) else future.result()


def _set_up_worker() -> None:
    """Ctrl-C reaches the whole process group and the parent alone decides; without a parent the worker ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _on_ray(
    function: Callable[[J], R], jobs: Iterable[J], workers: int | None, threads: int, on_tick: Callable[[], None]
) -> Iterator[tuple[J, R | SerenadeError]]:
    ray = _ray(cpu_budget() if workers is None else workers * threads)
    if workers is None:
        workers = max(1, int(ray.cluster_resources()["CPU"]) // threads)
    remote = ray.remote(num_cpus=threads, max_retries=_RETRIES)(_attempt)
    source = iter(jobs)
    pending: dict[Any, J] = {}
    try:
        while True:
            for job in islice(source, _AHEAD * workers - len(pending)):
                pending[remote.remote(function, job)] = job
            if not pending:
                return
            done, _ = ray.wait(list(pending), timeout=_POLL_S)
            on_tick()
            for reference in done:
                job = pending.pop(reference)
                try:
                    yield job, ray.get(reference)
                except ray.exceptions.WorkerCrashedError:
                    yield job, _died()
    finally:
        for reference in pending:
            ray.cancel(reference, force=True)


def _ray(processors: int) -> Any:
    """Ray, connected to a cluster or with one of this machine."""
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", extra="ray", purpose="the engine ray") from error
    if not ray.is_initialized():
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        here: dict[str, Any] = {"num_cpus": processors, "include_dashboard": False}
        here = {} if os.environ.get("RAY_ADDRESS") else here
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **here)
    return ray
