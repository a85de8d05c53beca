"""Attention on test utterances of a run: which are picked, by which model, and what leaves a page without."""

from pathlib import Path

import pytest
import torch

from serenade.app.main import main
from serenade.core.labels import LabelSet
from serenade.experiments.explained import explain_run, picks
from serenade.experiments.results import read_results
from serenade.systems import make_system, save_checkpoint

LABELS = ("angry", "neutral", "sad")
SMALL = {
    "front_end": {"kind": "mfcc", "num_coefficients": 9},
    "segments": {"length_s": 0.5, "overlap_s": 0.0},
}


def with_models(run: Path, name: str = "glam", **changes: object) -> Path:
    """The run with a model of drawn weights in every job of it."""
    for seed, job in enumerate(sorted(run.glob("jobs/*"))):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            save_checkpoint(make_system(name, {**SMALL, **changes}, LabelSet(LABELS)), name, job / "model")
    return run


def test_surest_right_answer_of_each_class_is_picked(make_run) -> None:
    run = make_run(skill=1.0)
    results = read_results(run)
    expected = {}
    for (fold, seed), record in results.records.items():
        for score in record.scores:
            probability = score.probabilities[LABELS.index(score.truth)]
            if seed == 0 and probability == max(score.probabilities):
                kept = expected.get(score.truth, (0.0, "", ""))
                expected[score.truth] = max(kept, (probability, score.id, fold))
    assert {p.label: (p.probability, p.id, p.fold) for p in picks(run)} == expected
    for pick in picks(run):
        assert pick.model == run / "jobs" / f"{pick.fold}-seed0" / "model"
        assert pick.id.startswith(pick.fold)  # tested there, not trained on


def test_picks_are_explained_by_the_model_that_was_tested_on_them(make_run) -> None:
    run = with_models(make_run(skill=1.0, audio=True))
    steps: list[tuple[int, int]] = []
    found = explain_run(run, lambda total, done: steps.append((total, done)))
    assert [pick.label for pick, _ in found.examples] == list(LABELS)
    assert steps == [(3, 0), (3, 1), (3, 1), (3, 1)]
    for pick, explanation in found.examples:
        assert explanation.target == pick.label
        assert explanation.prediction.file == str(pick.audio)
        assert explanation.overlays


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("aacnn", {"network": {"attention": False}}),
        ("baseline", {"front_end": {"kind": "log_mel"}}),
    ],
)
def test_systems_without_attention_have_nothing_to_show(make_run, name: str, changes: dict) -> None:
    run = make_run(skill=1.0, audio=True)
    if name == "baseline":
        for job in run.glob("jobs/*"):
            save_checkpoint(make_system(name, changes, LabelSet(LABELS)), name, job / "model")
    else:
        with_models(run, name, **changes)
    assert explain_run(run).examples == ()


def test_run_without_models_has_nothing_to_show(make_run) -> None:
    assert explain_run(make_run(skill=1.0, audio=True)).examples == ()


def test_report_shows_the_maps_unless_told_not_to(make_run, tmp_path: Path, capsys) -> None:
    run = with_models(make_run(skill=1.0, audio=True))
    assert main(["report", str(run), "--no-audio", "-q"]) == 0
    source = (run / "report.html").read_text(encoding="utf-8")
    assert "What it attends to" in source
    (first, *_) = picks(run)
    assert f"angry: {first.id}, {100 * first.probability:.1f} % (fold {first.fold})" in source
    assert source.count('id="run1-') == 3  # one picture of the features per utterance, each with a name of its own
    assert main(["report", str(run), "--no-audio", "-q", "--no-maps", "--out", str(tmp_path / "p.html")]) == 0
    assert "What it attends to" not in (tmp_path / "p.html").read_text(encoding="utf-8")


def test_recordings_that_are_gone_are_told(make_run, capsys) -> None:
    run = with_models(make_run(skill=1.0))
    assert main(["report", str(run), "--no-audio", "-q"]) == 0
    assert "3 attention maps of" in capsys.readouterr().err
    assert "What it attends to" not in (run / "report.html").read_text(encoding="utf-8")
