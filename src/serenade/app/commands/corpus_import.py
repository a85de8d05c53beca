"""``serenade corpus import``: from foreign data to a manifest, by questions or by flags."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serenade.app.console import say
from serenade.app.dialogue import Dialogue
from serenade.app.import_questions import require_labels_known, settle_columns, settle_pattern, settle_words
from serenade.core.errors import CorpusError, MissingExtraError, PartialFailure, SerenadeError, UsageError
from serenade.core.wording import counted

if TYPE_CHECKING:
    from serenade.core.records import Listing
    from serenade.corpora.importing import ImportSettings, Manifest

__all__ = ["import_corpus"]

_EXAMPLES = 3
_SHOWN = 8


def import_corpus(
    source: Annotated[
        Path | None, typer.Argument(help="A table (CSV, TSV, Parquet) with any columns, or a folder of recordings.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The manifest to write, such as mine.csv.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="OURS=THEIRS", help="Which column is what: speaker=SprecherID; speaker=- for none."),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="WORD=CLASS", help="What a label becomes: wütend=angry; xx=- leaves its rows out."),
    ] = None,
    gender: Annotated[
        list[str] | None, typer.Option(metavar="WORD=SEX", help="What a word for a sex means: 1=female.")
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(help="What paths say: {speaker}_{emotion}_{text}, {speaker}/{emotion}/*, {speaker:2}{take}."),
    ] = None,
    audio: Annotated[
        Path | None, typer.Option(help="The folder of the recordings, where it is not the table's.")
    ] = None,
    language: Annotated[str | None, typer.Option(help="The language spoken, such as de.")] = None,
    repeat: Annotated[
        Path | None, typer.Option(metavar="FILE.import.toml", help="Do an earlier import again, with its decisions.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Take what is proposed; ask nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a manifest that is there.")] = False,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Measure the recordings and write a page on their quality.")
    ] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress and no preview.")] = False,
) -> None:
    """Turn a table or folder of your own into a manifest that Serenade reads; nothing of yours is changed.

    Asks on a terminal, with a proposal that Enter takes. With flags, or --yes, it asks nothing. Ends with code 3 if
    some rows could not be used.
    """
    from serenade.corpora.importing import make_manifest, read_source

    settings, source, out = _begin(source, out, repeat, force=force)
    base = _note(out).parent
    changes = {"audio": None if audio is None else _seen_from(base, audio), "pattern": pattern, "language": language}
    settings = settings.model_copy(update={name: value for name, value in changes.items() if value is not None})
    given = {"columns": _pairs(column, "column"), "labels": _pairs(label, "label"), "genders": _pairs(gender, "gender")}
    settings = settings.model_copy(update={name: {**getattr(settings, name), **pairs} for name, pairs in given.items()})
    dialogue = Dialogue.here(take_proposals=yes)
    data = read_source(source, None if settings.audio is None else base / settings.audio)
    settings = settle_columns(data, settings, dialogue)
    settings = settle_pattern(data, settings, dialogue)
    require_labels_known(given["labels"], data, settings)
    settings = settle_words(data, settings, dialogue)
    dialogue.settle()
    manifest = make_manifest(data, settings, out.parent)
    listing = _show(manifest, out, quiet=quiet)
    if not dialogue.confirm(f"Write {out}?"):
        raise UsageError("stopped; nothing was written")
    _write(manifest, settings, out)
    say(f"Manifest: {out} ({counted(len(manifest.rows), 'row')}); decisions: {_note(out)}")
    failures = _failures(manifest)
    if report:
        failures += _report(out, quiet=quiet)
    _say_what_next(out, listing)
    if failures:
        raise PartialFailure(f"importing {source}", failures=failures, done=len(manifest.rows))


def _begin(
    source: Path | None, out: Path | None, repeat: Path | None, *, force: bool
) -> "tuple[ImportSettings, Path, Path]":
    """The decisions of an earlier import or none, the source and the manifest.

    Raises:
        UsageError: something is not named, or the manifest is there already.
    """
    from serenade.core.settings import load_toml, make_settings
    from serenade.corpora.importing import ImportSettings

    earlier = None
    if repeat is not None:
        earlier = make_settings(ImportSettings, load_toml(repeat), where=str(repeat))
        source = repeat.parent / earlier.source if source is None else source
        out = repeat.with_name(repeat.name.removesuffix(".import.toml") + ".csv") if out is None else out
    if source is None:
        raise UsageError("nothing to import is named", hint="serenade corpus import SOURCE --out FILE.csv")
    if out is None:
        raise UsageError("no manifest to write is named", hint="Name it: --out FILE.csv")
    if out.suffix.lower() != ".csv":
        raise UsageError("the manifest is a CSV file", found=out.name, hint=f"--out {out.with_suffix('.csv')}")
    if out.exists() and source.exists() and out.samefile(source):
        raise UsageError("the manifest would replace the source", where=source, hint="Give --out another name")
    if not force and out.exists():
        raise UsageError("the manifest is there already", where=out, hint="Replace it with --force, or give --out")
    place = _seen_from(_note(out).parent, source)
    settings = ImportSettings(source=place) if earlier is None else earlier.model_copy(update={"source": place})
    return settings, source, out


def _note(out: Path) -> Path:
    """Where the decisions of an import are kept."""
    return out.with_name(f"{out.stem}.import.toml")


def _seen_from(folder: Path, path: Path) -> str:
    from serenade.corpora.importing import relative_path

    return relative_path(path, folder)


def _pairs(written: Sequence[str] | None, flag: str) -> dict[str, str]:
    """``A=B`` as a table.

    Raises:
        UsageError: there is no ``=``, or one word is given two meanings.
    """
    pairs: dict[str, str] = {}
    for text in written or ():
        word, equals, meaning = (part.strip() for part in text.rpartition("="))
        if not equals or not word or not meaning:
            raise UsageError(f"--{flag} must look like A=B", found=repr(text))
        if pairs.setdefault(word, meaning) != meaning:
            raise UsageError(f"--{flag} says two things of {word!r}", found=f"{pairs[word]} and {meaning}")
    return pairs


def _show(manifest: "Manifest", out: Path, *, quiet: bool) -> "Listing":
    """A preview, what was left out, and warnings; gives the utterances as `table` will read them."""
    listing = _as_listing(manifest, out)
    if quiet:
        return listing
    classes = Counter(row["emotion"] for row in manifest.rows)
    speakers = {row.get("speaker") for row in manifest.rows} - {None, ""}
    listed = ", ".join(f"{name or 'no label'} {count}" for name, count in classes.most_common())
    say(f"\n{counted(len(manifest.rows), 'row')}, {counted(len(speakers), 'speaker')}; {listed}")
    for line in manifest.to_csv().splitlines()[: _EXAMPLES + 1]:
        say(f"  {line}")
    for reason, count in Counter(item.reason for item in manifest.left_out).most_common():
        items = [item for item in manifest.left_out if item.reason == reason]
        shown = "; ".join(item.where + (f", {item.detail}" if item.detail else "") for item in items[:_EXAMPLES])
        more = f"; and {count - _EXAMPLES} more" if count > _EXAMPLES else ""
        say(f"left out, {reason}: {count} ({shown}{more})")
    for warning in _warnings(classes, speakers, listing):
        say(f"WARNING: {warning}")
    return listing


def _as_listing(manifest: "Manifest", out: Path) -> "Listing":
    """The utterances of the rows."""
    from serenade.core.records import Listing, Utterance
    from serenade.corpora.cells import COLUMNS, read_utterance

    found = []
    for place, row in enumerate(manifest.rows):
        cells = {name: cell for name, cell in row.items() if name in COLUMNS}
        read = read_utterance("table", cells, {}, where=row["file"], place=str(out))
        assert isinstance(read, Utterance)  # rows that cannot be read were left out of the manifest
        found.append(read.with_(id=str(place), emotion=row["emotion"] or None))
    return Listing(tuple(found))


def _warnings(classes: Mapping[str, int], speakers: Iterable[object], listing: "Listing") -> list[str]:
    """What will stand in the way of an honest number."""
    from serenade.core.records import UNKNOWN_SPEAKER
    from serenade.evaluation.giveaway import speaker_majority

    found = []
    named = {name: count for name, count in classes.items() if name}
    if not named:
        found.append("no row has a label: there is nothing to train or test on")
    elif len(named) == 1:
        found.append(f"one class only ({next(iter(named))}): there is nothing to tell apart")
    single = [name for name, count in named.items() if count == 1]
    if single:
        found.append(f"classes with one row: {', '.join(sorted(single)[:_SHOWN])}. A slip of the pen?")
    unknown = sum(utterance.speaker == UNKNOWN_SPEAKER for utterance in listing.utterances)
    if unknown:
        found.append(f"{counted(unknown, 'row')} without a speaker: no split can keep people apart")
    elif len(set(speakers)) == 1:
        found.append("one speaker only: nothing can be said about new voices")
    else:
        majority = speaker_majority(listing.utterances)
        if majority.gives_label:
            found.append(
                "the speaker gives the label away: each speaker's most frequent class alone scores UA "
                f"{majority.ua:.1%} ({majority.ua_by_chance:.1%} by chance)"
            )
    return found


def _write(manifest: "Manifest", settings: "ImportSettings", out: Path) -> None:
    """Manifest and decisions, or neither of them."""
    from serenade.core.files import write_text

    note = _note(out)
    before = note.read_bytes() if note.exists() else None
    try:
        write_text(note, settings.to_toml())
        write_text(out, manifest.to_csv())
    except BaseException:
        with suppress(OSError):  # what stopped the writing is what the user must hear of
            if before is None:
                note.unlink(missing_ok=True)
            else:
                note.write_bytes(before)
        raise


def _failures(manifest: "Manifest") -> list[SerenadeError]:
    """What was left out because something is wrong with it."""
    from serenade.corpora.validation import DAMAGE

    return [
        CorpusError(f"{item.reason}, {item.detail}" if item.detail else item.reason, where=item.where)
        for item in manifest.left_out
        if item.reason in DAMAGE
    ]


def _report(out: Path, *, quiet: bool) -> list[SerenadeError]:
    """Write the page on the quality; gives what it found damaged."""
    from serenade.app.commands.corpus_report import damage_of, make_corpus_report, print_findings

    page = out.with_suffix(".html")
    try:
        summary, listing = make_corpus_report("table", out, page, quiet=quiet)
    except MissingExtraError as error:  # nobody asked for the page in so many words, and the manifest is written
        say(f"No report: {error}")
        return []
    if not quiet:
        print_findings(summary)
    say(f"Report: {page}")
    return damage_of(listing)


def _say_what_next(out: Path, listing: "Listing") -> None:
    """The commands that come next."""
    from serenade.core.records import UNKNOWN_SPEAKER

    known = any(utterance.speaker != UNKNOWN_SPEAKER for utterance in listing.utterances)
    shown = f"'{out}'" if any(mark in str(out) for mark in " ()&;") else str(out)
    print(f"serenade corpus check table {shown}")
    if known:
        print(f"serenade run glam-cpu --corpus table={shown} --split loso")
