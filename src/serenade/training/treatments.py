"""Treatments of training examples whose kind is a target of its own: none, speed, SpecAugment, mixup.

S. Latif et al., "Multitask Learning From Augmented Auxiliary Data for Improving Speech Emotion Recognition", IEEE
Trans. Affective Computing 2023. Exactly one treatment is drawn per example and epoch, all with the same probability.

Speed changes the waveform, so it comes before the features: they are extracted once at every speed and kept in half
precision. With two speeds that is as much memory as the waveform in 16 bits, and no epoch resamples or transforms
anything. What is done to features is drawn and applied batch by batch.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor

from serenade.core.settings import Settings
from serenade.signal.augmentation.spec_augment import SpecAugmentSettings, spec_augment
from serenade.training.system import Example
from serenade.training.windows import random_crop

__all__ = [
    "Padded",
    "Treated",
    "Treatment",
    "TreatmentSettings",
    "draw_item",
    "draw_partners",
    "draw_shares",
    "treat",
]

Treatment = Literal["none", "speed", "spec_augment", "mixup"]


class TreatmentSettings(Settings):
    """Which treatments there are and how strong they are."""

    kinds: tuple[Treatment, ...] = Field(
        ("none", "speed", "spec_augment", "mixup"),
        min_length=1,
        description="drawn from with equal probability; the place of a kind is its augmentation label",
    )
    speeds: tuple[float, ...] = Field(
        (0.9, 1.1), min_length=1, description="speed: x(t) becomes x(s t), so that pitch moves too"
    )
    spec_augment: SpecAugmentSettings = SpecAugmentSettings()
    mixup_alpha: float = Field(1.0, ge=0.01, description="mixup: shares are drawn from Beta(alpha, alpha)")
    mixup_least_share: float = Field(
        0.2, ge=0, lt=0.5, description="mixup: of the lesser part; below it a share is drawn again, as it hardly shows"
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.kinds)) < len(self.kinds):
            raise ValueError(f"every treatment is named once: found {', '.join(self.kinds)}")
        if min(self.speeds) <= 0 or 1.0 in self.speeds:
            raise ValueError(f"speeds are positive, and 1 is no treatment: found {self.speeds}")
        if self.spec_augment.probability < 1:
            raise ValueError("spec_augment.probability must be 1: what is labelled spec_augment is masked")
        return self


def draw_item(
    example: Example, settings: TreatmentSettings, frames: int, generator: Generator, *, clean: bool
) -> Example:
    """An example with its treatment drawn, cropped to at most `frames`.

    Args:
        example: ``audio: (1, F, L)``, and ``speed0``, ``speed1``, ... at the speeds of the settings.
        settings: of the treatments.
        frames: most frames.
        generator: source of randomness, on the CPU.
        clean: whether the untreated form goes along as ``clean``.

    Returns:
        ``audio`` at the speed drawn, a view; ``treatment: (1,)`` int64, the place in `settings.kinds`.
    """
    place = int(torch.randint(len(settings.kinds), (), generator=generator))
    untreated = random_crop(example.inputs["audio"], frames, generator)
    inputs = {"audio": untreated, "treatment": torch.tensor([place])}
    if settings.kinds[place] == "speed":
        speed = int(torch.randint(len(settings.speeds), (), generator=generator))
        inputs["audio"] = random_crop(example.inputs[f"speed{speed}"], frames, generator)
    if clean:
        inputs["clean"] = untreated
    return Example(example.utterance, inputs, example.target)


class Padded(NamedTuple):
    """Features with their valid lengths.

    Args:
        features: (B, F, L) normalised, 0 where they are padding.
        lengths: (B,) int64 valid frames, at least 1.
    """

    features: Tensor
    lengths: Tensor


@dataclass(frozen=True, slots=True)
class Treated:
    """A batch after its treatments.

    Args:
        audio: what the network gets.
        partners: (B,) int64, what each example is mixed with; itself where it is not.
        shares: (B,) share of the example itself; 1 where it is not mixed.
    """

    audio: Padded
    partners: Tensor
    shares: Tensor

    @property
    def mixed(self) -> Tensor:
        """(B,) bool."""
        return self.shares < 1

    def mix(self, targets: Tensor) -> Tensor:
        """``share target + (1 - share) target of the partner`` of (B, D) targets."""
        shares = self.shares[:, None]
        return shares * targets + (1 - shares) * targets[self.partners]


def treat(
    audio: Padded, clean: Padded, kinds: Tensor, labelled: Tensor, settings: TreatmentSettings, generator: Generator
) -> Treated:
    """Mask and mix what is to be masked and mixed.

    Args:
        audio: a batch.
        clean: its untreated form, which is what partners give.
        kinds: (B,) int64, places in `settings.kinds`.
        labelled: (B,) bool; a partner is labelled where the example is.
        settings: of the treatments.
        generator: source of randomness, on the CPU.
    """
    kinds, device = kinds.cpu(), audio.features.device
    partners, shares = torch.arange(len(kinds)), torch.ones(len(kinds))
    if "mixup" in settings.kinds:
        rows = kinds == settings.kinds.index("mixup")
        partners = torch.where(rows, draw_partners(labelled.cpu(), generator), partners)
        shares[rows] = draw_shares(int(rows.sum()), settings, generator)
    if "spec_augment" in settings.kinds:
        rows = (kinds == settings.kinds.index("spec_augment")).nonzero().flatten().to(device)
        features, lengths = (part[rows] for part in audio)
        masked, _ = spec_augment(features, settings.spec_augment, generator, lengths)
        audio = audio._replace(features=audio.features.index_copy(0, rows, masked))
    return _mixed(audio, clean, partners.to(device), shares.to(device))


def _mixed(audio: Padded, clean: Padded, partners: Tensor, shares: Tensor) -> Treated:
    mixed = shares < 1
    others = torch.where(mixed[:, None, None], clean.features[partners], audio.features)
    features = torch.lerp(others, audio.features, shares[:, None, None])
    lengths = torch.where(mixed, torch.maximum(audio.lengths, clean.lengths[partners]), audio.lengths)
    return Treated(Padded(features, lengths), partners, shares)


def draw_partners(labelled: Tensor, generator: Generator) -> Tensor:
    """Another example for each: along a random circle through the labelled, and one through the unlabelled.

    Args:
        labelled: (B,) bool.
        generator: source of randomness, on the CPU.

    Returns:
        (B,) int64, a permutation without fixed points, but for the only one of its kind.
    """
    partners = torch.empty(len(labelled), dtype=torch.int64)
    for rows in (labelled.nonzero().flatten(), (~labelled).nonzero().flatten()):
        circle = rows[torch.randperm(len(rows), generator=generator)]
        partners[circle] = circle.roll(1)
    return partners


def draw_shares(count: int, settings: TreatmentSettings, generator: Generator) -> Tensor:
    """(count,) shares from Beta(alpha, alpha), drawn again until neither part has less than the least share."""
    numbers = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    alpha, least = settings.mixup_alpha, settings.mixup_least_share
    shares = numbers.beta(alpha, alpha, count)
    while len(outside := np.flatnonzero((shares < least) | (shares > 1 - least))):
        shares[outside] = numbers.beta(alpha, alpha, len(outside))
    return torch.from_numpy(shares).float()
