"""Gaussian mixtures against scikit-learn's, and derivatives against a plain loop."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture

from serenade.core.labels import LabelSet
from serenade.core.records import Utterance
from serenade.core.seeding import derive_seed
from serenade.nn.mixtures import GaussianMixtures
from serenade.systems.mfcc_gmm import MfccGmmSettings, MfccGmmSystem, deltas
from serenade.training.system import Example

LABELS = LabelSet(("angry", "happy", "sad"))


def examples(count: int, classes: int = 3, seed: int = 0, frames: int = 40) -> list[Example]:
    generator = torch.Generator().manual_seed(seed)
    return [
        Example(
            Utterance(f"u{place}", Path("x"), "toy", "s", LABELS.names[place % classes]),
            {"audio": torch.randn(frames + place, 39, generator=generator) + 0.3 * (place % classes)},
            place % classes,
        )
        for place in range(count)
    ]


def fitted(train: list[Example], selection: list[Example], seed: int = 0, **values: object) -> MfccGmmSystem:
    system = MfccGmmSystem(MfccGmmSettings.model_validate({"components": 3, **values}), LABELS)
    system.fit_inputs(train)
    system.fit(train, selection, seed)
    return system


def test_scores_equal_those_of_scikit_learn() -> None:
    train, test = examples(12), examples(5, seed=1)
    system = fitted(train, [])
    frames = torch.cat([e.inputs["audio"] for e in train]).numpy()
    mean, scale = frames.mean(0), frames.std(0)
    expected = np.zeros((5, 3))
    for label in range(3):
        seed = derive_seed(0, f"mixture {label}") % 2**32
        model = GaussianMixture(3, covariance_type="diag", reg_covar=1e-3, random_state=seed)
        inputs = np.concatenate([e.inputs["audio"].numpy() for e in train if e.target == label])
        model.fit(((inputs - mean) / scale).astype(np.float64))
        expected[:, label] = [model.score((e.inputs["audio"].numpy() - mean) / scale) for e in test]
    found = system.predict(system.collate(test)).probabilities
    np.testing.assert_allclose(found.numpy(), torch.tensor(expected).softmax(1).numpy(), atol=1e-4)


def test_mixture_of_fewer_components_leaves_the_rest_empty() -> None:
    mixtures = GaussianMixtures(1, 4, 2)
    weights, means, variances = torch.tensor([0.25, 0.75]), torch.randn(2, 2), torch.rand(2, 2) + 0.5
    mixtures.take(0, weights, means, variances)
    frames = torch.randn(20, 2)
    model = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(weights.double()),
        torch.distributions.Independent(torch.distributions.Normal(means.double(), variances.double().sqrt()), 1),
    )
    torch.testing.assert_close(mixtures(frames)[:, 0], model.log_prob(frames.double()))


def test_same_seed_fits_the_same_and_another_another() -> None:
    train = examples(12)
    one, again, other = (fitted(train, [], seed).network.mixtures.means for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_prior_favours_the_commoner_class() -> None:
    train = [e for e in examples(30) if e.target == 0 or e.utterance.id in ("u1", "u2")]
    plain, with_prior = fitted(train, []), fitted(train, [], prior=True)
    test = plain.collate(examples(9, seed=3))
    assert (with_prior.predict(test).probabilities[:, 0] > plain.predict(test).probabilities[:, 0]).all()


def test_factor_of_the_validation_part_changes_no_decision() -> None:
    train, selection, test = examples(12), examples(9, seed=2), examples(30, seed=4)
    plain, scaled = fitted(train, []), fitted(train, selection)
    assert float(scaled.network.steepness) != 1
    first, second = (system.predict(system.collate(test)).probabilities for system in (plain, scaled))
    assert torch.equal(first.argmax(1), second.argmax(1))


def test_class_that_nobody_taught_never_wins() -> None:
    system = fitted(examples(8, classes=2), [])
    assert float(system.predict(system.collate(examples(6))).probabilities[:, 2].max()) == 0


@pytest.mark.parametrize("length", [1, 3, 20])
def test_derivatives_equal_a_plain_loop(length: int) -> None:
    features = torch.randn(4, length)
    at = lambda t: features[:, min(max(t, 0), length - 1)]  # noqa: E731 - a formula
    expected = [sum(n * (at(t + n) - at(t - n)) for n in (1, 2)) / 10 for t in range(length)]
    torch.testing.assert_close(deltas(features), torch.stack(expected, dim=1))
