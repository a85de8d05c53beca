"""`serenade predict`: the emotions of files, folders and lists of files."""

from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import suppress
from itertools import chain
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated

import typer

from serenade.app.console import Progress, say
from serenade.core.errors import AudioError, PartialFailure, SerenadeError, UsageError

if TYPE_CHECKING:
    from serenade.core.records import Prediction
    from serenade.inference.formats import RowWriter

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
        int | None, typer.Option("--threads", min=1, help="Processors to use; all if not given.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
) -> None:
    """Predict the emotion of files and folders.

    Files that cannot be predicted are named at the end, the others are done; the exit code is 3 then.

    Example: serenade predict recordings/ --out emotions.csv
    """
    from serenade.app.loading import load_recognizer
    from serenade.inference.outputs import choose_format, finished_files, open_output

    if not (inputs or file or list_):
        raise UsageError("there is nothing to predict", hint="Name files or folders: serenade predict recordings/")
    if resume and out is None:
        raise UsageError("--resume continues a file", hint="Name it with --out")
    format_name = choose_format(format_, out)
    job = _Job([*(inputs or ()), *(file or ())], list_, recursive)
    recognizer, workers = load_recognizer(model, device, classes, threads)
    finished = finished_files(format_name, out, recognizer.labels) if resume and out is not None else set()
    results = recognizer.predict_files(job.recordings(finished), window_s=window, hop_s=hop, threads=workers)
    with (
        open_output(
            format_name,
            out,
            recognizer.labels,
            resumed=resume,
            overwrite=overwrite,
            attributes=recognizer.tells_attributes,
        ) as writer,
        Progress("Predicting", quiet=quiet) as progress,
    ):
        job.count_for(progress, len(finished))
        job.write(results, writer, progress)
    job.conclude(quiet=quiet)


class _Job:
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

    def recordings(self, finished: Set[str]) -> Iterator[Path]:
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
                progress.set_total(sum(1 for found in self._found() if isinstance(found, Path)) - finished)

        Thread(target=count, daemon=True).start()

    def write(self, results: "Iterable[Prediction | SerenadeError]", writer: "RowWriter", progress: Progress) -> None:
        """Write rows as they come and keep the failures for the end."""
        last = None
        for result in results:
            if isinstance(result, SerenadeError):
                self.failures.append(result)
                progress.advance()
                continue
            writer.write(result)
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
