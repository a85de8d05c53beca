"""The choice of layers: SUPERB's sum, the last, a given one."""

import math

import pytest
import torch

from serenade.core.errors import UsageError
from serenade.nn.layer_mix import WeightedLayers, layer_mix, layers_needed

LAYERS = tuple(torch.randn(4, 2, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64))


def test_weighted_sum_begins_as_the_mean_of_all_layers() -> None:
    torch.testing.assert_close(layer_mix("weighted", 4).double()(LAYERS), sum(LAYERS) / 4)


def test_weights_are_the_softmax_of_the_scores_and_learn() -> None:
    mix = WeightedLayers(4).double()
    scores = [0.5, -1.0, 2.0, 0.0]
    mix.scores.data = torch.tensor(scores, dtype=torch.float64)
    total = sum(math.exp(score) for score in scores)
    expected = sum(math.exp(score) / total * layer for score, layer in zip(scores, LAYERS, strict=True))
    mixed = mix(LAYERS)
    torch.testing.assert_close(mixed, expected)
    mixed.square().sum().backward()
    assert mix.scores.grad is not None
    assert (mix.scores.grad != 0).all()


def test_last_and_given_layers_come_as_they_are() -> None:
    assert layer_mix("last", 4)(LAYERS) is LAYERS[3]
    assert [layer_mix(place, 4)(LAYERS) for place in range(4)] == list(LAYERS)


@pytest.mark.parametrize("place", [4, -1])
def test_a_layer_that_is_not_there_is_refused(place: int) -> None:
    with pytest.raises(UsageError, match=rf"no such layer\. Found: {place}\. Expected: 0 to 3, last or weighted"):
        layer_mix(place, 4)


def test_weights_of_another_upstream_are_refused() -> None:
    with pytest.raises(UsageError, match=r"Found: 4 layers\. Expected: 13 layers"):
        layer_mix("weighted", 13)(LAYERS)


def test_layers_needed_are_those_a_choice_looks_at() -> None:
    assert (layers_needed("last", 4), layers_needed(2, 4), layers_needed("weighted", 4)) == ([3], [2], [0, 1, 2, 3])
    with pytest.raises(UsageError, match=r"no such layer\. Found: 4\. Expected: 0 to 3, last or weighted"):
        layers_needed(4, 4)
