"""``serenade run``: train and test a system over folds and seeds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serenade.app.commands.split import SPLIT_FORMS
from serenade.app.console import say
from serenade.app.experiment import Shown, experiment_settings, tell

if TYPE_CHECKING:
    from serenade.experiments.settings import ExperimentSettings

__all__ = ["run"]


def run(
    preset: Annotated[str | None, typer.Argument(help="A preset of a system: glam, glam-published, baseline.")] = None,
    corpus: Annotated[
        list[str] | None, typer.Option(help="NAME=PATH, such as emodb=/data/emodb; repeat for several.")
    ] = None,
    split: Annotated[str | None, typer.Option(help=f"The folds: {SPLIT_FORMS}")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="How many seeds: 0, 1, 2, ...")] = None,
    unlabelled: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH",
            help="Speech to learn from without labels: a corpus, or unlabelled=FOLDER; repeat for several.",
        ),
    ] = None,
    unlabelled_hours: Annotated[
        float | None, typer.Option(help="Take so many hours of it, drawn at random, always the same; all if not given.")
    ] = None,
    labels: Annotated[str | None, typer.Option(help="Classes used, separated by commas; all if not given.")] = None,
    label_map: Annotated[
        str | None, typer.Option("--map", help="What counts as which class: merge, or such as excited=happy,other=-.")
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option(help="Only utterances with this fact, such as part=improvised; repeat.")
    ] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the system, such as training.epochs=20.")
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE,VALUE",
            help="With --split nested: values of a system's setting to choose among on the inner folds; repeat.",
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file with all of this; options here win.")] = None,
    out: Annotated[Path | None, typer.Option(help="The run's folder; runs/PRESET-CORPUS-SPLIT if not given.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Jobs at once; one per processor if not given.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads per job.")] = None,
    ranks: Annotated[
        int | None, typer.Option(min=1, help="Processes that train each network together, each on a GPU of its own.")
    ] = None,
    engine: Annotated[str, typer.Option(metavar="processes|ray", help="Where jobs are done.")] = "processes",
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write TensorBoard logs into the run.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the data and the folds, train nothing.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
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

    summary = summarise(path)
    print(result_table([summary]))
    for fold, choice in RunFolder(path).read_choices().items():
        scores = ", ".join(f"{name}: {value:.1%}" for name, value in choice["inner_ua"].items())
        say(f"fold {fold} chose {choice['candidate']} (mean UA on its inner folds: {scores})", quiet=quiet)
    say(f"Run: {path}    Next: serenade report {path}", quiet=quiet)
