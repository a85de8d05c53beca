"""Which engine is chosen: the quickest whose frames are near, for one size, one device and one number of threads."""

from pathlib import Path

import pytest
import torch

from serenade.models.upstreams.engine_choice import (
    EngineSpeed,
    choose_engine,
    chosen_engine,
    keep_speeds,
    quick_upstream,
)
from serenade.models.upstreams.upstream import Frames, Upstream

CPU = torch.device("cpu")
MEASURED = [
    EngineSpeed("float32", 5.0, 0.0),
    EngineSpeed("bfloat16", 9.0, 0.02),
    EngineSpeed("openvino-bf16", 30.0, 0.06),
]


class Scaled(Upstream):
    """Samples as frames, times a weight."""

    kind, dim, num_layers, sample_rate, hop_length, least_samples = "scaled", 1, 1, 16000, 1, 1

    def __init__(self, width: int = 1) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(width))

    def num_frames(self, lengths: torch.Tensor) -> torch.Tensor:
        return lengths

    def forward(self, waveforms: torch.Tensor, lengths: torch.Tensor) -> Frames:
        return self._frames([(waveforms * self.weight[0])[:, :, None]], lengths)


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SERENADE_CACHE", str(tmp_path))


def test_the_quickest_near_engine_is_chosen() -> None:
    assert choose_engine(MEASURED) == "bfloat16"
    assert choose_engine(MEASURED[:1]) == "float32"
    assert choose_engine([EngineSpeed("bfloat16", 9.0, float("nan"))]) == "float32"


def test_choice_is_kept_for_its_size_and_threads() -> None:
    upstream = Scaled()
    assert chosen_engine(upstream, CPU) is None
    assert quick_upstream(upstream, CPU) == (upstream, "float32")
    assert keep_speeds(upstream, CPU, MEASURED) == "bfloat16"
    assert chosen_engine(Scaled(), CPU) == "bfloat16"
    assert chosen_engine(Scaled(2), CPU) is None
    keep_speeds(Scaled(2), CPU, MEASURED[:1])
    assert (chosen_engine(Scaled(), CPU), chosen_engine(Scaled(2), CPU)) == ("bfloat16", "float32")
    quick, engine = quick_upstream(upstream, CPU)
    assert engine == "bfloat16"
    assert quick.identity() == upstream.identity()
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(before + 1)
        assert chosen_engine(Scaled(), CPU) is None
    finally:
        torch.set_num_threads(before)


def test_what_cannot_be_read_or_used_any_more_is_not_chosen(tmp_path: Path) -> None:
    keep_speeds(Scaled(), CPU, [EngineSpeed("openvino", 9.0, 0.0)])
    assert chosen_engine(Scaled(), CPU) is None  # it cannot be exported
    (tmp_path / "engines.json").write_text("{")
    assert chosen_engine(Scaled(), CPU) is None
    assert keep_speeds(Scaled(), CPU, MEASURED) == "bfloat16"
    assert chosen_engine(Scaled(), CPU) == "bfloat16"
