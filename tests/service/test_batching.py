"""Batches: nobody's scores depend on who else is in them."""

import threading
from typing import Any

import pytest
import torch

from serenade.service.batching import MicroBatcher
from serenade.signal.segments import SegmentSettings


class Recorder:
    """Scores a segment by its sum, and notes the sizes."""

    batch, attributes = 8, False
    segments: SegmentSettings | None = SegmentSettings(length_s=0.5, overlap_s=0.3)

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def logits(self, waveforms: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(waveforms))
        if bool((waveforms == -7).any()):
            raise ValueError("seven")
        return torch.stack([waveforms.sum(1), waveforms.double().mean(1)], 1)


def batcher(engine: Any, **changes: Any) -> tuple[MicroBatcher, list[int]]:
    seen: list[int] = []
    values = {"batch": 4, "wait_s": 0.05, "threads": 1, "observe": seen.append} | changes
    return MicroBatcher(engine, **values), seen


def test_segments_of_many_go_together_and_come_back_to_their_own() -> None:
    engine = Recorder()
    made, seen = batcher(engine, wait_s=0.3)
    inputs = [torch.full((count, 3), float(count)) + torch.arange(count).unsqueeze(1) for count in (1, 3, 5, 2, 1)]
    found: dict[int, torch.Tensor] = {}
    threads = [
        threading.Thread(target=lambda place=place: found.update({place: made.logits(inputs[place])}))
        for place in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made.close()
    for place, given in enumerate(inputs):
        assert torch.equal(found[place][:, 0], given.sum(1).double())
    assert set(engine.sizes) == {4}  # filled up where there were fewer
    assert sum(seen) == 12
    assert len(seen) == 3


def test_filling_of_a_caller_is_scored_once() -> None:
    made, seen = batcher(Recorder())
    given = torch.cat([torch.ones(1, 3), torch.full((1, 3), 2.0).expand(3, 3)])
    assert made.logits(given)[:, 0].tolist() == [3, 6, 6, 6]
    made.close()
    assert sum(seen) == 2


def test_error_goes_to_those_who_wait_and_the_rest_go_on() -> None:
    made, _ = batcher(Recorder(), wait_s=0)
    with pytest.raises(ValueError, match="seven"):
        made.logits(torch.full((1, 3), -7.0))
    assert made.logits(torch.ones(1, 3)).shape == (1, 2)
    made.close()


def test_pieces_that_are_not_cut_go_alone() -> None:
    engine = Recorder()
    engine.segments = None
    made, _ = batcher(engine)
    assert made.batch == 1
    made.logits(torch.ones(1, 5))
    made.logits(torch.ones(1, 9))
    made.close()
    assert engine.sizes == [1, 1]


def test_digital_silence_is_scored_once() -> None:
    made, seen = batcher(Recorder(), wait_s=0)
    quiet, loud = torch.zeros(1, 3), torch.ones(1, 3)
    first = made.logits(torch.cat([quiet, loud, quiet, loud]))
    again = made.logits(torch.cat([quiet, loud]))
    made.close()
    assert first[:, 0].tolist() == [0, 3, 0, 3]
    assert again[:, 0].tolist() == [0, 3]
    assert sum(seen) == 4


def test_silence_is_asked_again_after_a_failure() -> None:
    class Unwell(Recorder):
        def logits(self, waveforms: torch.Tensor) -> torch.Tensor:
            if not self.sizes:
                self.sizes.append(0)
                raise MemoryError("this once")
            return super().logits(waveforms)

    made, _ = batcher(Unwell())
    with pytest.raises(MemoryError):
        made.logits(torch.zeros(1, 3))
    assert made.logits(torch.zeros(1, 3)).tolist() == [[0, 0]]
    made.close()
