"""The moving average of weights against a plain loop."""

import torch
from torch import nn

from serenade.training.averaging import WeightAverage


def test_average_equals_a_plain_loop_and_ramps_up() -> None:
    network = nn.Linear(1, 1, bias=False)
    average = WeightAverage(network, 0.9)
    expected = float(network.weight.detach())
    for step in range(1, 200):
        with torch.no_grad():
            network.weight.fill_(float(step))
        average.update()
        share = min(0.9, (1 + step) / (10 + step))
        expected = share * expected + (1 - share) * step
    torch.testing.assert_close(
        average.weights()["weight"].double(), torch.full((1, 1), expected, dtype=torch.float64), rtol=1e-5, atol=0
    )


def test_network_holds_the_average_only_inside() -> None:
    network = nn.BatchNorm1d(2)
    average = WeightAverage(network, 0.5)
    with torch.no_grad():
        network.weight.fill_(3.0)
    average.update()
    with average.applied():
        inside = network.weight.detach().clone()
    assert torch.equal(inside, average.weights()["weight"])
    assert not torch.equal(inside, network.weight)
    assert torch.all(network.weight == 3.0)


def test_without_decay_it_is_the_weights() -> None:
    network = nn.Linear(2, 2)
    average = WeightAverage(network, 0.0)
    with torch.no_grad():
        network.weight.add_(1.0)
    average.update()
    assert torch.equal(average.weights()["weight"], network.weight)
