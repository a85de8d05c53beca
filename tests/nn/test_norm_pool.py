"""Normalising after pooling against normalising before it."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from serenade.nn import norm_pool
from serenade.nn.norm_pool import normalise_and_pool


def make(sign: float = 1.0) -> tuple[nn.BatchNorm2d, torch.Tensor]:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(5).double()
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    nn.init.uniform_(norm.bias, -1, 1)
    with torch.no_grad():
        norm.weight[2] *= sign
    x = 3 + 2 * torch.randn(4, 5, 9, 12, dtype=torch.float64)
    return norm, x.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("sign", [1.0, -1.0, 0.0])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("training", [True, False])
def test_output_gradients_and_statistics_are_those_of_the_two_calls(
    sign: float, layout: torch.memory_format, training: bool
) -> None:
    norm, x = make(sign)
    norm.train(training)
    other, weights = copy.deepcopy(norm), torch.randn(4, 5, 4, 6, dtype=torch.float64)
    one = x.clone(memory_format=layout).requires_grad_()
    two = x.clone(memory_format=layout).requires_grad_()
    ours, theirs = normalise_and_pool(norm, one), functional.max_pool2d(other(two), 2)
    torch.testing.assert_close(ours, theirs)
    (ours * weights).sum().backward()
    (theirs * weights).sum().backward()
    torch.testing.assert_close(one.grad, two.grad)
    for mine, plain in zip(norm.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, plain.grad)
    for mine, plain in zip(norm.buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(mine, plain)


def test_the_short_way_is_taken_where_it_is_meant_to_be() -> None:
    norm, x = make()
    assert norm_pool._has_short_way(norm, x)
    assert not norm_pool._has_short_way(norm.eval(), x)
    norm, x = make(-1.0)
    assert not norm_pool._has_short_way(norm, x)


def test_gradient_agrees_with_finite_differences() -> None:
    norm, x = make()
    x = x[:2, :, :4, :4].contiguous(memory_format=torch.channels_last).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: normalise_and_pool(norm, x), (x,))
