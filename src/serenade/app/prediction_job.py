"""What `serenade predict` is to do, and what became of it, whatever kind of model it uses."""

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from threading import Thread
from typing import Protocol, TypeVar

from serenade.app.console import Progress, say
from serenade.core.errors import AudioError, PartialFailure, SerenadeError, UsageError

__all__ = ["PredictionJob"]


class _Row(Protocol):
    @property
    def file(self) -> str | None: ...


R = TypeVar("R", bound=_Row)


class PredictionJob:
    """What is to be predicted, and what became of it.

    Args:
        named: files and folders.
        list_: a text file that names more of them.
        recursive: walk folders inside folders too.
    """

    def __init__(self, named: Sequence[Path], list_: Path | None, recursive: bool) -> None:
        self._named, self._list, self._recursive = named, list_, recursive
        self.failures: list[SerenadeError] = []
        self.done = self.skipped = 0

    def _found(self) -> Iterator[Path | AudioError]:
        from serenade.inference.files import find_recordings, read_list

        listed = read_list(self._list) if self._list is not None else ()
        return find_recordings(chain(self._named, listed), recursive=self._recursive)

    def count(self) -> int:
        """How many files there are to predict, those that are done among them."""
        return sum(1 for found in self._found() if isinstance(found, Path))

    def recordings(self, finished: Container[str]) -> Iterator[Path]:
        """Files to predict, those that are done already left out."""
        for found in self._found():
            if isinstance(found, SerenadeError):
                self.failures.append(found)
            elif str(found) in finished:
                self.skipped += 1
            else:
                yield found

    def count_for(self, progress: Progress, finished: int) -> None:
        """Count the recordings beside the work, for the time left; a million of them take a while to find."""

        def count() -> None:
            with suppress(SerenadeError):  # a list that cannot be read: the work itself says so
                progress.set_total(self.count() - finished)

        Thread(target=count, daemon=True).start()

    def write(self, results: Iterable[R | SerenadeError], write: Callable[[R], None], progress: Progress) -> None:
        """Write rows as they come and keep the failures for the end.

        Args:
            results: rows, those of a recording one after the other, and failures.
            write: of one row.
            progress: counts recordings.
        """
        last = None
        for result in results:
            if isinstance(result, SerenadeError):
                self.failures.append(result)
                progress.advance()
                continue
            write(result)
            if result.file != last:
                self.done, last = self.done + 1, result.file
                progress.advance()

    def conclude(self, *, quiet: bool) -> None:
        """Name what failed.

        Raises:
            PartialFailure: some recordings failed; a single one that was all there was to do fails as itself.
            UsageError: there was nothing to do.
        """
        if self.skipped:
            say(f"Skipped, because they stand in the output already: {self.skipped}.", quiet=quiet)
        if len(self.failures) == 1 and self.done + self.skipped == 0:
            raise self.failures[0]
        if self.failures:
            for failure in self.failures:
                say(f"Failed: {failure}")
            raise PartialFailure("predicting", failures=self.failures, done=self.done)
        if self.done + self.skipped == 0:
            raise UsageError(
                "no recording was found", hint="Folders are searched for known suffixes; a file named is always taken"
            )
