"""Intervals against scipy's bootstrap and their own promise."""

import numpy as np
import pytest
from scipy import stats

from serenade.evaluation.intervals import cluster_bootstrap, cluster_metric, cluster_weights
from serenade.evaluation.metrics import confusion, macro_f1, ua


def mean_of(data):
    return lambda weights: (weights @ data) / weights.sum(1)


@pytest.mark.parametrize(("ours", "theirs"), [("percentile", "percentile"), ("bca", "BCa")])
def test_interval_of_a_skewed_mean_agrees_with_scipy(ours, theirs):
    data = np.random.default_rng(1).exponential(size=15)
    got = cluster_bootstrap(mean_of(data), 15, draws=40_000, method=ours, seed=3)
    wanted = stats.bootstrap((data,), np.mean, n_resamples=40_000, method=theirs, rng=7).confidence_interval
    # two independent sets of 40,000 draws: Monte Carlo error of a bound is about 1 % of the width
    width = wanted.high - wanted.low
    assert got.low == pytest.approx(wanted.low, abs=0.03 * width)
    assert got.high == pytest.approx(wanted.high, abs=0.03 * width)


def test_bca_tails_follow_the_textbook_formula():
    data = np.random.default_rng(2).exponential(size=9)
    statistic = mean_of(data)
    values = statistic(cluster_weights(9, 2000, seed=5))
    bias = stats.norm.ppf((np.mean(values < data.mean()) + np.mean(values <= data.mean())) / 2)
    jackknife = np.array([np.delete(data, i).mean() for i in range(9)])
    deviations = jackknife.mean() - jackknife
    acceleration = (deviations**3).sum() / (6 * (deviations**2).sum() ** 1.5)
    z = bias + stats.norm.ppf([0.05, 0.95])
    wanted = np.quantile(values, stats.norm.cdf(bias + z / (1 - acceleration * z)))
    got = cluster_bootstrap(statistic, 9, draws=2000, level=0.9, seed=5)
    np.testing.assert_allclose([got.low, got.high], wanted, rtol=1e-12)
    assert (got.level, got.clusters) == (0.9, 9)


def test_statistic_equals_recounting_the_drawn_speakers_and_averaging_seeds():
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 3, (4, 20))  # 4 speakers, 20 utterances each
    predicted = generator.integers(0, 3, (2, 4, 20))  # under 2 seeds
    counts = np.array([[confusion(truth[s], predicted[r, s], 3) for s in range(4)] for r in range(2)])
    weights = np.array([[2.0, 0, 1, 1], [0, 0, 4, 0]])
    for metric in (ua, macro_f1):
        got = cluster_metric(metric, counts)(weights)
        for row, drawn in enumerate(([0, 0, 2, 3], [2, 2, 2, 2])):
            again = [metric(confusion(truth[drawn].ravel(), predicted[r][drawn].ravel(), 3)) for r in range(2)]
            assert got[row] == pytest.approx(np.mean(again), abs=1e-12)


def test_interval_over_speakers_is_wider_than_over_utterances_where_speakers_differ():
    generator = np.random.default_rng(0)
    accuracy = np.array([0.3, 0.5, 0.7, 0.9, 0.4, 0.8])
    right = generator.random((6, 100)) < accuracy[:, None]
    by_speaker = cluster_bootstrap(mean_of(right.mean(1)), 6)
    by_utterance = cluster_bootstrap(mean_of(right.ravel().astype(float)), 600)
    assert by_speaker.high - by_speaker.low > 2 * (by_utterance.high - by_utterance.low)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(11)
    covered = 0
    for trial in range(200):
        got = cluster_bootstrap(mean_of(generator.normal(size=20)), 20, draws=500, seed=trial)
        covered += got.low <= 0 <= got.high
    assert 0.88 <= covered / 200 <= 0.99  # 95 % nominal, a little less with 20 clusters


def test_same_seed_same_interval_and_weights_draw_every_speaker_count():
    data = np.arange(6.0)
    assert cluster_bootstrap(mean_of(data), 6, seed=1) == cluster_bootstrap(mean_of(data), 6, seed=1)
    weights = cluster_weights(6, 50, seed=0)
    np.testing.assert_array_equal(weights.sum(1), 6)


def test_one_speaker_has_no_interval_and_a_perfect_score_has_a_point():
    assert cluster_bootstrap(mean_of(np.ones(1)), 1) is None
    perfect = cluster_bootstrap(mean_of(np.ones(5)), 5)
    assert (perfect.low, perfect.high) == (1.0, 1.0)


def test_draws_without_a_class_are_left_out_instead_of_measuring_fewer_classes():
    # class 2 occurs with speakers 0 and 1 only and is never found; the other two are found half the time
    half, never = [[5, 5, 0], [5, 5, 0], [0, 0, 0]], [[5, 5, 0], [5, 5, 0], [4, 4, 0]]
    statistic = cluster_metric(ua, np.array([[never, never, half, half, half]], dtype=float))
    got = statistic(np.array([[1.0, 1, 1, 1, 1], [0, 0, 2, 2, 1], [0, 1, 4, 0, 0]]))
    np.testing.assert_allclose(got, [1 / 3, np.nan, 1 / 3])  # not 1 / 2 for the second
    interval = cluster_bootstrap(statistic, 5)
    assert (interval.low, interval.high) == (pytest.approx(1 / 3), pytest.approx(1 / 3))


def test_class_of_a_single_speaker_still_has_an_interval_and_classes_of_one_each_have_none():
    generator = np.random.default_rng(0)
    counts = generator.integers(1, 9, (1, 6, 2, 2)).astype(float)
    counts[0, 1:, 1] = 0
    interval = cluster_bootstrap(cluster_metric(ua, counts), 6)
    assert interval.low < float(ua(counts[0].sum(0))) < interval.high
    alone = np.zeros((1, 6, 6, 6))
    alone[0, range(6), range(6), range(6)] = 3
    assert cluster_bootstrap(cluster_metric(ua, alone), 6) is None
