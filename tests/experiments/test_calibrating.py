"""Temperatures of models: fitted on validation speech, or on the folds of models made alike, and stored with them."""

import numpy as np
import pytest
import torch

from serenade.core.labels import LabelSet
from serenade.evaluation.calibration import nll
from serenade.experiments.calibrating import calibrate, calibration_of_run
from serenade.experiments.results import read_results
from serenade.experiments.summary import summarise
from serenade.inference.recognizer import Recognizer
from serenade.systems import make_system, save_checkpoint
from serenade.training.checkpoints import read_checkpoint
from serenade.training.description import Calibration, read_calibration, write_calibration
from serenade.training.system import Example, Outputs


def logits(count, seed=0):
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(count, 3))
    truth = np.array([generator.choice(3, p=np.exp(row) / np.exp(row).sum()) for row in rows])
    return torch.from_numpy(rows).float(), truth


class TooSure:
    """A system whose logits are three times what is honest."""

    labels = LabelSet(("a", "b", "c"))

    def collate(self, items):
        class Rows:
            def __init__(self, rows):
                self.rows, self.targets = rows, torch.tensor([item.target for item in items])
                self.ids = tuple(str(place) for place in range(len(items)))
                self.lengths = torch.ones(len(items), dtype=torch.int64)

            def to(self, device):
                return self

        return Rows(torch.cat([item.inputs["audio"] for item in items]))

    def predict(self, batch):
        return Outputs((3 * batch.rows).softmax(1), batch.rows)


def test_a_system_that_is_too_sure_is_cooled():
    rows, truth = logits(600)
    examples = [Example(None, {"audio": row[None]}, int(t)) for row, t in zip(rows, truth, strict=True)]  # type: ignore[arg-type]
    found = calibrate(TooSure(), examples, torch.device("cpu"))  # type: ignore[arg-type]
    assert found is not None
    assert found.temperature == pytest.approx(3.0, rel=0.15)
    assert found.predictions == 600
    assert calibrate(TooSure(), examples[:10], torch.device("cpu")) is None  # type: ignore[arg-type]


def test_a_run_calibrates_models_made_like_its_own(make_run):
    run = make_run()
    results = read_results(run.path if hasattr(run, "path") else run)
    found = calibration_of_run(results.run)
    scores = [results.scores(seed) for seed in results.done_seeds]
    probabilities = np.concatenate([s.probabilities for s in scores])
    truth = np.concatenate([s.truth for s in scores])
    if len(truth) < 30:
        assert found is None
        return
    assert found is not None
    assert found.predictions == len(truth)
    powers = probabilities ** (1 / found.temperature)
    assert nll(powers / powers.sum(1, keepdims=True), truth) <= nll(probabilities, truth) + 1e-12


def test_the_summary_tells_what_answering_only_when_sure_is_worth(make_run):
    run = make_run()
    selective = summarise(run)["calibration"]["selective"]
    assert len(selective["coverage"]) == len(selective["risk"]) == 20
    results = read_results(run)
    wrong = np.mean([(s.predicted != s.truth).mean() for s in map(results.scores, results.done_seeds)])
    assert selective["coverage"][-1] == 1.0
    assert selective["risk"][-1] == pytest.approx(wrong)
    assert 0 <= selective["even_odds"]["mean"] <= 1


def test_a_calibration_is_stored_with_the_model_and_used(tmp_path):
    torch.manual_seed(0)
    save_checkpoint(make_system("glam", {}, LabelSet(("happy", "sad"))), "glam", tmp_path / "model")
    samples = np.random.default_rng(0).uniform(-0.1, 0.1, 32_000)
    before = Recognizer.load(tmp_path / "model")
    assert read_calibration(tmp_path / "model") is None
    calibration = Calibration(2.5, "validation", 40, uncertain_below=0.7)
    write_calibration(tmp_path / "model", calibration)
    assert read_checkpoint(tmp_path / "model").calibration == calibration
    after = Recognizer.load(tmp_path / "model")
    raw, cooled = (np.array(list(r(samples, 16_000).scores.values())) for r in (before, after))
    expected = raw**0.4 / (raw**0.4).sum()
    np.testing.assert_allclose(cooled, expected, atol=1e-7)
    assert after.uncertain_below == 0.7
