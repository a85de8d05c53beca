"""Comparisons of two runs: paired, on the same utterances, refused otherwise."""

import itertools
import json

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from serenade.core.errors import UsageError
from serenade.core.files import read_json, write_json
from serenade.experiments.comparison import compare
from serenade.experiments.summary import summarise


def test_difference_is_that_of_the_summaries(make_run):
    a, b = make_run("a", skill=0.5, seeds=2), make_run("b", skill=2.0, seeds=3, noise_seed=5)
    result = compare(a, b)
    first, second = summarise(a)["metrics"], summarise(b)["metrics"]
    for name, row in result["metrics"].items():
        assert row["a"]["mean"] == pytest.approx(first[name]["pooled"]["mean"])
        assert row["b"]["mean"] == pytest.approx(second[name]["pooled"]["mean"])
        assert row["difference"] == pytest.approx(row["b"]["mean"] - row["a"]["mean"])
        assert row["low"] <= row["difference"] <= row["high"]
    assert (result["a"]["seeds"], result["b"]["seeds"]) == (2, 3)
    assert result["data"]["utterances"] == 36


def test_swapping_the_runs_changes_the_sign_and_nothing_else(make_run):
    a, b = make_run("a", skill=0.5), make_run("b", skill=2.0, noise_seed=5)
    forth, back = compare(a, b)["metrics"]["ua"], compare(b, a)["metrics"]["ua"]
    assert forth["difference"] == pytest.approx(-back["difference"])
    assert forth["p"] == back["p"]


def test_p_is_the_share_of_speaker_swaps_that_differ_as_much(make_run):
    a, b = (make_run(n, speakers=5, seeds=1, skill=k, noise_seed=s) for n, k, s in (("a", 0.3, 1), ("b", 1.5, 2)))
    calls = {}
    for run in (a, b):
        for path in run.glob("jobs/*/record.json"):
            record = read_json(path)
            rows = [(s["truth"], record["labels"][int(np.argmax(s["probabilities"]))]) for s in record["scores"]]
            calls[run, record["fold"]] = rows
    differences = []
    for pattern in itertools.product([False, True], repeat=5):
        sides = [[], []]
        for swapped, speaker in zip(pattern, ("01", "02", "03", "04", "05"), strict=True):
            for side, run in enumerate((b, a) if swapped else (a, b)):
                sides[side] += calls[run, speaker]
        figures = [balanced_accuracy_score(*zip(*rows, strict=True)) for rows in sides]
        differences.append(abs(figures[1] - figures[0]))
    wanted = np.mean(np.array(differences) >= differences[0] - 1e-12)
    got = compare(a, b)["metrics"]["ua"]
    assert got["p"] == pytest.approx(wanted)
    assert got["exact"]


def test_run_against_itself_shows_no_difference(make_run):
    run = make_run()
    result = compare(run, run)
    assert all(row["difference"] == 0 and row["p"] == 1 for row in result["metrics"].values())
    assert result["mcnemar"] == {"p": None, "disagree": 0, "only_a": 0, "only_b": 0}


def test_clear_difference_is_found_over_speakers_folds_and_utterances(make_run):
    a, b = (make_run(n, speakers=10, seeds=1, skill=k, noise_seed=s) for n, k, s in (("a", 0.0, 1), ("b", 3.0, 2)))
    result = compare(a, b)
    row = result["metrics"]["ua"]
    assert row["p"] == pytest.approx(2 / 1024)
    assert row["low"] > 0.3
    assert (row["folds"], row["wilcoxon_p"]) == (10, pytest.approx(2 / 1024))
    assert result["mcnemar"]["p"] < 1e-4
    assert result["mcnemar"]["only_b"] > result["mcnemar"]["only_a"]


def test_few_folds_have_no_wilcoxon_test(make_run):
    row = compare(make_run("a"), make_run("b", noise_seed=3))["metrics"]["wa"]
    assert (row["folds"], row["wilcoxon_p"]) == (3, None)


def test_other_utterances_are_refused_unless_common_ones_are_asked_for(make_run):
    a, b = make_run("a"), make_run("b", speakers=4, noise_seed=3)
    with pytest.raises(UsageError, match=r"36 in common, 12 not tested .* such as 04-00.*--common"):
        compare(a, b)
    result = compare(a, b, common=True)
    assert result["data"] == {"utterances": 36, "only_a": 0, "only_b": 12, "common": True}
    assert any("12 utterances were tested in only one" in note for note in result["notes"])


def test_unfinished_run_is_refused_unless_common(make_run):
    a, b = make_run("a"), make_run("b", missing=[("02", 1)])
    with pytest.raises(UsageError, match="did not test the same utterances"):
        compare(a, b)
    result = compare(a, b, common=True)
    assert result["data"]["utterances"] == 24
    assert any("b is not finished: 1 job missing" in note for note in result["notes"])


def test_nothing_in_common_is_refused(make_run):
    a, b = make_run("a", speakers=2, missing=[("01", 0), ("01", 1)]), make_run("b", speakers=1)
    with pytest.raises(UsageError, match="no tested utterance in common"):
        compare(a, b, common=True)


def test_classes_in_another_order_are_matched_by_name(make_run):
    a, b = make_run("a", skill=1.0), make_run("b", skill=1.0)
    for path in b.glob("jobs/*/record.json"):
        record = read_json(path)
        order = [2, 0, 1]
        record["labels"] = [record["labels"][i] for i in order]
        for score in record["scores"]:
            score["probabilities"] = [score["probabilities"][i] for i in order]
        write_json(path, record)
    assert compare(a, b)["metrics"]["macro_f1"]["difference"] == pytest.approx(0, abs=1e-12)


def test_other_classes_are_refused(make_run):
    with pytest.raises(UsageError, match=r"different classes.*angry, neutral, sad and angry, happy"):
        compare(make_run("a"), make_run("b", labels=("angry", "happy")))


def test_same_names_for_other_data_are_refused(make_run):
    a, b = make_run("a"), make_run("b")
    lines = (b / "utterances.jsonl").read_text().splitlines()
    changed = json.dumps({**json.loads(lines[0]), "speaker": "17"})
    (b / "utterances.jsonl").write_text("\n".join([changed, *lines[1:]]))
    with pytest.raises(UsageError, match=r"01-00.*angry of 01 and angry of 17"):
        compare(a, b)


def test_leaky_run_is_marked(make_run):
    result = compare(make_run("a"), make_run("b", leaky="random turns"))
    assert (result["a"]["leaky"], result["b"]["leaky"]) == (None, "random turns")
    assert any("b is LEAKY: random turns" in note for note in result["notes"])
