"""``serenade report``: one self-contained HTML page from runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serenade.app.console import Progress, say
from serenade.app.sound import encode
from serenade.core.errors import AudioError, UsageError

if TYPE_CHECKING:
    from serenade.reports.page import Clip

__all__ = ["report"]

_CLIP_S = 12.0
"""Longest piece of a recording put into the page."""


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Folders of runs; the first is the reference.")],
    out: Annotated[
        Path | None, typer.Option(help="The page; RUN/report.html for one run, report.html for several.")
    ] = None,
    audio: Annotated[
        bool, typer.Option("--audio/--no-audio", help="Put the sound of the worst utterances into the page.")
    ] = True,
    maps: Annotated[
        bool,
        typer.Option("--maps/--no-maps", help="Show what models with attention attend to; takes some seconds a run."),
    ] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress and no table.")] = False,
) -> None:
    """Make one self-contained HTML page from runs, finished or not.

    With several runs, a comparison stands on top: all against the first.
    """
    from serenade.experiments.summary import summarise
    from serenade.reports.page import write_report
    from serenade.reports.tables import result_table

    page = out if out is not None else runs[0] / "report.html" if len(runs) == 1 else Path("report.html")
    with Progress("Summarising", total=len(runs), unit="runs", quiet=quiet) as progress:
        summaries = []
        for run in runs:
            summaries.append(summarise(run))
            progress.advance(detail=str(run))
    lost: list[AudioError] = []
    explained = _explained(runs, quiet=quiet) if maps else []
    clip = _ClipMaker(lost) if audio else None
    write_report(runs, page, clip=clip, comparisons=_comparisons(runs), explained=explained)
    if not quiet:
        print(result_table(summaries))
    if lost:
        why = f"{lost[0]}{_hint(lost[0])}"
        say(f"{len(lost)} of the worst utterances are listed without sound, the first because: {why}")
    say(f"Report: {page}")


def _hint(error: AudioError) -> str:
    """What to do about a path that holds only where the run was started."""
    relative = error.reason == "missing" and not Path(str(error.where)).is_absolute()
    return " Make the report from the folder where the run was started." if relative else ""


def _comparisons(runs: Sequence[Path]) -> list[dict[str, Any]]:
    """Every run against the first, where both tested the same utterances."""
    from serenade.experiments.comparison import compare

    found = []
    for run in runs[1:]:
        try:
            found.append(compare(runs[0], run))
        except UsageError as error:
            say(f"{run} is shown beside {runs[0]}, without paired differences: {error}")
    return found


def _explained(runs: Sequence[Path], *, quiet: bool) -> list[list[tuple[str, str]]]:
    """Captions and figures of what the models of each run attend to."""
    if not any(next(run.glob("jobs/*/model/model.toml"), None) for run in runs):
        return []
    from serenade.experiments.explained import explain_run
    from serenade.reports.explanation import explanation_figure

    shown: list[list[tuple[str, str]]] = []
    with Progress("Explaining", unit="utterances", quiet=quiet) as progress:
        steps = 0

        def advance(total: int, done: int) -> None:
            nonlocal steps
            steps += total if done == 0 else 0
            progress.set_total(steps)
            progress.advance(done)

        for place, run in enumerate(runs):
            found = explain_run(run, advance)
            shown.append(
                [
                    (
                        f"{pick.label}: {pick.id}, {100 * pick.probability:.1f} % (fold {pick.fold})",
                        explanation_figure(explanation, name=f"run{place + 1}-{number}", brief=True),
                    )
                    for number, (pick, explanation) in enumerate(found.examples)
                ]
            )
            if found.lost:
                say(f"{len(found.lost)} attention maps of {run} are missing, the first because: {found.lost[0]}")
    return shown


class _ClipMaker:
    """Gives the sound of an utterance as a small file.

    Args:
        lost: takes the errors of those that cannot be read.
    """

    def __init__(self, lost: list[AudioError]) -> None:
        self.lost = lost

    def __call__(self, entry: Mapping[str, Any]) -> "Clip | None":
        """The sound of an entry of a summary's ``worst``; None where it cannot be read."""
        from serenade.signal.audio import SAMPLE_RATE, read_audio

        start_s, end_s, duration_s = entry["start_s"], entry["end_s"], entry["duration_s"]
        if duration_s is None or duration_s > _CLIP_S:
            end_s = start_s + _CLIP_S if end_s is None else min(end_s, start_s + _CLIP_S)
        try:
            return encode(read_audio(Path(entry["audio"]), start_s=start_s, end_s=end_s).numpy(), SAMPLE_RATE)
        except AudioError as error:
            self.lost.append(error)
            return None
