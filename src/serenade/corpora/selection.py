"""Which of a corpus's utterances are asked for: classes, what counts as which, and facts such as improvised speech."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from serenade.core.errors import UsageError
from serenade.core.label_maps import LabelMap
from serenade.core.labels import LabelSet, canonical_emotion
from serenade.core.names import nearest
from serenade.core.records import LeftOut, Listing, Utterance
from serenade.corpora.layout import shown_place

__all__ = ["Selection", "fact_of", "select", "values_of"]

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
            close = nearest(one, present)
            raise UsageError(
                f"no utterance has {name} {one!r}",
                where=root,
                expected=f"some of {', '.join(present[:20])}",
                hint=f"Did you mean {close!r}?" if close else None,
            )
    kept = [u for u in listing.utterances if facts[u.id] in wanted]
    left_out = [
        LeftOut(shown_place(u, root), "not selected", f"{name} {facts[u.id]}")
        for u in listing.utterances
        if facts[u.id] not in wanted
    ]
    return Listing(tuple(kept), (*listing.left_out, *left_out))


_TEXT_FIELDS = {f.name for f in fields(Utterance) if f.type in ("str", str, str | None)} - {"text", "content"}


def fact_of(utterance: Utterance, name: str) -> str | None:
    """A fact of an utterance, a field or one of its ``extra``; None where it is not known."""
    if name in _TEXT_FIELDS:
        value: str | None = getattr(utterance, name)
        return value
    return utterance.extra.get(name)


def _raise_no_fact(utterances: Sequence[Utterance], name: str, root: Path) -> None:
    there = {key for u in utterances for key in u.extra}
    there |= {key for key in _TEXT_FIELDS for u in utterances if getattr(u, key) is not None}
    close = nearest(name, there)
    raise UsageError(
        f"the corpus does not know the {name} of its utterances",
        where=root,
        expected=f"one of {', '.join(sorted(there))}",
        hint=f"Did you mean {close!r}?" if close else None,
    )


def _map_labels(listing: Listing, label_map: LabelMap, root: Path) -> Listing:
    label_map.require_known((u.emotion for u in listing.utterances if u.emotion is not None), root)
    kept, left_out = [], list(listing.left_out)
    for u in listing.utterances:
        emotion = label_map.apply(u.emotion)
        if u.emotion is not None and emotion is None:
            left_out.append(LeftOut(shown_place(u, root), "not in the label set", f"{u.emotion}, by the label map"))
        else:
            kept.append(u.with_(emotion=emotion, votes=label_map.apply_to_votes(u.votes)))
    return Listing(tuple(kept), tuple(left_out))


def _select_labels(listing: Listing, labels: LabelSet, root: Path) -> Listing:
    _require_known(labels, {u.emotion for u in listing.utterances if u.emotion is not None}, root)
    kept, left_out = [], list(listing.left_out)
    for utterance in listing.utterances:
        if utterance.emotion is None:
            left_out.append(LeftOut(shown_place(utterance, root), "no label"))
        elif utterance.emotion not in labels:
            left_out.append(LeftOut(shown_place(utterance, root), "not in the label set", utterance.emotion))
        else:
            kept.append(utterance)
    return Listing(tuple(kept), tuple(left_out))


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
