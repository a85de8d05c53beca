"""The normaliser: statistics of what it was fitted to and of nothing else."""

import numpy as np
import pytest
import torch

from serenade.core.errors import SettingsError, TrainingError, UsageError
from serenade.core.settings import make_settings
from serenade.signal.normaliser import Normaliser, NormaliserSettings

KINDS = ["none", "global", "per_bin", "clip"]
FITTED = ["global", "per_bin"]


def make(kind: str, num_bins: int = 5) -> Normaliser:
    return Normaliser(NormaliserSettings(kind=kind), num_bins)


@pytest.fixture
def training() -> list[torch.Tensor]:
    """Features of several utterances with other numbers of segments and frames; bins on very different scales."""
    rng = np.random.default_rng(5)
    scale, offset = np.array([1, 30, 0.1, 5, 2]), np.array([-200, 0, 3, 1e4, 0.5])
    shapes = [(3, 11), (1, 40), (7, 5), (2, 1)]
    return [
        torch.from_numpy(rng.standard_normal((n, 5, frames)) * scale[:, None] + offset[:, None]).float()
        for n, frames in shapes
    ]


def test_per_bin_has_the_moments_of_all_values_of_a_bin(training):
    normaliser = make("per_bin")
    normaliser.fit(iter(training))
    values = np.concatenate([t.double().numpy().transpose(1, 0, 2).reshape(5, -1) for t in training], axis=1)
    np.testing.assert_allclose(normaliser.mean.flatten().numpy(), values.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(normaliser.std.flatten().numpy(), values.std(axis=1), rtol=1e-6)
    expected = (training[0].double().numpy() - values.mean(axis=1)[:, None]) / values.std(axis=1)[:, None]
    # The bin at 1e4 with deviation 5 has lost three digits to float32 before it gets here.
    np.testing.assert_allclose(normaliser(training[0]).numpy(), expected, atol=1e-3)


def test_global_has_one_mean_and_one_deviation(training):
    normaliser = make("global")
    normaliser.fit(training)
    values = np.concatenate([t.double().numpy().ravel() for t in training])
    assert normaliser.mean.item() == pytest.approx(values.mean(), rel=1e-6)
    assert normaliser.std.item() == pytest.approx(values.std(), rel=1e-6)


def test_fitting_in_parts_equals_fitting_at_once_in_any_order(training):
    frames = torch.cat([t.transpose(0, 1).reshape(5, -1) for t in training], dim=1)
    at_once, in_parts = make("per_bin"), make("per_bin")
    at_once.fit([frames.unsqueeze(0)])
    in_parts.fit(reversed(training))
    torch.testing.assert_close(in_parts.mean, at_once.mean, rtol=1e-7, atol=0)
    torch.testing.assert_close(in_parts.std, at_once.std, rtol=1e-7, atol=0)


def test_fitting_again_forgets_the_first_fold(training):
    normaliser, fresh = make("per_bin"), make("per_bin")
    normaliser.fit(training)
    normaliser.fit(training[:1])
    fresh.fit(training[:1])
    assert torch.equal(normaliser.mean, fresh.mean)
    assert torch.equal(normaliser.std, fresh.std)


def test_clip_makes_every_bin_of_every_clip_zero_mean_and_unit_deviation(training):
    normalised = make("clip")(training[0]).double()
    np.testing.assert_allclose(normalised.mean(dim=2).numpy(), 0, atol=1e-3)
    np.testing.assert_allclose(normalised.std(dim=2, correction=0).numpy(), 1, atol=1e-3)


def test_none_changes_nothing_and_stores_nothing(training):
    normaliser = make("none")
    normaliser.fit(training)
    assert torch.equal(normaliser(training[0]), training[0])
    assert not normaliser.state_dict()


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_vary_stays_finite(kind):
    constant = torch.full((2, 5, 9), 3.0)
    normaliser = make(kind)
    normaliser.fit([constant])
    expected = constant if kind == "none" else torch.zeros(2, 5, 9)
    assert torch.equal(normaliser(constant), expected)
    assert normaliser(constant + 1).isfinite().all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_clip_is_the_same_alone_and_in_a_batch(kind, training):
    normaliser = make(kind)
    normaliser.fit(training)
    together = normaliser(training[0])
    alone = torch.cat([normaliser(clip.unsqueeze(0)) for clip in training[0]])
    assert torch.equal(together, alone)


@pytest.mark.parametrize("kind", FITTED)
def test_is_saved_with_the_weights(kind, training):
    fitted, loaded = make(kind), torch.nn.Sequential(make(kind))
    fitted.fit(training)
    loaded.load_state_dict(torch.nn.Sequential(fitted).state_dict())
    assert torch.equal(loaded(training[1]), fitted(training[1]))


@pytest.mark.parametrize("kind", FITTED)
def test_is_refused_before_it_is_fitted(kind, training):
    normaliser = make(kind)
    with pytest.raises(TrainingError, match="used before it was fitted"):
        normaliser(training[0])
    normaliser.fit(training)
    normaliser.load_state_dict(make(kind).state_dict())  # an unfitted state is still one after loading
    with pytest.raises(TrainingError, match="used before it was fitted"):
        normaliser(training[0])


@pytest.mark.parametrize("features", [[], [torch.zeros(0, 5, 3)]])
def test_nothing_to_fit_to(features):
    with pytest.raises(TrainingError, match="no features to fit"):
        make("global").fit(features)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite(training, value):
    training[2][0, 1, 1] = value
    normaliser = make("per_bin")
    with pytest.raises(TrainingError, match="not all finite"):
        normaliser.fit(training)
    with pytest.raises(TrainingError, match="before it was fitted"):
        normaliser(training[0])


@pytest.mark.parametrize("shape", [(5, 9), (2, 4, 9)])
def test_other_shapes(shape, training):
    normaliser = make("per_bin")
    with pytest.raises(UsageError, match=r"Expected: \(N, 5, L\)"):
        normaliser.fit([torch.zeros(shape)])
    normaliser.fit(training)
    with pytest.raises(UsageError, match="another shape"):
        normaliser(torch.zeros(shape))


def test_unknown_kind():
    with pytest.raises(SettingsError, match="kind"):
        make_settings(NormaliserSettings, {"kind": "speaker"})
