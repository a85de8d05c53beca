"""Mixup against its equations."""

import pytest
import torch
from torch.nn import functional

from serenade.nn.mixup import Mixture, draw_mixture, mixed_cross_entropy


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_mix_is_the_convex_sum() -> None:
    x = torch.randn(3, 4, 5, generator=seeded(), dtype=torch.float64)
    mixed = Mixture(0.3, torch.tensor([1, 2, 0])).mix(x)
    torch.testing.assert_close(mixed[0], 0.3 * x[0] + 0.7 * x[1])
    torch.testing.assert_close(mixed[2], 0.3 * x[2] + 0.7 * x[0])


def test_alpha_zero_draws_nothing() -> None:
    assert draw_mixture(4, 0.0, seeded()) is None


def test_share_follows_the_beta_distribution() -> None:
    generator, alpha = seeded(), 0.5
    shares = torch.tensor([draw_mixture(2, alpha, generator).share for _ in range(4000)])  # type: ignore[union-attr] # alpha is not 0
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(shares.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), abs=0.01)


def test_same_seed_draws_the_same_mixture() -> None:
    first, second = draw_mixture(8, 0.5, seeded(3)), draw_mixture(8, 0.5, seeded(3))
    assert first is not None
    assert second is not None
    assert first.share == second.share
    assert torch.equal(first.partners, second.partners)


def test_loss_equals_cross_entropy_with_soft_targets() -> None:
    logits = torch.randn(5, 3, generator=seeded(), dtype=torch.float32)
    targets, partners = torch.tensor([0, 1, 2, 1, 0]), torch.tensor([4, 3, 2, 1, 0])
    soft = 0.8 * functional.one_hot(targets, 3) + 0.2 * functional.one_hot(targets[partners], 3)
    loss = mixed_cross_entropy(logits, targets, Mixture(0.8, partners))
    torch.testing.assert_close(loss, functional.cross_entropy(logits, soft.float()))
