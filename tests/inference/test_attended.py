"""Which stretches are looked into, and the sound of each."""

import numpy as np
import pytest

from serenade.core.records import Prediction
from serenade.inference.attended import clearest_spans, cut_spans


def row(start_s: float, end_s: float, label: str, score: float) -> Prediction:
    return Prediction("a.wav", start_s, end_s, label, score, {label: score})


def test_every_class_is_looked_into_and_no_more_than_a_minute() -> None:
    rows = [row(10.0 * place, 10.0 * place + 9, "sad", 0.9 - place / 100) for place in range(9)]
    rows += [row(95, 98, "happy", 0.3), row(96, 99, "happy", 0.2), row(200, 250, "calm", 0.1)]
    found = clearest_spans(rows)
    assert (95, 98) in found
    assert (0, 9) in found
    assert (96, 99) not in found  # it overlaps a surer one
    assert sum(end - start for start, end in found) <= 60
    assert found == sorted(found)


@pytest.mark.parametrize("block", [700, 16_000, 200_000])
def test_spans_are_cut_from_blocks_of_any_length(block: int) -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, 160_000).astype(np.float32)
    spans = [(0.5, 1.25), (1.25, 3.0), (8.999, 10.001)]
    blocks = (samples[start : start + block] for start in range(0, len(samples), block))
    found = list(cut_spans(blocks, spans))
    assert [start for start, _ in found] == [0.5, 1.25, 8.999]
    for (start_s, end_s), (_, part) in zip(spans, found, strict=True):
        np.testing.assert_array_equal(part, samples[round(start_s * 16_000) : round(end_s * 16_000)])
