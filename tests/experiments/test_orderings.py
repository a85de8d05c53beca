"""Figures over repeats and speakers, against scikit-learn and scipy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from serenade.core.files import read_json, write_json
from serenade.experiments.orderings import figures_of, of_folds, order
from serenade.experiments.results import read_results

RunMaker = Callable[..., Path]


def called(run: Path, seed: int, fold: str = "*") -> tuple[list[str], list[str]]:
    """True and called classes of a repeat, straight from the records."""
    records = [read_json(path) for path in sorted(run.glob(f"jobs/{fold}-seed{seed}/record.json"))]
    scores = [score for record in records for score in record["scores"]]
    labels = records[0]["labels"]
    return [s["truth"] for s in scores], [labels[int(np.argmax(s["probabilities"]))] for s in scores]


def uas(run: Path, seeds: int, speakers: int) -> np.ndarray:
    """(R, S) UA of every repeat and speaker; in these runs a fold is a speaker."""
    return np.array(
        [
            [balanced_accuracy_score(*called(run, seed, f"{speaker:02d}")) for speaker in range(1, speakers + 1)]
            for seed in range(seeds)
        ]
    )


def test_figures_are_those_computed_by_hand(make_run: RunMaker) -> None:
    run = make_run(speakers=4, seeds=3, skill=1.0)
    figures = figures_of(read_results(run))
    of_speakers = uas(run, 3, 4)
    assert figures["ua_speakers"]["mean"] == pytest.approx(of_speakers.mean())
    assert figures["ua_speakers"]["std"] == pytest.approx(of_speakers.mean(1).std(ddof=1))
    assert figures["ua_speakers"]["std_speakers"] == pytest.approx(of_speakers.std(1, ddof=1).mean())
    pooled = [balanced_accuracy_score(*called(run, seed)) for seed in range(3)]
    assert figures["ua"]["mean"] == pytest.approx(np.mean(pooled))
    assert figures["ua"]["std"] == pytest.approx(np.std(pooled, ddof=1))
    assert figures["ua"]["low"] < figures["ua"]["mean"] < figures["ua"]["high"]
    assert figures["wa"]["mean"] == pytest.approx(np.mean([accuracy_score(*called(run, seed)) for seed in range(3)]))
    assert (figures["repeats"], figures["speakers"], figures["tested"]) == (3, 4, 48)


def test_a_repeat_has_no_deviation(make_run: RunMaker) -> None:
    figures = figures_of(read_results(make_run(seeds=1)))
    assert figures["ua_speakers"]["std"] is None
    assert figures["ua"]["std"] is None


def test_differences_are_those_of_scipy(make_run: RunMaker) -> None:
    better = make_run("a", speakers=8, seeds=7, skill=1.2)
    worse = make_run("b", speakers=8, seeds=7, skill=0.8, noise_seed=1)
    differences = uas(better, 7, 8) - uas(worse, 7, 8)
    found = order(read_results(better), read_results(worse))
    assert found is not None
    assert found.difference == pytest.approx(differences.mean())
    interval = stats.bootstrap((differences.mean(0),), np.mean, method="BCa", n_resamples=9999, rng=0)
    assert found.low == pytest.approx(interval.confidence_interval.low, abs=0.006)
    assert found.high == pytest.approx(interval.confidence_interval.high, abs=0.006)
    assert found.p == pytest.approx(stats.wilcoxon(differences.mean(1), method="exact").pvalue)
    assert (found.repeats, found.speakers, found.least_p) == (7, 8, 2 / 2**7)


def test_verdicts(make_run: RunMaker) -> None:
    good = read_results(make_run("good", speakers=6, skill=3.0))
    poor = read_results(make_run("poor", speakers=6, skill=0.2, noise_seed=1))
    verdicts = [found.verdict for pair in ((good, poor), (poor, good), (good, good)) if (found := order(*pair))]
    assert verdicts == ["holds", "reversed", "not shown"]
    same = order(good, good)
    assert same is not None
    assert (same.difference, same.p) == (0, None)


def test_one_speaker_shows_nothing(make_run: RunMaker) -> None:
    found = order(
        read_results(make_run("a", speakers=1, skill=9.0)), read_results(make_run("b", speakers=1, skill=0.0))
    )
    assert found is not None
    assert found.difference > 0.3
    assert (found.low, found.verdict) == (None, "not shown")


def test_unfinished_runs_are_compared_on_what_both_have(make_run: RunMaker) -> None:
    better = make_run("a", speakers=3, seeds=3, missing=[("02", 0), ("01", 2), ("02", 2), ("03", 2)])
    worse = make_run("b", speakers=3, seeds=2, skill=0.5, missing=[("03", 1)], noise_seed=1)
    found = order(read_results(better), read_results(worse))
    assert found is not None
    assert found.repeats == 2
    common = {1: [0, 1], 2: [1], 3: [0]}  # speaker to repeats of both
    differences = [
        np.mean(
            [
                balanced_accuracy_score(*called(better, seed, f"{speaker:02d}"))
                - balanced_accuracy_score(*called(worse, seed, f"{speaker:02d}"))
                for seed in seeds
            ]
        )
        for speaker, seeds in common.items()
    ]
    assert found.difference == pytest.approx(np.mean(differences))


def test_utterances_of_one_run_only_are_not_compared(make_run: RunMaker) -> None:
    whole, part = make_run("a", seeds=1), make_run("b", seeds=1)
    path = next(part.glob("jobs/01-*/record.json"))
    record = read_json(path)
    write_json(path, {**record, "scores": record["scores"][:6]})  # the same scores, fewer of them
    found = order(read_results(whole), read_results(part))
    assert found is not None
    assert found.difference == 0


def test_runs_with_nothing_in_common_have_no_order(make_run: RunMaker) -> None:
    first = make_run("a", speakers=2, seeds=1, missing=[("01", 0)])
    second = make_run("b", speakers=2, seeds=1, missing=[("02", 0)])
    assert order(read_results(first), read_results(second)) is None


def test_results_of_a_fold(make_run: RunMaker) -> None:
    results = read_results(make_run(speakers=3, seeds=2, missing=[("01", 0), ("01", 1), ("02", 1)]))
    second = of_folds(results, ["02"])
    assert second is not None
    assert second.missing == (("02", 1),)
    assert figures_of(second)["tested"] == 12
    assert of_folds(results, ["01"]) is None
