from dataclasses import fields

import numpy as np
import pytest

from serenade.core.errors import UnknownNameError
from serenade.core.labels import EMOTIONS
from serenade.corpora.expression import _HIGHEST, _LOWEST, PROFILES, draw_delivery, draw_speaker
from serenade.corpora.voices import Delivery

SPEAKERS = [draw_speaker(number, seed=5) for number in range(1, 61)]


def mean_change(emotion, name, log=False):
    """Mean of a parameter over many speakers and takes, against neutral."""
    means = {}
    for label in (emotion, "neutral"):
        drawn = np.array([getattr(draw_delivery(s, label, take, 5)[0], name) for s in SPEAKERS for take in (1, 2, 3)])
        means[label] = np.mean(np.log2(drawn) if log else drawn)
    return means[emotion] - means["neutral"]


@pytest.mark.parametrize("emotion", sorted(set(PROFILES) - {"neutral"}))
def test_what_is_drawn_follows_the_table_on_average(emotion):
    profile, strength = PROFILES[emotion], 0.9  # the mean of the strength that is drawn
    assert 12 * mean_change(emotion, "pitch_hz", log=True) == pytest.approx(strength * profile.pitch_st, abs=0.5)
    assert mean_change(emotion, "level_db") == pytest.approx(strength * profile.level_db, abs=0.7)
    assert mean_change(emotion, "rate", log=True) == pytest.approx(strength * np.log2(profile.rate), abs=0.03)
    assert mean_change(emotion, "tilt_db") == pytest.approx(strength * profile.tilt_db, abs=1.0)
    assert mean_change(emotion, "tract", log=True) == pytest.approx(strength * np.log2(profile.tract), abs=0.01)


def test_neighbouring_classes_overlap_in_every_single_parameter():
    for name in ("level_db", "tilt_db", "rate", "breath_db"):
        drawn = {
            label: [getattr(draw_delivery(s, label, take, 5)[0], name) for s in SPEAKERS for take in (1, 2, 3)]
            for label in ("angry", "happy", "neutral", "sad")
        }
        for one, other in (("angry", "happy"), ("happy", "neutral"), ("neutral", "sad")):
            (low, high), (other_low, other_high) = (np.percentile(drawn[label], [5, 95]) for label in (one, other))
            assert low < other_high
            assert other_low < high


def test_every_emotion_is_a_word_of_the_label_table():
    assert set(PROFILES) <= set(EMOTIONS)


def test_nothing_drawn_leaves_its_range():
    for speaker in SPEAKERS:
        for emotion in PROFILES:
            delivery, _ = draw_delivery(speaker, emotion, 1, 5)
            for field in fields(Delivery):
                low, high = getattr(_LOWEST, field.name), getattr(_HIGHEST, field.name)
                assert low <= getattr(delivery, field.name) <= high


def test_the_ranges_are_seldom_what_decides():
    at_a_limit = total = 0
    for speaker in SPEAKERS:
        for emotion in PROFILES:
            delivery, _ = draw_delivery(speaker, emotion, 1, 5)
            for field in fields(Delivery):
                if field.name == "tremor_st":  # most voices have none
                    continue
                value = getattr(delivery, field.name)
                at_a_limit += value in (getattr(_LOWEST, field.name), getattr(_HIGHEST, field.name))
                total += 1
    assert at_a_limit < 0.02 * total


def test_women_have_shorter_vocal_tracts_and_higher_voices():
    neutral = {g: [draw_delivery(s, "neutral", 1, 5)[0] for s in SPEAKERS if s.gender == g] for g in ("female", "male")}
    assert len(neutral["female"]) == len(neutral["male"]) == 30
    female, male = (np.mean([(d.pitch_hz, d.tract) for d in neutral[gender]], axis=0) for gender in ("female", "male"))
    assert female[0] > 1.5 * male[0]
    assert female[1] < 0.9 * male[1]


def test_a_draw_depends_on_seed_speaker_emotion_and_take_only():
    speaker = draw_speaker(3, 0)
    assert draw_speaker(3, 0) == speaker != draw_speaker(3, 1)
    first = draw_delivery(speaker, "sad", 1, 0)
    draw_delivery(speaker, "angry", 7, 0)
    assert draw_delivery(speaker, "sad", 1, 0) == first
    assert first not in (draw_delivery(speaker, "sad", 2, 0), draw_delivery(speaker, "sad", 1, 1))


def test_an_unknown_emotion_names_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'angry'"):
        draw_delivery(SPEAKERS[0], "angri", 1, 0)
