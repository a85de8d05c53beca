"""Probabilities against raters' votes, checked with scipy and by counting pairs."""

from itertools import combinations

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from serenade.evaluation.distributions import (
    agreement_with_raters,
    jensen_shannon_distance,
    kl_divergence,
    rater_agreement,
    soft_cross_entropy,
    vote_shares,
)

GENERATOR = np.random.default_rng(0)
VOTES = GENERATOR.integers(0, 4, (50, 4)) + np.eye(4, dtype=int)[GENERATOR.integers(0, 4, 50)] * 2
SHARES = VOTES / VOTES.sum(1, keepdims=True)
PROBABILITIES = GENERATOR.dirichlet(np.ones(4), 50)


def test_divergences_are_those_of_scipy() -> None:
    pairs = list(zip(SHARES, PROBABILITIES, strict=True))
    assert kl_divergence(SHARES, PROBABILITIES) == pytest.approx(np.mean([entropy(s, p) for s, p in pairs]))
    distances = [jensenshannon(s, p, base=2) for s, p in pairs]
    assert jensen_shannon_distance(SHARES, PROBABILITIES) == pytest.approx(np.mean(distances))
    crossed = np.mean([entropy(s) + entropy(s, p) for s, p in pairs])
    assert soft_cross_entropy(SHARES, PROBABILITIES) == pytest.approx(crossed)


def test_a_perfect_model_has_no_distance_and_an_opposite_one_all() -> None:
    assert kl_divergence(SHARES, SHARES) == pytest.approx(0, abs=1e-12)
    assert jensen_shannon_distance(SHARES, SHARES) == pytest.approx(0, abs=1e-6)
    assert jensen_shannon_distance([[1, 0]], [[0, 1]]) == pytest.approx(1)


def test_agreement_with_raters_is_the_share_of_those_who_said_the_same() -> None:
    assert agreement_with_raters([[0.75, 0.25], [0.2, 0.8]], [[0.6, 0.4], [0.9, 0.1]]) == pytest.approx(
        (0.75 + 0.2) / 2
    )


def test_rater_agreement_is_the_share_of_agreeing_pairs() -> None:
    shares = []
    for row in VOTES:
        raters = [k for k, count in enumerate(row) for _ in range(count)]
        pairs = list(combinations(raters, 2))
        shares.append(sum(a == b for a, b in pairs) / len(pairs))
    assert rater_agreement(VOTES) == pytest.approx(np.mean(shares))
    assert rater_agreement([[1, 0], [3, 0]]) == 1.0


def test_votes_for_other_classes_do_not_count() -> None:
    shares = vote_shares({"sad": 3, "angry": 1, "other": 6}, ("angry", "happy", "sad"))
    assert shares is not None
    assert shares.tolist() == [0.25, 0, 0.75]
    assert vote_shares({"other": 2}, ("angry", "sad")) is None
    assert vote_shares({}, ("angry", "sad")) is None


def test_nothing_to_compare_is_not_a_number() -> None:
    empty = np.empty((0, 3))
    for figure in (kl_divergence, jensen_shannon_distance, soft_cross_entropy, agreement_with_raters):
        assert np.isnan(figure(empty, empty))
    assert np.isnan(rater_agreement([[1, 0]]))


def test_rows_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"found \(50, 4\) and \(50, 3\)"):
        kl_divergence(SHARES, PROBABILITIES[:, :3])
