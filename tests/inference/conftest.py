"""A tiny segment system and recordings to score with it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, device, nn

from serenade.core.labels import LabelSet
from serenade.core.settings import Settings
from serenade.inference.recognizer import Recognizer
from serenade.signal.segments import SegmentSettings


class LinearSystem:
    """Scores half-second segments by one linear layer; what a `SegmentSystem` must have to be used for prediction."""

    settings_class = Settings

    def __init__(self) -> None:
        self.settings, self.labels = Settings(), LabelSet(("angry", "happy", "sad"))
        self.evaluation_segments = SegmentSettings(length_s=0.5, overlap_s=0.3)
        self.network = nn.Linear(8000, 3)
        weights = torch.randn(3, 8000, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            self.network.weight.copy_(weights / 20)
            self.network.bias.copy_(torch.tensor([0.1, -0.2, 0.0]))

    def to(self, where: device) -> Self:
        self.network.to(where)
        return self

    def segment_logits(self, waveforms: Tensor) -> Tensor:
        logits: Tensor = self.network(waveforms)
        return logits

    def not_asked(self, *arguments: Any, **options: Any) -> Any:
        raise AssertionError("prediction by segments must not need this")

    cache_key = extract = fit_inputs = training_items = collate = losses = predict = not_asked


@pytest.fixture
def system() -> LinearSystem:
    return LinearSystem()


@pytest.fixture
def recognizer(system: LinearSystem) -> Recognizer:
    return Recognizer(system)


def noise(duration_s: float, seed: int = 0, sample_rate: int = 16_000) -> np.ndarray:
    """Noise that gets louder and quieter, so that stretches of it differ."""
    samples = round(duration_s * sample_rate)
    swell = 0.2 + 0.15 * np.sin(np.arange(samples) / sample_rate * 2)
    return (swell * np.random.default_rng(seed).uniform(-1, 1, samples)).astype(np.float32)


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., Path]:
    """Writes a recording and returns its path."""

    def write(name: str, samples: np.ndarray | float, sample_rate: int = 16_000, subtype: str = "FLOAT") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, noise(samples) if isinstance(samples, float) else samples, sample_rate, subtype)
        return path

    return write
