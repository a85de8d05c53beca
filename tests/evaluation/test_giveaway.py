"""What the speaker alone tells of the label."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from tests.evaluation.people import CLASSES, crowd, say

from serenade.core.records import Fold, Split, Utterance
from serenade.evaluation.giveaway import speaker_majority
from serenade.evaluation.leaks import check_split


def slow_majority(utterances: Sequence[Utterance]) -> tuple[float, float]:
    """Accuracy and mean recall of each speaker's most frequent class, by counting."""
    guess = {}
    for speaker in {u.speaker for u in utterances}:
        labels = sorted(str(u.emotion) for u in utterances if u.speaker == speaker)
        guess[speaker] = min(labels, key=lambda label: (-labels.count(label), label))
    right = Counter(str(u.emotion) for u in utterances if guess[u.speaker] == u.emotion)
    total = Counter(str(u.emotion) for u in utterances)
    return right.total() / total.total(), sum(right[label] / total[label] for label in total) / len(total)


@pytest.mark.parametrize("seed", range(5))
def test_the_majority_score_is_what_counting_gives(seed: int) -> None:
    rng = random.Random(seed)
    utterances = [say(f"{n}", f"s{rng.randint(0, 9)}", rng.choice(CLASSES)) for n in range(200)]
    majority = speaker_majority(utterances)
    assert (majority.wa, majority.ua) == pytest.approx(slow_majority(utterances), abs=1e-12)
    assert majority.speakers == 10


def test_speakers_with_one_class_each_give_it_away() -> None:
    # As in a public corpus where 26 of 29 speakers have one emotion only and the majority alone scores 96 %.
    utterances = [say(f"{n}-{k}", f"s{n}", CLASSES[n % 4]) for n in range(26) for k in range(20)]
    utterances += [say(f"{n}-{k}", f"s{n}", CLASSES[k % 4]) for n in range(26, 29) for k in range(9)]
    majority = speaker_majority(utterances)
    assert majority.wa == pytest.approx((520 + 9) / 547)
    assert majority.one_label == 26
    assert majority.gives_label
    split = Split(
        "made", (Fold("1", tuple(u.id for u in utterances[:270]), (), tuple(u.id for u in utterances[280:])),)
    )
    (finding,) = (f for f in check_split(split, utterances).findings if f.kind == "speaker_gives_label")
    assert finding.severity == "warning"
    assert f"WA {majority.wa:.1%}" in finding.message
    assert "26 of 29 speakers have one class only" in finding.message


def test_balanced_speakers_do_not() -> None:
    majority = speaker_majority(crowd(10, 8))
    assert (majority.wa, majority.ua, majority.one_label) == (0.25, 0.25, 0)
    assert not majority.gives_label


def test_one_utterance_a_speaker_is_no_giveaway() -> None:
    # The majority of one is always right; so it is when labels are dealt out at random.
    majority = speaker_majority([say(f"{n}", f"s{n}", CLASSES[n % 4]) for n in range(50)])
    assert (majority.wa, majority.wa_by_chance) == (1.0, 1.0)
    assert not majority.gives_label


def test_nothing_labelled_scores_nothing() -> None:
    majority = speaker_majority([say("a", emotion=None)])
    assert (majority.wa, majority.ua, majority.speakers, majority.gives_label) == (0.0, 0.0, 0, False)
