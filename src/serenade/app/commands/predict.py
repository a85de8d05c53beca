"""`serenade predict`: the emotions of files, folders and lists of files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serenade.app.commands.predict_clips import looks_at_clips, predict_clips
from serenade.app.console import Progress, say
from serenade.app.prediction_job import PredictionJob
from serenade.app.quick_predict import predict_quickly
from serenade.core.errors import UsageError

if TYPE_CHECKING:
    from serenade.core.executor import Engine
    from serenade.inference.recognizer import Recognizer
    from serenade.inference.shards import Work
    from serenade.inference.transcripts import Words

__all__ = ["predict"]

_FILMS = frozenset((".mp4", ".m4v", ".mov", ".mkv", ".avi", ".flv"))  # webm and 3gp are often sound alone


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
            metavar="table|json|jsonl|csv|parquet|hf",
            help="How to write; told by the suffix of --out if not given.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "--outfile", "-o", metavar="FILE", help="Where to write; stdout if not given."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue --out (CSV, JSONL, or in shards): what is done is skipped.")
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
    engine: Annotated[
        str | None,
        typer.Option(
            metavar="processes|ray",
            help="In shards that survive any crash, in processes here or on a Ray cluster; Parquet always is.",
        ),
    ] = None,
    shard: Annotated[int, typer.Option(metavar="FILES", min=1, help="In shards: how many files each has.")] = 64,
    transcript: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="What is said, as text or subtitles; NAME.srt or .txt beside it if not given."
        ),
    ] = None,
    transcripts: Annotated[
        Path | None, typer.Option(metavar="TABLE", help="What is said in each: a table with the columns file and text.")
    ] = None,
    asr: Annotated[
        str | None,
        typer.Option(metavar="MODULE:FUNCTION", help="What is said: a function of yours that writes it down."),
    ] = None,
    detector: Annotated[
        str | None, typer.Option(metavar="auto|mtcnn|cascade|middle", help="Of clips: what finds faces.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")] = False,
) -> None:
    """Predict the emotion of files and folders.

    Models of clips (fe2e, mesm) look at faces, voice and words, and tell what each of them shows alone. Models with a
    text branch (ssl-text, ssl-fbank-text) look at words: NAME.txt or NAME.srt beside NAME.wav, or as told.

    Files that cannot be predicted are named at the end, the others are done; the exit code is 3 then.

    Example: serenade predict recordings/ --out emotions.csv
    """
    from serenade.app.loading import named_classes
    from serenade.core.executor import choose_engine
    from serenade.inference.outputs import PARQUET, choose_format
    from serenade.inference.shards import Work
    from serenade.inference.transcripts import Words

    if not (inputs or file or list_):
        raise UsageError("there is nothing to predict", hint="Name files or folders: serenade predict recordings/")
    if resume and out is None:
        raise UsageError("--resume continues a file", hint="Name it with --out")
    words, named = Words(transcript, asr, transcripts), [*(inputs or ()), *(file or ())]
    job, format_name = PredictionJob(named, list_, recursive), choose_format(format_, out)
    if transcript is not None:
        words.require_one(job.count())
    if looks_at_clips(model):
        if classes is not None or engine is not None:
            raise UsageError(
                "models of clips answer for all their classes, in this process",
                found="--classes" if classes is not None else "--engine",
                hint="Leave it away",
            )
        predict_clips(
            job,
            model,
            words,
            detector,
            window=window,
            hop=hop,
            format_name=format_name,
            out=out,
            resume=resume,
            overwrite=overwrite,
            device=device,
            threads=threads,
            quiet=quiet,
        )
        return
    if detector is not None:
        raise UsageError("this model does not look at faces", found=model, expected="a model of fe2e or mesm")
    if not quiet and any(path.suffix.lower() in _FILMS for path in named):
        say(f"{model} listens to the sound of a video only; models of clips (fe2e, mesm) look at faces and words too")
    kept = named_classes(classes)
    asked = (list_, window, hop, engine, transcript, transcripts, asr)
    whole = not resume and format_name != PARQUET and all(value is None for value in asked)
    quick = whole and device in ("auto", "cpu")
    if quick and predict_quickly(named, model, kept, format_name, out, overwrite=overwrite):
        return
    work = Work(model, kept, window, hop, device, words=words)
    if engine is None and format_name != PARQUET:
        _predict_here(job, work, format_name, out, threads, resume=resume, overwrite=overwrite, quiet=quiet)
        return
    if out is None:
        raise UsageError("rows of shards are joined into a file", hint="Name it with --out")
    sharded = _Sharded(work, format_name, out, resume=resume, overwrite=overwrite)
    sharded.run(job, choose_engine(engine or "processes"), threads, shard, quiet=quiet)


def _predict_here(
    job: "PredictionJob",
    work: "Work",
    format_name: str,
    out: Path | None,
    threads: int | None,
    *,
    resume: bool,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Predict in this process, each row written as soon as it is known."""
    from serenade.inference.outputs import finished_files, open_output

    recognizer, workers = _load(work, work.device, threads)
    finished = finished_files(format_name, out, recognizer.labels) if resume and out is not None else set()
    results = recognizer.predict_files(
        job.recordings(finished), window_s=work.window_s, hop_s=work.hop_s, threads=workers, words=work.words.of
    )
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
        job.write(results, writer.write, progress)
    job.conclude(quiet=quiet)


def _load(work: "Work", device: str, threads: int | None) -> "tuple[Recognizer, int]":
    """The recogniser of some work, and how many of its batches may be scored at the same time."""
    from serenade.app.loading import load_recognizer

    classes = None if work.classes is None else ",".join(work.classes)
    recognizer, workers = load_recognizer(work.model, device, classes, threads)
    _require_reader(recognizer, work.words, work.model)
    return recognizer, workers


def _require_reader(recognizer: "Recognizer", words: "Words", model: str) -> None:
    """Pass unless words are given to a model that only hears.

    Raises:
        UsageError: they are.
    """
    if words.told and not recognizer.reads_words:
        raise UsageError(
            "this model does not look at words",
            found=model,
            expected="a model with a text branch (ssl-text, ssl-fbank-text) or of clips (fe2e, mesm)",
        )


class _Sharded:
    """Predicting in shards.

    Args:
        work: what is done to every file.
        format_name: of the output.
        out: the output.
        resume: go on with what an interrupted job has left.
        overwrite: begin anew.

    Raises:
        UsageError: the output or parts of it are there, and neither is said.
    """

    def __init__(self, work: "Work", format_name: str, out: Path, *, resume: bool, overwrite: bool) -> None:
        from serenade.inference.shards import Parts

        self._work, self._format, self._out = work, format_name, out
        self._parts = Parts(out, work.identity(), resumed=resume, overwrite=overwrite)

    def run(self, job: PredictionJob, engine: "Engine", workers: int | None, shard_files: int, *, quiet: bool) -> None:
        """Do what is not done, and join all rows into the output; parts stay where files failed, to be tried again.

        Raises:
            PartialFailure: some recordings failed; the others are in the output.
            UsageError: there was nothing to do.
        """
        from serenade.inference.outputs import write_all
        from serenade.inference.shards import predict_in_shards

        recognizer, _ = _load(self._work, "cpu", 1)
        finished = self._parts.finished()
        with Progress("Predicting", quiet=quiet) as progress:
            job.count_for(progress, len(finished))
            shards = predict_in_shards(
                job.recordings(finished),
                self._work,
                self._parts,
                workers=workers,
                engine=engine,
                shard_files=shard_files,
            )
            for count, failures in shards:
                job.done += count - len(failures)
                job.failures += failures
                progress.advance(count)
        write_all(self._format, self._out, self._parts.rows(), recognizer.labels, told=recognizer.tells_attributes)
        if not job.failures:
            self._parts.remove()
        job.conclude(quiet=quiet)
