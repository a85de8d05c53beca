"""``serenade table ssl``: the eleven experiments on self-supervised features."""

from pathlib import Path
from typing import TYPE_CHECKING

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
    Quiet,
    SeedCount,
    TableFolder,
    Threads,
    UsualLabels,
    Workers,
)
from serenade.core.errors import UsageError
from serenade.core.wording import counted

if TYPE_CHECKING:
    from serenade.experiments.ssl_tables import SslRequest

__all__ = ["ssl"]


def ssl(
    out: TableFolder,
    corpus: Corpora = None,
    wav2vec2: Path | None = typer.Option(None, help="Folder of a wav2vec 2.0 (or any speech upstream in its place)."),
    hubert: Path | None = typer.Option(None, help="Folder of a HuBERT (or any speech upstream in its place)."),
    text: Path | None = typer.Option(None, help="Folder of a BERT, or another text encoder."),
    fbank: str = typer.Option("filter-bank", help="What experiments 9 and 11 take for filter banks."),
    experiments: str | None = typer.Option(None, help="Numbers such as 1,5-8; all eleven if not given."),
    joint: bool = typer.Option(
        False,
        "--joint",
        help="Experiments 3 and 4: the averaged network of the first stage, instead of a head trained anew.",
    ),
    split: str | None = typer.Option(None, help=f"The folds; superb for IEMOCAP, else loso: {SPLIT_FORMS}"),
    seeds: SeedCount = 1,
    labels: UsualLabels = None,
    label_map: LabelMap = None,
    where: Conditions = None,
    change: Changes = None,
    first: list[str] | None = typer.Option(
        None, "--set-first", help="A setting of the first stage, fine-tuning; repeat."
    ),
    second: list[str] | None = typer.Option(None, "--set-second", help="A setting of the second stage; repeat."),
    finished: Finished = False,
    workers: Workers = None,
    threads: Threads = None,
    device: Device = None,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Run the eleven experiments on self-supervised features, and set our figures beside the published ones.

    Morais et al., ICASSP 2022: wav2vec 2.0 and HuBERT fine-tuned per fold, averaged, with mean pooling or ECAPA-TDNN,
    fused early and late; filter banks and BERT beside them. What no upstream is given for is left out, with the reason.
    Finished runs are kept: the same command takes an interrupted table up.
    """
    if not finished:
        from serenade.core.settings import merge, parse_override
        from serenade.experiments.ssl_tables import SslRequest, parse_numbers, with_ssl_defaults

        numbers = parse_numbers(experiments)
        given = {"corpora": corpus, "split": split, "seeds": seeds, "labels": labels, "label_map": label_map}
        given |= {"where": where or None, "threads": threads, "device": device}
        base = experiment_settings(None, given, change or [])
        base = with_ssl_defaults(base, [name for name, value in given.items() if value])
        folders = {"wav2vec2": wav2vec2, "hubert": hubert, "text": text, "fbank": fbank}
        request = SslRequest(
            base,
            numbers,
            {part: str(folder) for part, folder in folders.items() if folder is not None},  # type: ignore[misc] # parts
            joint,
            merge({}, *(parse_override(text) for text in first or [])),
            merge({}, *(parse_override(text) for text in second or [])),
        )
        with Shown(quiet) as shown:
            if not _train(request, out, workers, shown, dry_run=dry_run):
                return
    _show(out, quiet)


def _train(request: "SslRequest", out: Path, workers: int | None, shown: Shown, *, dry_run: bool) -> bool:
    """Do the runs; whether there is something to show."""
    from serenade.experiments.series import run_series
    from serenade.experiments.ssl_tables import begin_ssl_table, plan_ssl_table

    cells, plans = plan_ssl_table(request, out, shown)
    for cell in cells:
        if cell.skipped is not None:
            shown.warn(f"not run: experiment {cell.experiment.number}: {cell.skipped}")
    if not plans:
        raise UsageError("none of the experiments can be run", hint="The lines above say why")
    tell(next(iter(plans.values())), shown)
    say(f"{counted(len(plans), 'run')}: {', '.join(plans)}", quiet=shown.quiet)
    if dry_run:
        return False
    begin_ssl_table(out, request, cells)
    run_series(plans, out, workers=workers, watcher=shown)
    return True


def _show(out: Path, quiet: bool) -> None:
    from serenade.experiments.ssl_tables import read_ssl_table
    from serenade.reports.ssl_table import ssl_table, write_ssl_table
    from serenade.reports.tables import to_text

    document = read_ssl_table(out)
    written = write_ssl_table(document, out)
    print(to_text(ssl_table(document)))
    say(f"Written: {', '.join(str(path) for path in written)}", quiet=quiet)
