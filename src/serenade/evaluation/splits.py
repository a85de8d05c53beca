"""Folds over utterances: which are trained on, which pick the epoch, which are tested.

Every maker takes utterances sorted by id and `SplitSettings` and gives a `Split`. Validation always comes from the
training side. What a maker gives is only a proposal: `serenade.evaluation.leaks` checks it before anything is trained.
The simplest makers are here; the table in `serenade.evaluation` names the modules of the others.
"""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from serenade.core.errors import SettingsError, SplitError
from serenade.core.records import UNKNOWN_SPEAKER, Fold, Split, Utterance
from serenade.core.seeding import derive_seed
from serenade.core.settings import Settings, make_settings, merge, parse_override
from serenade.evaluation import SPLITS

__all__ = [
    "Speaker",
    "SplitSettings",
    "choose_validation",
    "clusters_of",
    "file_names",
    "leave_one_group_out",
    "leave_one_speaker_out",
    "make_fold",
    "make_split",
    "parse_split",
    "random_811",
    "random_82_best_test",
    "require_speakers",
    "settings_of",
    "speaker_folds",
    "speaker_of",
]

Speaker = tuple[str, str]
"""Corpus and name: two corpora may both have a speaker 03."""


class SplitSettings(Settings):
    """How utterances are divided into folds."""

    kind: str = Field("loso", description="the protocol: a name of the split table")
    folds: int = Field(5, ge=2, description="kfold: number of folds")
    validation_speakers: int = Field(
        1,
        ge=0,
        description="speakers taken from the training side to pick the epoch (session: one group; corpus: so many of "
        "each training corpus); 0 trains for a fixed length",
    )
    path: Path | None = Field(
        None, description="emobox: folder of the lists of one corpus; mesm: folder of its lists; file: a split file"
    )
    column: Literal["split", "fold"] | None = Field(None, description="columns: which of the user's columns")
    seed: int = Field(0, ge=0, description="kfold, fewshot, random splits, target_dev: seed of the shuffle")
    shots: int | None = Field(None, ge=1, description="fewshot: utterances of every training speaker and class")
    target_shots: int = Field(
        0, ge=0, description="fewshot: utterances per class of the tested speaker that are trained on too (adaptation)"
    )
    target_dev: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="corpus: share of every class of the tested corpus that picks the epoch and is not tested; 0: the "
        "tested corpus is not looked at before the test",
    )
    outer: Literal["loso", "kfold", "session"] = Field("loso", description="nested: protocol of the outer folds")
    inner: int = Field(3, ge=2, description="nested: number of inner folds on every training side")
    leaky: str | None = Field(
        None, min_length=1, description="accept what the leak check finds, and why; shown beside every number"
    )

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        SPLITS.target(kind)  # raises with the nearest name
        return kind


# what stands after the colon in the text form
_ARGUMENTS = {
    "loso": "validation_speakers",
    "kfold": "folds",
    "nested": "inner",
    "fewshot": "shots",
    "emobox": "path",
    "mesm": "path",
    "columns": "column",
    "file": "path",
}

# the settings that a protocol looks at; `kind` and `leaky` belong to all; one that is not named here looks at any
_USED = {
    "loso": ("validation_speakers",),
    "session": ("validation_speakers",),
    "kfold": ("folds", "seed", "validation_speakers"),
    "corpus": ("validation_speakers", "target_dev", "seed"),
    "nested": ("inner", "outer", "folds", "seed", "validation_speakers"),
    "fewshot": ("shots", "target_shots", "seed", "validation_speakers"),
    "superb": (),
    "emobox": ("path", "validation_speakers"),
    "mesm": ("path",),
    "columns": ("column", "validation_speakers"),
    "file": ("path",),
    "random811": ("seed",),
    "random82_best_test": ("seed",),
}


def settings_of(kind: str) -> tuple[str, ...]:
    """The settings that a protocol looks at, besides ``kind`` and ``leaky``.

    Raises:
        UnknownNameError: there is no such kind; the nearest is named.
    """
    SPLITS.target(kind)
    return _USED.get(kind, tuple(SplitSettings.model_fields))


def parse_split(text: str) -> SplitSettings:
    """Settings from their text form: a kind, an argument after a colon, further settings after commas.

    >>> parse_split("kfold:10,seed=3").folds
    10
    >>> parse_split("emobox:lists/ravdess").path.as_posix()
    'lists/ravdess'

    Raises:
        UnknownNameError: there is no such kind; the nearest is named.
        SettingsError: an argument or a further setting is not valid, or the kind does not look at it.
    """
    head, *further = re.split(r",(?=\w+=)", text.strip())
    kind, colon, argument = head.partition(":")
    SPLITS.target(kind)
    values: dict[str, Any] = {"kind": kind}
    if colon:
        if kind not in _ARGUMENTS or not argument:
            known = ", ".join(f"{name}:{key.upper()}" for name, key in _ARGUMENTS.items())
            raise SettingsError(
                f"the split {kind} takes no such argument", found=repr(text), expected=f"such as {known}"
            )
        values[_ARGUMENTS[kind]] = argument
    values = merge(values, *(parse_override(part) for part in further))
    settings = make_settings(SplitSettings, values, where=repr(text))
    idle = sorted(values.keys() - {"kind", "leaky", *settings_of(settings.kind)})
    if idle:
        known = ", ".join(("leaky", *settings_of(settings.kind)))
        raise SettingsError(
            f"the split {settings.kind} does not look at {idle[0]}", where=repr(text), expected=f"some of {known}"
        )
    return settings


def make_split(utterances: Sequence[Utterance], settings: SplitSettings) -> Split:
    """The folds that the settings ask for; the order of the utterances does not matter.

    Raises:
        UnknownNameError: there is no such kind of split.
        SplitError: the utterances cannot be divided so: unlabelled ones, too few speakers, lists of another corpus.
    """
    ordered = sorted(utterances, key=lambda utterance: utterance.id)
    _require_usable(ordered)
    split = SPLITS.resolve(settings.kind)(ordered, settings)
    if settings.leaky is not None and split.leaky is None:
        split = replace(split, leaky=settings.leaky)
    for fold in split.folds:
        for part in ("train", "test"):
            if not getattr(fold, part):
                raise SplitError(f"the {part} part is empty", where=f"split {split.name}, fold {fold.name}")
    return split


def _require_usable(utterances: Sequence[Utterance]) -> None:
    if not utterances:
        raise SplitError("there are no utterances to divide")
    unlabelled = [u.id for u in utterances if u.emotion is None and "labels" not in u.extra]  # several, or none
    if unlabelled:
        raise SplitError(
            "utterances without a label cannot be trained on or tested",
            found=f"{len(unlabelled)} of {len(utterances)}, such as {unlabelled[0]}",
            hint="Leave them out before the split is made",
        )
    twice = [name for name, count in Counter(utterance.id for utterance in utterances).items() if count > 1]
    if twice:
        raise SplitError("an utterance is in the list twice", where=twice[0], found=f"{len(twice)} such ids")


def leave_one_speaker_out(utterances: Sequence[Utterance], settings: SplitSettings) -> Split:
    """One fold per speaker: that speaker is tested, `validation_speakers` others pick the epoch.

    Where recordings are grouped (dialogues, sessions), those who share the tested speaker's groups are validated on
    first, so that nothing of the group is trained on.

    Raises:
        SplitError: speakers are unknown or too few.
    """
    require_speakers(utterances, at_least=2 + settings.validation_speakers)
    folds = []
    for name, rest, test in speaker_folds(utterances):
        validation = choose_validation(rest, test, settings.validation_speakers)
        folds.append(make_fold(name, rest, test, validation))
    return Split("loso", tuple(folds))


def speaker_folds(utterances: Sequence[Utterance]) -> Iterator[tuple[str, list[Utterance], list[Utterance]]]:
    """For every speaker in sorted order the fold's name, the utterances of all others, and those of the speaker."""
    speakers = sorted({speaker_of(u) for u in utterances})
    for speaker, name in zip(speakers, file_names(_shown_names(speakers)), strict=True):
        rest = [u for u in utterances if speaker_of(u) != speaker]
        yield f"speaker-{name}", rest, [u for u in utterances if speaker_of(u) == speaker]


def leave_one_group_out(utterances: Sequence[Utterance], settings: SplitSettings) -> Split:
    """One fold per recording group (session, dialogue); the next group picks the epoch.

    Raises:
        SplitError: an utterance has no group, or there are too few groups.
    """
    without = [utterance.id for utterance in utterances if utterance.group is None]
    if without:
        found = f"{len(without)} of {len(utterances)} without one, such as {without[0]}"
        raise SplitError("the split session needs the recording group of every utterance", found=found)
    groups = sorted({_group_of(utterance) for utterance in utterances})
    wants_validation = settings.validation_speakers > 0
    if len(groups) < 2 + wants_validation:
        raise SplitError(
            "too few recording groups", found=str(len(groups)), expected=f"at least {2 + wants_validation}"
        )
    folds = []
    for place, (group, name) in enumerate(zip(groups, file_names([name for _, name in groups]), strict=True)):
        following = groups[(place + 1) % len(groups)]
        test = [u for u in utterances if _group_of(u) == group]
        rest = [u for u in utterances if _group_of(u) != group]
        validation = [u for u in rest if wants_validation and _group_of(u) == following]
        folds.append(make_fold(f"session-{name}", rest, test, validation))
    return Split("session", tuple(folds))


def random_82_best_test(utterances: Sequence[Utterance], settings: SplitSettings) -> Split:
    """The published random 80/20 of single utterances, with the epoch picked on the test part; never honest."""
    shuffled = _shuffled(utterances, settings.seed, "random82_best_test")
    count = max(1, round(len(shuffled) / 5))
    reason = (
        "utterances are divided at random, so the same speakers are trained on and tested, and the epoch is picked on "
        "the test part: for comparison with publications only"
    )
    fold = make_fold("random", shuffled, shuffled[:count], [])
    return Split("random82_best_test", (fold,), leaky=reason, select_on_test=True)


def random_811(utterances: Sequence[Utterance], settings: SplitSettings) -> Split:
    """A random 8:1:1 of single utterances; the epoch is picked on its validation part, but speakers are shared."""
    shuffled = _shuffled(utterances, settings.seed, "random811")
    count = max(1, round(len(shuffled) / 10))
    reason = "utterances are divided at random, so the same speakers are trained on and tested"
    fold = make_fold("random", shuffled, shuffled[:count], shuffled[count : 2 * count])
    return Split("random811", (fold,), leaky=reason)


def speaker_of(utterance: Utterance) -> Speaker:
    """Who talks, told apart from speakers of other corpora."""
    return utterance.corpus, utterance.speaker


def require_speakers(utterances: Sequence[Utterance], *, at_least: int) -> list[Speaker]:
    """The speakers, sorted.

    Raises:
        SplitError: a speaker is unknown, or there are fewer than `at_least`.
    """
    unknown = [utterance.id for utterance in utterances if utterance.speaker == UNKNOWN_SPEAKER]
    if unknown:
        raise SplitError(
            "this split keeps speakers apart, and of some utterances the speaker is not known",
            found=f"{len(unknown)} of {len(utterances)}, such as {unknown[0]}",
            hint="Name speakers in the table's column speaker or in folders EMOTION/SPEAKER/; "
            "without speakers only the leaky random811 is possible",
        )
    speakers = sorted({speaker_of(utterance) for utterance in utterances})
    if len(speakers) < at_least:
        raise SplitError(
            "too few speakers for this split",
            found=f"{len(speakers)} ({', '.join(name for _, name in speakers)})",
            expected=f"at least {at_least}",
            hint="Fewer validation speakers (validation_speakers=0 trains for a fixed length) or fewer folds may do",
        )
    return speakers


def make_fold(name: str, rest: Iterable[Utterance], test: Iterable[Utterance], validation: Iterable[Utterance]) -> Fold:
    """A fold of sorted ids: `rest` without the test and validation parts is trained on."""
    tested = {utterance.id for utterance in test}
    validated = {utterance.id for utterance in validation} - tested
    train = {utterance.id for utterance in rest} - tested - validated
    return Fold(name, tuple(sorted(train)), tuple(sorted(validated)), tuple(sorted(tested)))


def choose_validation(rest: Sequence[Utterance], test: Sequence[Utterance], count: int) -> list[Utterance]:
    """Utterances of `count` speakers of the training side, chosen by rule and not by chance.

    First those who share a recording group with the tested speakers; then those who follow the tested ones in sorted
    order, round to the beginning, the less represented sex first. Speakers bound by a recording group come together,
    unless nobody would be left to train on.

    Raises:
        SplitError: no speaker would be left to train on.
    """
    if count == 0:
        return []
    companions, others = _in_order(rest, test)
    total = len(companions) + len(others)
    bound_to = {speaker_of(u): cluster for cluster in clusters_of(rest) for u in cluster}
    gender = {speaker_of(u): u.gender for u in rest}
    chosen: list[Speaker] = []
    while len(chosen) < min(count, total):
        seen = Counter(gender[speaker] for speaker in chosen)
        pool = companions if companions else others
        best = min(pool, key=lambda speaker: seen[gender[speaker]])  # the first among equals
        cluster = {speaker_of(u) for u in bound_to[best]}
        taken = [speaker for speaker in others if speaker in cluster] if pool is others else [best]
        chosen += taken if len(chosen) + len(taken) < total else [best]
        companions, others = ([s for s in speakers if s not in chosen] for speakers in (companions, others))
    if len(chosen) == total:
        raise SplitError(
            "too few speakers to train on after validation speakers were taken",
            found=f"{total} on the training side",
            expected=f"at least {count + 1}",
            hint="Use fewer folds or validation_speakers=0",
        )
    return [u for u in rest if speaker_of(u) in chosen]


def _in_order(rest: Sequence[Utterance], test: Sequence[Utterance]) -> tuple[list[Speaker], list[Speaker]]:
    """Speakers of the training side: those who share a group with the tested ones, and the others, cyclically.

    Speakers who are tested as well (fixed lists do that) come last.
    """
    tested = {speaker_of(u) for u in test}
    groups = {_group_of(u) for u in test if u.group is not None}
    last = max(tested, default=("", ""))
    speakers = sorted({speaker_of(u) for u in rest})
    free = [s for s in speakers if s not in tested]
    ordered = [s for s in free if s > last] + [s for s in free if s < last] + [s for s in speakers if s in tested]
    bound = {speaker_of(u) for u in rest if u.group is not None and _group_of(u) in groups}
    return [s for s in ordered if s in bound], [s for s in ordered if s not in bound]


def clusters_of(utterances: Sequence[Utterance]) -> list[list[Utterance]]:
    """Utterances by speaker, speakers who share a recording group put together; sorted by their first speaker."""
    parent: dict[Any, Any] = {}

    def find(node: Any) -> Any:
        while parent.setdefault(node, node) != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for u in utterances:
        find(("speaker", *speaker_of(u)))
        if u.group is not None:
            parent[find(("group", *_group_of(u)))] = find(("speaker", *speaker_of(u)))
    clusters: dict[Any, list[Utterance]] = defaultdict(list)
    for u in utterances:
        clusters[find(("speaker", *speaker_of(u)))].append(u)
    return sorted(clusters.values(), key=lambda cluster: min(speaker_of(u) for u in cluster))


def _group_of(utterance: Utterance) -> tuple[str, str]:
    return utterance.corpus, str(utterance.group)


def _shuffled(utterances: Sequence[Utterance], seed: int, purpose: str) -> list[Utterance]:
    shuffled = list(utterances)
    random.Random(derive_seed(seed, purpose)).shuffle(shuffled)
    return shuffled


def _shown_names(speakers: Sequence[Speaker]) -> list[str]:
    """Names of speakers, with the corpus where there are several and the name does not say it."""
    several = len({corpus for corpus, _ in speakers}) > 1
    return [f"{corpus}-{name}" if several and not name.startswith(f"{corpus}/") else name for corpus, name in speakers]


def file_names(names: Sequence[str]) -> list[str]:
    """Names that can be part of a folder's name, still different from each other."""
    safe = [re.sub(r"[^\w.-]", "_", name) for name in names]
    return [name if safe.count(name) == 1 else f"{name}-{place}" for place, name in enumerate(safe)]
