"""``serenade run``: train and test a system over folds and seeds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serenade.app.commands.split import SPLIT_FORMS
from serenade.app.console import say
from serenade.app.experiment import Shown, experiment_settings, tell
from serenade.app.options import (
    Changes,
    Conditions,
    Corpora,
    Device,
    DryRun,
    LabelMap,
    Labels,
    Quiet,
    Threads,
    Unlabelled,
    UnlabelledHours,
    Workers,
)

if TYPE_CHECKING:
    from serenade.experiments.settings import ExperimentSettings

__all__ = ["run"]


def run(
    preset: Annotated[str | None, typer.Argument(help="A preset of a system: glam, glam-published, baseline.")] = None,
    corpus: Corpora = None,
    split: Annotated[str | None, typer.Option(help=f"The folds: {SPLIT_FORMS}")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="How many seeds: 0, 1, 2, ...")] = None,
    unlabelled: Unlabelled = None,
    unlabelled_hours: UnlabelledHours = None,
    labels: Labels = None,
    label_map: LabelMap = None,
    where: Conditions = None,
    change: Changes = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE,VALUE",
            help="With --split nested: values of a system's setting to choose among on the inner folds; repeat.",
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file with all of this; options here win.")] = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder; runs/PRESET-CORPUS-SPLIT if not given.")] = None,
    workers: Workers = None,
    threads: Threads = None,
    ranks: Annotated[
        int | None, typer.Option(min=1, help="Processes that train each network together, each on a GPU of its own.")
    ] = None,
    engine: Annotated[str, typer.Option(metavar="processes|ray", help="Where jobs are done.")] = "processes",
    device: Device = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write TensorBoard logs into the run.")] = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Train and test a system over folds and seeds.

    Every fold and seed is a job of its own; finished ones are kept, and the same command takes an interrupted run up.
    """
    from serenade.core.executor import choose_engine
    from serenade.experiments.run import prepare, run_experiment

    chosen = choose_engine(engine)
    settings = experiment_settings(
        config,
        {
            "preset": preset,
            "corpora": corpus,
            "unlabelled": unlabelled or None,
            "unlabelled_hours": unlabelled_hours,
            "split": split,
            "seeds": seeds,
            "labels": labels,
            "label_map": label_map,
            "where": where or None,
            "grid": grid or None,
            "device": device,
            "threads": threads,
            "ranks": ranks,
            "tensorboard": tensorboard or None,
        },
        change or [],
    )
    with Shown(quiet) as shown:
        plan = prepare(settings, shown)
        tell(plan, shown)
        if dry_run:
            return
        out = out if out is not None else _folder(settings)
        folder = run_experiment(plan, out, workers=workers, engine=chosen, watcher=shown)
    _show_result(folder.path, quiet)


def _folder(settings: "ExperimentSettings") -> Path:
    names = "+".join(corpus.name for corpus in settings.corpora)
    return Path("runs") / f"{settings.preset}-{names}-{settings.split.kind}"


def _show_result(path: Path, quiet: bool) -> None:
    from serenade.experiments.folder import RunFolder
    from serenade.experiments.summary import summarise
    from serenade.reports.tables import result_table

    summary = summarise(path, maps=False)  # seconds for every fold, and only the page shows them
    print(result_table([summary]))
    for fold, choice in RunFolder(path).read_choices().items():
        scores = ", ".join(f"{name}: {value:.1%}" for name, value in choice["inner_ua"].items())
        say(f"fold {fold} chose {choice['candidate']} (mean UA on its inner folds: {scores})", quiet=quiet)
    say(f"Run: {path}    Next: serenade report {path}", quiet=quiet)
