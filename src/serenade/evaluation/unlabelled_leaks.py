"""What the unlabelled speech of a run shares with those who are tested: people, recordings, takes.

Unlabelled speech is in the training of every fold. A tested voice in it is heard in training, if without its class: an
error, as between train and test. Validation shares it as a warning.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal

from serenade.core.records import UNKNOWN_SPEAKER, Fold, NearDuplicate, Split, Utterance
from serenade.evaluation.leaks import Finding, Kind, Offender, Severity, finding_of

__all__ = ["check_unlabelled"]

_Part = Literal["test", "validation"]
_SEVERITIES: tuple[tuple[_Part, Severity], ...] = (("test", "error"), ("validation", "warning"))
_Keys = Callable[[Utterance], Iterable[str]]


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
    by_id = {utterance.id: utterance for utterance in utterances}
    findings = []
    for kind, keys_of in keys.items():
        heard = Counter(key for utterance in unlabelled for key in keys_of(utterance))
        labelled = {u.id: tuple(key for key in keys_of(u) if key in heard) for u in by_id.values()} if heard else {}
        for part, severity in _SEVERITIES:
            offenders = list(_offenders(split.folds, part, labelled, heard))
            if offenders:
                findings.append(finding_of(kind, severity, ("unlabelled", part), offenders, len(split.folds)))
    return (*findings, *_unknown(split, unlabelled))


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
    folds: Iterable[Fold], part: _Part, labelled: Mapping[str, Sequence[str]], heard: Mapping[str, int]
) -> Iterator[Offender]:
    for fold in folds:
        found = Counter(key for name in getattr(fold, part) for key in labelled.get(name, ()))
        for key in sorted(found):
            yield Offender(key, fold.name, {"unlabelled": heard[key], part: found[key]})


def _unknown(split: Split, unlabelled: Sequence[Utterance]) -> Iterator[Finding]:
    count = sum(u.speaker == UNKNOWN_SPEAKER for u in unlabelled)
    if count:
        message = (
            f"of {count} unlabelled recordings the speaker is not known, so it cannot be told whether a tested person "
            "is among them"
        )
        yield Finding("unknown_speaker", "warning", ("unlabelled",), tuple(f.name for f in split.folds), (), message)
