"""The center loss against its equations, worked out by hand."""

import pytest
import torch
from torch.nn import functional

from serenade.nn.center_loss import CenterLoss


def test_one_update_is_the_one_worked_out_by_hand() -> None:
    loss = CenterLoss(3, 2, rate=0.5)
    loss.centers.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0], [5.0, 5.0]]))
    embeddings = torch.tensor([[3.0, 0.0], [1.0, 4.0], [0.0, 1.0]], requires_grad=True)
    targets = torch.tensor([0, 0, 1])
    # distances: 4 / 2, (0 + 16) / 2, 1 / 2
    assert loss(embeddings, functional.one_hot(targets, 3)).item() == pytest.approx((2 + 8 + 0.5) / 3)
    loss.update(embeddings, targets)
    # class 0: ((1,0)-(3,0)) + ((1,0)-(1,4)) = (-2,-4), over 1 + 2, half of it taken off; class 1: (0,1) / 2, half
    expected = torch.tensor([[1 + 1 / 3, 2 / 3], [0.0, 1.75], [5.0, 5.0]])
    torch.testing.assert_close(loss.centers, expected)
    assert not loss.centers.requires_grad


def test_gradient_is_the_difference_to_the_center_over_the_batch() -> None:
    generator = torch.Generator().manual_seed(0)
    loss = CenterLoss(4, 6)
    loss.centers.copy_(torch.randn(4, 6, generator=generator))
    embeddings = torch.randn(5, 6, generator=generator).requires_grad_()
    targets = torch.tensor([3, 0, 0, 2, 1])
    loss(embeddings, functional.one_hot(targets, 4)).backward()
    torch.testing.assert_close(embeddings.grad, (embeddings.detach() - loss.centers[targets]) / 5)


def test_a_mixture_has_the_weighted_sum_of_both_distances() -> None:
    loss = CenterLoss(2, 1)
    loss.centers.copy_(torch.tensor([[0.0], [4.0]]))
    assert float(loss(torch.tensor([[1.0]]), torch.tensor([[0.7, 0.3]]))) == pytest.approx(0.7 * 0.5 + 0.3 * 4.5)


def test_centers_start_at_zero_are_stored_and_are_no_parameters() -> None:
    loss = CenterLoss(2, 3)
    assert (loss.centers == 0).all()
    assert list(loss.parameters()) == []
    assert list(loss.state_dict()) == ["centers"]


def test_nobody_moves_nothing() -> None:
    loss = CenterLoss(2, 3)
    loss.update(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
    assert (loss.centers == 0).all()
