"""Summaries against figures recomputed from the records by scikit-learn."""

import json

import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score, log_loss

from serenade.core.errors import SerenadeError, UsageError
from serenade.core.files import read_json, write_json
from serenade.experiments.summary import summarise


def records_of(run, seed):
    return [read_json(path) for path in sorted(run.glob(f"jobs/*-seed{seed}/record.json"))]


def pairs(records):
    """Truth, prediction and probabilities of records, by plain loops."""
    truth, predicted, rows = [], [], []
    for record in records:
        for score in record["scores"]:
            truth.append(record["labels"].index(score["truth"]))
            predicted.append(int(np.argmax(score["probabilities"])))
            rows.append(score["probabilities"])
    return np.array(truth), np.array(predicted), np.array(rows)


def test_pooled_and_fold_figures_equal_scikit_learn(make_run):
    run = make_run(seeds=3, skill=1.0)
    summary = summarise(run)
    pooled, fold_means, folds = [], [], []
    for seed in range(3):
        truth, predicted, _ = pairs(records_of(run, seed))
        pooled.append((balanced_accuracy_score(truth, predicted), f1_score(truth, predicted, average="weighted")))
        folds.append([balanced_accuracy_score(*pairs([record])[:2]) for record in records_of(run, seed)])
        fold_means.append(np.mean(folds[-1]))
    ua = summary["metrics"]["ua"]
    assert ua["pooled"]["per_seed"] == pytest.approx([value for value, _ in pooled])
    assert ua["pooled"]["mean"] == pytest.approx(np.mean([value for value, _ in pooled]))
    assert ua["pooled"]["std"] == pytest.approx(np.std([value for value, _ in pooled], ddof=1))
    assert ua["pooled"]["low"] < ua["pooled"]["mean"] < ua["pooled"]["high"]
    assert ua["fold_mean"]["per_seed"] == pytest.approx(fold_means)
    assert ua["fold_mean"]["std_folds"] == pytest.approx(np.std(np.mean(folds, axis=0), ddof=1))
    assert summary["metrics"]["weighted_f1"]["pooled"]["mean"] == pytest.approx(np.mean([f for _, f in pooled]))
    assert summary["metrics"]["micro_f1"]["pooled"] == summary["metrics"]["wa"]["pooled"]
    assert [row["metrics"]["ua"]["mean"] for row in summary["folds"]] == pytest.approx(np.mean(folds, axis=0))


def test_confusion_is_pooled_over_folds_and_averaged_over_seeds(make_run):
    run = make_run(seeds=2, skill=1.0)
    wanted = np.mean([confusion_matrix(*pairs(records_of(run, seed))[:2]) for seed in range(2)], axis=0)
    summary = summarise(run)
    np.testing.assert_allclose(summary["confusion"], wanted)
    assert [row["support"] for row in summary["classes"]] == [12, 12, 12]
    recalls = [row["recall"]["mean"] for row in summary["classes"]]
    np.testing.assert_allclose(recalls, np.diag(wanted) / 12)


def test_calibration_is_that_of_the_stored_probabilities(make_run):
    run = make_run(seeds=2, skill=1.0)
    losses = [log_loss(truth, rows) for truth, _, rows in (pairs(records_of(run, seed)) for seed in range(2))]
    calibration = summarise(run)["calibration"]
    assert calibration["nll"]["mean"] == pytest.approx(np.mean(losses))
    assert sum(calibration["counts"]) == 36


def test_scores_are_compared_with_the_votes_where_there_are_some(make_run):
    votes = {
        "01-00": {"angry": 2, "sad": 2, "other": 9},
        "02-03": {"neutral": 4},
        "03-05": {"other": 3},  # for no class of the run
    }
    run = make_run(seeds=2, skill=1.0, votes=votes)
    shares = {"01-00": [0.5, 0, 0.5], "02-03": [0, 1, 0]}
    by_seed = []
    for seed in range(2):
        scores = {s["id"]: s["probabilities"] for record in records_of(run, seed) for s in record["scores"]}
        by_seed.append([entropy(share, scores[name]) for name, share in shares.items()])
    summary = summarise(run)["votes"]
    assert summary["utterances"] == 2
    assert summary["kl_divergence"]["mean"] == pytest.approx(np.mean(by_seed))
    assert summary["rater_agreement"] == pytest.approx((1 / 3 + 1) / 2)
    assert summarise(make_run("plain"))["votes"] is None


def test_worst_utterances_are_the_wrong_ones_with_the_highest_loss(make_run):
    run = make_run(seeds=2, skill=0.3)
    losses, rows, truths = {}, {}, {}
    for seed in range(2):
        for record in records_of(run, seed):
            for score in record["scores"]:
                truth = truths[score["id"]] = record["labels"].index(score["truth"])
                losses.setdefault(score["id"], []).append(-np.log(score["probabilities"][truth]))
                rows.setdefault(score["id"], []).append(score["probabilities"])
    wrong = [name for name in losses if np.mean(rows[name], axis=0).argmax() != truths[name]]
    ranked = sorted(wrong, key=lambda name: -np.mean(losses[name]))
    worst = summarise(run)["worst"]
    assert 5 < len(ranked) < 36
    assert [row["id"] for row in worst] == ranked[:24]
    assert worst[0]["loss"] == pytest.approx(np.mean(losses[ranked[0]]))
    assert worst[0]["audio"].endswith(f"{ranked[0]}.wav")
    assert worst[0]["probability"] == pytest.approx(np.mean(rows[ranked[0]], axis=0).max())


def test_chance_speakers_and_genders(make_run):
    run = make_run(labels=("angry", "happy", "neutral", "sad", "bored"), per_speaker=12, seeds=1)
    summary = summarise(run)
    assert summary["chance"]["ua"] == pytest.approx(1 / 5)
    assert summary["chance"]["wa"] == pytest.approx(3 / 12)  # 12 over 5 classes: the first two occur three times
    assert summary["chance"]["majority"] == "angry"
    assert sorted(row["name"] for row in summary["speakers"]) == ["01", "02", "03"]
    assert {row["name"]: row["utterances"] for row in summary["genders"]} == {"female": 12, "male": 24}
    scores = [row["ua"]["mean"] for row in summary["speakers"]]
    assert scores == sorted(scores)
    assert summary["metrics"]["ua"]["pooled"]["std"] is None  # one seed has no spread


def test_curves_are_over_the_jobs_that_reached_the_epoch(make_run):
    run = make_run(seeds=2, epochs=4)
    path = run / "jobs" / "01-seed0" / "record.json"
    record = read_json(path)
    write_json(path, {**record, "epochs": record["epochs"][:2]})
    curves = summarise(run)["curves"]
    assert curves["epochs"] == [1, 2, 3, 4]
    assert curves["jobs"] == [6, 6, 5, 5]
    ua = curves["series"]["selection/ua"]
    assert ua["mean"][0] == pytest.approx(0.36)
    assert ua["mean"][3] == pytest.approx((2 * 0.65 + 3 * 0.67) / 5)
    assert (ua["low"][3], ua["high"][3]) == pytest.approx((0.65, 0.67))


def test_maps_are_one_per_fold_of_the_first_seed_and_repeatable(make_run):
    run = make_run(seeds=2, embedding_dim=6)
    maps = summarise(run)["maps"]
    assert (maps["seed"], [panel["fold"] for panel in maps["panels"]]) == (0, ["01", "02", "03"])
    panel = maps["panels"][0]
    assert panel["perplexity"] == pytest.approx(11 / 3, abs=0.01)
    assert panel["truth"] == [0, 1, 2] * 4
    assert len(panel["x"]) == len(panel["y"]) == 12
    assert summarise(run)["maps"] == maps


def test_classes_apart_in_the_embeddings_are_apart_in_the_map(make_run):
    panel = summarise(make_run(skill=20.0, per_speaker=60, embedding_dim=6))["maps"]["panels"][0]
    points, truth = np.array([panel["x"], panel["y"]]).T, np.array(panel["truth"])
    distances = np.linalg.norm(points[:, None] - points[None], axis=2) + np.diag(np.full(60, np.inf))
    assert (truth[distances.argmin(1)] == truth).mean() > 0.95


def test_run_without_embeddings_has_no_maps(make_run):
    assert summarise(make_run())["maps"]["panels"] == []


def test_unfinished_run_is_summarised_and_says_so(make_run):
    run = make_run(seeds=2, missing=[("02", 0), ("03", 1)])
    summary = summarise(run)
    assert summary["state"] == {
        "complete": False,
        "done": 4,
        "jobs": 6,
        "missing": [{"fold": "02", "seed": 0}, {"fold": "03", "seed": 1}],
    }
    assert any("2 of 6 jobs are missing" in note for note in summary["notes"])
    assert summary["metrics"]["ua"]["fold_mean"]["mean"] is not None


def test_one_speaker_has_no_interval_and_unknown_speakers_have_none(make_run):
    one = summarise(make_run("one", speakers=1))["metrics"]["wa"]["pooled"]
    assert (one["low"], one["clusters"]) == (None, 1)
    run = make_run("unknown")
    lines = (run / "utterances.jsonl").read_text().splitlines()
    changed = [json.dumps({**json.loads(line), "speaker": "unknown"}) for line in lines]
    (run / "utterances.jsonl").write_text("\n".join(changed))
    summary = summarise(run)
    assert summary["metrics"]["wa"]["pooled"]["low"] is None
    assert any("Speakers are not known" in note for note in summary["notes"])


def test_fold_without_a_class_counts_ua_over_the_others(make_run):
    run = make_run(seeds=1, skill=50.0)
    path = run / "jobs" / "01-seed0" / "record.json"
    record = read_json(path)
    kept = [score for score in record["scores"] if score["truth"] != "sad"]
    write_json(path, {**record, "scores": kept, "embeddings": None})
    summary = summarise(run)
    assert summary["folds"][0]["metrics"]["ua"]["mean"] == 1.0
    assert any("Not scored: 4 test utterances" in note for note in summary["notes"])


def test_leak_status_data_and_synthetic_mark(make_run):
    summary = summarise(make_run(leaky="random turns: speakers are on both sides", corpus="synthetic"))
    assert summary["split"]["leaky"] == "random turns: speakers are on both sides"
    assert summary["synthetic"]
    assert summary["data"]["left_out"] == {"unknown label": 1}
    assert summary["data"]["minutes"] == pytest.approx(36 * 1.5 / 60)
    assert summary["timing"]["network_share"] == pytest.approx(0.9)
    assert summarise(make_run("real"))["synthetic"] is False


def test_summary_is_written_beside_the_records(make_run):
    run = make_run()
    summary = summarise(run)
    assert read_json(run / "summary.json") == summary
    assert summary["name"] == "run"


def test_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match="not a run"):
        summarise(tmp_path)


def test_run_without_a_finished_job_is_refused(make_run):
    run = make_run(speakers=1, seeds=1, missing=[("01", 0)])
    with pytest.raises(UsageError, match="no job of this run is finished"):
        summarise(run)


def test_damaged_record_is_named(make_run):
    run = make_run()
    path = run / "jobs" / "02-seed1" / "record.json"
    path.write_text(path.read_text()[:500])
    with pytest.raises(SerenadeError, match=r"02-seed1/record\.json.*JSONDecodeError"):
        summarise(run)
    path.write_text("{}")
    with pytest.raises(SerenadeError, match=r"02-seed1/record\.json.*KeyError"):
        summarise(run)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "99-00"}, r"99-00 .* is not in utterances\.jsonl"),
        ({"truth": "humming"}, "class 'humming', which is not in the label set"),
        ({"probabilities": [1.0]}, "1 probability for 3 classes"),
    ],
)
def test_score_that_does_not_belong_is_named(make_run, change, message):
    run = make_run()
    path = run / "jobs" / "01-seed0" / "record.json"
    record = read_json(path)
    record["scores"][0] |= change
    write_json(path, record)
    with pytest.raises(SerenadeError, match=message):
        summarise(run)


def test_damaged_embeddings_are_named(make_run):
    run = make_run(embedding_dim=6)
    (run / "jobs" / "01-seed0" / "embeddings.npy").write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(SerenadeError, match=r"embeddings of a job are damaged.*01-seed0"):
        summarise(run)
