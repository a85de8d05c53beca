"""``serenade corpus report``: how good every recording of a corpus is, as one HTML page."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serenade.app.console import Progress, say
from serenade.app.options import Quiet
from serenade.core.errors import CorpusError, PartialFailure, SerenadeError
from serenade.core.wording import counted

if TYPE_CHECKING:
    from serenade.core.records import Listing

__all__ = ["damage_of", "make_corpus_report", "print_findings", "report_corpus"]


def report_corpus(
    name: Annotated[str, typer.Argument(help="the corpus: see serenade corpus list; table for your own recordings")],
    path: Annotated[Path, typer.Argument(help="its folder; for table a CSV file or a folder per class")],
    out: Annotated[
        Path | None, typer.Option(help="The page; corpus-report.html if not given, none with --json.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option("--labels", help="Look at these classes only, such as angry,happy,neutral,sad.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, the figures of each too.")] = False,
    quiet: Quiet = False,
) -> None:
    """Measure every recording: length, level, clipping, silence, noise, bandwidth, balance; one HTML page.

    Ends with code 3 if recordings or labels are damaged.
    """
    page = out if out is not None or as_json else Path("corpus-report.html")
    summary, listing = make_corpus_report(name, path, page, labels=labels, quiet=quiet)
    if as_json:
        print(json.dumps(summary, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        print_findings(summary)
    if page is not None:
        say(f"Report: {page}")
    failures = damage_of(listing)
    if failures:
        raise PartialFailure(f"measuring {path}", failures=failures, done=len(listing.utterances))


def make_corpus_report(
    name: str, path: Path, page: Path | None, *, labels: str | None = None, quiet: bool = False
) -> "tuple[dict[str, Any], Listing]":
    """Measure a corpus and write its page.

    Args:
        name: of the corpus.
        path: where it lies.
        page: the HTML file; None writes none.
        labels: the classes asked for, with commas.
        quiet: show no progress.

    Returns:
        The summary, and the utterances with what was left out.

    Raises:
        CorpusError: the corpus does not lie there, or nothing in it can be used.
        MissingExtraError: a page is asked for and jinja2 is not installed.
    """
    from serenade.core.labels import LabelSet
    from serenade.corpora import Selection
    from serenade.experiments.corpus_quality import measure_corpus
    from serenade.experiments.corpus_summary import summarise_corpus
    from serenade.reports.corpus_page import write_corpus_report
    from serenade.reports.page import template_environment

    if page is not None:
        template_environment()  # what is missing for the page is said before the work, not after it
    selection = None if labels is None else Selection(LabelSet.parse(labels.split(",")))
    with Progress("Measuring", unit="recordings", quiet=quiet) as progress:

        def show(done: int, total: int) -> None:
            progress.set_total(total)
            progress.advance(done - progress.done)

        measured = measure_corpus(name, path, selection=selection, progress=show)
    if not measured.listing.utterances:
        raise CorpusError("nothing in the corpus can be used", where=path, hint=f"See: serenade corpus check {name}")
    summary = summarise_corpus(measured)
    if page is not None:
        write_corpus_report(summary, page)
    return summary, measured.listing


def print_findings(summary: dict[str, Any]) -> None:
    """Print what is in a corpus and what stands out."""
    statistics = summary["statistics"]
    print(
        f"{summary['corpus']['title']} in {summary['corpus']['path']}: "
        f"{counted(statistics['utterances'], 'utterance')}, {statistics['minutes']:.1f} min, "
        f"{counted(len(statistics['speakers']), 'speaker')}; {len(summary['left_out'])} left out"
    )
    for finding in summary["findings"]:
        print(f"  {finding['severity']}: {finding['message']}")
    if not summary["findings"]:
        print("  nothing stands out")


def damage_of(listing: "Listing") -> list[SerenadeError]:
    """One error for everything that was left out because something is wrong with it."""
    from serenade.corpora.validation import DAMAGE

    return [
        CorpusError(f"{item.reason}, {item.detail}" if item.detail else item.reason, where=item.where)
        for item in listing.left_out
        if item.reason in DAMAGE
    ]
