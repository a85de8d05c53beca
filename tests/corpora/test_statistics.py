"""Utterances and minutes by speaker and class."""

from pathlib import Path

import pytest

from serenade.core.records import Utterance
from serenade.corpora.statistics import NO_LABEL, count_utterances


def utterance(name: str, speaker: str, emotion: str | None, seconds: float) -> Utterance:
    return Utterance(name, Path(name), "table", speaker, emotion, gender="female", duration_s=seconds)


def test_counts_add_up() -> None:
    counted = count_utterances(
        [
            utterance("a", "s2", "sad", 30),
            utterance("b", "s1", "happy", 60),
            utterance("c", "s1", "happy", 90),
            utterance("d", "s1", None, 6),
        ]
    )
    assert counted.classes == ("happy", "sad", NO_LABEL)
    assert counted.speakers == ("s1", "s2")
    cells = {(c.speaker, c.emotion): (c.utterances, c.minutes) for c in counted.counts}
    assert cells == {("s1", "happy"): (2, 2.5), ("s2", "sad"): (1, 0.5), ("s1", NO_LABEL): (1, pytest.approx(0.1))}
    assert (counted.utterances, counted.minutes) == (4, pytest.approx(3.1))
    assert (counted.shortest_s, counted.median_s, counted.longest_s) == (6, 45, 90)


def test_nothing_cannot_be_counted() -> None:
    with pytest.raises(ValueError, match="no utterances"):
        count_utterances([])
