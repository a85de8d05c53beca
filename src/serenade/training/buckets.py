"""Batches of utterances of similar length, so that little of a padded batch is padding."""

from collections.abc import Iterator, Sequence

import torch
from torch import Generator

__all__ = ["bucketed_order", "length_batches", "padding_waste"]

_MOST_WASTE = 0.1
_POOL_BATCHES = 16  # sorted together in `bucketed_order`: enough for little padding, few enough to mix lengths


def length_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Places of utterances in batches, from the longest to the shortest; at most a tenth of a batch is padding.

    The longest come first: what memory does not suffice for fails at the beginning, and time that is left is
    overestimated rather than underestimated.

    Args:
        lengths: of the utterances.
        budget: most steps of a padded batch; one utterance that is longer is a batch of its own.
    """
    batch: list[int] = []
    longest = steps = 0
    for place in sorted(range(len(lengths)), key=lambda place: (-lengths[place], place)):
        padded = longest * (len(batch) + 1)
        if batch and (padded > budget or padded - steps - lengths[place] > _MOST_WASTE * padded):
            yield batch
            batch = []
        if not batch:
            longest, steps = lengths[place], 0
        batch.append(place)
        steps += lengths[place]
    if batch:
        yield batch


def bucketed_order(lengths: Sequence[int], batch_size: int, generator: Generator) -> list[int]:
    """A random order of which each `batch_size` neighbours have similar lengths; for training.

    All are shuffled and cut into pools of 16 batches; a pool is sorted by length, and the batches of all pools are
    shuffled. The batch that is not full, if there is one, comes last.

    Args:
        lengths: of the utterances.
        batch_size: of the batches into which the order will be cut.
        generator: draws the order.
    """
    order = torch.randperm(len(lengths), generator=generator).tolist()
    size = _POOL_BATCHES * batch_size
    whole, rest = [], []
    for start in range(0, len(order), size):
        pool = sorted(order[start : start + size], key=lambda place: lengths[place])
        parts = [pool[first : first + batch_size] for first in range(0, len(pool), batch_size)]
        whole += [part for part in parts if len(part) == batch_size]
        rest += [place for part in parts if len(part) < batch_size for place in part]
    drawn = torch.randperm(len(whole), generator=generator).tolist()
    return [place for batch in drawn for place in whole[batch]] + rest


def padding_waste(batches: Sequence[Sequence[int]]) -> float:
    """Share of padded batches that is padding, 0 where there is no step.

    Args:
        batches: lengths of the utterances of each batch.
    """
    padded = sum(len(batch) * max(batch) for batch in batches if batch)
    return 1 - sum(map(sum, batches)) / padded if padded else 0.0
