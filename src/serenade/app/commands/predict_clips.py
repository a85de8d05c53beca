"""``serenade predict`` of video clips, by models that look at faces and words too."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from serenade.app.console import Progress, say
from serenade.core.errors import PartialFailure, SerenadeError, UsageError
from serenade.core.files import write_text

if TYPE_CHECKING:
    from serenade.inference.clips import ClipRecognizer, ClipScores
    from serenade.inference.transcripts import Words

__all__ = ["find_clips", "looks_at_clips", "predict_clips"]

_FORMATS = ("table", "json", "jsonl")


def looks_at_clips(model: str) -> bool:
    """Whether a model is one of clips, by its description alone."""
    from serenade.inference.shipped import find_model
    from serenade.training.description import read_system

    return Path(model).suffix != ".onnx" and read_system(find_model(model)) == "mesm"  # exports hear only


def find_clips(named: Sequence[Path], list_: Path | None, *, recursive: bool) -> Iterator[Path]:
    """The clips that are named, in folders or in a list.

    Raises:
        SerenadeError: what is named is not there.
    """
    from serenade.inference.files import find_recordings, read_list

    for found in find_recordings([*named, *(read_list(list_) if list_ is not None else ())], recursive=recursive):
        if isinstance(found, SerenadeError):
            raise found
        yield found


def predict_clips(
    files: Sequence[Path],
    model: str,
    words: "Words",
    detector: str | None,
    *,
    window: float | None,
    hop: float | None,
    format_: str | None,
    out: Path | None,
    device: str,
    quiet: bool,
) -> None:
    """Write fused and per-branch scores of clips, as a whole and by windows.

    Raises:
        UsageError: one transcript for several clips, or a format that cannot hold the branches.
        PartialFailure: some clips failed; the others are done.
    """
    from serenade.inference.clips import ClipRecognizer

    chosen = format_ if format_ is not None else (out.suffix[1:] if out is not None else "table")
    if chosen not in _FORMATS:
        raise UsageError("clips cannot be written so", found=chosen, expected=", ".join(_FORMATS))
    words.require_one(len(files))
    recognizer = ClipRecognizer.load(model, device=device, detector=detector)
    done: list[list[ClipScores]] = []
    failures: list[SerenadeError] = []
    with Progress("Predicting", total=len(files), unit="clips", quiet=quiet) as progress:
        for file in files:
            try:
                done.append(recognizer(file, words=words.of(file), window_s=window, hop_s=hop))
            except SerenadeError as error:
                failures.append(error)
            progress.advance()
    text = _written(recognizer, done, chosen)
    if out is None:
        print(text)
    else:
        write_text(out, f"{text}\n")
        say(f"Written: {out}", quiet=quiet)
    _conclude(failures, len(done))


def _conclude(failures: list[SerenadeError], done: int) -> None:
    if len(failures) == 1 and done == 0:
        raise failures[0]
    for failure in failures:
        say(f"Failed: {failure}")
    if failures:
        raise PartialFailure("predicting", failures=failures, done=done)


def _written(recognizer: "ClipRecognizer", clips: "Sequence[Sequence[ClipScores]]", format_: str) -> str:
    if format_ == "json":
        return json.dumps([[part.to_json() for part in clip] for clip in clips], indent=1, ensure_ascii=False)
    if format_ == "jsonl":
        return "\n".join(json.dumps(part.to_json(), ensure_ascii=False) for clip in clips for part in clip)
    return "\n\n".join(_table(recognizer.labels, clip) for clip in clips)


def _table(labels: Sequence[str], clip: "Sequence[ClipScores]") -> str:
    """Probabilities of the whole clip, answers of its branches, and the windows below each other."""
    whole, *windows = clip
    width = max(9, *(len(label) for label in labels)) + 1
    head = f"{'':<18}" + "".join(f"{label:>{width}}" for label in labels)
    lines = [f"{whole.file}: {whole.label} ({whole.score:.2f}), {whole.end_s:.1f} s", head]
    lines.append(_row("fused", whole.answers, width))
    lines += [_row(f"{name} alone", answers, width) for name, answers in whole.branches.items()]
    lines += [f"{name} is missing: {reason}" for name, reason in whole.missing.items() if reason != "not asked for"]
    lines += [f"note: {note}" for note in whole.notes]
    lines.append(f"above its threshold: {', '.join(whole.said) or 'none'}")
    for part in windows:
        place = f"{part.start_s:.1f} to {part.end_s:.1f} s"
        lines.append(f"{_row(place, part.answers, width)}  {part.label} ({'+'.join(part.branches)})")
    return "\n".join(lines)


def _row(name: str, answers: Mapping[str, float], width: int) -> str:
    return f"{name:<18}" + "".join(f"{value:>{width}.2f}" for value in answers.values())
