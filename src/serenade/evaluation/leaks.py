"""What the parts of a split share, found before anything is trained.

How bad it is to share something depends on the parts. Test against train must share nothing but words. Validation
picks the epoch, so a tested speaker or recording in it is an error too; a recording group is not, because published
leave-one-speaker-out protocols validate on the partner of the tested speaker, just to keep him out of training. Train
against validation makes the validation figures too good, not the tested ones.

| shared               | train, test | validation, test | train, validation |
| -------------------- | ----------- | ---------------- | ----------------- |
| speaker              | error       | error            | warning           |
| recording group      | error       | warning          | warning           |
| dialogue             | error       | warning          | warning           |
| file (disjoint spans)| error       | warning          | warning           |
| content              | error       | error            | warning           |
| near-duplicate       | error       | error            | warning           |
| sentence             | warning     |                  |                   |

Utterances of unknown speakers share nobody that can be named: of them a warning says that it cannot be told.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any, Literal

from serenade.core.errors import LeakError, SplitError
from serenade.core.records import UNKNOWN_SPEAKER, Fold, NearDuplicate, Split, Utterance
from serenade.core.wording import counted
from serenade.evaluation.giveaway import SpeakerMajority, speaker_majority

__all__ = [
    "SEVERITIES",
    "Finding",
    "Kind",
    "LeakReport",
    "Offender",
    "Part",
    "Severity",
    "check_split",
    "finding_of",
    "full_path",
    "leak_report",
    "overlapping",
    "plain_text",
    "shared_findings",
    "unknown_speakers_findings",
    "untrained_classes_findings",
]

Kind = Literal[
    "speaker",
    "unknown_speaker",
    "group",
    "dialogue",
    "file",
    "content",
    "near_duplicate",
    "sentence",
    "untrained_class",
    "tested_twice",
    "speaker_gives_label",
]
Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""The worst first."""
Part = Literal["train", "validation", "test"]
_Parts = Mapping[Part, Sequence[Utterance]]
_Finder = Callable[[_Parts, Part, Part], Iterable[tuple[str, int, int]]]  # name, utterances in either part

_PAIRS: tuple[tuple[Part, Part], ...] = (("train", "test"), ("validation", "test"), ("train", "validation"))
_SEVERITIES: dict[Kind, tuple[Severity | None, Severity | None, Severity | None]] = {
    "speaker": ("error", "error", "warning"),
    "group": ("error", "warning", "warning"),
    "dialogue": ("error", "warning", "warning"),
    "file": ("error", "warning", "warning"),
    "content": ("error", "error", "warning"),
    "near_duplicate": ("error", "error", "warning"),
    "sentence": ("warning", None, None),
}
_WORDS: dict[Kind, tuple[str, str]] = {
    "speaker": ("speaker", "speakers"),
    "group": ("recording group", "recording groups"),
    "dialogue": ("dialogue", "dialogues"),
    "file": ("file", "files"),
    "content": ("recording with the same sound", "recordings with the same sound"),
    "near_duplicate": ("take in two recordings (near-duplicate)", "takes in two recordings (near-duplicates)"),
    "sentence": ("sentence", "sentences"),
}
_SHOWN = 10  # offenders named in a message
_KEPT = 50  # offenders kept of a warning; of an error all are
_OVERLAP_S = 0.05  # spans of turns are rounded, so that neighbours touch


@dataclass(frozen=True, slots=True)
class Offender:
    """Something that two parts of a fold share.

    Args:
        name: the speaker, group, file, utterance or class.
        fold: where.
        counts: utterances per part.
    """

    name: str
    fold: str
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of thing that one pair of parts shares, over all folds.

    Args:
        kind: what is shared, or what else is wrong.
        severity: an error stops a run unless the split is declared leaky.
        parts: the parts concerned; empty where it is the whole corpus.
        folds: names of the folds where it is so.
        offenders: by name and fold; of warnings the first 50.
        message: a sentence for people.
    """

    kind: Kind
    severity: Severity
    parts: tuple[str, ...]
    folds: tuple[str, ...]
    offenders: tuple[Offender, ...]
    message: str


@dataclass(frozen=True, slots=True)
class LeakReport:
    """What the check of a split found.

    Args:
        split: its name.
        leaky: why it was declared leaky; None where it was not.
        findings: errors first.
        majority: what the speaker alone tells of the label.
    """

    split: str
    leaky: str | None
    findings: tuple[Finding, ...]
    majority: SpeakerMajority

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that make the numbers of the split dishonest."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    def raise_if_leaking(self, split: Split) -> None:
        """Pass if nothing is shared that must not be, or if the split declares itself leaky.

        Raises:
            LeakError: names what is shared, by whom and in which folds.
        """
        if split.leaky is None and self.errors:
            raise LeakError(
                "parts share what they must not",
                where=f"split {split.name}",
                found="; ".join(finding.message for finding in self.errors),
                expected="nothing of the test part in train or validation",
                hint="Use a split that keeps them apart (loso, kfold), or declare this one with leaky=REASON; every "
                "number is then marked",
            )

    def to_json(self) -> dict[str, Any]:
        """Plain values only."""
        return asdict(self)


def check_split(
    split: Split, utterances: Sequence[Utterance], near_duplicates: Iterable[NearDuplicate] = ()
) -> LeakReport:
    """Compare the parts of every fold with each other.

    Args:
        split: from `make_split` or from elsewhere.
        utterances: at least those that the split names.
        near_duplicates: pairs of them that hold the same take, as `serenade.experiments.near_duplicates` finds them.

    Raises:
        SplitError: the folds are not valid: unknown or repeated ids, an empty part, picking on test undeclared.
    """
    by_id = {utterance.id: utterance for utterance in utterances}
    _require_valid(split, by_id)
    parts = {fold.name: _parts(fold, by_id) for fold in split.folds}
    findings = list(_shared(parts, utterances, near_duplicates))
    findings += _unknown_speakers(parts)
    findings += _untrained_classes(parts)
    findings += _tested_twice(parts)
    return leak_report(split.name, split.leaky, findings, speaker_majority(utterances))


def leak_report(name: str, leaky: str | None, findings: Iterable[Finding], majority: SpeakerMajority) -> LeakReport:
    """The report of a split, errors first.

    Args:
        name: of the split.
        leaky: why it was declared leaky; None where it was not.
        findings: what its parts share, and what else is wrong with them.
        majority: what the speaker alone tells of the label.
    """
    told = sorted([*findings, *_label_giveaway(majority)], key=lambda finding: SEVERITIES.index(finding.severity))
    return LeakReport(name, leaky, tuple(told), majority)


def _parts(fold: Fold, by_id: Mapping[str, Utterance]) -> _Parts:
    return {
        "train": [by_id[name] for name in fold.train],
        "validation": [by_id[name] for name in fold.validation],
        "test": [by_id[name] for name in fold.test],
    }


def _require_valid(split: Split, by_id: Mapping[str, Utterance]) -> None:
    """Raise for folds that no declaration can make right."""
    if not split.folds:
        raise SplitError("the split has no folds", where=split.name)
    if split.select_on_test and split.leaky is None:
        raise SplitError("a split that picks the epoch on the test part must be declared leaky", where=split.name)
    names = Counter(fold.name for fold in split.folds)
    if len(names) < len(split.folds):
        raise SplitError("two folds have one name", where=split.name, found=names.most_common(1)[0][0])
    for fold in split.folds:
        where = f"split {split.name}, fold {fold.name}"
        ids = Counter([*fold.train, *fold.validation, *fold.test])
        twice = sorted(name for name, count in ids.items() if count > 1)
        if twice:
            raise SplitError("an utterance is in the fold twice", where=where, found=_some(twice))
        absent = sorted(ids.keys() - by_id.keys())
        if absent:
            raise SplitError("the fold names utterances that are not there", where=where, found=_some(absent))
        if not fold.train or not fold.test:
            raise SplitError("a fold needs utterances to train on and to test", where=where)


def _shared(
    parts: Mapping[str, _Parts], utterances: Sequence[Utterance], near_duplicates: Iterable[NearDuplicate]
) -> Iterator[Finding]:
    """What each pair of parts shares, over all folds."""
    several_corpora = len({utterance.corpus for utterance in utterances}) > 1

    def full(utterance: Utterance, name: str | None) -> str | None:
        """A name that no other corpus uses for something else."""
        if name is None or not several_corpora or name.startswith(f"{utterance.corpus}/"):
            return name
        return f"{utterance.corpus}/{name}"

    def sharing(name: Callable[[Utterance], str | None]) -> _Finder:
        return _sharing(_repeated(utterances, lambda u: [name(u)]))

    finders: dict[Kind, _Finder] = {
        "speaker": sharing(lambda u: full(u, u.speaker) if u.speaker != UNKNOWN_SPEAKER else None),
        "group": sharing(lambda u: full(u, u.group)),
        "dialogue": sharing(lambda u: full(u, u.dialogue) if u.dialogue != u.group else None),
        "file": sharing(lambda u: _file(u) if u.has_audio else None),
        "content": _overlapping(_repeated(utterances, _recordings)),
        "near_duplicate": _straddling(near_duplicates),
        "sentence": sharing(lambda u: full(u, u.sentence) if u.sentence is not None else _words(u)),
    }
    return shared_findings(lambda kind, fold, first, second: finders[kind](parts[fold], first, second), tuple(parts))


def shared_findings(
    find: Callable[[Kind, str, Part, Part], Iterable[tuple[str, int, int]]], folds: Sequence[str]
) -> Iterator[Finding]:
    """What each pair of parts shares, over all folds.

    Args:
        find: tells of a kind, a fold and two parts the names that they share, sorted, with the utterances of each.
        folds: names of all folds of the split.
    """
    for kind, severities in _SEVERITIES.items():
        for (first, second), severity in zip(_PAIRS, severities, strict=True):
            if severity is None:
                continue
            offenders = (
                Offender(name, fold, {first: one, second: two})
                for fold in folds
                for name, one, two in find(kind, fold, first, second)
            )
            some = next(offenders, None)
            if some is not None:
                yield finding_of(kind, severity, (first, second), chain([some], offenders), len(folds))


def finding_of(
    kind: Kind, severity: Severity, pair: tuple[str, str], offenders: Iterable[Offender], folds: int
) -> Finding:
    """What two parts share, told in a sentence.

    Args:
        kind: what is shared.
        severity: how bad it is.
        pair: the parts.
        offenders: at least one, by fold.
        folds: how many the split has.
    """
    kept: list[Offender] = []
    names: set[str] = set()
    named: list[str] = []
    where: dict[str, None] = {}
    for offender in offenders:
        if offender.name not in names and len(named) < _SHOWN:
            named.append(offender.name)
        names.add(offender.name)
        where[offender.fold] = None
        if severity == "error" or len(kept) < _KEPT:
            kept.append(offender)
    words = _WORDS[kind][len(names) != 1]
    shared = f"{pair[0]} and {pair[1]} share {len(names)} {words}"
    message = f"{shared} in {len(where)} of {counted(folds, 'fold')}: {_some(named, len(names))}"
    return Finding(kind, severity, pair, tuple(where), tuple(kept), message)


def _some(names: Sequence[str], count: int | None = None) -> str:
    """The first names; `count` says how many there are where not all are given."""
    count = len(names) if count is None else count
    more = f" and {count - _SHOWN} more" if count > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _repeated(
    utterances: Iterable[Utterance], names: Callable[[Utterance], Iterable[str | None]]
) -> dict[str, list[str]]:
    """Names of utterances by id, those only that several utterances have: most have none, and are soon done with."""
    found = {u.id: [name for name in names(u) if name is not None] for u in utterances}
    counts = Counter(name for given in found.values() for name in given)
    repeated = {key: [name for name in given if counts[name] > 1] for key, given in found.items()}
    return {key: given for key, given in repeated.items() if given}


def _sharing(names: Mapping[str, Sequence[str]]) -> _Finder:
    """Finds the names that two parts have in common, with the utterances of each."""

    def find(parts: _Parts, first: Part, second: Part) -> Iterable[tuple[str, int, int]]:
        one, two = (Counter(name for u in parts[part] for name in names.get(u.id, ())) for part in (first, second))
        return [(name, one[name], two[name]) for name in sorted(one.keys() & two.keys())]

    return find


def _file(utterance: Utterance) -> str:
    return full_path(str(utterance.audio))


def full_path(path: str) -> str:
    """The absolute path of a recording, by which it is known for the same."""
    if os.sep == "/" == path[:1] and "//" not in path and "/." not in path:
        return path.rstrip("/") or path  # the same at a fifth of the time, for a hundred thousand of them
    return os.path.abspath(path)  # noqa: PTH100 - resolve() would ask the disk about every folder above


def _words(utterance: Utterance) -> str | None:
    return None if utterance.text is None else plain_text(utterance.text)


def plain_text(text: str) -> str | None:
    """A text without case and blanks; None where it is empty."""
    return " ".join(text.casefold().split()) if text else None


def _recordings(utterance: Utterance) -> Iterator[str]:
    """Names under which the sound of an utterance may be met again: its path, and the hash of its bytes."""
    if utterance.has_audio:
        yield _file(utterance)
    if utterance.content is not None:
        yield utterance.content.partition("@")[0]


def _overlapping(recordings: Mapping[str, Sequence[str]]) -> _Finder:
    """Finds pairs of utterances in two parts that hold the same stretch of the same recording."""

    def by_recording(utterances: Iterable[Utterance]) -> dict[str, list[Utterance]]:
        found: dict[str, list[Utterance]] = defaultdict(list)
        for utterance in utterances:
            for recording in recordings.get(utterance.id, ()):
                found[recording].append(utterance)
        return found

    def find(parts: _Parts, first: Part, second: Part) -> Iterable[tuple[str, int, int]]:
        one, two = (by_recording(parts[part]) for part in (first, second))
        shared = one.keys() & two.keys()
        pairs = {(u.id, v.id) for recording in shared for u, v in overlapping(one[recording], two[recording])}
        return [(" = ".join(pair), 1, 1) for pair in sorted(map(sorted, pairs))]  # by one name in every fold

    return find


def _straddling(pairs: Iterable[NearDuplicate]) -> _Finder:
    """Finds the pairs that have an utterance in either of two parts."""
    named = sorted({(min(pair.first, pair.second), max(pair.first, pair.second)) for pair in pairs})

    def find(parts: _Parts, first: Part, second: Part) -> Iterable[tuple[str, int, int]]:
        ours, theirs = ({u.id for u in parts[part]} for part in (first, second))
        between = [(a, b) for a, b in named if (a in ours and b in theirs) or (a in theirs and b in ours)]
        return [(f"{a} ~ {b}", 1, 1) for a, b in between]  # by one name in every fold

    return find


def overlapping(one: Sequence[Utterance], two: Sequence[Utterance]) -> Iterator[tuple[Utterance, Utterance]]:
    """Pairs of utterances of one recording whose spans overlap, by a sweep over the beginnings.

    Args:
        one: some utterances.
        two: others.
    """
    marked = sorted([(u.start_s, False, u.id, u) for u in one] + [(u.start_s, True, u.id, u) for u in two])
    running: dict[bool, list[Utterance]] = {False: [], True: []}
    for start_s, side, _, utterance in marked:
        for known in running:
            running[known] = [u for u in running[known] if _end_s(u) - start_s > _OVERLAP_S]
        for other in running[not side]:
            if min(_end_s(utterance), _end_s(other)) - start_s > _OVERLAP_S:
                yield (other, utterance) if side else (utterance, other)
        running[side].append(utterance)


def _end_s(utterance: Utterance) -> float:
    if utterance.end_s is not None:
        return utterance.end_s
    return float("inf") if utterance.duration_s is None else utterance.start_s + utterance.duration_s


def _unknown_speakers(parts: Mapping[str, _Parts]) -> Iterator[Finding]:
    """Utterances of nobody in particular, of whom nothing can be promised."""
    unknown = {
        u.id: part
        for folds_parts in parts.values()
        for part, utterances in folds_parts.items()
        for u in utterances
        if u.speaker == UNKNOWN_SPEAKER
    }
    return unknown_speakers_findings(sorted(unknown), len(unknown), tuple(parts))


def unknown_speakers_findings(names: Sequence[str], count: int, folds: tuple[str, ...]) -> Iterator[Finding]:
    """That of some utterances the speaker is not known.

    Args:
        names: their ids, sorted; the first ten at least.
        count: how many they are.
        folds: names of all folds of the split.
    """
    if count:
        message = (
            f"of {counted(count, 'utterance')} the speaker is not known, so it cannot be told whether the same person "
            f"is trained on and tested: {_some(names, count)}"
        )
        yield Finding("unknown_speaker", "warning", (), folds, (), message)


def _untrained_classes(parts: Mapping[str, _Parts]) -> Iterator[Finding]:
    return untrained_classes_findings(
        {
            fold: tuple(Counter(u.emotion for u in folds_parts[part]) for part in ("train", "test"))
            for fold, folds_parts in parts.items()
        }
    )


def untrained_classes_findings(classes: Mapping[str, Sequence[Mapping[str | None, int]]]) -> Iterator[Finding]:
    """Classes that are tested in a fold without being trained.

    Args:
        classes: for every fold, how often each class is trained and how often it is tested.
    """
    offenders = []
    for fold, (trained, tested) in classes.items():
        untrained = {str(name): count for name, count in tested.items() if count and not trained.get(name)}
        offenders += [Offender(name, fold, {"train": 0, "test": untrained[name]}) for name in sorted(untrained)]
    if offenders:
        where = tuple(dict.fromkeys(offender.fold for offender in offenders))
        named = _some(list(dict.fromkeys(offender.name for offender in offenders)))
        message = f"a class is tested without being trained in {len(where)} of {counted(len(classes), 'fold')}: {named}"
        yield Finding("untrained_class", "warning", ("train", "test"), where, tuple(offenders), message)


def _tested_twice(parts: Mapping[str, _Parts]) -> Iterator[Finding]:
    """Utterances that several folds test, so that pooled figures count them more than once."""
    tested = Counter(u.id for folds_parts in parts.values() for u in folds_parts["test"])
    twice = sorted(name for name, count in tested.items() if count > 1)
    if twice:
        offenders = tuple(Offender(name, "", {"test": tested[name]}) for name in twice[:_KEPT])
        message = f"{counted(len(twice), 'utterance')} tested in more than one fold: {_some(twice)}"
        yield Finding("tested_twice", "warning", ("test",), (), offenders, message)


def _label_giveaway(majority: SpeakerMajority) -> Iterator[Finding]:
    if majority.gives_label:
        message = (
            f"the speaker gives the label away: each speaker's most frequent class alone scores WA {majority.wa:.1%}, "
            f"UA {majority.ua:.1%} ({majority.wa_by_chance:.1%}, {majority.ua_by_chance:.1%} with shuffled labels); "
            f"{majority.one_label} of {majority.speakers} speakers have one class only"
        )
        yield Finding("speaker_gives_label", "warning", (), (), (), message)
