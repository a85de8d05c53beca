"""Progress on stderr, so that what a command writes to stdout can be piped.

On a terminal a bar with the time left; elsewhere (a log file, CI) a plain line now and then; nothing with quiet.
"""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

__all__ = ["Progress", "say"]

_FIRST_LINE_S = 5.0
_SLOWEST_LINE_S = 60.0


def say(message: str, *, quiet: bool = False) -> None:
    """Print a line on stderr, where it does not mix with results."""
    if not quiet:
        print(message, file=sys.stderr, flush=True)


class Progress:
    """Shows how far a piece of work is; used as ``with Progress("Predicting", total=120) as progress``.

    Args:
        title: what is being done.
        total: how many steps there are; None where it is not known.
        unit: what a step is, in the plural.
        quiet: show nothing.
    """

    def __init__(self, title: str, *, total: int | None = None, unit: str = "files", quiet: bool = False) -> None:
        self.title, self.total, self.unit, self.quiet = title, total, unit, quiet
        self.done = 0
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None
        self._began = self._last_line = time.monotonic()
        self._pause_s = _FIRST_LINE_S
        self._said_all = False

    def __enter__(self) -> Self:
        if not self.quiet and sys.stderr.isatty():
            self._open_bar()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, count: int = 1, *, detail: str = "") -> None:
        """Take note of finished steps.

        Args:
            count: how many.
            detail: a few words on where the work is, such as the loss of the epoch.
        """
        self.done += count
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=count, detail=detail)
        elif not self.quiet:
            self._line(detail)

    def set_total(self, total: int) -> None:
        """Tell the number of steps once it is known."""
        self.total = total
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, total=total)

    def say(self, message: str) -> None:
        """Print a line above the bar."""
        if self._bar is not None:
            self._bar.console.print(message, markup=False, highlight=False)
        else:
            say(message, quiet=self.quiet)

    def _line(self, detail: str) -> None:
        """A plain line, at first after seconds, later once a minute, so that a log stays readable."""
        now = time.monotonic()
        if now - self._last_line < self._pause_s and self.done != self.total:
            return
        if self.done == self.total and now - self._began < _FIRST_LINE_S:
            return  # over before anyone wondered
        if self.done == self.total and self._said_all:
            return
        self._said_all = self.done == self.total
        self._last_line, self._pause_s = now, min(2 * self._pause_s, _SLOWEST_LINE_S)
        spent = now - self._began
        parts = [f"{self.title}: {self.done}" + (f" of {self.total}" if self.total else "") + f" {self.unit}"]
        parts.append(f"{_clock(spent)} spent")
        if self.total and 0 < self.done < self.total:
            parts.append(f"about {_clock(spent / self.done * (self.total - self.done))} left")
        say(", ".join([*parts, detail] if detail else parts))

    def _open_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task(self.title, total=self.total, unit=self.unit, detail="")
        self._bar.start()


def _clock(duration_s: float) -> str:
    """Seconds as people say them: 42 s, 3:05 min, 2:03 h."""
    seconds = round(duration_s)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60}:{seconds % 60:02} min"
    return f"{seconds // 3600}:{seconds % 3600 // 60:02} h"
