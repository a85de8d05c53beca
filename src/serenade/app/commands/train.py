"""``serenade train``: a model of one's own, trained on everything, ready for ``serenade predict``."""

from pathlib import Path
from typing import Annotated

import typer

from serenade.app.console import say
from serenade.app.options import AutoDevice, Changes, Conditions, LabelMap, Labels, Quiet, Unlabelled, UnlabelledHours

__all__ = ["train"]


def train(
    preset: Annotated[str, typer.Argument(help="A preset of a system: glam-cpu, glam, baseline.")],
    corpus: Annotated[list[str], typer.Option(help="NAME=PATH, such as table=mine.csv; repeat for several.")],
    out: Annotated[Path, typer.Option(help="The model's folder.")],
    unlabelled: Unlabelled = None,
    unlabelled_hours: UnlabelledHours = None,
    labels: Labels = None,
    label_map: LabelMap = None,
    where: Conditions = None,
    change: Changes = None,
    figures: Annotated[
        Path | None, typer.Option(help="A run of the same preset and data under folds: its figures go into the card.")
    ] = None,
    note: Annotated[str | None, typer.Option(help="A remark for the card, such as how the recipe was found.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads; one per processor if not given.")] = None,
    device: AutoDevice = "auto",
    quiet: Quiet = False,
) -> None:
    """Train a model for use on everything the corpora hold, and write its card.

    Nothing is held out here. Run `serenade run` with the same preset and data first to know what the model is worth.
    """
    from serenade.app.experiment import Shown, experiment_settings
    from serenade.core.devices import cpu_budget
    from serenade.experiments.final import train_final

    settings = experiment_settings(
        None,
        {
            "preset": preset,
            "corpora": corpus,
            "unlabelled": unlabelled or None,
            "unlabelled_hours": unlabelled_hours,
            "labels": labels,
            "label_map": label_map,
            "where": where or None,
            "device": device,
            "threads": threads if threads is not None else cpu_budget(),
        },
        change or [],
    )
    with Shown(quiet) as shown:
        train_final(settings, out, figures=figures, note=note, watcher=shown)
    say(f"Model: {out}    Next: serenade predict RECORDING --model {out}", quiet=quiet)
