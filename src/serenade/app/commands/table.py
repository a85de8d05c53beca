"""``serenade table``: the result tables of papers, our figures beside the published ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from serenade.app.commands.split import SPLIT_FORMS
from serenade.app.commands.table_mesm import mesm
from serenade.app.commands.table_ssl import ssl
from serenade.app.console import say
from serenade.app.experiment import Shown, experiment_settings, tell
from serenade.core.errors import UsageError
from serenade.core.names import NameTable

if TYPE_CHECKING:
    from serenade.experiments.conditional import Bench
    from serenade.experiments.mtl_tables import MtlCell, MtlRequest, MtlTable
    from serenade.experiments.paper_tables import TableName

__all__ = ["app", "attention_pooling", "glam", "mtl_aug"]

app = typer.Typer(
    help="Make the result table of a paper: glam, attention-pooling, mtl-aug, ssl, mesm.", no_args_is_help=True
)
app.command("ssl")(ssl)
app.command("mesm")(mesm)

_OUT = typer.Option(..., help="Folder of the table; every cell is a run in it.", show_default=False)
_CORPUS = typer.Option(None, help="NAME=PATH, such as iemocap=/data/iemocap; repeat for several.")
_PARTS = typer.Option(
    None, help="What the corpus is parted by: intensity, part=improvised,all or none. IEMOCAP: the paper's parts."
)
_SEEDS = typer.Option(3, min=1, help="How many seeds: 0, 1, 2, ...")
_LABELS = typer.Option(None, help="Classes used, separated by commas; all if not given. IEMOCAP: the usual four.")
_MAP = typer.Option(None, "--map", help="What counts as which class: merge, exc_as_hap, hap_only or pairs.")
_WHERE = typer.Option(None, help="Only utterances with this fact, such as gender=female; repeat.")
_SET = typer.Option(None, "--set", help="A setting of every model's system, such as training.epochs=20.")
_INTERVALS = typer.Option(False, "--intervals", help="Show 95 % intervals over speakers below our figures.")
_PUBLISHED = typer.Option(True, "--published/--no-published", help="Show the paper's figures.")
_FINISHED = typer.Option(False, "--finished", help="Train nothing: show what is finished in --out.")
_WORKERS = typer.Option(None, min=1, help="Jobs at once; one per processor if not given.")
_THREADS = typer.Option(None, min=1, help="Threads per job.")
_DEVICE = typer.Option(None, help="auto, cpu, cuda or cuda:N.")
_DRY_RUN = typer.Option(False, "--dry-run", help="Check the data, the folds and the models, train nothing.")
_QUIET = typer.Option(False, "--quiet", "-q", help="Show no progress.")


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
    out: Path = _OUT,
    corpus: list[str] | None = _CORPUS,
    table: str = typer.Option("main", help="main (Table 1), ablations or mixup."),
    parts: str | None = _PARTS,
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
    seeds: int = _SEEDS,
    labels: str | None = _LABELS,
    label_map: str | None = _MAP,
    where: list[str] | None = _WHERE,
    change: list[str] | None = _SET,
    intervals: bool = _INTERVALS,
    published: bool = _PUBLISHED,
    finished: bool = _FINISHED,
    workers: int | None = _WORKERS,
    threads: int | None = _THREADS,
    device: str | None = _DEVICE,
    dry_run: bool = _DRY_RUN,
    quiet: bool = _QUIET,
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
    out: Path = _OUT,
    corpus: list[str] | None = _CORPUS,
    parts: str | None = _PARTS,
    rows: str | None = typer.Option(
        None, "--rows", "--presets", help="Presets, separated by commas; the paper's three if not given."
    ),
    split: str | None = typer.Option(None, help=f"The folds, loso:0 (as in the paper) if not given: {SPLIT_FORMS}"),
    seeds: int = _SEEDS,
    labels: str | None = _LABELS,
    label_map: str | None = _MAP,
    where: list[str] | None = _WHERE,
    change: list[str] | None = _SET,
    intervals: bool = _INTERVALS,
    published: bool = _PUBLISHED,
    finished: bool = _FINISHED,
    workers: int | None = _WORKERS,
    threads: int | None = _THREADS,
    device: str | None = _DEVICE,
    dry_run: bool = _DRY_RUN,
    quiet: bool = _QUIET,
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
        say(f"{len(plans)} runs: {', '.join(plans)}", quiet=asked.quiet)
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


# ------------------------------------------------------------------------------------------------ MTL-AUG


@app.command("mtl-aug")
def mtl_aug(
    out: Path = _OUT,
    corpus: list[str] | None = _CORPUS,
    table: str = typer.Option("within", help="within, cross, noise, attacks or ablations."),
    rows: str | None = typer.Option(
        None,
        help="Rows, separated by commas: presets; in the ablations names such as no-decoder, hours=25 or center=0.1. "
        "All that the table has if not given.",
    ),
    unlabelled: list[str] | None = typer.Option(
        None, help="NAME=PATH of speech without labels, for mtl-aug-semi and ss-aae; repeat."
    ),
    unlabelled_hours: float | None = typer.Option(None, help="So many hours of it at random; all if not given."),
    split: str | None = typer.Option(
        None, help=f"The folds, loso if not given, across corpora always corpus: {SPLIT_FORMS}"
    ),
    target_dev: float | None = typer.Option(
        None, help="Across corpora: pick the epoch on this share of the tested corpus (LEAKY), such as 0.3."
    ),
    noise: Path | None = typer.Option(None, help="Of the table noise: folder of noise recordings, such as DEMAND."),
    environment: list[str] | None = typer.Option(None, help="Of the noise, the ones to use; repeat."),
    condition: list[str] | None = typer.Option(
        None, help="Of the tables noise and attacks, instead of the paper's: noise:0,20, fgsm:0.08 and so on; repeat."
    ),
    seeds: int = typer.Option(10, min=1, help="How many repeats; ten as in the paper."),
    labels: str | None = typer.Option(
        None, help="Classes used; if not given all of a corpus, across corpora the shared ones, with IEMOCAP its four."
    ),
    label_map: str | None = typer.Option(None, "--map", help="What counts as which class: merge or pairs."),
    where: list[str] | None = _WHERE,
    change: list[str] | None = typer.Option(
        None, "--set", help="A setting, such as training.epochs=20, of every model that has it."
    ),
    finished: bool = _FINISHED,
    workers: int | None = _WORKERS,
    threads: int | None = _THREADS,
    device: str | None = _DEVICE,
    dry_run: bool = _DRY_RUN,
    quiet: bool = _QUIET,
) -> None:
    """Train MTL-AUG and what it is compared with, and show which of the paper's orderings hold.

    Latif et al., IEEE Trans. Affective Computing 2023: every corpus by itself, every pair of corpora both ways, the
    models within corpora under noise and attacks, ablations. No published figure could be read. Finished runs are kept,
    and tables in one folder share their runs.
    """
    from serenade.experiments.mtl_tables import MTL_TABLES

    NameTable("table", [(name, name) for name in MTL_TABLES]).target(table)
    name = cast("MtlTable", table)
    _require_use(name, {"--target-dev": target_dev}, "cross")
    _require_use(name, {"--noise": noise, "--environment": environment}, "noise")
    _require_use(name, {"--condition": condition}, "noise", "attacks")
    if finished:
        _show_mtl(out, f"{table}-target-dev-{target_dev:g}" if target_dev else table, quiet)
        return
    given: dict[str, Any] = {"corpora": corpus, "seeds": seeds, "labels": labels, "label_map": label_map}
    given |= {"where": where or None, "threads": threads, "device": device, "unlabelled_hours": unlabelled_hours}
    given |= {"split": _split_of(name, split, target_dev), "unlabelled": unlabelled or None}
    request = _request(name, rows, given, change or [])
    bench = _bench(request, noise, environment or [], condition)
    with Shown(quiet) as shown:
        cells = _planned(request, shown)
        if dry_run:
            return
        _do(request, cells, bench, out, workers, shown)
    _show_mtl(out, request.stem, quiet)


def _require_use(table: "MtlTable", given: Mapping[str, Any], *tables: str) -> None:
    """Pass if no option is given that the table does not look at."""
    idle = [name for name, value in given.items() if value]
    if idle and table not in tables:
        raise UsageError(
            f"the table {table} does not look at {idle[0]}", hint=f"Leave it out, or say --table {' or '.join(tables)}"
        )


def _split_of(table: "MtlTable", split: str | None, target_dev: float | None) -> str:
    if target_dev is None:
        return split if split is not None else "corpus" if table == "cross" else "loso"
    if split is not None:
        raise UsageError("the share of the tested corpus is part of the split", hint=f"--split {split},target_dev=...")
    return f"corpus,target_dev={target_dev:g}"


def _request(table: "MtlTable", rows: str | None, given: Mapping[str, Any], changes: list[str]) -> "MtlRequest":
    from serenade.core.settings import merge, parse_override
    from serenade.experiments.mtl_tables import MtlRequest, parse_mtl_rows

    if given["unlabelled_hours"] is not None and not given["unlabelled"]:
        raise UsageError("there is no unlabelled speech to take hours of", hint="Say --unlabelled NAME=PATH")
    wanted = parse_mtl_rows(table, rows)
    return MtlRequest(
        table, experiment_settings(None, given, []), wanted, merge({}, *(parse_override(text) for text in changes))
    )


def _bench(
    request: "MtlRequest", noise: Path | None, environments: list[str], conditions: list[str] | None
) -> "Bench | None":
    """What the models are tested under, with all that it needs; None for the tables without conditions."""
    from serenade.experiments.conditional import Bench
    from serenade.experiments.conditions import parse_conditions
    from serenade.experiments.mtl_tables import CONDITIONS

    if request.table not in CONDITIONS:
        return None
    wanted = tuple(parse_conditions(conditions or CONDITIONS[request.table]))
    settings = request.base
    return Bench(wanted, noise, tuple(environments), None, settings.device, settings.threads).ready()


def _planned(request: "MtlRequest", shown: Shown) -> "list[MtlCell]":
    """The cells, after saying what will be done."""
    from serenade.experiments.mtl_tables import plan_mtl_table

    cells = plan_mtl_table(request, shown)
    told: set[tuple[tuple[str, ...], int]] = set()
    for cell in cells:
        if cell.plan is not None and (key := (cell.corpora, len(cell.plan.unlabelled.utterances))) not in told:
            told.add(key)
            tell(cell.plan, shown)
    for note in dict.fromkeys(note for cell in cells for note in cell.notes):
        shown.warn(f"note: {note}")
    for cell in cells:
        if cell.skipped is not None:
            shown.warn(f"not run: {cell.row.name} on {' and '.join(cell.corpora)}: {cell.skipped}")
    runs = [cell.run for cell in cells if cell.run is not None]
    say(f"{len(runs)} runs: {', '.join(runs)}", quiet=shown.quiet)
    return cells


def _do(
    request: "MtlRequest", cells: "list[MtlCell]", bench: "Bench | None", out: Path, workers: int | None, shown: Shown
) -> None:
    from serenade.core.devices import cpu_budget
    from serenade.experiments.mtl_tables import begin_mtl_table, evaluate_cells
    from serenade.experiments.series import run_series

    plans = {cell.run: cell.plan for cell in cells if cell.run is not None and cell.plan is not None}
    if not plans:
        raise UsageError("none of the rows can be run on these data", hint="The lines above say why")
    begin_mtl_table(out, request, cells, bench)
    run_series(plans, out, workers=workers, watcher=shown)
    if bench is not None:
        jobs = workers if workers is not None else max(1, cpu_budget() // request.base.threads)
        evaluate_cells(out, cells, bench, workers=jobs, watcher=shown)


def _show_mtl(out: Path, stem: str, quiet: bool) -> None:
    from serenade.experiments.mtl_tables import read_mtl_table
    from serenade.reports.mtl_table import mtl_table, ordering_table, write_mtl_table
    from serenade.reports.tables import to_text

    document = read_mtl_table(out, stem)
    written = write_mtl_table(document, out)
    print(to_text(mtl_table(document)))
    orderings = ordering_table(document)
    if orderings.rows:
        print(f"\n{to_text(orderings)}")
    say(f"Written: {', '.join(str(path) for path in written)}", quiet=quiet)
