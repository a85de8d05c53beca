"""Scoring in batches: the means are right however pieces and batches meet, and results come as soon as they can."""

import random
import threading
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from serenade.core.errors import AudioError
from serenade.inference.pieces import Chunk
from serenade.inference.scoring import score_pieces


def logits(segments: Tensor) -> Tensor:
    return torch.stack([segments.sum(1), segments.square().sum(1)], 1).double()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("batch", [1, 2, 5, 16])
def test_every_piece_gets_the_mean_over_its_own_segments(batch: int, threads: int) -> None:
    draw = random.Random(batch)
    generator = torch.Generator().manual_seed(batch)
    recordings, expected = [], []
    for name in range(20):
        chunks = []
        for piece in range(draw.randint(1, 3)):
            segments = torch.randint(-9, 9, (draw.randint(1, 12), 4), generator=generator).float()
            cut = draw.randint(0, len(segments))
            span = (float(piece), float(piece + 1))
            chunks += [Chunk(segments[:cut], None), Chunk(segments[cut:], span)]
            expected.append((name, *span, logits(segments).mean(0)))
        recordings.append((name, chunks))
    found = []
    for name, result in score_pieces(recordings, logits, batch=batch, threads=threads):
        assert not isinstance(result, AudioError)
        found.append((name, *result))
    assert [row[:3] for row in found] == [row[:3] for row in expected]
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a[3], b[3], rtol=0, atol=1e-12)


def test_an_error_comes_after_the_pieces_that_were_complete() -> None:
    def broken() -> Iterator[Chunk]:
        yield Chunk(torch.ones(2, 4), (0.0, 1.0))
        yield Chunk(torch.ones(2, 4), None)
        raise AudioError("gone", reason="undecodable")

    good = [Chunk(torch.ones(1, 4), (0.0, 2.0))]
    results = list(score_pieces([("a", broken()), ("b", good)], logits, batch=64))
    assert [name for name, _ in results] == ["a", "a", "b"]
    assert [isinstance(result, AudioError) for _, result in results] == [False, True, False]


def test_a_recording_without_a_segment_is_an_error() -> None:
    (result,) = score_pieces([("a", [Chunk(torch.empty(0, 4), (0.0, 1.0))])], logits, batch=4)
    assert isinstance(result[1], AudioError)
    assert "shorter than one segment" in str(result[1])


def test_an_error_of_the_network_reaches_the_caller_and_no_thread_stays() -> None:
    def fail(segments: Tensor) -> Tensor:
        raise RuntimeError("the network broke")

    with pytest.raises(RuntimeError, match="the network broke"):
        list(score_pieces([("a", [Chunk(torch.ones(9, 4), (0.0, 1.0))])], fail, batch=2, threads=2))
    assert not any(thread.name.startswith("serenade-score") for thread in threading.enumerate())


def test_memory_is_bounded_when_the_network_is_slow() -> None:
    taken = 0

    def endless() -> Iterator[Chunk]:
        nonlocal taken
        while True:
            taken += 1
            yield Chunk(torch.ones(4, 4), (float(taken), float(taken + 1)))

    results = score_pieces([("a", endless())], logits, batch=4, threads=2)
    for _ in range(50):
        next(results)
    assert taken <= 50 + 2 + 2  # handed over, running, waiting
    results.close()  # type: ignore[attr-defined]
