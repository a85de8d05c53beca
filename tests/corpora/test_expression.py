from dataclasses import fields
from functools import cache

import numpy as np
import pytest

from serenade.core.errors import UnknownNameError
from serenade.core.labels import EMOTIONS
from serenade.corpora.expression import _HIGHEST, _LOWEST, PROFILES, draw_delivery, draw_speaker
from serenade.corpora.voices import Delivery

SPEAKERS = [draw_speaker(number, seed=5) for number in range(1, 61)]


@cache
def drawn(emotion):
    """Deliveries of three takes of every speaker."""
    return [draw_delivery(speaker, emotion, take, 5)[0] for speaker in SPEAKERS for take in (1, 2, 3)]


def values(emotion, name):
    return np.array([getattr(delivery, name) for delivery in drawn(emotion)])


def mean_change(emotion, name, log=False):
    """Mean of a parameter over many speakers and takes, against neutral."""
    scale = np.log2 if log else np.asarray
    return np.mean(scale(values(emotion, name))) - np.mean(scale(values("neutral", name)))


@pytest.mark.parametrize("emotion", sorted(set(PROFILES) - {"neutral"}))
def test_what_is_drawn_follows_the_table_on_average(emotion):
    profile, strength = PROFILES[emotion], 0.9  # the mean of the strength that is drawn
    assert 12 * mean_change(emotion, "pitch_hz", log=True) == pytest.approx(strength * profile.pitch_st, abs=0.5)
    assert mean_change(emotion, "level_db") == pytest.approx(strength * profile.level_db, abs=0.7)
    assert mean_change(emotion, "rate", log=True) == pytest.approx(strength * np.log2(profile.rate), abs=0.03)
    assert mean_change(emotion, "tilt_db") == pytest.approx(strength * profile.tilt_db, abs=1.0)
    assert mean_change(emotion, "tract", log=True) == pytest.approx(strength * np.log2(profile.tract), abs=0.01)


@pytest.mark.parametrize("name", ["level_db", "tilt_db", "rate", "breath_db"])
@pytest.mark.parametrize(("one", "other"), [("angry", "happy"), ("happy", "neutral"), ("neutral", "sad")])
def test_neighbouring_classes_overlap_in_every_single_parameter(one, other, name):
    (low, high), (other_low, other_high) = (np.percentile(values(label, name), [5, 95]) for label in (one, other))
    assert low < other_high
    assert other_low < high


def test_every_emotion_is_a_word_of_the_label_table():
    assert set(PROFILES) <= set(EMOTIONS)


def test_nothing_drawn_leaves_its_range_and_few_values_lie_at_its_ends():
    at_an_end = total = 0
    for emotion in PROFILES:
        for field in fields(Delivery):
            low, high = getattr(_LOWEST, field.name), getattr(_HIGHEST, field.name)
            found = values(emotion, field.name)
            assert low <= found.min() <= found.max() <= high
            if field.name != "tremor_st":  # most voices have none
                at_an_end += int(np.sum((found == low) | (found == high)))
                total += len(found)
    assert at_an_end < 0.02 * total


def test_women_have_shorter_vocal_tracts_and_higher_voices():
    voices = {"female": [], "male": []}
    for speaker in SPEAKERS:
        delivery, _ = draw_delivery(speaker, "neutral", 1, 5)
        voices[speaker.gender].append((delivery.pitch_hz, delivery.tract))
    assert len(voices["female"]) == len(voices["male"]) == 30
    female, male = np.mean(voices["female"], axis=0), np.mean(voices["male"], axis=0)
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
