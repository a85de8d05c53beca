"""What ``serenade corpus check`` says of near-duplicates, and of the parts that come with a corpus."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from serenade.core.wording import counted

if TYPE_CHECKING:
    from serenade.core.records import NearDuplicate, Utterance
    from serenade.core.stored_listing import StoredListing
    from serenade.evaluation.leaks import LeakReport

__all__ = ["findings_as_json", "near_duplicates_of", "print_near_duplicates", "print_own_parts"]

_SHOWN = 10  # pairs named
_RELATIONS = frozenset(
    ("speaker", "unknown_speaker", "group", "dialogue", "file", "content", "near_duplicate", "sentence")
)


def near_duplicates_of(listing: "StoredListing", *, quiet: bool) -> "tuple[NearDuplicate, ...]":
    """Pairs that hold the same take; shows progress where fingerprints have to be made first."""
    from serenade.app.console import Progress
    from serenade.experiments.near_duplicates import find_near_duplicates

    with Progress("Fingerprinting", unit="recordings", quiet=quiet) as progress:

        def show(done: int, total: int) -> None:
            progress.set_total(total)
            progress.advance(done - progress.done)

        return find_near_duplicates(tuple(listing.utterances()), show)


def _named(pairs: "Sequence[NearDuplicate]", listing: "StoredListing") -> "dict[str, Utterance]":
    """The utterances of the pairs by id."""
    wanted = {name for pair in pairs for name in (pair.first, pair.second)}
    return {u.id: u for u in listing.utterances() if u.id in wanted} if wanted else {}


def print_near_duplicates(pairs: "Sequence[NearDuplicate]", listing: "StoredListing") -> None:
    """Every pair with what differs, the worst first: other labels, then other speakers."""
    from serenade.experiments.near_duplicates import describe_near_duplicate, same_speaker

    if not pairs:
        print("No near-duplicates")
        return
    by_id = _named(pairs, listing)
    other_label = sum(by_id[p.first].emotion != by_id[p.second].emotion for p in pairs)
    other_speaker = sum(same_speaker(by_id[p.first], by_id[p.second]) is False for p in pairs)
    print(
        f"WARNING: {counted(len(pairs), 'near-duplicate')}, the same take in two recordings; labels differ in "
        f"{other_label}, speakers in {other_speaker}:"
    )

    def rank(pair: "NearDuplicate") -> tuple[bool, bool]:
        one, two = by_id[pair.first], by_id[pair.second]
        return one.emotion == two.emotion, same_speaker(one, two) is not False

    for pair in sorted(pairs, key=rank)[:_SHOWN]:
        wrong = f"{pair.bit_error_rate:.1%} of bits differ over {pair.overlap_s:.1f} s"
        print(f"  {pair.first} ~ {pair.second}: {describe_near_duplicate(pair, by_id)} ({wrong})")
    if len(pairs) > _SHOWN:
        print(f"  and {len(pairs) - _SHOWN} more (all of them with --json)")


def print_own_parts(reports: "Sequence[LeakReport]") -> None:
    """What train and test of the corpus's own parts share."""
    for report in reports:
        findings = [finding for finding in report.findings if finding.kind in _RELATIONS]
        column = report.split.removeprefix("columns-")
        print(f"Its own parts ({column}): " + ("nothing shared" if not findings else "they share"))
        for finding in findings:
            print(f"  {finding.severity}: {finding.message}")


def findings_as_json(
    pairs: "Sequence[NearDuplicate] | None", reports: "Sequence[LeakReport]", listing: "StoredListing"
) -> dict[str, Any]:
    """Plain values; near-duplicates that were not looked for are null."""
    from serenade.experiments.near_duplicates import near_duplicate_to_json

    by_id = _named(pairs or (), listing)
    return {
        "near_duplicates": None if pairs is None else [near_duplicate_to_json(pair, by_id) for pair in pairs],
        "own_parts": [report.to_json() for report in reports],
    }
