"""`serenade timeline`: the emotions of recordings of any length over time."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serenade.app.console import Progress, say
from serenade.core.errors import PartialFailure, SerenadeError, UsageError

if TYPE_CHECKING:
    from serenade.app.timelines import Following, Output
    from serenade.core.timelines import SpeakerTurn, Timeline
    from serenade.inference.division import TimelineSettings
    from serenade.inference.recognizer import Recognizer

__all__ = ["timeline"]


_FEW, _LITTLE_S = 16, 600.0  # fewer recordings of less sound are followed before other processes would have started


def timeline(
    inputs: Annotated[list[Path], typer.Argument(metavar="FILE|FOLDER...", help="Recordings, and folders of them.")],
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="NAME|FOLDER", help="A shipped model or a model folder.")
    ] = "glam-emodb",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE|FOLDER",
            help="A file, its suffix says the format; or a folder. Without it a table on stdout.",
        ),
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            metavar="NAME,...",
            help="json, jsonl, csv, parquet, rttm, textgrid, eaf, srt, vtt, audformat, html; several into a folder.",
        ),
    ] = None,
    window: Annotated[
        float | None, typer.Option("--window", metavar="SECONDS", help="A row for every window instead of every turn.")
    ] = None,
    hop: Annotated[
        float | None, typer.Option("--hop", metavar="SECONDS", help="From window to window; side by side if not given.")
    ] = None,
    speakers: Annotated[
        Path | None,
        typer.Option(
            "--speakers",
            "--rttm",
            metavar="FILE|FOLDER",
            help="Who talks when (RTTM); of a folder NAME.rttm is that of NAME.wav.",
        ),
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="detector, smoothing_s, uncertain_below, pause_s, ...; repeat."
        ),
    ] = None,
    classes: Annotated[
        str | None, typer.Option("--classes", metavar="A,B,...", help="The only emotions to choose from.")
    ] = None,
    audio: Annotated[bool, typer.Option("--audio/--no-audio", help="Put the sound into the page.")] = True,
    recursive: Annotated[bool, typer.Option(help="Walk folders inside folders too.")] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Do again what is there already.")] = False,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")] = "auto",
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Processors to use; all if not given.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
) -> None:
    """Follow the emotions of recordings of any length over time: a row for every turn of speech, or every window.

    Into a folder, each recording gets a file of every format, and summary.csv a row for every recording and speaker.
    What is there already is skipped, so an interrupted command goes on where it stopped.

    Example: serenade timeline meeting.wav --speakers meeting.rttm --out meeting.html
    """
    from serenade.app.timelines import Following, Output
    from serenade.core.settings import make_settings
    from serenade.inference.division import TimelineSettings

    values = {name: value for name, value in (("window_s", window), ("hop_s", hop)) if value is not None}
    settings = make_settings(TimelineSettings, values, change or [], where="the options of the timeline")
    output = Output(out, format_, audio=audio, several=len(inputs) > 1 or inputs[0].is_dir(), model=model)
    from serenade.app.loading import load_recognizer, named_classes

    recognizer, workers = load_recognizer(model, device, classes, threads)
    if output.folder is None:
        _Job(recognizer, settings, speakers, workers, quiet=quiet).single(inputs[0], output, overwrite=overwrite)
        return

    def work(path: Path, below: Path) -> Following:
        return Following(path, below, output, settings, speakers, model, named_classes(classes), device, threads=1)

    _Several(output, workers, overwrite=overwrite, quiet=quiet).follow(_found(inputs, recursive=recursive), work)


def _found(inputs: Sequence[Path], *, recursive: bool) -> Iterator[tuple[Path, Path] | SerenadeError]:
    """Recordings, and where under the output folder their files go: as they lie in the folder named."""
    from serenade.inference.files import find_recordings

    several = sum(named.is_dir() for named in inputs) > 1  # each then has a folder of its name there
    for named in inputs:
        for found in find_recordings([named], recursive=recursive):
            if isinstance(found, SerenadeError):
                yield found
            elif named.is_dir():
                below = found.relative_to(named)
                yield found, named.resolve().name / below if several else below
            else:
                yield found, Path(found.name)


class _Job:
    """Makes the timeline of a recording and writes it."""

    def __init__(
        self,
        recognizer: "Recognizer",
        settings: "TimelineSettings",
        speakers: Path | None,
        workers: int,
        *,
        quiet: bool,
    ) -> None:
        self._recognizer, self._settings, self._speakers = recognizer, settings, speakers
        self._workers, self._quiet = workers, quiet

    def single(self, path: Path, output: "Output", *, overwrite: bool) -> None:
        """One recording into one file, or as a table on stdout."""
        from serenade.app.timelines import turns_of

        output.require_free(overwrite=overwrite)
        turns = turns_of(self._speakers, path)
        with _Heard(path, quiet=self._quiet) as heard:
            if output.streams:
                rows = self._recognizer.timeline_rows(
                    path, settings=self._settings, speakers=turns, threads=self._workers, heard=heard
                )
                count = output.stream(rows, self._recognizer)
            else:
                made = self._timeline(path, turns, heard)
                output.write(made, output.path)
                count = len(made.rows)
        if count == 0:
            say(f"There is no speech in {path}.")
        if output.path is not None:
            say(f"Timeline: {output.path}", quiet=self._quiet)

    def _timeline(self, path: Path, turns: "tuple[SpeakerTurn, ...]", heard: "_Heard | None" = None) -> "Timeline":
        return self._recognizer.timeline(
            path, settings=self._settings, speakers=turns, threads=self._workers, heard=heard
        )


class _Several:
    """Follows recordings into a folder, as many at a time as there are processors, each in a process of its own.

    Args:
        output: what is written.
        workers: processes.
        overwrite: do again what is there already.
        quiet: no progress.
    """

    def __init__(self, output: "Output", workers: int, *, overwrite: bool, quiet: bool) -> None:
        self._output, self._workers, self._overwrite, self._quiet = output, workers, overwrite, quiet
        self._failures: list[SerenadeError] = []
        self._done = self._skipped = 0

    def follow(
        self, found: Iterator[tuple[Path, Path] | SerenadeError], work: "Callable[[Path, Path], Following]"
    ) -> None:
        """Follow all that were found and are not done; broken ones are named at the end.

        Raises:
            PartialFailure: some failed; the others are done.
            UsageError: there was none.
        """
        from serenade.app.timelines import follow
        from serenade.core.executor import run_all

        with Progress("Following", quiet=self._quiet, unit="recordings") as progress:
            waiting = (work(path, below) for path, below in self._waiting(found, progress))
            first, workers = list(islice(waiting, _FEW)), self._workers
            if len(first) == 1 or (len(first) < _FEW and sum(_seconds(job.path) for job in first) < _LITTLE_S):
                first, workers = [replace(job, threads=workers) for job in first], 1
            for job, outcome in run_all(follow, chain(first, waiting), workers=workers):
                if isinstance(outcome, SerenadeError):
                    outcome.where = job.path if outcome.where is None else outcome.where
                    self._failures.append(outcome)
                else:
                    self._done += 1
                progress.advance(detail=job.path.name)
        self._tell()
        self._output.summarise()
        self._conclude()

    def _waiting(
        self, found: Iterator[tuple[Path, Path] | SerenadeError], progress: Progress
    ) -> Iterator[tuple[Path, Path]]:
        for item in found:
            if isinstance(item, SerenadeError):
                self._failures.append(item)
            elif not self._overwrite and self._output.is_done(item[1]):
                self._skipped += 1
                progress.advance()
            else:
                yield item

    def _tell(self) -> None:
        if self._skipped:
            say(f"Skipped, because their files are there already: {self._skipped}.", quiet=self._quiet)
        for failure in self._failures:
            say(f"Failed: {failure}")

    def _conclude(self) -> None:
        if self._failures:
            raise PartialFailure("following recordings", failures=self._failures, done=self._done)
        if self._done + self._skipped == 0:
            raise UsageError("no recording was found", hint="Folders are searched for known suffixes")


class _Heard:
    """Progress in minutes of sound."""

    def __init__(self, path: Path, *, quiet: bool) -> None:
        self._progress = Progress(f"Following {path.name}", total=_minutes(path), unit="minutes", quiet=quiet)
        self._seconds, self._told = 0.0, 0

    def __enter__(self) -> "_Heard":
        self._progress.__enter__()
        return self

    def __exit__(self, *why: object) -> None:
        self._progress.__exit__(None, None, None)

    def __call__(self, seconds: float) -> None:
        self._seconds += seconds
        new = int(self._seconds // 60) - self._told
        if new:
            self._told += new
            self._progress.advance(new)


def _minutes(path: Path) -> int | None:
    """Length of a recording where its header says it; None where it does not."""
    seconds = _seconds(path)
    return None if math.isinf(seconds) else int(seconds // 60)


def _seconds(path: Path) -> float:
    """Length of a recording where its header says it; infinite where it does not."""
    import soundfile

    try:
        return float(soundfile.info(path).duration)
    except (soundfile.SoundFileError, OSError, TypeError, ValueError):
        return math.inf
