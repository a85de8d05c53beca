"""Metrics against scikit-learn and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from serenade.core.errors import UnknownNameError
from serenade.evaluation import METRICS
from serenade.evaluation.metrics import (
    class_names_to_indices,
    confusion,
    f1_per_class,
    macro_f1,
    micro_f1,
    precision_per_class,
    recall_per_class,
    ua,
    wa,
    weighted_f1,
)

pairs = st.integers(2, 6).flatmap(
    lambda k: st.tuples(
        st.just(k),
        st.lists(st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)), min_size=1, max_size=60),
    )
)


@settings(max_examples=60)
@given(pairs)
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
def test_all_metrics_equal_scikit_learn_also_where_classes_are_absent(drawn):
    num_classes, both = drawn
    truth, predicted = map(np.array, zip(*both, strict=True))
    counts = confusion(truth, predicted, num_classes)
    np.testing.assert_array_equal(counts, sk.confusion_matrix(truth, predicted, labels=range(num_classes)))
    assert wa(counts) == pytest.approx(sk.accuracy_score(truth, predicted), abs=1e-12)
    assert ua(counts) == pytest.approx(sk.balanced_accuracy_score(truth, predicted), abs=1e-12)
    for ours, average in ((macro_f1, "macro"), (weighted_f1, "weighted"), (micro_f1, "micro")):
        assert ours(counts) == pytest.approx(sk.f1_score(truth, predicted, average=average, zero_division=0), abs=1e-12)
    precision, recall, f1, _ = sk.precision_recall_fscore_support(
        truth, predicted, labels=range(num_classes), zero_division=np.nan
    )
    np.testing.assert_allclose(precision_per_class(counts), precision, atol=1e-12)
    np.testing.assert_allclose(recall_per_class(counts), recall, atol=1e-12)
    np.testing.assert_allclose(f1_per_class(counts), f1, atol=1e-12)


def test_published_confusion_matrix_gives_its_published_figures():
    # GLAM's panel, counts recovered from the printed percentages: WA 84.38, UA 82.63
    counts = np.array([[172, 10, 8, 11], [8, 106, 1, 0], [6, 1, 28, 1], [18, 3, 3, 72]])
    assert wa(counts) == pytest.approx(0.8438, abs=5e-5)
    assert ua(counts) == pytest.approx(0.8263, abs=5e-5)
    assert micro_f1(counts) == wa(counts)
    assert weighted_f1(counts) != pytest.approx(wa(counts), abs=1e-4)


def test_many_tables_at_once_equal_one_after_the_other():
    tables = np.random.default_rng(0).integers(0, 4, (3, 5, 4, 4))
    for name in METRICS:
        metric = METRICS.resolve(name)
        together = metric(tables)
        assert together.shape == (3, 5)
        for place in np.ndindex(3, 5):
            np.testing.assert_equal(together[place], metric(tables[place]))


@pytest.mark.parametrize("name", list(METRICS))
def test_nothing_counted_is_nan_and_perfect_is_one(name):
    metric = METRICS.resolve(name)
    assert np.isnan(metric(confusion([], [], 3)))
    assert metric(np.diag([3, 0, 5])) == 1.0


def test_ua_is_over_classes_present_but_macro_f1_counts_a_class_only_predicted():
    counts = confusion([0, 0, 1, 1], [0, 2, 1, 1], 4)  # class 2 is only predicted, class 3 never occurs
    assert ua(counts) == pytest.approx((0.5 + 1) / 2)
    assert macro_f1(counts) == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_wrong_indices_are_refused():
    with pytest.raises(ValueError, match="3 true but 2 predicted"):
        confusion([0, 1, 0], [0, 1], 2)
    with pytest.raises(ValueError, match=r"outside 0\.\.1"):
        confusion([0, 2], [0, 1], 2)
    with pytest.raises(ValueError, match=r"outside 0\.\.1"):
        confusion([0, -1], [0, 1], 2)


def test_names_become_indices():
    np.testing.assert_array_equal(class_names_to_indices(["sad", "angry"], ("angry", "sad")), [1, 0])
    assert class_names_to_indices([], ("angry", "sad")).shape == (0,)
    with pytest.raises(KeyError, match="calm"):
        class_names_to_indices(["calm"], ("angry", "sad"))


def test_unknown_metric_names_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'macro_f1'"):
        METRICS.resolve("makro_f1")
