"""A tiny system on two numbers per segment: the loop's test double."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Generator, Tensor, device, nn

from serenade.core.labels import LabelSet
from serenade.core.records import Utterance
from serenade.core.settings import Settings
from serenade.nn.mixup import draw_mixture, mixed_cross_entropy
from serenade.training.batches import collate, mean_over_segments, split_segments
from serenade.training.system import Batch, Example, Outputs


class ToySettings(Settings):
    """No settings."""


class ToySystem:
    """Dropout, batch normalisation and two linear layers: everything that makes resuming hard."""

    settings_class = ToySettings

    def __init__(self, labels: LabelSet, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.settings, self.labels = ToySettings(), labels
        self.network = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))

    def to(self, where: device) -> Self:
        self.network.to(where)
        return self

    def cache_key(self, *, training: bool) -> str:
        return "toy"

    def extract(self, waveform: Tensor, *, training: bool) -> dict[str, Tensor]:
        return {"audio": waveform.reshape(-1, 2)}

    def fit_inputs(self, train: Sequence[Example]) -> None:
        pass

    def training_items(self, examples: Sequence[Example], generator: Generator) -> list[Example]:
        return split_segments(examples)

    def collate(self, items: Sequence[Example]) -> Batch:
        return collate(items)

    def losses(self, batch: Batch, generator: Generator) -> dict[str, Tensor]:
        mixture = draw_mixture(len(batch.targets), 0.5, generator)
        x = batch.inputs["audio"]
        return {"emotion": mixed_cross_entropy(self.network(mixture.mix(x) if mixture else x), batch.targets, mixture)}

    def predict(self, batch: Batch) -> Outputs:
        self.network.eval()
        logits = mean_over_segments(self.network(batch.inputs["audio"]), batch.lengths)
        return Outputs(logits.softmax(dim=1), logits)


LABELS = LabelSet(("happy", "sad"))


def toy_examples(count: int = 24, seed: int = 0) -> list[Example]:
    """Two overlapping clouds, one to three segments per utterance."""
    generator = torch.Generator().manual_seed(seed)
    examples = []
    for index in range(count):
        target = index % 2
        segments = int(torch.randint(1, 4, (), generator=generator))
        values = torch.randn(segments, 2, generator=generator) + (2.0 * target - 1.0)
        utterance = Utterance(f"u{index:02}", Path("none.wav"), "toy", f"s{index % 4}", LABELS.names[target])
        examples.append(Example(utterance, {"audio": values}, target))
    return examples
