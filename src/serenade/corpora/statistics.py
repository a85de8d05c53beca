"""What is in a corpus: utterances and minutes by speaker and class, utterances by any fact and class."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from serenade.core.records import Utterance
from serenade.corpora.selection import fact_of, values_of

__all__ = ["NOT_KNOWN", "NO_LABEL", "CorpusStatistics", "SpeakerCount", "count_by", "count_utterances"]

NO_LABEL = "(no label)"
NOT_KNOWN = "(not known)"


@dataclass(frozen=True, slots=True)
class SpeakerCount:
    """What one speaker says in one class.

    Args:
        speaker: who.
        gender: as the corpus says; None where unknown.
        emotion: the class, or `NO_LABEL`.
        utterances: how many.
        minutes: how long in all.
    """

    speaker: str
    gender: str | None
    emotion: str
    utterances: int
    minutes: float


@dataclass(frozen=True, slots=True)
class CorpusStatistics:
    """Totals of a corpus.

    Args:
        classes: sorted, `NO_LABEL` last.
        speakers: sorted.
        counts: one per speaker and class that occurs together, sorted by both.
        utterances: how many in all.
        minutes: how long in all.
        shortest_s: length of the shortest utterance.
        median_s: half of the utterances are shorter.
        longest_s: length of the longest utterance.
    """

    classes: tuple[str, ...]
    speakers: tuple[str, ...]
    counts: tuple[SpeakerCount, ...]
    utterances: int
    minutes: float
    shortest_s: float
    median_s: float
    longest_s: float

    def to_json(self) -> dict[str, Any]:
        """Plain values only."""
        return asdict(self)


def count_utterances(utterances: Sequence[Utterance]) -> CorpusStatistics:
    """The statistics of examined utterances; those whose length is not known count as 0 s.

    Raises:
        ValueError: there are none.
    """
    if not utterances:
        raise ValueError("there are no utterances to count")
    lengths: dict[tuple[str, str], list[float]] = defaultdict(list)
    gender: dict[str, str | None] = {}
    for utterance in utterances:
        emotion = NO_LABEL if utterance.emotion is None else utterance.emotion
        length_s = 0.0 if utterance.duration_s is None else utterance.duration_s
        lengths[utterance.speaker, emotion].append(length_s)
        gender.setdefault(utterance.speaker, utterance.gender)
    counts = tuple(
        SpeakerCount(speaker, gender[speaker], emotion, len(found), sum(found) / 60)
        for (speaker, emotion), found in sorted(lengths.items())
    )
    classes = sorted({count.emotion for count in counts}, key=lambda name: (name == NO_LABEL, name))
    every = [length_s for found in lengths.values() for length_s in found]
    return CorpusStatistics(
        tuple(classes),
        tuple(sorted(gender)),
        counts,
        len(every),
        sum(every) / 60,
        min(every),
        statistics.median(every),
        max(every),
    )


def count_by(utterances: Sequence[Utterance], name: str, root: Path) -> Mapping[str, Mapping[str, int]]:
    """Utterances by a fact and class, such as by session (``group``) or part; the sorted values, `NOT_KNOWN` last.

    Args:
        utterances: of a corpus.
        name: a field of `Utterance` or of its ``extra``.
        root: where the corpus lies, for the message.

    Raises:
        UsageError: no utterance has the fact; those that are there are named.
    """
    counts: dict[str, Counter[str]] = {value: Counter() for value in (*values_of(utterances, name, root), NOT_KNOWN)}
    for utterance in utterances:
        emotion = NO_LABEL if utterance.emotion is None else utterance.emotion
        counts[fact_of(utterance, name) or NOT_KNOWN][emotion] += 1
    return {value: dict(found) for value, found in counts.items() if found}
