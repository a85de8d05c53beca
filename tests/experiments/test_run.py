"""A whole run on a small synthesised corpus: records, resuming, refusals, and a final model with its card."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from serenade.core.errors import LeakError, PartialFailure, SettingsError, TrainingError, UsageError
from serenade.core.labels import LabelSet
from serenade.corpora.synthetic import generate
from serenade.evaluation.splits import parse_split
from serenade.experiments.augmented import augmenter
from serenade.experiments.final import train_final
from serenade.experiments.folder import JobKey, RunFolder
from serenade.experiments.jobs import Job, run_job
from serenade.experiments.run import Plan, prepare, run_experiment
from serenade.experiments.settings import CorpusSettings, ExperimentSettings
from serenade.signal.audio import read_audio
from serenade.signal.augmentation.chain import AugmentationSettings
from serenade.systems import load_system, make_system, system_settings
from serenade.training import loop
from serenade.training.loop import score
from serenade.training.system import Example

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


def test_attributes_that_nothing_states_stop_the_run_before_extraction(corpus: Path) -> None:
    corpora = (CorpusSettings(name="synthetic", root=corpus),)
    with pytest.raises(TrainingError, match="no attributes to learn"):
        prepare(ExperimentSettings(corpora=corpora, preset="mtl-dim", split=parse_split("loso")))


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


@pytest.mark.slow
def test_on_ray_no_fold_is_lost_or_doubled_when_a_worker_is_killed(corpus: Path, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    settings = settings_of(corpus, seeds=2)
    whole = run_experiment(prepare(settings), tmp_path / "whole", workers=1)
    plan, killed = prepare(settings), threading.Event()
    killer = threading.Thread(target=kill_a_worker, args=(tmp_path / "ray", killed), daemon=True)
    killer.start()
    try:
        run = run_experiment(plan, tmp_path / "ray", workers=2, engine="ray")
    finally:
        ray.shutdown()
    assert killed.is_set()
    assert len(plan.jobs) == 6
    for key in plan.jobs:
        assert run.read_record(key).scores == whole.read_record(key).scores
    assert sorted(path.name for path in (run.path / "jobs").iterdir()) == sorted(key.folder for key in plan.jobs)


def kill_a_worker(run: Path, killed: threading.Event) -> None:
    """Kill a process of Ray as soon as one has trained for an epoch."""
    wait_for_epochs(run, 1)
    for process in psutil.process_iter(["cmdline"]):
        if (process.info["cmdline"] or [""])[0].startswith("ray::_attempt"):
            process.kill()
            killed.set()
            return


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


def test_a_run_begun_before_a_setting_existed_is_the_same_run(corpus: Path, tmp_path: Path) -> None:
    run = run_experiment(prepare(settings_of(corpus, "baseline")), tmp_path / "run", workers=1)
    text = run.settings_file.read_text()
    run.settings_file.write_text(
        "".join(line for line in text.splitlines(True) if not line.startswith("restore_after"))
    )
    assert run.settings_file.read_text() != text
    run_experiment(prepare(settings_of(corpus, "baseline")), tmp_path / "run", workers=1)


def test_a_run_begun_before_its_preset_set_something_is_another_run(corpus: Path, tmp_path: Path) -> None:
    settings = settings_of(corpus, "glam-cpu")
    run = run_experiment(prepare(settings), tmp_path / "run", workers=1)
    lines = run.settings_file.read_text().splitlines(True)
    older = [line for line in lines if not line.startswith("weight_average")]  # none by default
    assert len(older) == len(lines) - 1
    run.settings_file.write_text("".join(older))
    with pytest.raises(UsageError, match=r"another run.*other settings"):
        run_experiment(prepare(settings), tmp_path / "run", workers=1)


def test_waveforms_are_changed_anew_in_every_epoch_and_an_interrupted_run_draws_the_same(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = {"epochs": 3, "batch_size": 8, "augmentation": "speed:0.9|1.1,noise:10..20"}
    settings = settings_of(corpus, system={**QUICK, "training": training})
    plain = run_experiment(prepare(settings_of(corpus)), tmp_path / "plain", workers=1)
    plan = prepare(settings)
    whole = run_experiment(plan, tmp_path / "whole", workers=1)
    stored = RunFolder(whole.path).read_settings().system["training"]["augmentation"]["steps"]
    assert [step["kind"] for step in stored] == ["speed", "noise"]
    key = plan.jobs[0]
    expected = whole.read_record(key)
    assert expected.scores != plain.read_record(key).scores
    (whole.job(key) / "record.json").unlink()
    write_log = loop._write_log

    def interrupted(path: Path, history: Sequence[Mapping[str, object]]) -> None:
        write_log(path, history)
        if len(history) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "_write_log", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_job(Job(whole.path, key))
    monkeypatch.setattr(loop, "_write_log", write_log)
    run_job(Job(whole.path, key))
    assert whole.read_record(key).scores == expected.scores


def test_an_augmentation_is_what_the_chain_does_to_the_waveform(corpus: Path) -> None:
    utterances = prepare(settings_of(corpus)).listing.utterances
    system = make_system("glam", system_settings("glam", QUICK).model_dump(), LabelSet(("angry", "sad")))
    settings = AugmentationSettings.model_validate("gain:-6")
    augment = augmenter(settings, system)
    assert augment is not None
    example = Example(utterances[0], {}, 1)
    changed = augment(example, torch.Generator().manual_seed(0))
    expected = system.extract(read_audio(utterances[0].audio) * 10 ** (-6 / 20), training=True)
    torch.testing.assert_close(changed.inputs["audio"], expected["audio"], rtol=1e-4, atol=1e-3)
    assert changed.target == 1
    assert augmenter(AugmentationSettings(), system) is None
    with pytest.raises(UsageError, match="two classes cannot be mixed"):
        augmenter(AugmentationSettings.model_validate("mixup"), system)
    with pytest.raises(SettingsError, match="fitted in one step, without epochs"):
        system_settings("baseline", {"training": {"augmentation": "gain:-6"}})
