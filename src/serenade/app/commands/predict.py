"""`serenade predict`: the emotions of files, folders and lists of files."""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serenade.app.console import Progress, say
from serenade.core.errors import PartialFailure, SerenadeError, UsageError

if TYPE_CHECKING:
    from serenade.inference.recognizer import Recognizer

__all__ = ["predict"]


def predict(
    inputs: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE|FOLDER...", help="Recordings, and folders of recordings.")
    ] = None,
    file: Annotated[
        list[Path] | None, typer.Option("--file", "--folder", help="The same, as an option.", hidden=True)
    ] = None,
    list_: Annotated[
        Path | None, typer.Option("--list", metavar="FILE", help="A text file with one recording or folder a line.")
    ] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="NAME|FOLDER", help="A shipped model or a model folder.")
    ] = "glam-emodb",
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            metavar="table|json|jsonl|csv|hf",
            help="How to write; told by the suffix of --out if not given.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "--outfile", "-o", metavar="FILE", help="Where to write; stdout if not given."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue --out (CSV or JSONL): files that stand in it are skipped.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out if it exists.")] = False,
    window: Annotated[
        float | None,
        typer.Option("--window", metavar="SECONDS", help="Divide recordings into windows, a row for each."),
    ] = None,
    hop: Annotated[
        float | None,
        typer.Option("--hop", metavar="SECONDS", help="From window to window; the window's length if not given."),
    ] = None,
    classes: Annotated[
        str | None, typer.Option("--classes", metavar="A,B,...", help="The only emotions to choose from.")
    ] = None,
    recursive: Annotated[bool, typer.Option(help="Walk folders inside folders too.")] = True,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")] = "auto",
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Threads of the network; all processors if not given.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
) -> None:
    """Predict the emotion of files and folders.

    Files that cannot be predicted are named at the end, the others are done; the exit code is 3 then.

    Example: serenade predict recordings/ --out emotions.csv
    """
    from serenade.inference.files import read_list
    from serenade.inference.outputs import choose_format

    if not (inputs or file or list_):
        raise UsageError("there is nothing to predict", hint="Name files or folders: serenade predict recordings/")
    if resume and out is None:
        raise UsageError("--resume continues a file", hint="Name it with --out")
    format_name = choose_format(format_, out)
    named = chain(inputs or (), file or (), read_list(list_) if list_ is not None else ())
    recognizer = _load(model, device, classes, threads)
    _run(
        _Job(named, recursive, window, hop),
        recognizer,
        format_name,
        out,
        resume=resume,
        overwrite=overwrite,
        quiet=quiet,
    )


class _Job:
    """What is to be predicted, and what went wrong on the way."""

    def __init__(self, named: Iterable[Path], recursive: bool, window_s: float | None, hop_s: float | None) -> None:
        self.window_s, self.hop_s = window_s, hop_s
        self.failures: list[SerenadeError] = []
        self.skipped = 0
        self._named, self._recursive = named, recursive

    def recordings(self, finished: set[str]) -> Iterator[Path]:
        """Files to predict, those that are done already left out."""
        from serenade.inference.files import find_recordings

        for found in find_recordings(self._named, recursive=self._recursive):
            if isinstance(found, SerenadeError):
                self.failures.append(found)
            elif str(found) in finished:
                self.skipped += 1
            else:
                yield found


def _load(model: str, device: str, classes: str | None, threads: int | None) -> "Recognizer":
    import torch

    from serenade.core.devices import cpu_budget
    from serenade.inference.recognizer import Recognizer

    torch.set_num_threads(cpu_budget() if threads is None else threads)
    chosen = None if classes is None else [name.strip() for name in classes.split(",") if name.strip()]
    return Recognizer.load(model, device=device, classes=chosen)


def _run(
    job: _Job,
    recognizer: "Recognizer",
    format_name: str,
    out: Path | None,
    *,
    resume: bool,
    overwrite: bool,
    quiet: bool,
) -> None:
    from serenade.inference.outputs import finished_files, open_output

    finished = finished_files(format_name, out, recognizer.labels) if resume and out is not None else set()
    results = recognizer.predict_files(job.recordings(finished), window_s=job.window_s, hop_s=job.hop_s)
    done, last = 0, None
    with (
        open_output(format_name, out, recognizer.labels, resumed=resume, overwrite=overwrite) as writer,
        Progress("Predicting", quiet=quiet) as progress,
    ):
        for result in results:
            if isinstance(result, SerenadeError):
                job.failures.append(result)
                progress.advance()
                continue
            writer.write(result)
            if result.file != last:
                done, last = done + 1, result.file
                progress.advance()
    _conclude(job, done, quiet=quiet)


def _conclude(job: _Job, done: int, *, quiet: bool) -> None:
    if job.skipped:
        say(f"Skipped, because they stand in the output already: {job.skipped}.", quiet=quiet)
    if len(job.failures) == 1 and done == 0 and job.skipped == 0:
        raise job.failures[0]
    if job.failures:
        for failure in job.failures:
            say(f"Failed: {failure}")
        raise PartialFailure("predicting", failures=job.failures, done=done)
    if done == 0 and job.skipped == 0:
        raise UsageError(
            "no recording was found", hint="Folders are searched for known suffixes; a file named is always taken"
        )
