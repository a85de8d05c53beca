"""What the parts that come with a corpus share: its official train and test, or the folds of the user's table."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from serenade.core.errors import SplitError
from serenade.core.records import UNKNOWN_SPEAKER, NearDuplicate, Utterance
from serenade.core.stored_listing import StoredListing
from serenade.evaluation.giveaway import SpeakerMajority
from serenade.evaluation.leaks import (
    Finding,
    Kind,
    LeakReport,
    Part,
    check_split,
    full_path,
    leak_report,
    overlapping,
    plain_text,
    shared_findings,
    unknown_speakers_findings,
    untrained_classes_findings,
)
from serenade.evaluation.lists import from_columns
from serenade.evaluation.splits import SplitSettings, file_names

__all__ = ["check_own_parts", "check_stored_parts"]

_FILE = "CAST(full_path(CAST(audio AS BLOB)) AS TEXT)"
_TEXT = "CAST(plain_text(CAST(text AS BLOB)) AS TEXT)"
_NAMES: dict[Kind, str] = {
    "speaker": f"nullif(speaker, '{UNKNOWN_SPEAKER}')",
    "group": '"group"',
    "dialogue": 'CASE WHEN dialogue IS NOT "group" THEN dialogue END',
    "sentence": "sentence",
}
"""In SQL, what is compared of an utterance; another corpus may call something else the same."""


def check_own_parts(
    utterances: Sequence[Utterance], near_duplicates: Iterable[NearDuplicate] = ()
) -> tuple[LeakReport, ...]:
    """The leak check of the parts, and of the folds, that the utterances themselves name.

    Args:
        utterances: of a corpus.
        near_duplicates: pairs of them that hold the same take.

    Returns:
        One report where there is a train and a test part, one where there are at least two folds; most corpora have
        neither.
    """
    pairs, reports = tuple(near_duplicates), []
    for column in ("split", "fold"):
        settings = SplitSettings.model_validate({"kind": "columns", "column": column, "validation_speakers": 0})
        try:
            split = from_columns(utterances, settings)
        except SplitError:
            continue  # no such column, or only one part of it is here: nothing to compare
        reports.append(check_split(split, utterances, pairs))
    return tuple(reports)


def check_stored_parts(
    listing: StoredListing, majority: SpeakerMajority, near_duplicates: Iterable[NearDuplicate] = ()
) -> tuple[LeakReport, ...]:
    """`check_own_parts` of a listing that is not in memory.

    Memory grows with what is found, not with the utterances.

    Args:
        listing: of a corpus.
        majority: what the speaker alone tells of the label in it.
        near_duplicates: pairs of utterances that hold the same take.
    """
    listing.define("full_path", full_path)
    listing.define("plain_text", plain_text)
    pairs, reports = tuple(near_duplicates), []
    for column in ("split", "fold"):
        parts = _StoredParts(listing, column, pairs)
        if parts.folds:
            reports.append(leak_report(f"columns-{column}", None, parts.findings(), majority))
    return tuple(reports)


class _StoredParts:
    """The parts that a column of a stored listing names.

    Args:
        listing: of a corpus.
        column: "split" for train, validation and test, "fold" for parts that are tested in turn.
        pairs: utterances that hold the same take.
    """

    def __init__(self, listing: StoredListing, column: str, pairs: Sequence[NearDuplicate]) -> None:
        self._listing = listing
        self._column = column
        self._pairs = sorted({(min(pair.first, pair.second), max(pair.first, pair.second)) for pair in pairs})
        self._told: Kind | None = None
        found = f"SELECT DISTINCT {column} FROM utterances WHERE {column} IS NOT NULL ORDER BY 1"
        names = [str(name) for (name,) in listing.query(found)]
        self._used = f"{column} IS NOT NULL"
        self.folds: dict[str, str] = {}  # name of the fold to the part that is tested
        if column == "split":
            self._used = "split IN ('train', 'validation', 'test')"
            self.folds = {"columns": "test"} if {"train", "test"} <= set(names) else {}
        elif len(names) > 1:
            self.folds = {f"fold-{safe}": name for name, safe in zip(names, file_names(names), strict=True)}

    def findings(self) -> Iterator[Finding]:
        """What the parts share, and what else is wrong with them."""
        yield from shared_findings(self._shared, tuple(self.folds))
        unknown = f"FROM utterances WHERE {self._used} AND speaker = '{UNKNOWN_SPEAKER}'"
        names = [name for (name,) in self._listing.query(f"SELECT id {unknown} ORDER BY id LIMIT 10")]
        count = self._listing.value(f"SELECT count(*) {unknown}")
        yield from unknown_speakers_findings(names, count, tuple(self.folds))
        yield from untrained_classes_findings(
            {fold: [self._classes(fold, part) for part in ("train", "test")] for fold in self.folds}
        )

    def _is(self, fold: str, part: Part) -> str:
        """In SQL, whether an utterance is in a part of a fold."""
        if self._column == "split":
            return f"part = '{part}'"
        tested = self.folds[fold].replace("'", "''")
        return {"test": f"part = '{tested}'", "train": f"part <> '{tested}'", "validation": "0"}[part]

    def _classes(self, fold: str, part: Part) -> dict[str | None, int]:
        used = f"SELECT emotion, {self._column} AS part FROM utterances WHERE {self._used}"
        counts = f"SELECT emotion, count(*) FROM ({used}) WHERE {self._is(fold, part)} GROUP BY emotion"
        return dict(self._listing.query(counts))

    def _shared(self, kind: Kind, fold: str, first: Part, second: Part) -> Iterator[tuple[str, int, int]]:
        """The names that two parts share, sorted, with the utterances of each."""
        if kind == "near_duplicate":
            return self._straddling(fold, first, second)
        if self._told != kind:
            self._gather(kind)
        if kind == "content":
            return self._overlapping(fold, first, second)
        one, two = (f"sum(iif({self._is(fold, part)}, times, 0))" for part in (first, second))
        return self._listing.query(
            f"SELECT name, {one}, {two} FROM shared GROUP BY name HAVING {one} > 0 AND {two} > 0 ORDER BY name"
        )

    def _name(self, kind: Kind) -> str:
        """In SQL, what is compared of an utterance."""
        if kind == "file":
            return _FILE
        if kind == "content":
            return f"coalesce(substr(content, 1, instr(content || '@', '@') - 1), {_FILE})"
        name = _NAMES[kind]
        if self._listing.value("SELECT count(DISTINCT corpus) FROM utterances") > 1:
            begins = f"substr({name}, 1, length(corpus) + 1) = corpus || '/'"
            name = f"CASE WHEN {begins} THEN {name} ELSE corpus || '/' || {name} END"
        return f"coalesce({name}, {_TEXT})" if kind == "sentence" else name

    def _gather(self, kind: Kind) -> None:
        """Put the names that different parts have into the table ``shared``, with their number by part."""
        self._told = kind
        named = f"SELECT {self._name(kind)} AS name, {self._column} AS part FROM utterances WHERE {self._used}"
        counted = f"SELECT name, part, count(*) AS times FROM ({named}) WHERE name IS NOT NULL GROUP BY name, part"
        compared = f"SELECT *, count(*) OVER (PARTITION BY name) AS parts FROM ({counted})"
        self._listing.query("DROP TABLE IF EXISTS shared")
        self._listing.query(f"CREATE TABLE shared AS SELECT name, part, times FROM ({compared}) WHERE parts > 1")

    def _overlapping(self, fold: str, first: Part, second: Part) -> Iterator[tuple[str, int, int]]:
        """Pairs of utterances in two parts that hold the same stretch of the same recording."""
        if not any(self._listing.query("SELECT 1 FROM shared LIMIT 1")):
            return iter(())
        one, two = (self._is(fold, part) for part in (first, second))
        side = f"CASE WHEN {one} THEN 0 WHEN {two} THEN 1 END AS side"
        named = f"SELECT *, {self._name('content')} AS name, {self._column} AS part FROM utterances WHERE {self._used}"
        shared = f"SELECT *, {side} FROM ({named}) WHERE name IN (SELECT name FROM shared)"
        found = self._listing.records("name, side", f"FROM ({shared}) WHERE side IS NOT NULL ORDER BY name")
        pairs = []
        for _, same in groupby(found, key=lambda item: item[0][0]):
            sides: tuple[list[Utterance], list[Utterance]] = ([], [])
            for (_, place), utterance in same:
                sides[place].append(utterance)
            pairs += [sorted((u.id, v.id)) for u, v in overlapping(*sides)]
        return ((" = ".join(pair), 1, 1) for pair in sorted(pairs))

    def _straddling(self, fold: str, first: Part, second: Part) -> Iterator[tuple[str, int, int]]:
        """The pairs of near-duplicates that have an utterance in either of two parts."""
        ours, theirs = (self._members(fold, part) for part in (first, second))
        between = [(a, b) for a, b in self._pairs if (a in ours and b in theirs) or (a in theirs and b in ours)]
        return ((f"{a} ~ {b}", 1, 1) for a, b in between)

    def _members(self, fold: str, part: Part) -> set[str]:
        """Those utterances of the pairs that are in a part."""
        if not self._pairs:
            return set()
        names = {name for pair in self._pairs for name in pair}
        used = f"SELECT id, {self._column} AS part FROM utterances WHERE {self._used}"
        found = self._listing.query(f"SELECT id FROM ({used}) WHERE {self._is(fold, part)}")
        return {name for (name,) in found if name in names}
