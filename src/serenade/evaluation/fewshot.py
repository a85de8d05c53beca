"""Few-shot protocols: how far a few utterances per class and speaker lead, and what a few of the tested one add.

Two protocols that are often mixed up in publications. With `shots` alone the tested speaker is unseen, and only the
training side is small. With `target_shots` some utterances of the tested speaker are trained on: that measures
adaptation to a known person, and the split says so beside every number.
"""

import random
from collections import defaultdict
from collections.abc import Sequence

from serenade.core.errors import SplitError
from serenade.core.records import Split, Utterance
from serenade.core.seeding import derive_seed
from serenade.core.wording import counted
from serenade.evaluation.splits import (
    SplitSettings,
    choose_validation,
    make_fold,
    require_speakers,
    speaker_folds,
    speaker_of,
)

__all__ = ["few_shot"]


def few_shot(utterances: Sequence[Utterance], settings: SplitSettings) -> Split:
    """Leave-one-speaker-out with `shots` training utterances of every speaker and class.

    Which ones is drawn with the seed, for every speaker and class on its own: more shots keep those of fewer, and what
    one speaker gives is the same in all folds. Validation speakers keep all their utterances. With `target_shots` so
    many utterances per class of the tested speaker are trained on instead of tested.

    Raises:
        SplitError: the number of shots is not given, speakers are unknown or too few, or the tested speaker has nothing
            left to test.
    """
    if settings.shots is None:
        raise SplitError("the split fewshot needs the number of utterances per class and speaker", expected="fewshot:5")
    require_speakers(utterances, at_least=2 + settings.validation_speakers)
    ranks = _ranks(utterances, settings.seed)
    folds = []
    for name, rest, spoken in speaker_folds(utterances):
        adapted = [u for u in spoken if ranks[u.id] < settings.target_shots]
        test = [u for u in spoken if ranks[u.id] >= settings.target_shots]
        if not test:
            raise SplitError(
                "nothing is left to test",
                where=f"split fewshot, fold {name}",
                found=f"{counted(len(spoken), 'utterance')}, target_shots={settings.target_shots} per class",
            )
        validation = choose_validation(rest, spoken, settings.validation_speakers)
        validated = {u.id for u in validation}
        train = [u for u in rest if u.id not in validated and ranks[u.id] < settings.shots]
        folds.append(make_fold(name, [*train, *validation, *adapted], test, validation))
    label = f"fewshot-{settings.shots}" + (f"+{settings.target_shots}" if settings.target_shots else "")
    return Split(label, tuple(folds), leaky=_adaptation(settings.target_shots), notes=_notes(utterances, settings))


def _ranks(utterances: Sequence[Utterance], seed: int) -> dict[str, int]:
    """The place of every utterance in the drawn order of its speaker and class."""
    groups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for u in utterances:
        groups[*speaker_of(u), str(u.emotion)].append(u.id)
    ranks = {}
    for key, ids in groups.items():
        ordered = sorted(ids)
        random.Random(derive_seed(seed, "fewshot", *key)).shuffle(ordered)
        ranks.update({name: place for place, name in enumerate(ordered)})
    return ranks


def _adaptation(count: int) -> str | None:
    if count == 0:
        return None
    return (
        f"adaptation protocol: {counted(count, 'utterance')} per class of the tested speaker trained on, so that he is "
        "known; not to be compared with speaker-independent figures"
    )


def _notes(utterances: Sequence[Utterance], settings: SplitSettings) -> tuple[str, ...]:
    shots = int(settings.shots or 0)
    notes = [f"trained on {shots} utterances of every training speaker and class, drawn with seed {settings.seed}"]
    if settings.target_shots:
        notes.append(f"and on {settings.target_shots} per class of the tested speaker, who is tested on the rest")
    counts: dict[tuple[str, str, str], int] = defaultdict(int)
    for u in utterances:
        counts[*speaker_of(u), str(u.emotion)] += 1
    short = sorted(key for key, count in counts.items() if count < shots)
    if short:
        _, speaker, emotion = short[0]
        notes.append(
            f"{len(short)} of {len(counts)} pairs of speaker and class have fewer utterances than that, such as "
            f"{speaker}, {emotion}: {counts[short[0]]}"
        )
    return tuple(notes)
