"""The concordance correlation coefficient against numpy, and what is left out of its loss."""

import numpy as np
import pytest
import torch

from serenade.nn.concordance import concordance, concordance_loss


def plain(p: np.ndarray, t: np.ndarray) -> float:
    covariance = np.cov(p, t, ddof=0)
    return 2 * covariance[0, 1] / (covariance[0, 0] + covariance[1, 1] + (p.mean() - t.mean()) ** 2)


def test_equals_the_formula() -> None:
    p, t = np.random.default_rng(0).standard_normal((2, 50))
    found = concordance(torch.from_numpy(p), torch.from_numpy(t + 0.5 * p))
    assert float(found) == pytest.approx(plain(p, t + 0.5 * p), rel=1e-5)


@pytest.mark.parametrize(("p", "expected"), [((1.0, 2.0, 3.0), 1.0), ((3.0, 2.0, 1.0), -1.0), ((2.0, 2.0, 2.0), 0.0)])
def test_known_values(p: tuple[float, ...], expected: float) -> None:
    assert float(concordance(torch.tensor(p), torch.tensor([1.0, 2.0, 3.0]))) == pytest.approx(expected)


def test_two_equal_constants_give_no_division_by_zero() -> None:
    assert float(concordance(torch.ones(3), torch.ones(3))) == 0.0


def test_missing_values_are_masked_and_attributes_stated_once_left_out() -> None:
    generator = torch.Generator().manual_seed(1)
    predictions = torch.rand(6, 3, generator=generator).requires_grad_()
    targets = torch.rand(6, 3, generator=generator)
    targets[:2, 0], targets[1:, 1] = torch.nan, torch.nan
    loss = concordance_loss(predictions, targets)
    assert loss is not None
    p, t = predictions.detach().numpy(), targets.numpy()
    assert loss.item() == pytest.approx(1 - (plain(p[2:, 0], t[2:, 0]) + plain(p[:, 2], t[:, 2])) / 2, rel=1e-5)
    loss.backward()
    assert predictions.grad is not None
    assert predictions.grad.isfinite().all()
    assert (predictions.grad[:2, 0] == 0).all()
    assert (predictions.grad[:, 1] == 0).all()


def test_nothing_stated_gives_no_loss() -> None:
    assert concordance_loss(torch.rand(4, 3), torch.full((4, 3), torch.nan)) is None
