"""`serenade timeline`: the emotions of recordings of any length over time."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serenade.app.console import Progress, say
from serenade.core.errors import PartialFailure, SerenadeError, UsageError

if TYPE_CHECKING:
    from serenade.app.timelines import Output
    from serenade.core.timelines import SpeakerTurn, Timeline
    from serenade.inference.division import TimelineSettings
    from serenade.inference.recognizer import Recognizer

__all__ = ["timeline"]


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
    from serenade.app.timelines import Output
    from serenade.core.settings import make_settings
    from serenade.inference.division import TimelineSettings

    values = {name: value for name, value in (("window_s", window), ("hop_s", hop)) if value is not None}
    settings = make_settings(TimelineSettings, values, change or [], where="the options of the timeline")
    output = Output(out, format_, audio=audio, several=len(inputs) > 1 or inputs[0].is_dir(), model=model)
    from serenade.app.loading import load_recognizer

    recognizer, workers = load_recognizer(model, device, classes, threads)
    job = _Job(recognizer, settings, speakers, workers, quiet=quiet)
    if output.folder is None:
        job.single(inputs[0], output, overwrite=overwrite)
    else:
        job.several(_found(inputs, recursive=recursive), output, overwrite=overwrite)


def _found(inputs: Sequence[Path], *, recursive: bool) -> Iterator[tuple[Path, Path] | SerenadeError]:
    """Recordings, and where under the output folder their files go: as they lie in the folder named."""
    from serenade.inference.files import find_recordings

    for named in inputs:
        for found in find_recordings([named], recursive=recursive):
            if isinstance(found, SerenadeError):
                yield found
            else:
                yield found, found.relative_to(named) if named.is_dir() else Path(found.name)


class _Job:
    """Makes timelines and writes them."""

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
        output.require_free(overwrite=overwrite)
        turns = self._turns(path)
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

    def several(self, found: Iterator[tuple[Path, Path] | SerenadeError], output: "Output", *, overwrite: bool) -> None:
        """Many recordings into a folder; broken ones are named at the end."""
        assert output.folder is not None
        failures: list[SerenadeError] = []
        done = skipped = 0
        with Progress("Following", quiet=self._quiet, unit="recordings") as progress:
            for item in found:
                if isinstance(item, SerenadeError):
                    failures.append(item)
                    continue
                path, below = item
                try:
                    if not overwrite and output.is_done(below):
                        skipped += 1
                        continue
                    output.write_all(self._timeline(path, self._turns(path)), below)
                    done += 1
                except SerenadeError as error:
                    error.where = error.where if error.where is not None else path
                    failures.append(error)
                progress.advance(detail=path.name)
        output.summarise()
        self._conclude(failures, done, skipped)

    def _conclude(self, failures: Sequence[SerenadeError], done: int, skipped: int) -> None:
        if skipped:
            say(f"Skipped, because their files are there already: {skipped}.", quiet=self._quiet)
        for failure in failures:
            say(f"Failed: {failure}")
        if failures:
            raise PartialFailure("following recordings", failures=failures, done=done)
        if done + skipped == 0:
            raise UsageError("no recording was found", hint="Folders are searched for known suffixes")

    def _timeline(self, path: Path, turns: "tuple[SpeakerTurn, ...]", heard: "_Heard | None" = None) -> "Timeline":
        return self._recognizer.timeline(
            path, settings=self._settings, speakers=turns, threads=self._workers, heard=heard
        )

    def _turns(self, path: Path) -> "tuple[SpeakerTurn, ...]":
        if self._speakers is None:
            return ()
        from serenade.inference.annotations.rttm import read_rttm

        file = self._speakers / f"{path.stem}.rttm" if self._speakers.is_dir() else self._speakers
        return read_rttm(file, path.stem)


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
    import soundfile

    try:
        return int(soundfile.info(path).duration // 60)
    except (soundfile.SoundFileError, OSError, TypeError, ValueError):
        return None
