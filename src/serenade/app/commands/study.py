"""``serenade study``: questions that need a whole sweep of runs."""

from collections.abc import Iterable
from pathlib import Path

import typer

from serenade.app.commands.split import SPLIT_FORMS
from serenade.app.commands.study_clip import clip
from serenade.app.console import say
from serenade.app.experiment import Shown, experiment_settings, tell
from serenade.app.options import (
    Changes,
    Conditions,
    Corpora,
    Device,
    DryRun,
    Finished,
    LabelMap,
    Labels,
    Quiet,
    SeedCount,
    Threads,
    Workers,
)
from serenade.core.errors import UsageError
from serenade.core.wording import counted

__all__ = ["app", "filter_shapes"]

app = typer.Typer(
    help="Answer a question with a sweep of runs: filter-shapes; or of one clip: clip.", no_args_is_help=True
)


app.command("clip")(clip)


@app.callback()
def _group() -> None:
    """Keeps the name of the study a word of its own, also while there is one study."""


@app.command("filter-shapes")
def filter_shapes(
    out: Path = typer.Option(..., help="Folder of the study; every shape is a run in it.", show_default=False),
    corpus: Corpora = None,
    split: str = typer.Option("loso:0", help=f"The folds: {SPLIT_FORMS}"),
    seeds: SeedCount = 1,
    heights: str | None = typer.Option(
        None, help="Heights swept at width 2, such as 2,10,50; the paper's if not given."
    ),
    widths: str | None = typer.Option(None, help="Widths swept at height 2, such as 2,8,40; the paper's if not given."),
    labels: Labels = None,
    label_map: LabelMap = None,
    where: Conditions = None,
    change: Changes = None,
    published: bool = typer.Option(False, "--published", help="Draw the paper's curves too, dashed."),
    finished: Finished = False,
    workers: Workers = None,
    threads: Threads = None,
    device: Device = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Train a network of one convolution for every filter height and width, and draw accuracy by both.

    The study of the attention-pooling paper (Li et al., Interspeech 2018, Figure 2), for whatever classes a corpus has.
    Finished runs are kept: the same command takes an interrupted study up, and more shapes can be added to it.
    """
    from serenade.experiments.filter_shapes import HEIGHTS, WIDTHS, begin_study, shape_members
    from serenade.experiments.series import Planner, run_series

    if not finished:
        tall, wide = _sizes(heights, "--heights", HEIGHTS), _sizes(widths, "--widths", WIDTHS)
        members = shape_members(tall, wide)
        given = {"corpora": corpus, "split": split, "seeds": seeds, "labels": labels, "label_map": label_map}
        given |= {"where": where or None, "threads": threads, "device": device}
        base = experiment_settings(None, given, change or [])
        with Shown(quiet) as shown:
            plans = Planner(base, shown).plan(members)
            tell(next(iter(plans.values())), shown)
            say(f"{counted(len(plans), 'filter shape')}: {', '.join(plans)}", quiet=quiet)
            if dry_run:
                return
            begin_study(out, tall, wide)
            run_series(plans, out, workers=workers, watcher=shown)
    _show(out, published, quiet)


def _sizes(text: str | None, option: str, default: Iterable[int]) -> list[int]:
    if text is None:
        return list(default)
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(f"{option} takes whole numbers separated by commas", found=repr(text), expected="such as 2,10")
    return sorted({int(part) for part in parts})


def _show(out: Path, published: bool, quiet: bool) -> None:
    from serenade.experiments.filter_shapes import read_study
    from serenade.reports.shape_page import CAVEAT, shape_csv, write_study

    study = read_study(out)
    written = write_study(study, out, published=published)
    print(shape_csv(study))
    say(f"Note: {CAVEAT}", quiet=quiet)
    if study["unfinished"]:
        say(f"Not finished: {', '.join(study['unfinished'])}")
    say(f"Page: {written[-1]}", quiet=quiet)
