"""Segments into batches and back, against plain loops."""

import torch
from tests.training.toy import toy_examples

from serenade.core.records import Attributes
from serenade.training.batches import (
    batches,
    collate,
    draw_segments,
    mean_over_segments,
    num_rows,
    num_segments,
    split_segments,
    upsample,
)
from serenade.training.system import Example


def test_mean_over_segments_equals_a_loop() -> None:
    values, lengths = torch.randn(9, 4, dtype=torch.float64), torch.tensor([2, 1, 6])
    expected = torch.stack([part.mean(dim=0) for part in values.split(lengths.tolist())])
    torch.testing.assert_close(mean_over_segments(values, lengths), expected)


def test_split_then_collate_keeps_every_segment_in_order() -> None:
    examples = toy_examples(5)
    segments = split_segments(examples)
    assert len(segments) == sum(map(num_segments, examples))
    batch = collate(segments)
    torch.testing.assert_close(batch.inputs["audio"], torch.cat([e.inputs["audio"] for e in examples]))
    assert batch.lengths.tolist() == [1] * len(segments)


def test_drawn_segments_are_different_segments_of_their_utterance() -> None:
    examples = toy_examples(12)
    drawn = draw_segments(examples, 2, torch.Generator().manual_seed(0))
    for example in examples:
        mine = [d.inputs["audio"] for d in drawn if d.utterance.id == example.utterance.id]
        assert len(mine) == min(2, num_segments(example))
        assert len({tuple(m.flatten().tolist()) for m in mine}) == len(mine)
        assert all(any(torch.equal(m[0], s) for s in example.inputs["audio"]) for m in mine)


def test_upsampling_gives_every_class_as_many_and_repeats_evenly() -> None:
    examples = [e for e in toy_examples(20) if e.target == 0 or e.utterance.id in {"u01", "u03", "u05"}]
    ids = [e.utterance.id for e in upsample(examples, torch.Generator().manual_seed(0))]
    assert len(ids) == 20
    assert {ids.count(name) for name in ("u01", "u03", "u05")} == {3, 4}
    assert all(ids.count(e.utterance.id) == 1 for e in examples if e.target == 0)


def test_a_last_batch_of_one_is_joined_to_the_one_before() -> None:
    items = split_segments(toy_examples(20))[:17]
    assert [len(chunk) for chunk in batches(items, 8, list(range(17)))] == [8, 9]
    assert [len(chunk) for chunk in batches(items, 8, list(range(16)))] == [8, 8]
    assert [len(chunk) for chunk in batches(items, 8, [0])] == [1]


def test_attributes_are_targets_on_a_scale_from_0_to_1_and_nan_where_missing() -> None:
    plain, rated, half = toy_examples(3)
    stated = (Attributes(1, 5, valence=2.0, arousal=5.0, dominance=1.0), Attributes(-1, 1, arousal=0.5))
    items = [plain] + [
        Example(item.utterance.with_(attributes=attributes), item.inputs, item.target)
        for item, attributes in zip((rated, half), stated, strict=True)
    ]
    found = collate(items).to(torch.device("cpu")).attributes
    assert found is not None
    nan = float("nan")
    expected = torch.tensor([[nan, nan, nan], [(2 - 1) / 4, 1.0, 0.0], [nan, 0.75, nan]])
    torch.testing.assert_close(found, expected, equal_nan=True)


def test_batches_hold_no_more_rows_than_asked_and_a_longer_item_is_alone() -> None:
    utterance = toy_examples(1)[0].utterance
    rows = [3, 3, 2, 9, 1, 4]
    items = [
        Example(utterance, {"audio": torch.zeros(n - 1, 2), "face": torch.zeros(1, 2), "text": torch.zeros(5)}, 0)
        for n in rows
    ]
    assert [num_rows(item) for item in items] == rows
    cut = [[num_rows(item) for item in chunk] for chunk in batches(items, 8, range(6), 6)]
    assert cut == [[3, 3], [2], [9], [1, 4]]
    assert [len(chunk) for chunk in batches(items, 2, range(6), 100)] == [2, 2, 2]
    assert [len(chunk) for chunk in batches(items, 8, [5, 4], 100)] == [2]
