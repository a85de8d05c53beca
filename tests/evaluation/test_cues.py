"""What one figure tells of the class, on figures made to tell much, little or nothing."""

import numpy as np
import pytest

from serenade.evaluation.cues import cue_score

CLASSES = ("angry", "happy", "neutral", "sad")
LABELS = [CLASSES[n % 4] for n in range(400)]
SPEAKERS = [f"s{n // 40}" for n in range(400)]


def test_a_figure_that_is_the_class_scores_all() -> None:
    score = cue_score([CLASSES.index(label) for label in LABELS], LABELS, SPEAKERS)
    assert score is not None
    assert score.ua == 1
    assert score.ua_by_chance == pytest.approx(0.25, abs=0.03)
    assert score.classes == CLASSES
    assert score.strength == "gives the class away"


def test_noise_tells_little() -> None:
    score = cue_score(np.random.default_rng(0).normal(size=400).tolist(), LABELS, SPEAKERS)
    assert score is not None
    assert abs(score.ua - 0.25) < 0.08
    assert (score.strength, score.classes) == ("tells little", ())


def test_one_class_that_stands_apart_is_named() -> None:
    noise = np.random.default_rng(0).normal(size=400)
    score = cue_score([x - 10 * (label == "sad") for x, label in zip(noise, LABELS, strict=True)], LABELS, SPEAKERS)
    assert score is not None
    assert score.classes == ("sad",)
    assert score.strength == "gives the class away"


def test_a_rule_that_holds_within_each_speaker_only_tells_nothing_of_new_ones() -> None:
    # Every speaker has an order of classes of his own: a model that saw him scores, one that did not cannot.
    order = {name: np.random.default_rng(n).permutation(4) for n, name in enumerate(sorted(set(SPEAKERS)))}
    values = [float(order[who][CLASSES.index(label)]) for who, label in zip(SPEAKERS, LABELS, strict=True)]
    by_speaker, by_anyone = (cue_score(values, LABELS, who) for who in (SPEAKERS, ["unknown"] * 400))
    assert by_speaker is not None
    assert by_anyone is not None
    assert by_speaker.ua < by_anyone.ua


def test_recall_is_that_of_a_plain_loop() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=400) + np.array([CLASSES.index(label) for label in LABELS])
    edges = np.quantile(values, np.linspace(0, 1, 11)[1:-1])
    place = [sum(value > edge for edge in edges) for value in values]
    hits = dict.fromkeys(CLASSES, 0)
    for held in set(SPEAKERS):
        counts = {label: [1] * 10 for label in CLASSES}
        for n in range(400):
            if SPEAKERS[n] != held:
                counts[LABELS[n]][place[n]] += 1
        for n in range(400):
            if SPEAKERS[n] == held:
                shares = {label: counts[label][place[n]] / sum(counts[label]) for label in CLASSES}
                hits[LABELS[n]] += max(CLASSES, key=lambda label: shares[label]) == LABELS[n]
    expected = np.mean([hits[label] / LABELS.count(label) for label in CLASSES])
    score = cue_score(values.tolist(), LABELS, SPEAKERS)
    assert score is not None
    assert score.ua == pytest.approx(expected, abs=1e-12)


def test_constants_and_single_classes() -> None:
    constant = cue_score([1.0] * 400, LABELS, SPEAKERS)
    assert constant is not None
    assert constant.ua == constant.ua_by_chance == 0.25
    assert cue_score([1.0, 2.0], ["sad", "sad"], ["a", "b"]) is None
    assert cue_score([], [], []) is None
