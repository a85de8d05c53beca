"""``serenade corpus export``: a corpus in the format of another toolkit."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serenade.app.console import Progress, say
from serenade.app.options import Conditions, LabelMap, Quiet
from serenade.core.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from serenade.core.records import Listing
    from serenade.corpora import Selection
    from serenade.corpora.corpus import Facts
    from serenade.corpora.exporting.export import Media

__all__ = ["export"]


def export(
    corpus: Annotated[str, typer.Argument(help="NAME=PATH, such as emodb=/data/emodb", show_default=False)],
    out: Annotated[Path, typer.Option(help="The folder to write to, new or empty.", show_default=False)],
    form: Annotated[str, typer.Option("--format", help="csv, audformat, lhotse, kaldi or emobox.")] = "csv",
    media: Annotated[
        str, typer.Option(help="How recordings are named: reference (absolute paths), or link (links in OUT/audio).")
    ] = "reference",
    labels: Annotated[str | None, typer.Option(help="Classes written, separated by commas; all if not given.")] = None,
    label_map: LabelMap = None,
    where: Conditions = None,
    quiet: Quiet = False,
) -> None:
    """Write a corpus in the format of another toolkit; recordings are named or linked, never copied or changed.

    What cannot be used is left out, and named. Ends with code 3 if recordings or labels are damaged.
    """
    from serenade.app.experiment import experiment_settings, selection_of
    from serenade.core.errors import CorpusError
    from serenade.corpora import CORPORA
    from serenade.corpora.exporting import FORMATS, export_corpus

    given = {"corpora": [corpus], "labels": labels, "label_map": label_map, "where": where or None}
    settings = experiment_settings(None, given, [])
    (source,) = settings.corpora
    wanted, way = FORMATS.resolve(form), _way(media)
    listing = _read(source.name, source.root, selection_of(settings), quiet)
    if not listing.utterances:
        hint = f"See: serenade corpus check {source.name}"
        raise CorpusError("nothing in the corpus can be used", where=source.root, hint=hint)
    facts = _facts(listing)
    entry = export_corpus(CORPORA.resolve(source.name), listing.utterances, wanted, out, facts=facts, media=way)
    print(
        f"{out}: {counted(len(listing.utterances), 'utterance')} in the format {form}; "
        f"read it as {wanted.reader}={entry}"
    )
    _tell_left_out(listing)
    _raise_if_damaged(source.root, listing)


def _way(media: str) -> "Media":
    from serenade.core.errors import UsageError
    from serenade.core.names import nearest

    if media == "reference":
        return "reference"
    if media == "link":
        return "link"
    close = nearest(media, ("reference", "link"))
    hint = f"Did you mean {close}?" if close else None
    raise UsageError("recordings are named in one of two ways", found=media, expected="reference or link", hint=hint)


def _read(name: str, path: Path, selection: "Selection", quiet: bool) -> "Listing":
    from serenade.corpora import read_corpus
    from serenade.signal.audio import examine

    with Progress("Examining", unit="recordings", quiet=quiet) as progress:

        def show(done: int, total: int) -> None:
            progress.set_total(total)
            progress.advance(done - progress.done)

        return read_corpus(name, path, examine=examine, selection=selection, progress=show)


def _facts(listing: "Listing") -> "Callable[[Path], Facts]":
    """Rate, channels and length of a recording: what reading the corpus has found out, else a second look."""
    from serenade.corpora.memo import FactsMemo
    from serenade.signal.audio import examine

    with FactsMemo(examine) as memo:
        known = memo.recall(sorted({utterance.audio for utterance in listing.utterances}))
    return lambda recording: known[recording] if recording in known else examine(recording)


def _tell_left_out(listing: "Listing") -> None:
    counts = Counter(item.reason for item in listing.left_out)
    if counts:
        say(f"Left out: {', '.join(f'{count} {reason}' for reason, count in sorted(counts.items()))}")


def _raise_if_damaged(path: Path, listing: "Listing") -> None:
    """End with the code of a partial failure if something is wrong with the corpus itself."""
    from serenade.core.errors import CorpusError, PartialFailure
    from serenade.corpora.validation import DAMAGE

    failures = [
        CorpusError(f"{item.reason}, {item.detail}" if item.detail else item.reason, where=item.where)
        for item in listing.left_out
        if item.reason in DAMAGE
    ]
    if failures:
        raise PartialFailure(f"exporting {path}", failures=failures, done=len(listing.utterances))
