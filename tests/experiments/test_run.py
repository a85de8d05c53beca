"""A whole run on a small synthesised corpus: records, resuming, refusals, and a final model with its card."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from serenade.core.errors import LeakError, PartialFailure, UsageError
from serenade.corpora.synthetic import generate
from serenade.evaluation.splits import parse_split
from serenade.experiments.final import train_final
from serenade.experiments.folder import JobKey, RunFolder
from serenade.experiments.run import Plan, prepare, run_experiment
from serenade.experiments.settings import CorpusSettings, ExperimentSettings
from serenade.systems import load_system
from serenade.training.loop import score

QUICK = {"segments_per_epoch": 1, "evaluation_overlap_s": 0.2, "training": {"epochs": 2, "batch_size": 8}}


class Quiet:
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def stage(self, title: str, total: int, unit: str) -> None: ...

    def done(self, count: int, detail: str = "") -> None: ...

    def warn(self, message: str) -> None:
        self.warnings.append(message)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    generate(folder, speakers=3, utterances_per_class=1, classes=("angry", "sad"))
    return folder


def settings_of(corpus: Path, preset: str = "glam", **changes: object) -> ExperimentSettings:
    system = QUICK if preset.startswith("glam") else {}
    values = {
        "preset": preset,
        "corpora": (CorpusSettings(name="synthetic", root=corpus),),
        "system": system,
        **changes,
    }
    return ExperimentSettings.model_validate(values)


def test_a_run_scores_every_utterance_once_per_seed_and_repeats_itself(corpus: Path, tmp_path: Path) -> None:
    plan = prepare(settings_of(corpus, seeds=2))
    first = run_experiment(plan, tmp_path / "a", workers=1)
    second = run_experiment(plan, tmp_path / "b", workers=1)
    utterances = {u.id: u for u in first.read_utterances()}
    for seed in (0, 1):
        records = [first.read_record(JobKey(fold.name, seed)) for fold in first.read_split().folds]
        tested = [score.id for record in records for score in record.scores]
        assert sorted(tested) == sorted(utterances)
        for record in records:
            assert all(s.truth == utterances[s.id].emotion for s in record.scores)
            np.testing.assert_allclose([sum(s.probabilities) for s in record.scores], 1, atol=1e-5)
            again = second.read_record(JobKey(record.fold, seed))
            assert again.scores == record.scores
            array = np.load(first.job(JobKey(record.fold, seed)) / str(record.embeddings))
            assert len(array) == len(record.scores)


def test_a_finished_run_is_left_alone_and_another_one_is_refused(corpus: Path, tmp_path: Path) -> None:
    plan = prepare(settings_of(corpus, "baseline"))
    run = run_experiment(plan, tmp_path / "run", workers=1)
    record = run.job(plan.jobs[0]) / "record.json"
    before = record.stat().st_mtime_ns
    run_experiment(prepare(settings_of(corpus, "baseline")), tmp_path / "run", workers=1)
    assert record.stat().st_mtime_ns == before
    with pytest.raises(UsageError, match=r"holds another run.*other settings.*--out"):
        run_experiment(prepare(settings_of(corpus, "baseline", seeds=2)), tmp_path / "run", workers=1)


def test_a_lost_recording_fails_its_jobs_and_no_other(corpus: Path, tmp_path: Path) -> None:
    plan = prepare(settings_of(corpus, "baseline"))
    run = run_experiment(plan, tmp_path / "whole", workers=1)
    broken = tmp_path / "whole" / "jobs" / plan.jobs[0].folder / "record.json"
    broken.unlink()
    split = json.loads((run.path / "split.json").read_text())
    split["folds"][0]["validation"] = []
    split["folds"][0]["train"] = split["folds"][0]["train"][:1]
    (run.path / "split.json").write_text(json.dumps(split))
    watcher = Quiet()
    with pytest.raises(PartialFailure, match=r"training: 1 failed, 0 done.*too little to train on"):
        run_experiment(plan, run.path, workers=1, watcher=watcher)
    assert any("too little to train on" in warning for warning in watcher.warnings)
    assert all(run.is_done(key) for key in plan.jobs[1:])


def test_a_leak_stops_the_run_before_training(corpus: Path) -> None:
    table = corpus / "leaky.csv"
    rows = (corpus / "synthetic.csv").read_text().splitlines()
    header, *lines = rows
    parts = ["train", "test"] * len(lines)
    table.write_text(
        "\n".join([f"{header},split", *(f"{line},{part}" for line, part in zip(lines, parts, strict=False))])
    )
    try:
        settings = settings_of(
            corpus, corpora=(CorpusSettings(name="table", root=table),), split=parse_split("columns")
        )
        with pytest.raises(LeakError, match="speaker"):
            prepare(settings)
    finally:
        table.unlink()


def test_final_model_predicts_and_its_card_tells_what_it_is_worth(corpus: Path, tmp_path: Path) -> None:
    settings = settings_of(corpus, "baseline")
    plan = prepare(settings)
    run = run_experiment(plan, tmp_path / "run", workers=1)
    train_final(settings, tmp_path / "model", figures=run.path, watcher=Quiet())
    card = (tmp_path / "model" / "card.md").read_text()
    assert "CC0" in card
    assert "| angry | 3 |" in card
    assert "not on this model itself" in card
    assert load_system(tmp_path / "model").labels.names == ("angry", "sad")
    assert not (tmp_path / "model.training").exists()


def test_figures_of_another_system_are_refused(corpus: Path, tmp_path: Path) -> None:
    run = run_experiment(prepare(settings_of(corpus, "baseline")), tmp_path / "run", workers=1)
    with pytest.raises(UsageError, match="not of this model: the system's settings differ"):
        train_final(settings_of(corpus), tmp_path / "model", figures=run.path, watcher=Quiet())


@pytest.mark.slow
def test_killed_run_goes_on_and_ends_like_an_unbroken_one(corpus: Path, tmp_path: Path) -> None:
    settings = ["--set", "segments_per_epoch=1", "--set", "training.epochs=6", "--set", "evaluation_overlap_s=0.2"]
    arguments = ["run", "glam", "--corpus", f"synthetic={corpus}", *settings, "--workers", "2", "-q"]
    command = [sys.executable, "-m", "serenade.app", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, "--out", str(tmp_path / "whole")], check=True, env=environment, capture_output=True)
    broken = tmp_path / "broken"
    for wanted in (1, 8):
        with subprocess.Popen([*command, "--out", str(broken)], env=environment, stdout=subprocess.DEVNULL) as process:
            wait_for_epochs(broken, wanted)
            process.send_signal(signal.SIGKILL if wanted == 1 else signal.SIGINT)
            code = process.wait(timeout=60)
        assert code == (-signal.SIGKILL if wanted == 1 else 130)
    subprocess.run([*command, "--out", str(broken)], check=True, env=environment, capture_output=True)
    keys = [JobKey(fold.name, 0) for fold in RunFolder(broken).read_split().folds]
    for key in keys:
        assert RunFolder(broken).read_record(key).scores == RunFolder(tmp_path / "whole").read_record(key).scores


def wait_for_epochs(run: Path, count: int) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if sum(log.read_text().count("\n") for log in run.glob("jobs/*/log.jsonl")) >= count:
            return
        time.sleep(0.05)
    raise AssertionError("the run did not get that far")


def test_plan_lists_seeds_within_reach_of_every_fold(corpus: Path) -> None:
    plan: Plan = prepare(settings_of(corpus, "baseline", seeds=3))
    assert len(plan.jobs) == 3 * len(plan.split.folds)
    assert len({key.folder for key in plan.jobs}) == len(plan.jobs)


def test_score_is_the_records(corpus: Path, tmp_path: Path) -> None:
    """The saved model gives the recorded scores again."""
    import torch

    from serenade.experiments.data import make_examples
    from serenade.training.cache import FeatureCache

    plan = prepare(settings_of(corpus))
    run = run_experiment(plan, tmp_path / "run", workers=1)
    key = plan.jobs[0]
    record, fold = run.read_record(key), plan.split.folds[0]
    system = load_system(run.job(key) / "model")
    utterances = [u for u in plan.listing.utterances if u.id in set(fold.test)]
    examples = make_examples(utterances, system, FeatureCache(), training=False)
    again = score(system, examples, torch.device("cpu")).probabilities
    np.testing.assert_allclose(again, [s.probabilities for s in record.scores], atol=1e-5)
