"""Calibration against scikit-learn, scipy and by hand."""

import numpy as np
import pytest
from scipy import optimize
from sklearn.metrics import brier_score_loss, log_loss

from serenade.evaluation.calibration import (
    apply_temperature,
    brier,
    ece,
    fit_temperature,
    nll,
    reliability,
    selective_risk,
)


@pytest.fixture
def drawn():
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(500, 4)) * 2
    honest = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    truth = np.array([generator.choice(4, p=row) for row in honest])
    return honest, truth


def test_log_loss_and_brier_equal_scikit_learn(drawn):
    probabilities, truth = drawn
    assert nll(probabilities, truth) == pytest.approx(log_loss(truth, probabilities), abs=1e-12)
    wanted = brier_score_loss(truth, probabilities, labels=range(4), scale_by_half=False)
    assert brier(probabilities, truth) == pytest.approx(wanted, abs=1e-12)


def test_reliability_counts_by_hand():
    probabilities = np.array([[0.8, 0.2], [0.75, 0.25], [0.3, 0.7], [0.05, 0.95], [1.0, 0.0]])
    got = reliability(probabilities, [0, 1, 1, 1, 1], bins=5)
    np.testing.assert_array_equal(got.counts, [0, 0, 0, 3, 2])  # 0.8 belongs to the bin it closes
    np.testing.assert_allclose(got.confidence[3:], [0.75, 0.975])
    np.testing.assert_allclose(got.accuracy[3:], [2 / 3, 0.5])
    assert np.isnan(got.accuracy[0])
    assert got.ece == pytest.approx(3 / 5 * (0.75 - 2 / 3) + 2 / 5 * (0.975 - 0.5))
    assert ece(probabilities, [0, 1, 1, 1, 1], bins=5) == got.ece


def test_honest_probabilities_are_calibrated_and_sharpened_ones_are_not(drawn):
    probabilities, truth = drawn
    assert ece(probabilities, truth) < 0.06  # 500 draws: noise only
    assert ece(apply_temperature(probabilities, 0.3), truth) > 0.12


def test_temperature_finds_the_minimum_that_scipy_finds_and_undoes_a_known_one(drawn):
    probabilities, truth = drawn
    sharpened = apply_temperature(probabilities, 0.4)
    got = fit_temperature(sharpened, truth)
    wanted = optimize.minimize_scalar(
        lambda t: nll(apply_temperature(sharpened, t), truth),
        bounds=(0.1, 10),
        method="bounded",
        options={"xatol": 1e-9},
    ).x
    assert got == pytest.approx(wanted, rel=1e-5)  # scipy's minimum is flat below the root of rounding
    assert got == pytest.approx(2.5, rel=0.15)  # 1 / 0.4, within what 500 draws can tell
    assert nll(apply_temperature(sharpened, got), truth) < nll(sharpened, truth)


def test_temperature_divides_logits_and_keeps_the_class(drawn):
    probabilities, _ = drawn
    logits = np.log(probabilities)
    scaled = np.exp(logits / 3) / np.exp(logits / 3).sum(1, keepdims=True)
    got = apply_temperature(probabilities, 3)
    np.testing.assert_allclose(got, scaled, rtol=1e-9)
    np.testing.assert_array_equal(got.argmax(1), probabilities.argmax(1))
    np.testing.assert_allclose(apply_temperature(probabilities, 1), probabilities, rtol=1e-9)


def test_certain_and_wrong_is_finite():
    probabilities, truth = np.array([[1.0, 0.0], [1.0, 0.0]]), [1, 0]
    assert nll(probabilities, truth) == pytest.approx(-np.log(1e-12) / 2)
    assert np.isfinite(fit_temperature(probabilities, truth))


def test_nothing_is_nan_and_cannot_be_fitted():
    nothing = np.empty((0, 3))
    assert all(np.isnan(figure(nothing, [])) for figure in (nll, brier, ece))
    with pytest.raises(ValueError, match="at least one"):
        fit_temperature(nothing, [])
    with pytest.raises(ValueError, match="must be positive"):
        apply_temperature(np.full((1, 2), 0.5), 0.0)
    with pytest.raises(ValueError, match="do not fit"):
        nll(np.full((2, 2), 0.5), [0])


def test_selective_risk_is_that_of_the_surest(drawn):
    probabilities, truth = drawn
    curve = selective_risk(probabilities, truth)
    confidence, wrong = probabilities.max(1), probabilities.argmax(1) != truth
    for kept in (1, 17, 250, len(truth)):
        surest = np.argsort(-confidence)[:kept]
        assert curve.risk[kept - 1] == pytest.approx(wrong[surest].mean())
        assert curve.coverage[kept - 1] == pytest.approx(kept / len(truth))
        assert curve.threshold[kept - 1] == pytest.approx(confidence[surest].min())
    assert curve.aurc == pytest.approx(curve.risk.mean())
    temperature = selective_risk(apply_temperature(probabilities, 1.0), truth)
    np.testing.assert_allclose(temperature.risk, curve.risk)


def test_equally_sure_predictions_share_their_errors():
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.7, 0.3], [0.3, 0.7]])
    for truth in ([0, 0, 1, 1], [0, 1, 0, 1]):
        np.testing.assert_allclose(selective_risk(probabilities, truth).risk, [0, 1 / 6, 2 / 9, 1 / 4])
    assert np.isnan(selective_risk(np.empty((0, 2)), []).aurc)
