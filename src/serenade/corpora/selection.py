"""Which of a corpus's utterances are asked for: classes, what counts as which, and facts such as improvised speech."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from serenade.core.errors import UsageError
from serenade.core.label_maps import LabelMap
from serenade.core.labels import LabelSet, canonical_emotion
from serenade.core.names import did_you_mean, nearest
from serenade.core.records import LeftOut, Listing, Utterance
from serenade.core.stored_listing import StoredListing
from serenade.corpora.layout import place_below, shown_base

__all__ = ["TRANSCRIPT", "Selection", "fact_of", "select", "select_stored", "values_of"]

TRANSCRIPT = "transcript"
"""The fact of having words, beside the fields and what corpora tell."""

_OR = "|"  # between the values of one condition

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Selection:
    """What is asked for. Conditions are looked at first, then classes are mapped, then chosen.

    Args:
        labels: keep these classes only, and no unlabelled speech; None keeps everything.
        label_map: what counts as which class.
        where: a field of `Utterance` or of its ``extra`` to the value it must have, several separated by ``|``.
    """

    labels: LabelSet | None = None
    label_map: LabelMap | None = None
    where: Mapping[str, str] = field(default_factory=dict)


def select(listing: Listing, selection: Selection, root: Path) -> Listing:
    """The utterances asked for, with mapped classes; the others are left out with their reason.

    Raises:
        UsageError: a condition names no fact or value of the corpus, the map a class that nobody knows, or a class is
            a misspelling of one that is there.
    """
    for name, value in selection.where.items():
        listing = _select_where(listing, name, value, root)
    if selection.label_map is not None:
        listing = _map_labels(listing, selection.label_map, root)
    return listing if selection.labels is None else _select_labels(listing, selection.labels, root)


def select_stored(listing: StoredListing, selection: Selection, root: Path) -> StoredListing:
    """`select` of a listing that is not in memory; another one.

    Raises:
        UsageError: as `select`.
    """
    chosen = StoredListing()
    try:
        chosen.take_left_out(listing)
        chooser = _Chooser(selection, shown_base(root))
        chosen.add(map(chooser, listing.utterances()))
        chooser.require_known(listing, root)
    except BaseException:
        chosen.close()
        raise
    return chosen


class _Chooser:
    """Says of utterances, one after the other, whether they are asked for; then whether all was there."""

    def __init__(self, selection: Selection, base: str) -> None:
        self._selection = selection
        self._base = base
        self._wanted = {name: value.split(_OR) for name, value in selection.where.items()}
        self._unmet = {name: set(wanted) for name, wanted in self._wanted.items()}
        self._asked: set[str] = set()  # conditions that an utterance came to
        self._written: set[str] = set()  # classes before they are mapped
        self._classes: set[str] = set()

    def __call__(self, utterance: Utterance) -> Utterance | tuple[int, LeftOut]:
        step = 0
        for step, (name, wanted) in enumerate(self._wanted.items(), start=1):
            self._asked.add(name)
            fact = fact_of(utterance, name)
            self._unmet[name].discard(str(fact))
            if fact not in wanted:
                return step, _not_selected(utterance, name, self._base)
        if self._selection.label_map is not None:
            self._written.update(filter(None, [utterance.emotion]))
            mapped = _mapped(utterance, self._selection.label_map, self._base)
            if isinstance(mapped, LeftOut):
                return step + 1, mapped
            utterance = mapped
        if self._selection.labels is not None:
            self._classes.update(filter(None, [utterance.emotion]))
            left_out = _not_among(utterance, self._selection.labels, self._base)
            if left_out is not None:
                return step + 2, left_out
        return utterance

    def require_known(self, listing: StoredListing, root: Path) -> None:
        """Pass if every condition was met and every class is known.

        Raises:
            UsageError: as `select`.
        """
        if any(self._unmet[name] for name in self._asked):
            select(listing.listing(), self._selection, root)  # says what the nearest is
        if self._selection.label_map is not None:
            self._selection.label_map.require_known(self._written, root)
        if self._selection.labels is not None:
            _require_known(self._selection.labels, self._classes, root)


def values_of(utterances: Sequence[Utterance], name: str, root: Path) -> list[str]:
    """The values that a fact has among utterances, sorted.

    Args:
        utterances: of a corpus.
        name: a field of `Utterance` or of its ``extra``.
        root: where the corpus lies, for the message.

    Raises:
        UsageError: no utterance has the fact; those that are there are named.
    """
    present = sorted({fact for u in utterances if (fact := fact_of(u, name)) is not None})
    if not present and utterances:
        _raise_no_fact(utterances, name, root)
    return present


def _select_where(listing: Listing, name: str, value: str, root: Path) -> Listing:
    facts = {u.id: fact_of(u, name) for u in listing.utterances}
    present = values_of(listing.utterances, name, root)
    wanted = value.split(_OR)
    for one in wanted:
        if one not in present and listing.utterances:
            raise UsageError(
                f"no utterance has {name} {one!r}",
                where=root,
                expected=f"some of {', '.join(present[:20])}",
                hint=did_you_mean(one, present),
            )
    base = shown_base(root)
    kept = [u for u in listing.utterances if facts[u.id] in wanted]
    left_out = [_not_selected(u, name, base) for u in listing.utterances if facts[u.id] not in wanted]
    return Listing(tuple(kept), (*listing.left_out, *left_out))


def _not_selected(utterance: Utterance, name: str, base: str) -> LeftOut:
    return LeftOut(place_below(utterance, base), "not selected", f"{name} {fact_of(utterance, name)}")


_TEXT_FIELDS = {f.name for f in fields(Utterance) if f.type in ("str", str, str | None)} - {"text", "content"}


def fact_of(utterance: Utterance, name: str) -> str | None:
    """A fact of an utterance, a field or one of its ``extra``; None where it is not known.

    The fact ``transcript`` is yes or no: whether it is known what was said.
    """
    if name == TRANSCRIPT:
        return "yes" if (utterance.text or "").strip() else "no"
    if name in _TEXT_FIELDS:
        value: str | None = getattr(utterance, name)
        return value
    return utterance.extra.get(name)


def _raise_no_fact(utterances: Sequence[Utterance], name: str, root: Path) -> None:
    there = {key for u in utterances for key in u.extra}
    there |= {key for key in _TEXT_FIELDS for u in utterances if getattr(u, key) is not None}
    raise UsageError(
        f"the corpus does not know the {name} of its utterances",
        where=root,
        expected=f"one of {', '.join(sorted(there))}",
        hint=did_you_mean(name, there),
    )


def _map_labels(listing: Listing, label_map: LabelMap, root: Path) -> Listing:
    label_map.require_known((u.emotion for u in listing.utterances if u.emotion is not None), root)
    base = shown_base(root)
    found = [_mapped(u, label_map, base) for u in listing.utterances]
    left_out = [item for item in found if isinstance(item, LeftOut)]
    return Listing(tuple(u for u in found if isinstance(u, Utterance)), (*listing.left_out, *left_out))


def _mapped(utterance: Utterance, label_map: LabelMap, base: str) -> Utterance | LeftOut:
    emotion = label_map.apply(utterance.emotion)
    if utterance.emotion is not None and emotion is None:
        detail = f"{utterance.emotion}, by the label map"
        return LeftOut(place_below(utterance, base), "not in the label set", detail)
    return utterance.with_(emotion=emotion, votes=label_map.apply_to_votes(utterance.votes))


def _select_labels(listing: Listing, labels: LabelSet, root: Path) -> Listing:
    _require_known(labels, {u.emotion for u in listing.utterances if u.emotion is not None}, root)
    base = shown_base(root)
    found = [(u, _not_among(u, labels, base)) for u in listing.utterances]
    left_out = [item for _, item in found if item is not None]
    return Listing(tuple(u for u, item in found if item is None), (*listing.left_out, *left_out))


def _not_among(utterance: Utterance, labels: LabelSet, base: str) -> LeftOut | None:
    """Why an utterance of another class, or of none, is left out."""
    if utterance.emotion is None:
        return LeftOut(place_below(utterance, base), "no label")
    if utterance.emotion not in labels:
        return LeftOut(place_below(utterance, base), "not in the label set", utterance.emotion)
    return None


def _require_known(labels: LabelSet, present: set[str], root: Path) -> None:
    """Tell classes that were asked for and are not there; among several corpora that may be meant."""
    absent = [name for name in labels.names if name not in present]
    for name in absent:
        close = nearest(name, present)
        if canonical_emotion(name) is None and close is not None:
            raise UsageError(
                f"the corpus has no class {name!r}",
                where=root,
                expected=f"some of {', '.join(sorted(present))}",
                hint=f"Did you mean {close!r}?",
            )
    if absent:
        _log.warning("%s has no utterance of the class %s", root, ", ".join(absent))
