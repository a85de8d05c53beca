"""``serenade table mesm``: FE2E, MESM and what they are compared with."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

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
    Finished,
    LabelMap,
    Labels,
    Quiet,
    SeedCount,
    TableFolder,
    Threads,
    Workers,
)
from serenade.core.errors import UsageError
from serenade.core.names import NameTable
from serenade.core.wording import counted

if TYPE_CHECKING:
    from serenade.experiments.mesm_tables import MesmRow, MesmTable
    from serenade.experiments.settings import ExperimentSettings

__all__ = ["mesm"]


def mesm(
    out: TableFolder,
    corpus: Corpora = None,
    table: str = typer.Option(
        "main", help="main, ablation (modalities left out), top-p (the share of attention) or mask."
    ),
    rows: str | None = typer.Option(
        None, help="Rows, separated by commas, such as lf-lstm,mesm, mesm-text-audio or p0.5; all if not given."
    ),
    small: bool = typer.Option(False, "--small", help="Sizes for a machine without a GPU: fe2e-cpu and mesm-cpu."),
    share: float | None = typer.Option(
        None, "--p", help="Share of attention that MESM keeps: 0.7 as for IEMOCAP; give 0.5 for CMU-MOSEI."
    ),
    encoder: Path | None = typer.Option(
        None, help="Folder of the text encoder, such as ALBERT; words are learnt from scratch if not given."
    ),
    text_dim: int | None = typer.Option(None, help="Size of its vectors; 768 for base encoders."),
    detector: str | None = typer.Option(None, help="What finds faces: mtcnn, cascade, middle."),
    units: Path | None = typer.Option(
        None, help="Action units for the hand-crafted rows: a CSV, or OpenFace's folder."
    ),
    vectors: Path | None = typer.Option(None, help="Word vectors for the hand-crafted rows, such as GloVe's."),
    split: str | None = typer.Option(None, help=f"The folds, loso if not given; the paper's: mesm:PATH. {SPLIT_FORMS}"),
    seeds: SeedCount = 1,
    labels: Labels = None,
    label_map: LabelMap = None,
    where: Conditions = None,
    change: Changes = None,
    finished: Finished = False,
    workers: Workers = None,
    threads: Threads = None,
    device: Device = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Train FE2E, MESM and their baselines, and set our figures beside the published ones and the answer "no".

    Dai et al., NAACL 2021: the main tables, modalities left out, accuracy, operations and time by p; and what it
    brings to learn the mask. Finished runs are kept: the same command takes an interrupted table up.
    """
    from serenade.experiments.mesm_tables import MESM_TABLES, mesm_rows

    NameTable("table", [(name, name) for name in MESM_TABLES]).target(table)
    name = cast("MesmTable", table)
    if share is not None and name in ("top-p", "mask"):
        raise UsageError(f"the table {name} has its own shares of attention", found=f"--p {share:g}")
    if not finished:
        given = {"corpora": corpus, "split": split, "seeds": seeds, "labels": labels, "label_map": label_map}
        given |= {"where": where or None, "threads": threads, "device": device}
        base = experiment_settings(None, given, change or [])
        ours = {"words": {"encoder": encoder and str(encoder)}, "network": {"text_dim": text_dim}, "detector": detector}
        theirs = {"face_units": units and str(units), "word_vectors": vectors and str(vectors)}
        chosen = [_with(row, ours, theirs, share) for row in mesm_rows(name, rows, small=small)]
        with Shown(quiet) as shown:
            if not _train(name, chosen, base, out, workers, shown, dry_run=dry_run):
                return
    _show(name, out, quiet)


def _with(row: "MesmRow", ours: dict[str, Any], theirs: dict[str, Any], share: float | None) -> "MesmRow":
    """A row with what its kind of system is given."""
    from dataclasses import replace

    from serenade.core.settings import merge
    from serenade.systems import PRESETS

    given = _stated(ours if PRESETS[row.preset] == "mesm" else theirs)
    if share is not None and row.preset.startswith("mesm"):
        given["top_p"] = share
    return replace(row, changes=merge(given, row.changes))


def _stated(values: dict[str, Any]) -> dict[str, Any]:
    nested = {key: _stated(value) if isinstance(value, dict) else value for key, value in values.items()}
    return {key: value for key, value in nested.items() if value not in (None, {})}


def _train(
    table: "MesmTable",
    rows: "list[MesmRow]",
    base: "ExperimentSettings",
    out: Path,
    workers: int | None,
    shown: Shown,
    *,
    dry_run: bool,
) -> bool:
    """Do the runs; whether there is something to show."""
    from serenade.experiments.mesm_tables import begin_mesm_table, members_of
    from serenade.experiments.series import Planner, run_series

    plans = Planner(base, shown).plan(members_of(table, rows))
    tell(next(iter(plans.values())), shown)
    say(f"{counted(len(plans), 'run')}: {', '.join(plans)}", quiet=shown.quiet)
    if dry_run:
        return False
    utterances = next(iter(plans.values())).listing.utterances
    begin_mesm_table(out, table, rows, sorted({u.corpus for u in utterances}))  # of a prepared folder: what it was
    run_series(plans, out, workers=workers, watcher=shown)
    return True


def _show(table: "MesmTable", out: Path, quiet: bool) -> None:
    from serenade.experiments.mesm_tables import read_mesm_table
    from serenade.reports.mesm_table import mesm_table, write_mesm_table
    from serenade.reports.tables import to_text

    document = read_mesm_table(out, table)
    written = write_mesm_table(document, out)
    print(to_text(mesm_table(document)))
    say(f"Written: {', '.join(str(path) for path in written)}", quiet=quiet)
