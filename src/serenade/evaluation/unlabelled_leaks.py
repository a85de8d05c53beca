"""What the unlabelled speech of a run shares with those who are tested: people, recordings, takes.

Unlabelled speech is in the training of every fold. A tested voice in it is heard in training, if without its class: an
error, as between train and test. Validation shares it as a warning.

A network that was pretrained carries what it heard along: its folder names speakers and recordings by hashes (`Heard`).
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from serenade.core.records import UNKNOWN_SPEAKER, Fold, NearDuplicate, Split, Utterance
from serenade.evaluation.leaks import Finding, Kind, Offender, Severity, finding_of

__all__ = ["Heard", "check_heard", "check_unlabelled", "heard_of"]

_Part = Literal["test", "validation"]
_Name = Literal["unlabelled", "pretraining"]
_SEVERITIES: tuple[tuple[_Part, Severity], ...] = (("test", "error"), ("validation", "warning"))
_Keys = Callable[[Utterance], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Heard:
    """Whom and what a pretrained network has heard.

    Args:
        speakers: hash of corpus and speaker to the number of their recordings.
        recordings: hash of a file's bytes to the number of stretches of it.
        unknown: recordings whose speaker nobody knows.
    """

    speakers: Mapping[str, int]
    recordings: Mapping[str, int]
    unknown: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain values only."""
        return {"speakers": dict(self.speakers), "recordings": dict(self.recordings), "unknown": self.unknown}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Heard":
        """The inverse of `to_json`."""
        return cls(dict(values["speakers"]), dict(values["recordings"]), int(values["unknown"]))


def heard_of(utterances: Iterable[Utterance]) -> Heard:
    """Whom and what a network hears that is pretrained on these."""
    utterances = tuple(utterances)
    return Heard(
        speakers=_sorted_counts(_hash(key) for u in utterances for key in _speaker(u)),
        recordings=_sorted_counts(key for u in utterances for key in _content(u)),
        unknown=sum(u.speaker == UNKNOWN_SPEAKER for u in utterances),
    )


def _sorted_counts(keys: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(keys).items()))


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def check_heard(split: Split, utterances: Sequence[Utterance], heard: Heard) -> tuple[Finding, ...]:
    """Compare what a pretrained network heard with the parts of every fold that nothing may be heard of in training.

    Args:
        split: of the labelled utterances.
        utterances: at least those that the split names.
        heard: from the network's folder.

    Returns:
        Errors for what is tested, warnings for what validates, and a warning where it cannot be told.
    """
    speakers = {key: _hash(key) for u in utterances for key in _speaker(u)}
    counts = {key: heard.speakers[digest] for key, digest in speakers.items() if digest in heard.speakers}
    found = [
        *_compare(split, utterances, "speaker", _speaker, counts, "pretraining"),
        *_compare(split, utterances, "content", _content, heard.recordings, "pretraining"),
    ]
    return (*found, *_unknown(split, heard.unknown, "pretraining"))


def check_unlabelled(
    split: Split,
    utterances: Sequence[Utterance],
    unlabelled: Sequence[Utterance],
    near_duplicates: Iterable[NearDuplicate] = (),
) -> tuple[Finding, ...]:
    """Compare unlabelled speech with the parts of every fold that nothing may be heard of in training.

    Args:
        split: of the labelled utterances.
        utterances: at least those that the split names.
        unlabelled: heard in training in every fold.
        near_duplicates: pairs of a labelled utterance and an unlabelled one, in this order, that hold the same take.
    """
    copies: dict[str, set[str]] = defaultdict(set)
    for pair in near_duplicates:
        copies[pair.first].add(pair.second)
        copies[pair.second].add(pair.second)
    keys: dict[Kind, _Keys] = {"speaker": _speaker, "content": _content, "near_duplicate": lambda u: copies[u.id]}
    findings: list[Finding] = []
    for kind, keys_of in keys.items():
        heard = Counter(key for utterance in unlabelled for key in keys_of(utterance))
        findings += _compare(split, utterances, kind, keys_of, heard, "unlabelled")
    count = sum(u.speaker == UNKNOWN_SPEAKER for u in unlabelled)
    return (*findings, *_unknown(split, count, "unlabelled"))


def _compare(
    split: Split, utterances: Sequence[Utterance], kind: Kind, keys_of: _Keys, heard: Mapping[str, int], name: _Name
) -> Iterator[Finding]:
    """What is heard and also tested, or validates; keys to the number of recordings they are heard in."""
    if not heard:
        return
    by_id = {utterance.id: utterance for utterance in utterances}
    labelled = {u.id: tuple(key for key in keys_of(u) if key in heard) for u in by_id.values()}
    for part, severity in _SEVERITIES:
        offenders = list(_offenders(split.folds, part, labelled, heard, name))
        if offenders:
            yield finding_of(kind, severity, (name, part), offenders, len(split.folds))


def _speaker(utterance: Utterance) -> Iterator[str]:
    """With several labelled corpora, speakers carry the corpus's name already."""
    name = utterance.speaker.removeprefix(f"{utterance.corpus}/")
    if name != UNKNOWN_SPEAKER:
        yield f"{utterance.corpus}/{name}"


def _content(utterance: Utterance) -> Iterator[str]:
    """The bytes of the whole file: parts of one recording are one voice in one room."""
    if utterance.content is not None:
        yield utterance.content.partition("@")[0]


def _offenders(
    folds: Iterable[Fold], part: _Part, labelled: Mapping[str, Sequence[str]], heard: Mapping[str, int], name: _Name
) -> Iterator[Offender]:
    for fold in folds:
        found = Counter(key for place in getattr(fold, part) for key in labelled.get(place, ()))
        for key in sorted(found):
            yield Offender(key, fold.name, {name: heard[key], part: found[key]})


def _unknown(split: Split, count: int, name: _Name) -> Iterator[Finding]:
    if count:
        message = (
            f"of {count} {name} recordings the speaker is not known, so it cannot be told whether a tested person "
            "is among them"
        )
        yield Finding("unknown_speaker", "warning", (name,), tuple(f.name for f in split.folds), (), message)
