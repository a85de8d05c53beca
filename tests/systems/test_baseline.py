"""The baseline against scikit-learn's own pipeline and plain loops."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from serenade.core.labels import LabelSet
from serenade.core.records import Utterance
from serenade.signal.functionals import statistics_over_time
from serenade.systems.baseline import BaselineSettings, BaselineSystem
from serenade.training.system import Example

LABELS = LabelSet(("angry", "happy", "sad"))


def examples(count: int, classes: int = 3, seed: int = 0) -> list[Example]:
    generator = torch.Generator().manual_seed(seed)
    made = []
    for index in range(count):
        target = index % classes
        values = torch.randn(1, 1280, generator=generator) + torch.linspace(0, 0.3 * target, 1280)
        made.append(
            Example(Utterance(f"u{index}", Path("x"), "toy", "s", LABELS.names[target]), {"audio": values}, target)
        )
    return made


def fitted(train: list[Example], selection: list[Example], settings: BaselineSettings | None = None) -> BaselineSystem:
    system = BaselineSystem(settings if settings is not None else BaselineSettings(), LABELS)
    system.fit_inputs(train)
    system.fit(train, selection, seed=0)
    return system


def matrix(items: list[Example]) -> np.ndarray:
    return torch.cat([item.inputs["audio"] for item in items]).double().numpy()


@pytest.mark.parametrize("classes", [2, 3])
def test_probabilities_equal_those_of_a_scikit_learn_pipeline(classes: int) -> None:
    train, test = examples(30, classes), examples(9, classes, seed=1)
    system = fitted(train, [], BaselineSettings(inverse_regularisation=(0.01,)))
    scaler = StandardScaler().fit(matrix(train))
    model = LogisticRegression(C=0.01, class_weight="balanced", max_iter=3000)
    model.fit(scaler.transform(matrix(train)), [item.target for item in train])
    ours = system.predict(system.collate(test)).probabilities.numpy()
    np.testing.assert_allclose(ours[:, :classes], model.predict_proba(scaler.transform(matrix(test))), atol=2e-3)
    if classes == 2:
        np.testing.assert_allclose(ours[:, 2], 0, atol=1e-6)  # a class nobody taught never wins


def test_penalty_is_the_one_that_is_best_on_validation() -> None:
    train, selection = examples(24), examples(12, seed=2)
    tried = BaselineSettings(inverse_regularisation=(1e-7, 0.01))
    chosen = fitted(train, selection, tried)
    both = fitted(train, [], BaselineSettings(inverse_regularisation=(0.01,)))
    both.fit([*train, *selection], [], seed=0)
    torch.testing.assert_close(chosen.network.classifier.weight, both.network.classifier.weight)


def test_statistics_equal_plain_numpy() -> None:
    bands = torch.randn(4, 37, dtype=torch.float64)
    plain = bands.numpy()
    expected = np.concatenate(
        [
            plain.mean(1),
            plain.std(1),
            plain.min(1),
            plain.max(1),
            np.diff(plain, axis=1).std(1),
            np.quantile(plain, [0.1, 0.25, 0.5, 0.75, 0.9], axis=1).ravel(),
        ]
    )
    # the quantile levels are float32
    np.testing.assert_allclose(statistics_over_time(bands.float()).numpy(), expected, atol=1e-5)


def test_one_sample_still_gives_finite_statistics() -> None:
    system = BaselineSystem(BaselineSettings(), LABELS)
    assert torch.isfinite(system.extract(torch.tensor([0.5]), training=False)["audio"]).all()
