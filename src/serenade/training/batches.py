"""Segments into batches and back: the parts that all segment-scoring systems share."""

from collections.abc import Iterator, Sequence

import torch
from torch import Generator, Tensor

from serenade.core.labels import LabelSet
from serenade.evaluation.distributions import vote_shares
from serenade.training.system import Batch, Example

__all__ = [
    "batches",
    "collate",
    "draw_segments",
    "mean_over_segments",
    "num_rows",
    "num_segments",
    "split_segments",
    "target_attributes",
    "target_shares",
    "upsample",
]


def split_segments(examples: Sequence[Example]) -> list[Example]:
    """One example per segment, in order."""
    return [_one_segment(example, index) for example in examples for index in range(num_segments(example))]


def draw_segments(examples: Sequence[Example], count: int, generator: Generator) -> list[Example]:
    """At most `count` different segments per utterance, drawn at random, as one-segment examples."""
    return [
        _one_segment(example, index)
        for example in examples
        for index in torch.randperm(num_segments(example), generator=generator)[:count].tolist()
    ]


def upsample(examples: Sequence[Example], generator: Generator) -> list[Example]:
    """Utterances repeated until every class has as many as the largest; which ones are repeated is drawn at random.

    Each utterance of a class is repeated equally often, but for the remainder.
    """
    by_class: dict[int | None, list[Example]] = {}
    for example in examples:
        by_class.setdefault(example.target, []).append(example)
    largest = max(map(len, by_class.values()))
    repeated = []
    for members in by_class.values():
        whole, rest = divmod(largest, len(members))
        drawn = torch.randperm(len(members), generator=generator)[:rest].tolist()
        repeated += members * whole + [members[index] for index in drawn]
    return repeated


def num_segments(example: Example) -> int:
    """Segments of an example."""
    return len(next(iter(example.inputs.values())))


def _one_segment(example: Example, index: int) -> Example:
    inputs = {name: tensor[index : index + 1] for name, tensor in example.inputs.items()}
    return Example(example.utterance, inputs, example.target)


def collate(items: Sequence[Example], voted: LabelSet | None = None) -> Batch:
    """Put examples together along the segment axis.

    Args:
        items: examples.
        voted: the classes, where the votes of raters are the targets; None where the label is.
    """
    inputs = {name: torch.cat([item.inputs[name] for item in items]) for name in items[0].inputs}
    return Batch(
        inputs=inputs,
        lengths=torch.tensor([num_segments(item) for item in items]),
        targets=torch.tensor([-1 if item.target is None else item.target for item in items]),
        ids=tuple(item.utterance.id for item in items),
        shares=None if voted is None else torch.stack([target_shares(item, voted) for item in items]),
        attributes=torch.stack([target_attributes(item) for item in items]),
    )


def target_attributes(example: Example) -> Tensor:
    """(3,) valence, arousal and dominance of an utterance on a scale from 0 to 1, NaN where they are not stated."""
    stated = example.utterance.attributes
    if stated is None:
        return torch.full((3,), torch.nan)
    scaled = stated.on_scale(0.0, 1.0)
    values = (scaled.valence, scaled.arousal, scaled.dominance)
    return torch.tensor([torch.nan if value is None else value for value in values])


def target_shares(example: Example, labels: LabelSet) -> Tensor:
    """(K,) the votes of an utterance's raters as shares; all for its label where there are no votes.

    Votes for classes outside the label set do not count. Unlabelled speech without votes gives zeros.
    """
    shares = vote_shares(example.utterance.votes, labels.names)
    if shares is not None:
        return torch.tensor(shares, dtype=torch.float32)
    one_hot = torch.zeros(len(labels))
    if example.target is not None:
        one_hot[example.target] = 1.0
    return one_hot


def num_rows(example: Example) -> int:
    """Rows of all inputs that have more than one axis: segments, windows, faces and pieces of sound together."""
    return sum(len(tensor) for tensor in example.inputs.values() if tensor.ndim > 1)


def _starts(rows: Sequence[int], batch_size: int, most_rows: int) -> list[int]:
    """Where batches begin that hold at most so many items and rows."""
    starts, held = [0], 0
    for place, count in enumerate(rows):
        if place > starts[-1] and (held + count > most_rows or place - starts[-1] == batch_size):
            starts.append(place)
            held = 0
        held += count
    return starts


def mean_over_segments(values: Tensor, lengths: Tensor) -> Tensor:
    """Mean of the segments of each example.

    Args:
        values: (N, D) one row per segment, examples following each other.
        lengths: (B,) int64 segments per example, at least 1 each.

    Returns:
        (B, D).
    """
    owner = torch.repeat_interleave(torch.arange(len(lengths), device=values.device), lengths)
    sums = values.new_zeros(len(lengths), values.shape[1]).index_add_(0, owner, values)
    return sums / lengths[:, None]


def batches(
    items: Sequence[Example],
    batch_size: int,
    order: Sequence[int],
    most_rows: int | None = None,
    least: int = 2,
) -> Iterator[list[Example]]:
    """Items in the order given, cut into batches; a last batch that is too small joins the one before.

    Batch normalisation cannot be trained on a single segment, and a batch of one would drift its statistics.

    Args:
        items: to be cut.
        batch_size: most items of a batch.
        order: places in `items`.
        most_rows: most rows of a batch, an item with more is alone; a small last batch stays. None for any number.
        least: items that the last batch must have.
    """
    starts = list(range(0, len(order), batch_size))
    if most_rows is not None:
        starts = _starts([num_rows(items[index]) for index in order], batch_size, most_rows)
    elif len(starts) > 1 and len(order) - starts[-1] < least:
        starts.pop()
    for start, stop in zip(starts, [*starts[1:], len(order)], strict=True):
        yield [items[index] for index in order[start:stop]]
