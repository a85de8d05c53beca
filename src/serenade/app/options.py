"""Options that several commands take, each written once."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "AutoDevice",
    "Changes",
    "Corpora",
    "Device",
    "DryRun",
    "Conditions",
    "Finished",
    "LabelMap",
    "Labels",
    "Quiet",
    "SeedCount",
    "TableFolder",
    "Threads",
    "Unlabelled",
    "UnlabelledHours",
    "UsualLabels",
    "Workers",
]

# ------------------------------------------------------------------------------------------------ data

Corpora = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=PATH", help="A corpus and where it lies, such as emodb=/data/emodb; repeat."),
]
Labels = Annotated[str | None, typer.Option(help="Classes used, separated by commas; all if not given.")]
UsualLabels = Annotated[
    str | None, typer.Option(help="Classes used, separated by commas; all if not given. IEMOCAP: the usual four.")
]
LabelMap = Annotated[
    str | None,
    typer.Option(
        "--map",
        help="What counts as which class: merge, exc_as_hap, hap_only, or pairs such as excited=happy,other=-.",
    ),
]
Conditions = Annotated[
    list[str] | None, typer.Option(help="Only utterances with this fact, such as part=improvised; repeat.")
]
Unlabelled = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=PATH",
        help="Speech to learn from without labels: a corpus, or unlabelled=FOLDER; repeat for several.",
    ),
]
UnlabelledHours = Annotated[
    float | None, typer.Option(help="Take so many hours of it, drawn at random, always the same; all if not given.")
]

# ------------------------------------------------------------------------------------------------ work

Changes = Annotated[
    list[str] | None, typer.Option("--set", help="A setting of the system, such as training.epochs=20; repeat.")
]
SeedCount = Annotated[int, typer.Option(min=1, help="How many seeds: 0, 1, 2, ...")]
Workers = Annotated[int | None, typer.Option(min=1, help="Jobs at once; one per processor if not given.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads per job.")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")]
AutoDevice = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check the data and the folds, train nothing.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]

# ------------------------------------------------------------------------------------------------ tables

TableFolder = Annotated[Path, typer.Option(help="Folder of the table; every cell is a run in it.", show_default=False)]
Finished = Annotated[bool, typer.Option("--finished", help="Train nothing: show what is finished in --out.")]
