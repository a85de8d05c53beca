"""Paired tests against scipy and brute force."""

import itertools

import numpy as np
import pytest
from scipy import stats

from serenade.evaluation.metrics import confusion, ua, wa
from serenade.evaluation.significance import mcnemar, permutation_test, wilcoxon


def some_counts(seed, speakers=5, skill=0.0):
    generator = np.random.default_rng(seed)
    truth = np.random.default_rng(99).integers(0, 3, (speakers, 15))
    guess = np.where(generator.random(truth.shape) < skill, truth, generator.integers(0, 3, truth.shape))
    return np.array([confusion(t, g, 3) for t, g in zip(truth, guess, strict=True)])


def test_permutation_p_equals_brute_force_over_all_swaps():
    first, second = some_counts(1, skill=0.5), some_counts(2, skill=0.2)
    observed = abs(ua(first.sum(0)) - ua(second.sum(0)))
    hits = 0
    for pattern in itertools.product([False, True], repeat=5):
        swap = np.array(pattern)[:, None, None]
        one, other = np.where(swap, second, first).sum(0), np.where(swap, first, second).sum(0)
        hits += abs(ua(one) - ua(other)) >= observed - 1e-12
    got = permutation_test(ua, first, second)
    assert (got.p, got.n, got.exact) == (hits / 32, 5, True)


def test_permutation_of_accuracy_agrees_with_scipys_sign_flips():
    first, second = some_counts(3, speakers=8, skill=0.6), some_counts(4, speakers=8, skill=0.3)
    differences = np.trace(first - second, axis1=1, axis2=2)  # hits per speaker; WA is their sum over a constant
    wanted = stats.permutation_test((differences,), np.sum, permutation_type="samples", n_resamples=np.inf).pvalue
    assert permutation_test(wa, first, second).p == pytest.approx(wanted, abs=1e-12)


def test_drawn_permutations_come_near_the_exact_p_and_are_never_zero():
    first, second = some_counts(5, speakers=10, skill=0.5), some_counts(6, speakers=10, skill=0.35)
    exact, drawn = permutation_test(ua, first, second), permutation_test(ua, first, second, draws=1000, seed=4)
    assert exact.exact
    assert not drawn.exact
    assert drawn.p == pytest.approx(exact.p, abs=0.05)  # three standard errors of 1,000 draws
    perfect = np.array([np.eye(3) * 5] * 20)
    wrong = np.roll(perfect, 1, axis=2)
    assert permutation_test(wa, perfect, wrong, draws=200).p == pytest.approx(1 / 201)


def test_permutation_keeps_its_promise_under_no_difference():
    rejected = sum(permutation_test(ua, some_counts(2 * i, 7), some_counts(2 * i + 1, 7)).p <= 0.1 for i in range(300))
    assert 0.05 < rejected / 300 < 0.15


def test_equal_systems_give_one_and_no_speakers_nan():
    same = some_counts(1)
    assert permutation_test(ua, same, same).p == 1.0
    assert np.isnan(permutation_test(ua, np.zeros((0, 3, 3)), np.zeros((0, 3, 3))).p)
    with pytest.raises(ValueError, match="differ in shape"):
        permutation_test(ua, same, same[:2])


@pytest.mark.parametrize("n", [1, 5, 6, 10, 24])
def test_wilcoxon_equals_scipys_exact_p(n):
    differences = np.random.default_rng(n).normal(0.3, 1, n)
    got = wilcoxon(differences)
    assert got.p == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue, abs=1e-12)
    assert (got.n, got.exact) == (n, True)


def test_wilcoxon_with_ties_and_zeros_equals_all_sign_patterns():
    differences = np.array([0.1, -0.1, 0.2, 0.2, 0.0, 0.3, 0.1])
    kept = differences[differences != 0]
    ranks = stats.rankdata(np.abs(kept))
    observed = abs((ranks * np.sign(kept)).sum())
    signs = np.array(list(itertools.product([-1, 1], repeat=6)))
    wanted = np.mean(np.abs(signs @ ranks) >= observed - 1e-9)
    assert wilcoxon(differences).p == pytest.approx(wanted, abs=1e-12)
    assert wilcoxon(differences).n == 6
    assert np.isnan(wilcoxon([0.0, 0.0]).p)


@pytest.mark.parametrize(("only_first", "only_second"), [(8, 2), (0, 5), (3, 3), (400, 350)])
def test_mcnemar_equals_scipys_binomial_test(only_first, only_second):
    first = np.array([True] * only_first + [False] * only_second + [True] * 20 + [False] * 4)
    second = np.array([False] * only_first + [True] * only_second + [True] * 20 + [False] * 4)
    got = mcnemar(first, second)
    assert got.p == pytest.approx(stats.binomtest(only_first, only_first + only_second).pvalue, rel=1e-9)
    assert got.n == only_first + only_second


def test_mcnemar_without_disagreement_says_nothing():
    assert np.isnan(mcnemar([True, False], [True, False]).p)
    with pytest.raises(ValueError, match="2 and 1 utterances"):
        mcnemar([True, False], [True])
