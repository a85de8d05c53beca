"""What extraction costs, against the figures of the wav2vec 2.0 presets and a network of known slowness."""

import time

import pytest
import torch

from serenade.inference.fine_tuning_cost import FineTuningPace, fine_tuning_cost
from serenade.inference.upstream_cost import UpstreamFacts, describe_upstream, extraction_cost, measure_speed
from serenade.models.upstreams.upstream import Frames, Upstream

LARGE = UpstreamFacts("hubert", 422, 315_000_000, 25, 1024, "speech", 50.0, 16000, 0.025, None)


class Slow(Upstream):
    """Takes a given time for every clip; 10 frames per second."""

    kind, dim, num_layers, sample_rate, hop_length, least_samples = "slow", 3, 2, 1000, 100, 100

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.weight, self.seconds, self.calls = torch.nn.Parameter(torch.zeros(4, 2)), seconds, 0

    def num_frames(self, lengths: torch.Tensor) -> torch.Tensor:
        return lengths // 100

    def forward(self, waveforms: torch.Tensor, lengths: torch.Tensor) -> Frames:
        self.calls += 1
        time.sleep(self.seconds)
        return Frames((waveforms[:, :, None],) * 2, lengths)


def test_seven_hours_of_a_large_upstream_take_2_6_gb_a_layer() -> None:
    cost = extraction_cost(LARGE, 7, 14.0)
    assert cost.one_layer_gib * 2**30 / 1e9 == pytest.approx(2.6, abs=0.05)
    assert cost.all_layers_gib == pytest.approx(25 * cost.one_layer_gib)
    assert cost.hours == 0.5


def test_facts_are_read_from_the_upstream() -> None:
    facts = describe_upstream(Slow(0))
    assert facts == UpstreamFacts("slow", 1, 8, 2, 3, "speech", 10.0, 1000, 0.1, None)


def test_speed_is_sound_by_time() -> None:
    upstream = Slow(0.05)
    assert 0.3 / 0.5 < measure_speed(upstream, clip_s=0.3, budget_s=0) <= 0.3 / 0.05
    assert upstream.calls == 3  # one to warm up


def test_a_training_takes_its_epochs_and_keeps_five_of_them() -> None:
    pace = FineTuningPace(count=4, speed=20.0, epochs=30, memory_gib=None, model_gib=0.35)
    cost = fine_tuning_cost(pace, 7 * 3600)
    assert cost.hours == pytest.approx(30 * 7 / 20)
    assert cost.disk_gib == pytest.approx(8 * 0.35)  # five epochs; weights and two moments to go on from
