"""Cross-entropy against shares, against torch's own for labels."""

import torch
from torch.nn import functional

from serenade.nn.soft_targets import class_shares, soft_cross_entropy

LOGITS = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
TARGETS = torch.tensor([0, 3, 1, 1, 2, 0])


def test_shares_of_labels_are_one_hot_and_of_no_label_nothing() -> None:
    assert class_shares(torch.tensor([1, -1, 0]), 3).tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 0]]


def test_labels_give_plain_cross_entropy() -> None:
    found = soft_cross_entropy(LOGITS, class_shares(TARGETS, 4), torch.ones(4))
    torch.testing.assert_close(found, functional.cross_entropy(LOGITS, TARGETS))


def test_weights_of_classes_are_those_of_torch() -> None:
    weights = torch.tensor([0.5, 2.0, 1.0, 3.0])
    found = soft_cross_entropy(LOGITS, class_shares(TARGETS, 4), weights)
    torch.testing.assert_close(found, functional.cross_entropy(LOGITS, TARGETS, weight=weights))


def test_a_mixture_has_the_weighted_sum_of_both_losses() -> None:
    own, other = class_shares(TARGETS, 4), class_shares(TARGETS.flip(0), 4)
    found = soft_cross_entropy(LOGITS, 0.7 * own + 0.3 * other, torch.ones(4))
    expected = 0.7 * functional.cross_entropy(LOGITS, TARGETS) + 0.3 * functional.cross_entropy(LOGITS, TARGETS.flip(0))
    torch.testing.assert_close(found, expected)
