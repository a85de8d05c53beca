"""Batches of similar length: nothing lost, little padding, random order."""

import random

import pytest
import torch

from serenade.training.buckets import bucketed_order, length_batches, padding_waste


def drawn(count: int = 1000) -> list[int]:
    """Lengths as in emotion corpora: most of 2 to 5 s, some much longer."""
    chance = random.Random(0)
    return [round(16000 * min(30, max(0.3, chance.lognormvariate(1.2, 0.6)))) for _ in range(count)]


def test_batches_hold_everything_once_within_the_budget() -> None:
    lengths = drawn()
    batches = list(length_batches(lengths, 20 * 16000))
    assert sorted(place for batch in batches for place in batch) == list(range(1000))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[place] for place in batch) <= 20 * 16000
    longest = [lengths[batch[0]] for batch in batches]
    assert longest == sorted(longest, reverse=True)


def test_less_than_15_percent_is_padding() -> None:
    lengths = drawn()
    extraction = [[lengths[place] for place in batch] for batch in length_batches(lengths, 20 * 16000)]
    assert padding_waste(extraction) < 0.05
    few = [[lengths[place] for place in batch] for batch in length_batches(lengths[:40], 60 * 16000)]
    assert max(padding_waste([batch]) for batch in few) < 0.101
    order = bucketed_order(lengths, 16, torch.Generator().manual_seed(0))
    training = [[lengths[place] for place in order[first : first + 16]] for first in range(0, 1000, 16)]
    assert padding_waste(training) < 0.15
    plain = [lengths[first : first + 16] for first in range(0, 1000, 16)]
    assert padding_waste(plain) > 0.4


@pytest.mark.parametrize("count", [1, 15, 16, 17, 300])
def test_order_is_random_and_whole(count: int) -> None:
    lengths = drawn(count)
    first, again, other = (bucketed_order(lengths, 16, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert sorted(first) == list(range(count))
    assert first == again
    assert count < 300 or first != other  # a single pool has one order


def test_waste_is_the_share_of_padding() -> None:
    assert padding_waste([[4, 2], [3]]) == pytest.approx(2 / 11)
    assert padding_waste([]) == padding_waste([[]]) == 0
    assert list(length_batches([], 10)) == []
    assert list(length_batches([99, 4, 2, 4], 10)) == [[0], [1, 3], [2]]
