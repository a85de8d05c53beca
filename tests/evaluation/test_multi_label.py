"""Multi-label metrics against the authors' figures and scikit-learn."""

from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics

from serenade.core.errors import UsageError
from serenade.evaluation import multi_label as ours


def test_figures_are_those_of_the_authors(shared: Path) -> None:
    torch = pytest.importorskip("torch")
    reference = torch.load(shared / "parity" / "mesm_metrics.pt", weights_only=True)
    valid, test = (torch.sigmoid(reference[f"{part}_logits"]).numpy() for part in ("valid", "test"))
    thresholds = ours.best_thresholds(reference["valid_truth"].numpy(), valid)
    np.testing.assert_allclose(thresholds, reference["thresholds"], atol=1e-12)
    for part, values in (("valid", valid), ("test", test)):
        truth = reference[f"{part}_truth"].numpy()
        answers = ours.decide(values, thresholds)
        found = {
            "acc": ours.accuracy(truth, answers),
            "recall": ours.recall(truth, answers),
            "precision": ours.precision(truth, answers),
            "f1": ours.f1(truth, answers),
            "auc": ours.area_under_curve(truth, values),
        }
        for name, figures in found.items():  # the last of the authors' is the mean
            wanted = reference[f"{part}_{name}"]
            np.testing.assert_allclose([*figures, ours.mean_of_defined(figures)], wanted, atol=1e-6, err_msg=name)
    truth, answers = reference["test_truth"].numpy(), ours.decide(test, thresholds)
    np.testing.assert_allclose(ours.weighted_accuracy(truth, answers), reference["test_weighted_acc"], atol=1e-6)
    fixed = ours.decide(test, np.full(6, 0.5))
    weighted = ours.weighted_accuracy(truth, fixed)
    np.testing.assert_allclose([*weighted, weighted.mean()], reference["fixed05_wacc"], atol=1e-6)
    both = ours.weighted_f1(truth, fixed)
    np.testing.assert_allclose([*both, both.mean()], reference["fixed05_f1_weighted"], atol=1e-6)
    shares = [ours.exact_match(truth, fixed), ours.subset_match(truth, fixed)]
    np.testing.assert_allclose(shares, reference["fixed05_set_acc"][:2], atol=1e-6)
    # the third is meant as ours; the release stops at the first wrong yes, so the first yes of each decides
    first = fixed[np.arange(len(fixed)), fixed.argmax(axis=1)]
    right = (truth[np.arange(len(fixed)), fixed.argmax(axis=1)] > 0) & first
    exact = (fixed == (truth > 0)).all(axis=1)
    assert (right | exact).mean() == pytest.approx(reference["fixed05_set_acc"][2], abs=1e-6)
    assert ours.intersection_match(truth, fixed) == pytest.approx(105 / 150)


def test_matches_of_whole_answers_by_hand() -> None:
    truth = [[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 1, 1]]
    given = [[1, 0, 0], [1, 0, 0], [0, 0, 0], [1, 1, 0]]
    assert ours.exact_match(truth, given) == 0.5
    assert ours.subset_match(truth, given) == 0.5
    assert ours.intersection_match(truth, given) == 1.0


def test_figures_are_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 2, (80, 3))
    values = np.round(generator.random((80, 3)), 1)  # with ties
    answers = ours.decide(values, [0.3, 0.5, 0.6])
    for k in range(3):
        pair = truth[:, k], answers[:, k].astype(int)
        assert ours.weighted_accuracy(truth, answers)[k] == pytest.approx(metrics.balanced_accuracy_score(*pair))
        assert ours.accuracy(truth, answers)[k] == pytest.approx(metrics.accuracy_score(*pair))
        assert ours.f1(truth, answers)[k] == pytest.approx(metrics.f1_score(*pair))
        assert ours.recall(truth, answers)[k] == pytest.approx(metrics.recall_score(*pair))
        assert ours.precision(truth, answers)[k] == pytest.approx(metrics.precision_score(*pair))
        assert ours.area_under_curve(truth, values)[k] == pytest.approx(
            metrics.roc_auc_score(truth[:, k], values[:, k])
        )
    assert ours.exact_match(truth, answers) == pytest.approx(metrics.accuracy_score(truth, answers))


def test_smallest_of_equal_thresholds_is_taken() -> None:
    assert len(ours.THRESHOLDS) == 19
    truth, values = [[1], [0], [1]], [[0.62], [0.31], [0.9]]
    assert ours.best_thresholds(truth, values).tolist() == [0.35]
    assert ours.best_thresholds([[0], [0]], [[0.2], [0.9]]).tolist() == [0.05]  # every F1 is 0
    assert ours.decide([[0.35]], [0.35]).tolist() == [[False]]


def test_what_is_not_defined_is_not_a_number_and_left_out_of_the_mean() -> None:
    truth, answers = np.array([[0, 1], [0, 0]]), np.array([[0, 1], [0, 0]])
    for figures in (ours.weighted_accuracy(truth, answers), ours.area_under_curve(truth, answers)):
        assert np.isnan(figures[0])
        assert figures[1] == 1
        assert ours.mean_of_defined(figures) == 1
    assert ours.f1(truth, answers).tolist() == [0, 1]
    assert np.isnan(ours.mean_of_defined([np.nan]))


@pytest.mark.parametrize(
    ("truth", "given"), [([[1, 0]], [[1]]), ([1, 0], [1, 0]), (np.zeros((0, 2)), np.zeros((0, 2)))]
)
def test_tables_that_do_not_fit_are_refused(truth: object, given: object) -> None:
    with pytest.raises(UsageError, match="one or more utterances"):
        ours.accuracy(truth, given)  # type: ignore[arg-type]  # on purpose
