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
from serenade.training.system import Batch, Example, Outputs, Phase, UnlabelledUse


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


def _without_bias() -> nn.Linear:
    """A bias before batch normalisation has no gradient but rounding, which Adam blows up to whole steps."""
    return nn.Linear(2, 8, bias=False)


class SemiToySystem(ToySystem):
    """Learns its class from what is labelled, and to say its input again from everything; keeps a running mean."""

    unlabelled_use: UnlabelledUse = "required"

    def __init__(self, labels: LabelSet, seed: int = 0) -> None:
        super().__init__(labels, seed)
        self.network[0] = _without_bias()
        self.network.append(nn.Linear(2, 2))  # the decoder
        self.network.register_buffer("center", torch.zeros(2))
        self.met: Sequence[Utterance] = ()
        self.seen: list[tuple[str, ...]] = []

    def meet_unlabelled(self, utterances: Sequence[Utterance]) -> None:
        self.met = utterances

    def losses(self, batch: Batch, generator: Generator) -> dict[str, Tensor]:
        self.seen.append(batch.ids)
        x = batch.inputs["audio"] + 0.1 * torch.randn(batch.inputs["audio"].shape, generator=generator)
        logits = self.network[:5](x)
        labelled = batch.targets >= 0
        self.last = logits[labelled].detach().mean(dim=0)
        return {
            "emotion": nn.functional.cross_entropy(logits[labelled], batch.targets[labelled]),
            "rebuilt": (self.network[5](logits) - x).square().mean(),
        }

    def after_step(self) -> None:
        center = self.network.get_buffer("center")
        center += 0.5 * (self.last - center)

    def predict(self, batch: Batch) -> Outputs:
        self.network.eval()
        logits = mean_over_segments(self.network[:5](batch.inputs["audio"]), batch.lengths)
        return Outputs(logits.softmax(dim=1), logits)


class Speech:
    """Unlabelled examples of one segment, made when asked for; remembers what was."""

    def __init__(self, count: int) -> None:
        examples = toy_examples(count, seed=77)
        self.utterances = [example.utterance.with_(id=f"free{n}", emotion=None) for n, example in enumerate(examples)]
        self.inputs = [example.inputs["audio"][:1] for example in examples]
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> Example:
        self.asked.append(index)
        return Example(self.utterances[index], {"audio": self.inputs[index]}, None)


class AdversarialToySystem(ToySystem):
    """A classifier whose logits a discriminator tells from normal noise."""

    def __init__(self, labels: LabelSet, seed: int = 0) -> None:
        super().__init__(labels, seed)
        self.network[0] = _without_bias()
        self.network.append(nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)))

    def phases(self) -> list[Phase]:
        return [
            Phase("class", self.of_class, list(self.network[:5].parameters())),
            Phase("discriminator", self.of_discriminator, list(self.network[5].parameters())),
            Phase("encoder", self.of_encoder, list(self.network[0].parameters())),
        ]

    def losses(self, batch: Batch, generator: Generator) -> dict[str, Tensor]:
        return {name: loss for phase in self.phases() for name, loss in phase.losses(batch, generator).items()}

    def of_class(self, batch: Batch, generator: Generator) -> dict[str, Tensor]:
        return {"emotion": nn.functional.cross_entropy(self.network[:5](batch.inputs["audio"]), batch.targets)}

    def of_discriminator(self, batch: Batch, generator: Generator) -> dict[str, Tensor]:
        code = self.network[:5](batch.inputs["audio"]).detach()
        prior = torch.randn(code.shape, generator=generator)
        told = self.network[5](torch.cat([prior, code])).squeeze(1)
        truth = torch.cat([torch.ones(len(prior)), torch.zeros(len(code))])
        return {"discriminator": nn.functional.binary_cross_entropy_with_logits(told, truth)}

    def of_encoder(self, batch: Batch, generator: Generator) -> dict[str, Tensor]:
        told = self.network[5](self.network[:5](batch.inputs["audio"])).squeeze(1)
        return {"fooling": 0.1 * nn.functional.binary_cross_entropy_with_logits(told, torch.ones(len(told)))}

    def predict(self, batch: Batch) -> Outputs:
        self.network.eval()
        logits = mean_over_segments(self.network[:5](batch.inputs["audio"]), batch.lengths)
        return Outputs(logits.softmax(dim=1), logits)
