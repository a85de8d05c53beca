"""True answers, weights, thresholds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from tests.training.toy import LABELS as TOY
from tests.training.toy import ToySystem, toy_examples

from serenade.core.errors import UsageError
from serenade.core.labels import LabelSet
from serenade.core.records import Utterance
from serenade.training.answers import answers_of, fit_thresholds, positive_weights
from serenade.training.loop import train
from serenade.training.settings import TrainingSettings

LABELS = LabelSet(("angry", "happy", "sad"))


def utterance(emotion: str | None, **facts: Any) -> Utterance:
    return Utterance("u", Path("u.wav"), "toy", "s", emotion, **facts)


def test_one_answer_is_the_emotion() -> None:
    told = utterance("happy", extra={"labels": "angry,sad"})
    assert answers_of(told, LABELS, "one").tolist() == [0, 1, 0]
    assert answers_of(utterance(None), LABELS, "one").tolist() == [0, 0, 0]


def test_several_answers_are_what_the_corpus_names_else_what_raters_chose_else_the_emotion() -> None:
    assert answers_of(utterance("happy", extra={"labels": "angry,sad"}), LABELS, "several").tolist() == [1, 0, 1]
    assert answers_of(utterance(None, extra={"labels": ""}), LABELS, "several").tolist() == [0, 0, 0]
    rated = utterance("happy", votes={"happy": 2, "sad": 1, "angry": 0})
    assert answers_of(rated, LABELS, "several").tolist() == [0, 1, 1]
    assert answers_of(utterance("sad"), LABELS, "several").tolist() == [0, 0, 1]


def test_a_yes_weighs_as_many_as_there_are_no_for_it() -> None:
    # the first row of the published IEMOCAP train part: 757 of 5162 are angry
    answers = torch.zeros(5162, 2)
    answers[:757, 0] = 1
    weights = positive_weights(answers)
    assert round(float(weights[0]), 4) == 5.8190
    assert weights[1] == 1


def test_thresholds_have_the_best_f1_on_the_examples_they_are_fitted_to() -> None:
    generator = torch.Generator().manual_seed(1)
    truth = (torch.rand(60, 3, generator=generator) < 0.3).float()
    probabilities = (0.5 * truth + 0.7 * torch.rand(60, 3, generator=generator)).clamp(0, 1)
    thresholds, mean_f1 = fit_thresholds(truth, probabilities)
    best = [max(f1_score(truth[:, k], probabilities[:, k] > step / 20) for step in range(1, 20)) for k in range(3)]
    assert np.isclose(mean_f1, np.mean(best))
    decided = probabilities.double() > thresholds.double()
    assert np.isclose(f1_score(truth, decided, average="macro"), mean_f1)


def test_f1_chooses_the_epoch_of_systems_with_thresholds_only() -> None:
    training = TrainingSettings(epochs=1, criterion="f1")
    with pytest.raises(UsageError, match="has no thresholds"):
        train(ToySystem(TOY), toy_examples(), toy_examples(), training, seed=0, device=torch.device("cpu"))
