"""``serenade table mtl-aug``: MTL-AUG and what it is compared with."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from serenade.app.commands.split import SPLIT_FORMS
from serenade.app.console import say
from serenade.app.experiment import Shown, experiment_settings, tell
from serenade.app.options import (
    Conditions,
    Corpora,
    Device,
    DryRun,
    Finished,
    LabelMap,
    Quiet,
    TableFolder,
    Threads,
    Unlabelled,
    UnlabelledHours,
    Workers,
)
from serenade.core.errors import UsageError
from serenade.core.names import NameTable
from serenade.core.wording import counted

if TYPE_CHECKING:
    from serenade.experiments.conditional import Bench
    from serenade.experiments.mtl_rows import MtlTable
    from serenade.experiments.mtl_tables import MtlCell, MtlRequest

__all__ = ["mtl_aug"]


def mtl_aug(
    out: TableFolder,
    corpus: Corpora = None,
    table: str = typer.Option("within", help="within, cross, noise, attacks or ablations."),
    rows: str | None = typer.Option(
        None,
        help="Rows, separated by commas: presets; in the ablations names such as no-decoder, hours=25 or center=0.1. "
        "All that the table has if not given.",
    ),
    unlabelled: Unlabelled = None,
    unlabelled_hours: UnlabelledHours = None,
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
    label_map: LabelMap = None,
    where: Conditions = None,
    change: list[str] | None = typer.Option(
        None, "--set", help="A setting, such as training.epochs=20, of every model that has it."
    ),
    finished: Finished = False,
    workers: Workers = None,
    threads: Threads = None,
    device: Device = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Train MTL-AUG and what it is compared with, and show which of the paper's orderings hold.

    Latif et al., IEEE Trans. Affective Computing 2023: every corpus by itself, every pair of corpora both ways, the
    models within corpora under noise and attacks, ablations. No published figure could be read. Finished runs are kept,
    and tables in one folder share their runs.
    """
    from serenade.experiments.mtl_rows import MTL_TABLES

    NameTable("table", [(name, name) for name in MTL_TABLES]).target(table)
    name = cast("MtlTable", table)
    _require_use(name, {"--target-dev": target_dev}, "cross")
    _require_use(name, {"--noise": noise, "--environment": environment}, "noise")
    _require_use(name, {"--condition": condition}, "noise", "attacks")
    if finished:
        _show(out, f"{table}-target-dev-{target_dev:g}" if target_dev else table, quiet)
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
    _show(out, request.stem, quiet)


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
    from serenade.experiments.mtl_rows import parse_mtl_rows
    from serenade.experiments.mtl_tables import MtlRequest

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
    say(f"{counted(len(runs), 'run')}: {', '.join(runs)}", quiet=shown.quiet)
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


def _show(out: Path, stem: str, quiet: bool) -> None:
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
