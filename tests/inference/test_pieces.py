"""Windows of a stream: where they lie, however the stream is cut into blocks."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from serenade.inference.pieces import cut_windows


def plain_windows(length: int, window: int, hop: int) -> list[tuple[int, int]]:
    """(start, end) by the definition: full windows at multiples of the hop, and one that reaches the end."""
    spans = [(start, start + window) for start in range(0, length, hop) if start + window <= length]
    following = len(spans) * hop
    if following < length and (not spans or spans[-1][1] < length):
        spans.append((following, length))
    return spans


@given(
    length=st.integers(0, 60),
    window=st.integers(1, 20),
    hop=st.integers(1, 25),
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=8),
)
def test_windows_do_not_depend_on_blocks(length: int, window: int, hop: int, sizes: list[int]) -> None:
    signal = torch.arange(length, dtype=torch.float32)
    blocks, position = [], 0
    while position < length:
        size = sizes[len(blocks) % len(sizes)]
        blocks.append(signal[position : position + size])
        position += size
    found = list(cut_windows(blocks, window, hop))
    assert [(start, start + len(samples)) for start, samples in found] == plain_windows(length, window, hop)
    for start, samples in found:
        assert torch.equal(samples, signal[start : start + len(samples)])


def test_a_stream_of_any_length_is_held_only_for_a_window() -> None:
    held = [
        samples.untyped_storage().nbytes()
        for _, samples in cut_windows((torch.zeros(1000) for _ in range(100)), 500, 500)
    ]
    assert max(held) <= 4 * 1500
    assert len(held) == 200


@pytest.mark.parametrize(("length", "expected"), [(0, []), (5, [(0, 5)]), (10, [(0, 10)]), (11, [(0, 10), (10, 1)])])
def test_small_cases(length: int, expected: list[tuple[int, int]]) -> None:
    assert [(start, len(s)) for start, s in cut_windows([torch.zeros(length)], 10, 10)] == expected
