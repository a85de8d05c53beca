"""Leave one corpus out: how a model does on recordings of people, rooms and languages that it was never shown."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence

from serenade.core.errors import SplitError
from serenade.core.records import UNKNOWN_SPEAKER, Split, Utterance
from serenade.core.seeding import derive_seed
from serenade.core.wording import counted
from serenade.evaluation.splits import SplitSettings, choose_validation, file_names, make_fold, speaker_of

__all__ = ["leave_one_corpus_out"]


def leave_one_corpus_out(utterances: Sequence[Utterance], settings: SplitSettings) -> Split:
    """One fold per corpus: that corpus is tested, all others are trained on.

    The epoch is picked on `validation_speakers` speakers of every training corpus. A corpus whose speakers are not
    known, or too few to give some away, gives none. With `target_dev` it is picked on that share of every class of the
    tested corpus instead, and the rest of it is tested.

    Raises:
        SplitError: there is one corpus only, no training corpus can give validation speakers, or the tested corpus is
            too small to give a share away.
    """
    by_corpus: dict[str, list[Utterance]] = defaultdict(list)
    for u in utterances:
        by_corpus[u.corpus].append(u)
    if len(by_corpus) < 2:
        raise SplitError(
            "leave-one-corpus-out needs at least two corpora",
            found=f"one: {', '.join(by_corpus)}",
            hint="Repeat --corpus NAME=PATH",
        )
    if settings.target_dev:
        return _chosen_on_target(utterances, by_corpus, settings)
    validation = {
        corpus: _validation_of(of_corpus, settings.validation_speakers) for corpus, of_corpus in by_corpus.items()
    }
    corpora = sorted(by_corpus)
    folds = []
    for corpus, name in zip(corpora, file_names(corpora), strict=True):
        rest = [u for u in utterances if u.corpus != corpus]
        chosen = [u for other in corpora if other != corpus for u in validation[other]]
        if settings.validation_speakers and not chosen:
            raise SplitError(
                "no training corpus has speakers enough to pick the epoch on",
                where=f"the fold that tests {corpus}",
                expected=f"one of more than {settings.validation_speakers} known speakers",
                hint="Use validation_speakers=0, which trains for a fixed length",
            )
        folds.append(make_fold(f"corpus-{name}", rest, by_corpus[corpus], chosen))
    return Split("corpus", tuple(folds), notes=_notes(validation, settings.validation_speakers))


def _chosen_on_target(
    utterances: Sequence[Utterance], by_corpus: Mapping[str, Sequence[Utterance]], settings: SplitSettings
) -> Split:
    folds = []
    corpora = sorted(by_corpus)
    for corpus, name in zip(corpora, file_names(corpora), strict=True):
        target = by_corpus[corpus]
        chosen = _share_of_classes(target, settings.target_dev, derive_seed(settings.seed, "target_dev", corpus))
        kept = {u.id for u in chosen}
        tested = [u for u in target if u.id not in kept]
        if not chosen or not tested:
            raise SplitError(
                "the tested corpus is too small to pick the epoch on a share of it",
                where=f"the fold that tests {corpus}",
                found=f"{counted(len(target), 'utterance')}, target_dev {settings.target_dev:g}",
                hint="Leave target_dev out",
            )
        rest = [u for u in utterances if u.corpus != corpus]
        folds.append(make_fold(f"corpus-{name}", [*rest, *chosen], tested, chosen))
    reason = (
        f"the epoch is picked on {settings.target_dev:.0%} of every class of the tested corpus, so on speakers that "
        "are tested too"
    )
    return Split("corpus", tuple(folds), leaky=reason)


def _share_of_classes(utterances: Sequence[Utterance], share: float, seed: int) -> list[Utterance]:
    """A share of every class at random; what rounding leaves goes to the classes with the largest rest."""
    by_class: dict[str, list[Utterance]] = defaultdict(list)
    for u in utterances:
        by_class[str(u.emotion)].append(u)
    wanted = {label: share * len(found) for label, found in by_class.items()}
    counts = {label: int(value) for label, value in wanted.items()}
    short = round(share * len(utterances)) - sum(counts.values())
    for label in sorted(wanted, key=lambda name: (counts[name] - wanted[name], name))[:short]:
        counts[label] += 1
    shuffle = random.Random(seed)
    return [u for label in sorted(by_class) for u in shuffle.sample(by_class[label], counts[label])]


def _validation_of(utterances: Sequence[Utterance], count: int) -> list[Utterance]:
    """Utterances of `count` speakers of a corpus; none where that would leave nobody or somebody is not known."""
    speakers = {speaker_of(u) for u in utterances}
    if len(speakers) <= count or any(u.speaker == UNKNOWN_SPEAKER for u in utterances):
        return []
    return choose_validation(utterances, [], count)


def _notes(validation: Mapping[str, Sequence[Utterance]], count: int) -> tuple[str, ...]:
    without = sorted(corpus for corpus, chosen in validation.items() if not chosen)
    if count == 0 or not without:
        return ()
    return (f"{', '.join(without)} gives no validation speakers: they are too few, or not known",)
