"""Settings are chosen on inner folds only, and the outer folds train with what was chosen."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serenade.app.main import main
from serenade.core.errors import SettingsError, UsageError
from serenade.core.files import read_json, write_json
from serenade.core.records import Fold, RunRecord, Score, Split
from serenade.corpora.synthetic import generate
from serenade.evaluation.splits import parse_split
from serenade.experiments.final import train_final
from serenade.experiments.folder import JobKey, RunFolder
from serenade.experiments.nested import candidates_of, choose, with_candidate
from serenade.experiments.run import _Silent, prepare, run_experiment
from serenade.experiments.settings import ExperimentSettings
from serenade.experiments.summary import summarise

GRID = {"training.batch_size": [8, 16], "mixup_alpha": [0.1, 0.5]}


def settings_of(root: Path, **changes: Any) -> ExperimentSettings:
    corpora = [{"name": "synthetic", "root": root}]
    return ExperimentSettings.model_validate({"preset": "glam", "corpora": corpora, **changes})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    generate(folder, speakers=3, utterances_per_class=1, classes=("angry", "sad"))
    return folder


def write_record(run: RunFolder, key: JobKey, right: int, wrong: int) -> None:
    """A job's record with so many utterances called rightly, both classes alike."""
    scores = tuple(
        Score(f"{label}-{n}", label, (0.9, 0.1) if (label == "angry") == (n < right) else (0.1, 0.9))
        for label in ("angry", "sad")
        for n in range(right + wrong)
    )
    record = RunRecord("glam", key.fold, key.seed, ("angry", "sad"), scores, (), 1, {}, {}, "", {})
    write_json(run.job(key) / "record.json", record.to_json())


def test_candidates_are_all_combinations(tmp_path: Path) -> None:
    found = candidates_of(settings_of(tmp_path, grid=GRID))
    assert [(candidate.name, dict(candidate.changes)) for candidate in found] == [
        ("training.batch_size=8, mixup_alpha=0.1", {"training": {"batch_size": 8}, "mixup_alpha": 0.1}),
        ("training.batch_size=8, mixup_alpha=0.5", {"training": {"batch_size": 8}, "mixup_alpha": 0.5}),
        ("training.batch_size=16, mixup_alpha=0.1", {"training": {"batch_size": 16}, "mixup_alpha": 0.1}),
        ("training.batch_size=16, mixup_alpha=0.5", {"training": {"batch_size": 16}, "mixup_alpha": 0.5}),
    ]
    one = with_candidate(settings_of(tmp_path, grid=GRID, system={"training": {"epochs": 3}}), found[1])
    assert (one.system["training"]["batch_size"], one.system["training"]["epochs"], one.system["mixup_alpha"]) == (
        8,
        3,
        0.5,
    )
    assert one.grid == {}
    assert candidates_of(settings_of(tmp_path)) == []


def test_a_candidate_that_the_system_does_not_take_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="Did you mean 'mixup_alpha'"):
        candidates_of(settings_of(tmp_path, grid={"mixup_alhpa": [0.1]}))
    with pytest.raises(SettingsError, match="batch_size"):
        candidates_of(settings_of(tmp_path, grid={"training.batch_size": [8, 0]}))


def test_every_fold_takes_its_own_best(tmp_path: Path) -> None:
    candidates = candidates_of(settings_of(tmp_path, grid={"mixup_alpha": [0.1, 0.3, 0.5]}))
    inner = tuple(Fold(f"inner-{n}", ("x",), (), ("y",)) for n in (1, 2))
    split = Split("nested", tuple(Fold(name, ("x", "y"), (), ("z",), inner) for name in "ab"))
    runs = [RunFolder(tmp_path / str(n)) for n in range(3)]
    # right of 4 per class: fold, inner fold, seed; the third equals the second in fold b
    right = {"a": [(4, 4, 0, 0), (2, 3, 3, 3), (1, 1, 1, 1)], "b": [(1, 1, 1, 1), (2, 2, 3, 3), (3, 3, 2, 2)]}
    for name, rows in right.items():
        for run, row in zip(runs, rows, strict=True):
            for place, count in enumerate(row):
                write_record(run, JobKey(f"{name}/inner-{place // 2 + 1}", place % 2), count, 4 - count)
    choices = choose(split, candidates, runs, seeds=2)
    assert {name: choice.candidate for name, choice in choices.items()} == {
        "a": "mixup_alpha=0.3",
        "b": "mixup_alpha=0.3",
    }
    assert choices["a"].inner_ua == pytest.approx(
        {"mixup_alpha=0.1": 0.5, "mixup_alpha=0.3": 11 / 16, "mixup_alpha=0.5": 0.25}
    )
    assert choices["b"].changes == {"mixup_alpha": 0.3}


def test_nothing_to_choose_on_is_refused_before_training(corpus: Path) -> None:
    with pytest.raises(UsageError, match=r"this split has none.*--split nested:3"):
        prepare(settings_of(corpus, grid={"mixup_alpha": [0.1, 0.5]}))
    nested = parse_split("nested:2,validation_speakers=0")
    assert "nothing to choose among" in prepare(settings_of(corpus, split=nested)).split.notes[-1]
    plan = prepare(settings_of(corpus, split=nested, grid={"mixup_alpha": [0.1, 0.5]}))
    assert plan.split.notes[-1].endswith("by mean UA, among 2: mixup_alpha=0.1; mixup_alpha=0.5")


def test_a_final_model_has_nothing_to_choose(corpus: Path, tmp_path: Path) -> None:
    settings = settings_of(corpus, grid={"mixup_alpha": [0.1, 0.5]})
    with pytest.raises(UsageError, match=r"one choice of settings.*mixup_alpha.*choices\.json"):
        train_final(settings, tmp_path / "model", figures=None, watcher=_Silent())


def test_a_fold_trains_with_what_it_chose(corpus: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    plan = prepare(settings_of(corpus, system={"training": {"epochs": 3}}))
    run.write_setup(plan.settings, plan.listing.utterances, (), plan.split, None)
    run.write_choices({plan.split.folds[0].name: {"changes": {"training": {"batch_size": 5}}}})
    chosen = run.read_settings_of(plan.split.folds[0].name).system["training"]
    assert (chosen["batch_size"], chosen["epochs"]) == (5, 3)
    assert run.read_settings_of(plan.split.folds[1].name) == run.read_settings()


def test_the_summary_tells_what_the_folds_chose(make_run: Callable[..., Path]) -> None:
    run = make_run(speakers=3)
    assert not any("folds chose" in note for note in summarise(run)["notes"])
    names = {"01": "mixup_alpha=0.5", "02": "mixup_alpha=0.1", "03": "mixup_alpha=0.5"}
    RunFolder(run).write_choices({fold: {"candidate": name} for fold, name in names.items()})
    notes = summarise(run)["notes"]
    assert notes[:2] == ["2 of 3 folds chose mixup_alpha=0.5.", "1 of 3 folds chose mixup_alpha=0.1."]


@pytest.mark.slow
def test_a_nested_run_chooses_trains_and_is_taken_up(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = {
        "segments_per_epoch": 1,
        "evaluation_overlap_s": 0.2,
        "training": {"epochs": 1, "batch_size": 8, "selection": "last"},
    }
    split = parse_split("nested:2,validation_speakers=0")
    plan = prepare(settings_of(corpus, split=split, system=quick, grid={"training.learning_rate": [1e-3, 1e-5]}))
    run = run_experiment(plan, tmp_path / "run", workers=1)
    choices = run.read_choices()
    assert set(choices) == {fold.name for fold in plan.split.folds}
    for fold in plan.split.folds:
        record = run.read_record(JobKey(fold.name, 0))
        assert (
            record.settings["training"]["learning_rate"] == choices[fold.name]["changes"]["training"]["learning_rate"]
        )
        assert {score.id for score in record.scores} == set(fold.test)
        for number in (1, 2):
            for inner in fold.inner:
                tried = run.candidate(number).read_record(JobKey(f"{fold.name}/{inner.name}", 0))
                assert not {score.id for score in tried.scores} & set(fold.test)
    first = run.job(JobKey(plan.split.folds[0].name, 0)) / "record.json"
    before = read_json(first)
    first.unlink()
    run_experiment(plan, run.path, workers=1)
    assert read_json(first)["scores"] == before["scores"]
    assert main(["report", str(run.path), "--no-audio"]) == 0
    assert "chosen on the inner folds by mean UA, among 2" in capsys.readouterr().out.replace("\n", " ")
