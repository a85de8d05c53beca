"""Agreement of raters: the published worked examples, a slow plain version, and what is not defined."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serenade.core.records import Utterance
from serenade.evaluation.agreement import (
    Level,
    count_ratings,
    fleiss_kappa,
    krippendorff_alpha,
    rater_agreement,
)

# Fourteen raters, ten items, five classes: the example by which encyclopedias explain Fleiss' kappa.
FOURTEEN_RATERS = [
    [0, 0, 0, 0, 14],
    [0, 2, 6, 4, 2],
    [0, 0, 3, 5, 6],
    [0, 3, 9, 2, 0],
    [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0],
    [3, 2, 6, 3, 0],
    [2, 5, 3, 2, 2],
    [6, 5, 2, 1, 0],
    [0, 2, 2, 3, 7],
]
# Fleiss 1971, table 1: six psychiatrists, thirty patients, five diagnoses.
# fmt: off
DIAGNOSES = [
    [0, 0, 0, 6, 0], [0, 3, 0, 0, 3], [0, 1, 4, 0, 1], [0, 0, 0, 0, 6], [0, 3, 0, 3, 0], [2, 0, 4, 0, 0],
    [0, 0, 4, 0, 2], [2, 0, 3, 1, 0], [2, 0, 0, 4, 0], [0, 0, 0, 0, 6], [1, 0, 0, 5, 0], [1, 1, 0, 4, 0],
    [0, 3, 3, 0, 0], [1, 0, 0, 5, 0], [0, 2, 0, 3, 1], [0, 0, 5, 0, 1], [3, 0, 0, 1, 2], [5, 1, 0, 0, 0],
    [0, 2, 0, 4, 0], [1, 0, 2, 0, 3], [0, 0, 0, 0, 6], [0, 1, 0, 5, 0], [0, 2, 0, 1, 3], [2, 0, 0, 4, 0],
    [1, 0, 0, 4, 1], [0, 5, 0, 1, 0], [4, 0, 0, 0, 2], [0, 2, 0, 4, 0], [1, 0, 5, 0, 0], [0, 0, 0, 0, 6],
]
# fmt: on
_ = math.nan
# Krippendorff 2011, section C: four observers, twelve units, with missing values.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
    [_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
]
LEVELS: list[Level] = ["nominal", "ordinal", "interval"]


def plain_alpha(ratings: list[list[float]], level: Level) -> float:
    """Alpha by going through every pair of marks, item by item."""
    items = [[mark for mark in column if not math.isnan(mark)] for column in zip(*ratings, strict=True)]
    items = [marks for marks in items if len(marks) > 1]
    every = [mark for marks in items for mark in marks]

    def difference(a: float, b: float) -> float:
        if level == "nominal":
            return float(a != b)
        if level == "interval":
            return (a - b) ** 2
        low, high = sorted((a, b))
        between = sum(low <= mark <= high for mark in every)
        return (between - (every.count(a) + every.count(b)) / 2) ** 2

    within = sum(difference(a, b) / (len(marks) - 1) for marks in items for a, b in itertools.permutations(marks, 2))
    overall = sum(difference(a, b) for a, b in itertools.permutations(every, 2))
    if overall == 0:
        return math.nan
    return 1 - (within / len(every)) / (overall / (len(every) * (len(every) - 1)))


def plain_kappa(counts: list[list[int]]) -> float:
    """Kappa by drawing every pair of raters of every item."""
    items = [[c for c, n in enumerate(row) for _ in range(n)] for row in counts]
    items = [marks for marks in items if len(marks) > 1]
    every = [mark for marks in items for mark in marks]
    if len(set(every)) < 2:
        return math.nan
    shares = [
        sum(a == b for a, b in pairs) / len(pairs) for pairs in (list(itertools.permutations(m, 2)) for m in items)
    ]
    agreed = sum(shares) / len(shares)
    by_chance = sum(a == b for a in every for b in every) / len(every) ** 2
    return (agreed - by_chance) / (1 - by_chance)


def test_worked_examples_of_fleiss() -> None:
    assert fleiss_kappa(FOURTEEN_RATERS) == pytest.approx(0.210, abs=5e-4)
    assert fleiss_kappa(DIAGNOSES) == pytest.approx(0.430, abs=5e-4)


@pytest.mark.parametrize(("level", "expected"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_worked_examples_of_krippendorff(level: Level, expected: float) -> None:
    counts, marks = count_ratings(OBSERVERS)
    assert marks.tolist() == [1, 2, 3, 4, 5]
    assert krippendorff_alpha(counts, level=level, marks=marks) == pytest.approx(expected, abs=5e-4)


def test_two_raters_and_two_classes_by_hand() -> None:
    """Krippendorff 2011, section A: ten units, two observers, binary; alpha 0.095."""
    ratings = [[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]]
    counts, _marks = count_ratings(ratings)
    assert krippendorff_alpha(counts) == pytest.approx(0.095, abs=5e-4)


RATINGS = st.integers(1, 5).flatmap(
    lambda items: st.lists(
        st.lists(st.sampled_from([1.0, 2.0, 4.0, 7.0, math.nan]), min_size=items, max_size=items),
        min_size=1,
        max_size=5,
    )
)


@given(RATINGS, st.sampled_from(LEVELS))
def test_alpha_equals_the_plain_version(ratings: list[list[float]], level: Level) -> None:
    counts, marks = count_ratings(ratings)
    found = krippendorff_alpha(counts, level=level, marks=marks)
    assert found == pytest.approx(plain_alpha(ratings, level), abs=1e-9, nan_ok=True)


@given(st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), max_size=6))
def test_kappa_equals_the_plain_version(counts: list[list[int]]) -> None:
    found = fleiss_kappa(np.array(counts).reshape(-1, 3))
    assert found == pytest.approx(plain_kappa(counts), abs=1e-9, nan_ok=True)


def test_full_agreement_is_one_and_single_ratings_do_not_enter() -> None:
    counts = [[3, 0], [0, 2], [5, 0]]
    assert fleiss_kappa(counts) == krippendorff_alpha(counts) == 1
    with_single = [*counts, [0, 1], [1, 0], [0, 0]]
    assert fleiss_kappa(with_single) == krippendorff_alpha(with_single) == 1


@pytest.mark.parametrize("counts", [np.zeros((0, 3)), [[1, 0], [0, 1]], [[3, 0], [2, 0]]], ids=["none", "one", "same"])
def test_what_is_not_defined_is_nan(counts: object) -> None:
    assert math.isnan(fleiss_kappa(counts))  # type: ignore[arg-type]
    assert math.isnan(krippendorff_alpha(counts))  # type: ignore[arg-type]


def test_faulty_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="whole numbers"):
        fleiss_kappa([[0.5, 1.5]])
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        fleiss_kappa([1, 2])
    with pytest.raises(ValueError, match="needs the marks"):
        krippendorff_alpha([[1, 2]], level="interval")
    with pytest.raises(ValueError, match="2 rising marks"):
        krippendorff_alpha([[1, 2]], level="interval", marks=[2, 1])
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        count_ratings([1, 2, 3])


def voted(*votes: dict[str, float]) -> list[Utterance]:
    return [
        Utterance(id=str(place), audio=Path("x.wav"), corpus="c", speaker="s", emotion=None, votes=vote)
        for place, vote in enumerate(votes)
    ]


def test_votes_of_utterances() -> None:
    names = "abcde"
    rows = [dict(zip(names, row, strict=True)) for row in DIAGNOSES]
    found = rater_agreement(voted(*rows, {}, {"a": 1}))
    assert found is not None
    assert (found.utterances, found.ratings) == (30, 180)
    assert found.fleiss_kappa == pytest.approx(0.430, abs=5e-4)
    assert found.krippendorff_alpha == pytest.approx(krippendorff_alpha(DIAGNOSES))


@pytest.mark.parametrize(
    "votes", [[], [{}], [{"a": 1}], [{"a": 0.5, "b": 1.5}], [{"a": 80, "b": 20}, {"a": 100}]], ids=str
)
def test_no_agreement_without_counts_of_two_raters(votes: list[dict[str, float]]) -> None:
    assert rater_agreement(voted(*votes)) is None


def test_what_is_not_defined_is_null_in_json() -> None:
    found = rater_agreement(voted({"a": 3}, {"a": 2}))
    assert found is not None
    assert found.to_json() == {"utterances": 2, "ratings": 5, "fleiss_kappa": None, "krippendorff_alpha": None}
