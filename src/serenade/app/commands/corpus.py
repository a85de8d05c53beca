"""``serenade corpus``: what corpora are known, whether one is in order, and what is in it."""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from serenade.app.commands.corpus_export import export
from serenade.app.commands.corpus_fetch import fetch
from serenade.app.commands.corpus_import import import_corpus
from serenade.app.commands.corpus_prepare import prepare_corpus
from serenade.app.commands.corpus_report import report_corpus
from serenade.core.wording import counted

if TYPE_CHECKING:
    from serenade.core.records import LeftOut, Listing
    from serenade.core.stored_listing import StoredListing
    from serenade.corpora import Corpus, Selection
    from serenade.corpora.statistics import CorpusStatistics
    from serenade.evaluation.agreement import RaterAgreement
    from serenade.evaluation.giveaway import SpeakerMajority

__all__ = ["app", "check", "list_corpora", "print_table", "stats"]

app = typer.Typer(help="Fetch a corpus, check it and show what is in it.", no_args_is_help=True)
app.command("fetch")(fetch)
app.command("export")(export)
app.command("import")(import_corpus)
app.command("prepare")(prepare_corpus)
app.command("report")(report_corpus)

_NAME = typer.Argument(help="emodb, ravdess, synthetic, or table for your own recordings", show_default=False)
_PATH = typer.Argument(help="its folder; for table a CSV file or a folder per class", show_default=False)
_JSON = typer.Option(False, "--json", help="Print JSON.")
_LABELS = typer.Option(None, "--labels", help="Look at these classes only, such as angry,happy,neutral,sad.")
_MAP = typer.Option(None, "--map", help="What counts as which class: merge, or such as excited=happy,other=-.")
_WHERE = typer.Option(None, "--where", help="Only utterances with this fact, such as part=improvised; repeat.")
_QUIET = typer.Option(False, "--quiet", "-q", help="Show no progress.")
_SHOWN = 10  # recordings named per reason


@app.command("list")
def list_corpora(
    as_json: bool = _JSON,
    as_markdown: bool = typer.Option(False, "--markdown", help="Print the table of the documentation."),
) -> None:
    """List the corpora that can be read, with their licences."""
    from serenade.core.errors import UsageError
    from serenade.corpora import CORPORA

    if as_json and as_markdown:
        raise UsageError("--json and --markdown exclude each other")
    corpora = [CORPORA.resolve(name) for name in CORPORA]
    if as_json:
        _print_json([_describe(corpus) for corpus in corpora])
        return
    if as_markdown:
        _print_markdown(corpora)
        return
    use = {True: "yes", False: "no", None: "-"}
    rows = [["name", "corpus", "language", "licence", "commercial use", "where to get it"]]
    rows += [[c.name, c.title, c.language or "-", c.licence, use[c.commercial_use], c.homepage or "-"] for c in corpora]
    print_table(rows, right=False)
    print("\nWhat must lie in the folder:")
    print_table([[f"  {corpus.name}", corpus.layout] for corpus in corpora], right=False)


@app.command("check")
def check(
    name: str = _NAME,
    path: Path = _PATH,
    labels: str | None = _LABELS,
    label_map: str | None = _MAP,
    where: list[str] | None = _WHERE,
    near_duplicates: bool = typer.Option(True, help="Look for the same take in two recordings."),
    audio: bool = typer.Option(True, help="Open the recordings; without, labels and names alone are checked."),
    as_json: bool = _JSON,
    quiet: bool = _QUIET,
) -> None:
    """Examine every recording: what can be used, what is left out and why, which recordings hold the same take.

    Also whether speakers give the label away, and what train and test share where a corpus brings its own. Ends with
    code 3 if recordings or labels are damaged.
    """
    from serenade.app.commands import corpus_findings as findings
    from serenade.corpora import CORPORA
    from serenade.corpora.validation import DAMAGE
    from serenade.evaluation.giveaway import majority_of
    from serenade.evaluation.own_parts import check_stored_parts

    corpus = CORPORA.resolve(name)
    with _store(name, path, _selection(labels, label_map, where), quiet, audio=audio) as listing:
        spoken = listing.query("SELECT corpus, speaker, emotion FROM utterances ORDER BY id")
        majority = majority_of(((corpus, speaker), emotion) for corpus, speaker, emotion in spoken)
        pairs = findings.near_duplicates_of(listing, quiet=quiet) if near_duplicates and audio else None
        own = check_stored_parts(listing, majority, () if pairs is None else pairs)
        if as_json:
            found = findings.findings_as_json(pairs, own, listing)
            _print_json({**_check_as_json(corpus, path, listing, majority), **found})
        else:
            _print_check(corpus, path, listing, majority, complete=labels is None and not where and audio)
            if pairs is not None:
                findings.print_near_duplicates(pairs, listing)
            findings.print_own_parts(own)
        first, counts = list(listing.left_out(DAMAGE, _SHOWN)), listing.reasons()
        _raise_if_damaged(path, first, sum(counts.get(reason, 0) for reason in DAMAGE), len(listing))


@app.command("stats")
def stats(
    name: str = _NAME,
    path: Path = _PATH,
    labels: str | None = _LABELS,
    label_map: str | None = _MAP,
    where: list[str] | None = _WHERE,
    as_json: bool = _JSON,
    as_csv: bool = typer.Option(False, "--csv", help="Print CSV: one line per speaker and class."),
    by: list[str] | None = typer.Option(None, "--by", help="Count by this fact too, such as group or part; repeat."),
    quiet: bool = _QUIET,
) -> None:
    """Show utterances and minutes by speaker and class, and how far raters agree where a corpus has their votes.

    Ends with code 3 if recordings or labels are damaged.
    """
    from serenade.core.errors import CorpusError, UsageError
    from serenade.corpora.statistics import count_by, count_utterances
    from serenade.corpora.validation import DAMAGE
    from serenade.evaluation.agreement import rater_agreement

    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other")
    if as_csv and by:
        raise UsageError("--csv has speakers and classes only", found=f"--by {by[0]}", hint="Take --json")
    listing = _read(name, path, _selection(labels, label_map, where), quiet)
    if not listing.utterances:
        raise CorpusError("nothing in the corpus can be used", where=path, hint=f"See: serenade corpus check {name}")
    statistics = count_utterances(listing.utterances)
    facts = {name: count_by(listing.utterances, name, path) for name in by or ()}
    agreement = rater_agreement(listing.utterances)
    if as_json:
        found = {"by": facts, "agreement": None if agreement is None else agreement.to_json()}
        _print_json({**statistics.to_json(), **found})
    elif as_csv:
        _print_csv(statistics)
    else:
        _print_stats(statistics, len(listing.left_out))
        for name, counts in facts.items():
            _print_counts(name, counts, statistics.classes)
        if agreement is not None:
            _print_agreement(agreement)
    damage = [item for item in listing.left_out if item.reason in DAMAGE]
    _raise_if_damaged(path, damage, len(damage), len(listing.utterances))


def _selection(labels: str | None, label_map: str | None, where: list[str] | None) -> "Selection":
    from serenade.app.experiment import conditions
    from serenade.core.label_maps import parse_label_map
    from serenade.core.labels import LabelSet
    from serenade.corpora import Selection

    wanted = None if labels is None else LabelSet.parse(labels.split(","))
    return Selection(wanted, None if label_map is None else parse_label_map(label_map), conditions(where or []))


def _read(name: str, path: Path, selection: "Selection", quiet: bool) -> "Listing":
    from serenade.corpora import read_corpus
    from serenade.signal.audio import examine

    with _examining(quiet) as show:
        return read_corpus(name, path, examine=examine, selection=selection, progress=show)


def _store(name: str, path: Path, selection: "Selection", quiet: bool, *, audio: bool) -> "StoredListing":
    """The corpus in a temporary file: of a table with 100,000 rows nothing that is told needs them at once."""
    from serenade.corpora import store_corpus
    from serenade.signal.audio import examine

    if not audio:
        return store_corpus(name, path, examine=None, selection=selection)
    with _examining(quiet) as show:
        return store_corpus(name, path, examine=examine, selection=selection, progress=show)


@contextmanager
def _examining(quiet: bool) -> Iterator[Callable[[int, int], None]]:
    from serenade.app.console import Progress

    with Progress("Examining", unit="recordings", quiet=quiet) as progress:

        def show(done: int, total: int) -> None:
            progress.set_total(total)
            progress.advance(done - progress.done)

        yield show


def _raise_if_damaged(path: Path, first: "Sequence[LeftOut]", damaged: int, done: int) -> None:
    """End with the code of a partial failure if something is wrong with the corpus itself.

    Args:
        path: of the corpus.
        first: what is damaged, the first at least.
        damaged: how much that is.
        done: utterances that can be used.
    """
    from serenade.core.errors import CorpusError, PartialFailure

    failures = [
        CorpusError(f"{item.reason}, {item.detail}" if item.detail else item.reason, where=item.where)
        for item in first[:_SHOWN]
    ]
    if failures:
        raise PartialFailure(f"checking {path}", failures=failures, done=done, failed=damaged)


def _print_markdown(corpora: "Sequence[Corpus]") -> None:
    """One row per corpus: name, title, language, size, licence, and how to get it."""
    from serenade.corpora.sources import SOURCES

    print("| name | corpus | language | utterances | licence | commercial use | get it |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for corpus in corpora:
        size = str(sum(corpus.expected.values())) if corpus.expected else "-"
        use = {True: "yes", False: "no", None: "-"}[corpus.commercial_use]
        fetched = corpus.name in SOURCES and SOURCES[corpus.name].archives
        home = "fetch" if fetched else f"<{corpus.homepage}>" if corpus.homepage.startswith("http") else "-"
        cells = [f"`{corpus.name}`", corpus.title, corpus.language or "-", size, corpus.licence, use, home]
        print(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")


def _describe(corpus: "Corpus") -> dict[str, Any]:
    names = ("name", "title", "language", "licence", "commercial_use", "citation", "homepage", "layout", "notes")
    return {**{name: getattr(corpus, name) for name in names}, "expected": dict(corpus.expected)}


def _check_as_json(
    corpus: "Corpus", path: Path, listing: "StoredListing", majority: "SpeakerMajority"
) -> dict[str, Any]:
    from dataclasses import asdict

    from serenade.corpora.validation import DAMAGE

    return {
        "corpus": corpus.name,
        "path": str(path),
        "licence": corpus.licence,
        "utterances": len(listing),
        "left_out": _Streamed({**asdict(item), "damage": item.reason in DAMAGE} for item in listing.left_out()),
        "missing_of_complete": _missing(corpus, _classes(listing)),
        "speaker_majority": {**asdict(majority), "gives_label": majority.gives_label},
    }


class _Streamed(list[Any]):
    """A list that JSON is written from while it is gone through, once."""

    def __init__(self, values: Iterable[Any]) -> None:
        super().__init__()
        values = iter(values)
        first = list(islice(values, 1))
        self._any = bool(first)
        self._values = chain(first, values)

    def __bool__(self) -> bool:
        return self._any

    def __iter__(self) -> Iterator[Any]:
        return self._values


def _classes(listing: "StoredListing") -> dict[str | None, int]:
    """How many utterances each class has, and those without a label."""
    return dict(listing.query("SELECT emotion, count(*) FROM utterances GROUP BY emotion ORDER BY emotion"))


def _print_check(
    corpus: "Corpus", path: Path, listing: "StoredListing", majority: "SpeakerMajority", *, complete: bool
) -> None:
    from serenade.core.records import UNKNOWN_SPEAKER

    named = "SELECT count(DISTINCT speaker) FROM utterances WHERE speaker <> ?"
    speakers = listing.value(named, UNKNOWN_SPEAKER)
    counts = _classes(listing)
    classes = [name for name in counts if name is not None]
    opened, seconds = next(listing.query("SELECT count(duration_s), total(duration_s) FROM utterances"))
    print(f"{corpus.title} in {path} (licence: {corpus.licence})")
    facts = f"{counted(speakers, 'speaker')}, {counted(len(classes), 'class')}"
    if not opened:
        print(f"{counted(len(listing), 'utterance')} by name: {facts}; the recordings were not opened")
    else:
        print(f"{counted(len(listing), 'utterance')} can be used: {seconds / 60:.1f} min, {facts}")
    _print_left_out(listing)
    missing = _missing(corpus, counts) if complete else {}
    if missing:
        of_all = ", ".join(
            f"{name} {corpus.expected[name] - count} of {corpus.expected[name]}" for name, count in missing.items()
        )
        print(f"Not complete: {of_all}")
    unknown = listing.value("SELECT count(*) FROM utterances WHERE speaker = ?", UNKNOWN_SPEAKER)
    _print_labels(classes, counts.get(None, 0), unknown)
    if speakers:
        _print_majority(majority)


def _print_left_out(listing: "StoredListing") -> None:
    reasons = listing.reasons()
    total = sum(reasons.values())
    print(f"{total} left out" + (":" if total else ""))
    for reason, count in reasons.items():
        print(f"  {reason}: {count}")
        for item in listing.left_out([reason], _SHOWN):
            print(f"    {item.where}" + (f": {item.detail}" if item.detail else ""))
        if count > _SHOWN:
            print(f"    and {count - _SHOWN} more (all of them with --json)")


def _missing(corpus: "Corpus", counts: "Mapping[str | None, int]") -> dict[str, int]:
    """How many utterances of each class the complete corpus has more."""
    expected = corpus.expected.items()
    return {name: count - counts.get(name, 0) for name, count in expected if counts.get(name, 0) < count}


def _print_labels(classes: "Sequence[str]", unlabelled: int, unknown: int) -> None:
    from serenade.core.labels import canonical_emotion

    own = [name for name in classes if canonical_emotion(name) is None]
    if own:
        print(f"Classes of your own: {', '.join(own)}")
    if unlabelled:
        print(f"Without a label: {unlabelled}")
    if unknown:
        print(
            f"Without a speaker: {unknown}. Name speakers in the column speaker or in folders EMOTION/SPEAKER/: "
            "without them no split can keep people apart"
        )


def _print_majority(majority: "SpeakerMajority") -> None:
    scores = (
        f"each speaker's most frequent class alone scores WA {majority.wa:.1%}, UA {majority.ua:.1%} "
        f"({majority.wa_by_chance:.1%}, {majority.ua_by_chance:.1%} with shuffled labels)"
    )
    if majority.gives_label:
        print(
            f"WARNING: the speaker gives the label away: {scores}; {majority.one_label} of {majority.speakers} "
            "speakers have one class only. A model can score by knowing voices"
        )
    elif majority.speakers:
        print(f"Speakers do not give the label away: {scores}")


def _print_stats(statistics: "CorpusStatistics", left_out: int) -> None:
    by_pair = {(count.speaker, count.emotion): count for count in statistics.counts}
    genders = {count.speaker: count.gender for count in statistics.counts}
    rows = [["speaker", "sex", *statistics.classes, "all", "minutes"]]
    for speaker in statistics.speakers:
        found = [by_pair.get((speaker, name)) for name in statistics.classes]
        numbers = [count.utterances if count is not None else 0 for count in found]
        minutes = sum(count.minutes for count in found if count is not None)
        rows.append([speaker, (genders[speaker] or "-"), *map(str, numbers), str(sum(numbers)), f"{minutes:.1f}"])
    per_class = [[count for count in statistics.counts if count.emotion == name] for name in statistics.classes]
    totals = [str(sum(count.utterances for count in found)) for found in per_class]
    minutes_of = [f"{sum(count.minutes for count in found):.1f}" for found in per_class]
    rows.append(["all", "", *totals, str(statistics.utterances), f"{statistics.minutes:.1f}"])
    rows.append(["minutes", "", *minutes_of, f"{statistics.minutes:.1f}", ""])
    print_table(rows)
    print(
        f"\n{counted(statistics.utterances, 'utterance')}, {statistics.minutes:.1f} min, "
        f"{counted(len(statistics.speakers), 'speaker')}; "
        f"length {statistics.shortest_s:.2f} s to {statistics.longest_s:.2f} s, median {statistics.median_s:.2f} s; "
        f"{left_out} left out"
    )


def _print_counts(name: str, counts: "Mapping[str, Mapping[str, int]]", classes: "Sequence[str]") -> None:
    rows = [[name, "", *classes, "all"]]
    for value, found in counts.items():
        rows.append([value, "", *(str(found.get(emotion, 0)) for emotion in classes), str(sum(found.values()))])
    print()
    print_table(rows)


def _print_agreement(agreement: "RaterAgreement") -> None:
    print(
        f"Raters: {counted(agreement.ratings, 'rating')} of {agreement.utterances} utterances; "
        f"Fleiss' kappa {agreement.fleiss_kappa:.3f}, Krippendorff's alpha {agreement.krippendorff_alpha:.3f}"
    )


def _print_csv(statistics: "CorpusStatistics") -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["speaker", "gender", "emotion", "utterances", "minutes"])
    for count in statistics.counts:
        writer.writerow([count.speaker, count.gender or "", count.emotion, count.utterances, f"{count.minutes:.3f}"])


def _print_json(value: Any) -> None:
    for piece in json.JSONEncoder(indent=1, ensure_ascii=False, allow_nan=False).iterencode(value):
        sys.stdout.write(piece)
    print()


def print_table(rows: "Sequence[Sequence[str]]", *, right: bool = True) -> None:
    """Columns side by side; the first to the left, the others to the right where they are numbers."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if right and place > 1 else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
