"""``serenade table``: the result tables of papers, our figures beside the published ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from serenade.app.commands.split import SPLIT_FORMS
from serenade.app.commands.table_mesm import mesm
from serenade.app.commands.table_mtl_aug import mtl_aug
from serenade.app.commands.table_ssl import ssl
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
    Quiet,
    SeedCount,
    TableFolder,
    Threads,
    UsualLabels,
    Workers,
)
from serenade.core.errors import UsageError
from serenade.core.names import NameTable
from serenade.core.wording import counted

if TYPE_CHECKING:
    from serenade.experiments.paper_tables import TableName

__all__ = ["app", "attention_pooling", "glam"]

app = typer.Typer(
    help="Make the result table of a paper: glam, attention-pooling, mtl-aug, ssl, mesm.", no_args_is_help=True
)
app.command("mtl-aug")(mtl_aug)
app.command("ssl")(ssl)
app.command("mesm")(mesm)

_Parts = Annotated[
    str | None,
    typer.Option(
        help="What the corpus is parted by: intensity, part=improvised,all or none. IEMOCAP: the paper's parts."
    ),
]
_Intervals = Annotated[bool, typer.Option("--intervals", help="Show 95 % intervals over speakers below our figures.")]
_Published = Annotated[bool, typer.Option("--published/--no-published", help="Show the paper's figures.")]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the user wants a table of."""

    table: "TableName"
    parts: str | None
    rows: str | None
    recipe: str
    leaky: bool
    out: Path
    intervals: bool
    published: bool
    workers: int | None
    dry_run: bool
    quiet: bool


@app.command("glam")
def glam(
    out: TableFolder,
    corpus: Corpora = None,
    table: str = typer.Option("main", help="main (Table 1), ablations or mixup."),
    parts: _Parts = None,
    rows: str | None = typer.Option(
        None,
        "--rows",
        "--presets",
        help="Rows, separated by commas: presets (main), names of ablations, values of alpha (mixup); or all. The "
        "paper's if not given.",
    ),
    split: str | None = typer.Option(None, help=f"The folds, loso if not given: {SPLIT_FORMS}"),
    protocol: str = typer.Option("honest", help="honest, or published: the leaky protocol of the paper, so labelled."),
    recipe: str = typer.Option(
        "shared", help="shared: one pipeline for all models; published: each model's own; cpu: glam-cpu's for all."
    ),
    seeds: SeedCount = 3,
    labels: UsualLabels = None,
    label_map: LabelMap = None,
    where: Conditions = None,
    change: Changes = None,
    intervals: _Intervals = False,
    published: _Published = True,
    finished: Finished = False,
    workers: Workers = None,
    threads: Threads = None,
    device: Device = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Train the models of GLAM's tables on a corpus and its parts, and set our figures beside the published ones.

    Zhu and Li, ICASSP 2022: Table 1 (GLAM, MHCNN, AACNN, APCNN), the ablations, the table of mixup's alpha. Finished
    runs are kept: the same command takes an interrupted table up, and tables in one folder share their runs.
    """
    from serenade.experiments.paper_tables import RECIPES, TABLES

    NameTable("table", [(name, name) for name in TABLES if name != "attention-pooling"]).target(table)
    NameTable("recipe", [(name, name) for name in RECIPES]).target(recipe)
    NameTable("protocol", [(name, name) for name in ("honest", "published")]).target(protocol)
    leaky = protocol == "published"
    if leaky and split is not None:
        raise UsageError("the published protocol has its own split", found=f"--split {split}", hint="Leave one out")
    asked = _Asked(
        cast("TableName", table), parts, rows, recipe, leaky, out, intervals, published, workers, dry_run, quiet
    )
    given = {"corpora": corpus, "split": split, "seeds": seeds, "labels": labels, "label_map": label_map}
    _make(asked, {**given, "where": where or None, "threads": threads, "device": device}, change or [], finished)


@app.command("attention-pooling")
def attention_pooling(
    out: TableFolder,
    corpus: Corpora = None,
    parts: _Parts = None,
    rows: str | None = typer.Option(
        None, "--rows", "--presets", help="Presets, separated by commas; the paper's three if not given."
    ),
    split: str | None = typer.Option(None, help=f"The folds, loso:0 (as in the paper) if not given: {SPLIT_FORMS}"),
    seeds: SeedCount = 3,
    labels: UsualLabels = None,
    label_map: LabelMap = None,
    where: Conditions = None,
    change: Changes = None,
    intervals: _Intervals = False,
    published: _Published = True,
    finished: Finished = False,
    workers: Workers = None,
    threads: Threads = None,
    device: Device = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Train the three systems of the attention-pooling paper, and set our figures beside the published ones.

    Li et al., Interspeech 2018, Table 1: global average, bilinear and attention pooling, leave one speaker out. The
    rows that the paper quotes from earlier ones are shown as quoted.
    """
    asked = _Asked(
        "attention-pooling", parts, rows, "shared", False, out, intervals, published, workers, dry_run, quiet
    )
    given = {"corpora": corpus, "split": split, "seeds": seeds, "labels": labels, "label_map": label_map}
    _make(asked, {**given, "where": where or None, "threads": threads, "device": device}, change or [], finished)


def _make(asked: _Asked, given: Mapping[str, Any], changes: list[str], finished: bool) -> None:
    if not finished and not _train(asked, given, changes):
        return
    _show(asked)


def _train(asked: _Asked, given: Mapping[str, Any], changes: list[str]) -> bool:
    """Do the runs; whether there is something to show."""
    from serenade.experiments.paper_tables import begin_table, cells_of, parse_parts, parse_rows, with_defaults
    from serenade.experiments.series import Planner, run_series

    rows = parse_rows(asked.table, asked.rows)
    settings = experiment_settings(None, given, changes)
    names = [corpus.name for corpus in settings.corpora]
    own = [name for name, row in rows.items() if not row.paper] if asked.table == "main" else []
    parts = parse_parts(asked.parts, asked.table, names)
    settings = with_defaults(settings, asked.table, published=asked.leaky, given=[k for k, v in given.items() if v])
    with Shown(asked.quiet) as shown:
        planner = Planner(settings, shown)
        cells = cells_of(planner, parts, rows, asked.recipe)
        plans = planner.plan([cell.member for cell in cells])
        for part in dict.fromkeys(cell.part for cell in cells):
            tell(next(plans[cell.member.name] for cell in cells if cell.part == part), shown)
        say(f"{counted(len(plans), 'run')}: {', '.join(plans)}", quiet=asked.quiet)
        if asked.dry_run:
            return False
        about = {"fact": parts.fact, "pipeline": _pipeline(asked, own, changes), "corpora": names}
        begin_table(asked.out, asked.table, cells, about)
        run_series(plans, asked.out, workers=asked.workers, watcher=shown)
    return True


def _pipeline(asked: _Asked, own: list[str], changes: list[str]) -> str:
    """What is equal between the models, and what the user changed, for the table's note.

    Args:
        asked: by the user.
        own: presets that the paper's table does not have.
        changes: of settings.
    """
    from serenade.experiments.paper_tables import RECIPES

    if asked.table == "attention-pooling":
        text = "one pipeline for all models, that of the paper; only the head differs"
    elif asked.table in ("ablations", "mixup") and asked.recipe != "published":
        text = RECIPES[asked.recipe].partition(";")[0]
    else:
        text = RECIPES[asked.recipe]
    if own and asked.recipe != "cpu":
        text = f"{text}; {', '.join(own)} as the preset says"
    return f"{text}; changed for all: {', '.join(changes)}" if changes else text


def _show(asked: _Asked) -> None:
    from serenade.experiments.paper_tables import read_table
    from serenade.reports.paper_table import paper_table, write_paper_table
    from serenade.reports.published import published_rows
    from serenade.reports.tables import to_text

    document = read_table(asked.out, asked.table)
    published = published_rows(asked.table) if asked.published else []
    written = write_paper_table(document, published, asked.out, intervals=asked.intervals)
    print(to_text(paper_table(document, published, intervals=asked.intervals)))
    say(f"Written: {', '.join(str(path) for path in written)}", quiet=asked.quiet)
