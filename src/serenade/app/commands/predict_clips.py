"""``serenade predict`` of video clips, by models that look at faces and words too."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serenade.app.console import Progress
from serenade.app.prediction_job import PredictionJob
from serenade.core.errors import SerenadeError, UsageError

if TYPE_CHECKING:
    from serenade.inference.clips import ClipRecognizer, ClipScores
    from serenade.inference.transcripts import Words

__all__ = ["looks_at_clips", "predict_clips"]

_CONTINUED, _WITH_BRANCHES = "jsonl", "csv"


def looks_at_clips(model: str) -> bool:
    """Whether a model is one of clips, by its description alone."""
    from serenade.inference.shipped import find_model
    from serenade.training.description import read_system

    return Path(model).suffix != ".onnx" and read_system(find_model(model)) == "mesm"  # exports hear only


def predict_clips(
    job: PredictionJob,
    model: str,
    words: "Words",
    detector: str | None,
    *,
    window: float | None,
    hop: float | None,
    format_name: str,
    out: Path | None,
    resume: bool,
    overwrite: bool,
    device: str,
    threads: int | None,
    quiet: bool,
) -> None:
    """Write fused and per-branch scores of clips, as a whole and by windows, each clip as soon as it is known.

    Raises:
        UnknownNameError: a format that cannot hold the branches.
        UsageError: a format that cannot be continued, windows without a length, or the output exists; there is
            nothing to predict.
        PartialFailure: some clips failed; the others are done.
    """
    import torch

    from serenade.inference.clip_formats import CLIP_FORMATS
    from serenade.inference.clips import ClipRecognizer, require_windows
    from serenade.inference.outputs import finished_files, open_rows
    from serenade.inference.transcripts import find_transcriber

    kind = CLIP_FORMATS.resolve(format_name)
    if resume and format_name != _CONTINUED:
        raise UsageError("of clips only a JSONL output can be continued", found=format_name, hint="Say --format jsonl")
    require_windows(window, hop)
    if threads is not None:
        torch.set_num_threads(threads)
    if words.asr is not None:
        find_transcriber(words.asr)
    recognizer = ClipRecognizer.load(model, device=device, detector=detector)
    finished = finished_files(format_name, out, recognizer.labels) if resume and out is not None else set()
    branches: dict[str, Any] = {"modalities": recognizer.modalities} if format_name == _WITH_BRANCHES else {}
    make = partial(kind, labels=recognizer.labels, **branches)
    with (
        open_rows(make, out, resumed=resume, overwrite=overwrite) as writer,
        Progress("Predicting", unit="clips", quiet=quiet) as progress,
    ):
        job.count_for(progress, len(finished))
        results = _scored(recognizer, job.recordings(finished), words, window, hop)
        job.write(results, lambda scores: writer.put(scores.to_row()), progress)
    job.conclude(quiet=quiet)


def _scored(
    recognizer: "ClipRecognizer", clips: Iterator[Path], words: "Words", window: float | None, hop: float | None
) -> "Iterator[ClipScores | SerenadeError]":
    """The rows of each clip, or why there are none."""
    for clip in clips:
        try:
            yield from recognizer(clip, words=words.of(clip), window_s=window, hop_s=hop)
        except SerenadeError as error:
            error.where = clip if error.where is None else error.where
            yield error
