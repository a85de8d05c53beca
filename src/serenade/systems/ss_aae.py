"""SS-AAE: an adversarial autoencoder taught emotion, gender and speaker, also by speech without emotion labels.

S. Latif, R. Rana, S. Khalifa, R. Jurdak, J. Epps, B. W. Schuller, "Multi-Task Semi-Supervised Adversarial Autoencoding
for Speech Emotion Recognition", IEEE Trans. Affective Computing 13(2), 992-1004, 2022, arXiv 1907.06078: what MTL-AUG
(`systems.mtl_aug`) is compared with. It needs to be told who speaks and of which sex, of unlabelled speech too: the
weakness that MTL-AUG does without.

Idea to code:
    code of one vector, heads on it               `models.ss_aae`
    step 1: reconstruction + emotion, sex, speaker `SsAaeSystem.task_losses`
    step 2: discriminator of code and prior N(0, I) `SsAaeSystem.discriminator_losses`
    step 3: encoder, to fool it                   `SsAaeSystem.fooling_losses`
    three Adams that take turns                   `training.steps`

Deviations, with reasons: the paper's body was not at hand; features, encoder and recipe are those of MTL-AUG, so that
the comparison is of what is taught. The discriminator sees the codes of step 1, which saves a forward pass.

Target numbers: none; no cell of the tables could be read.
"""

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Generator, Tensor
from torch.nn import functional

from serenade.core.labels import LabelSet
from serenade.core.records import UNKNOWN_SPEAKER, Utterance
from serenade.core.settings import Settings
from serenade.models.ss_aae import AaeClassifier, CodeDecoder, Discriminator, SsAaeNetworkSettings, TaskHead
from serenade.nn.masking import masked_mean_squares
from serenade.nn.soft_targets import class_shares, soft_cross_entropy
from serenade.signal.normaliser import Normaliser
from serenade.training.system import Batch, Example, Phase, UnlabelledUse
from serenade.training.window_system import WindowNetwork, WindowSystem, WindowSystemSettings
from serenade.training.windows import random_crop

__all__ = ["SsAaeNetwork", "SsAaeSettings", "SsAaeSystem", "TaskWeights"]

_GENDERS = {"female": 0, "male": 1}
_UNKNOWN = -1
_COLLATED = ("audio", "speaker", "gender")


class TaskWeights(Settings):
    """Weights of the losses beside the reconstruction."""

    emotion: float = Field(1.0, gt=0, description="of the cross-entropy of emotions")
    gender: float = Field(0.3, gt=0, description="of the cross-entropy of female and male")
    speaker: float = Field(0.3, gt=0, description="of the cross-entropy of the speakers trained on")
    fooling: float = Field(0.1, gt=0, description="of the encoder's loss against the discriminator")


class SsAaeSettings(WindowSystemSettings):
    """Settings of SS-AAE."""

    losses: TaskWeights = TaskWeights()
    network: SsAaeNetworkSettings = SsAaeNetworkSettings()


class SsAaeNetwork(WindowNetwork):
    """Normaliser, coder, heads, decoder and discriminator: all that has weights or fitted buffers.

    Args:
        num_classes: K.
        num_bands: F of the features.
        settings: of the system.
    """

    body: AaeClassifier

    def __init__(self, num_classes: int, num_bands: int, settings: SsAaeSettings) -> None:
        body = AaeClassifier(num_classes, num_bands, settings.network)
        super().__init__(Normaliser(settings.normaliser, num_bands), body)
        self.gender = TaskHead(len(_GENDERS), settings.network)
        self.speaker = TaskHead(1, settings.network)  # as many as are trained on, once they are known
        self.decoder = CodeDecoder(num_bands, settings.window_frames, settings.network)
        self.discriminator = Discriminator(settings.network)


class SsAaeSystem(WindowSystem):
    """SS-AAE as the training loop and the recogniser see it.

    Args:
        settings: of the system.
        labels: classes.
    """

    settings_class: type[Settings] = SsAaeSettings
    settings: SsAaeSettings
    network: SsAaeNetwork
    unlabelled_use: UnlabelledUse = "optional"

    def __init__(self, settings: SsAaeSettings, labels: LabelSet) -> None:
        super().__init__(settings, labels)
        self.network = SsAaeNetwork(len(labels), self.num_bands, settings)
        self.reach = self.network.body.coder.encoder.reach
        self._others: frozenset[str] = frozenset()
        self._speakers: dict[str, int] = {}
        self._codes: Tensor | None = None

    def meet_unlabelled(self, utterances: Sequence[Utterance]) -> None:
        """Its speakers are told apart too."""
        self._others = frozenset(key for utterance in utterances if (key := _speaker(utterance)) is not None)

    def fit_inputs(self, train: Sequence[Example]) -> None:
        """Fit the normaliser to the labelled training part of a fold, and count the speakers trained on."""
        self.alignment.fit(train)
        own = {key for example in train if (key := _speaker(example.utterance)) is not None}
        self._speakers = {key: place for place, key in enumerate(sorted(own | self._others))}
        self.network.speaker.resize(max(1, len(self._speakers)))

    def training_items(self, examples: Sequence[Example], generator: Generator) -> list[Example]:
        """Every example once, cropped at random to the window, with the numbers of its speaker and sex."""
        return [self._item(example, generator) for example in examples]

    def _item(self, example: Example, generator: Generator) -> Example:
        speaker = self._speakers.get(_speaker(example.utterance) or "", _UNKNOWN)
        gender = _GENDERS.get(example.utterance.gender or "", _UNKNOWN)
        inputs = {
            "audio": random_crop(example.inputs["audio"], self.settings.window_frames, generator),
            "speaker": torch.tensor([speaker]),
            "gender": torch.tensor([gender]),
        }
        return Example(example.utterance, inputs, example.target)

    def collate(self, items: Sequence[Example]) -> Batch:
        """Windows of all items along the first axis, with their valid lengths."""
        return self.put_together(items, _COLLATED, trim="speaker" not in items[0].inputs)

    def phases(self) -> list[Phase]:
        """Tasks, discriminator, encoder: each with an optimiser of its own."""
        network = self.network
        judge = list(network.discriminator.parameters())
        judging = {id(parameter) for parameter in judge}
        others = [parameter for parameter in network.parameters() if id(parameter) not in judging]
        return [
            Phase("tasks", self.task_losses, others),
            Phase("discriminator", self.discriminator_losses, judge),
            Phase("encoder", self.fooling_losses, list(network.body.coder.parameters())),
        ]

    def losses(self, batch: Batch, generator: Generator) -> dict[str, Tensor]:
        """Those of all three steps."""
        steps = (self.task_losses, self.discriminator_losses, self.fooling_losses)
        return {name: loss for step in steps for name, loss in step(batch, generator).items()}

    def task_losses(self, batch: Batch, generator: Generator) -> dict[str, Tensor]:
        """``reconstruction`` of all, ``emotion``, ``gender`` and ``speaker`` of those of whom each is known."""
        weights, network = self.settings.losses, self.network
        x, frames = self._normalised(batch)
        code = network.body.coder(x.unsqueeze(1), frames)
        self._codes = code.detach()
        losses = {"reconstruction": masked_mean_squares(network.decoder(code), x, frames)}
        rows = batch.targets >= 0
        if rows.any():
            shares = class_shares(batch.targets, len(self.labels)) if batch.shares is None else batch.shares
            even = torch.ones(len(self.labels), device=shares.device)
            losses["emotion"] = weights.emotion * soft_cross_entropy(
                network.body.emotion(code[rows]), shares[rows], even
            )
        for name, head, weight in (
            ("gender", network.gender, weights.gender),
            ("speaker", network.speaker, weights.speaker),
        ):
            known = batch.inputs[name] >= 0
            if known.any():
                loss = functional.cross_entropy(head(code[known]).float(), batch.inputs[name][known])
                losses[name] = weight * loss
        return losses

    def discriminator_losses(self, batch: Batch, generator: Generator) -> dict[str, Tensor]:
        """``discriminator``: draws of the prior are 1, codes are 0."""
        assert self._codes is not None, "the discriminator's step follows that of the tasks"
        codes = self._codes.float()
        prior = torch.randn(codes.shape, generator=generator).to(codes.device)
        told = self.network.discriminator(torch.cat([prior, codes])).float()
        truth = torch.cat([torch.ones(len(prior)), torch.zeros(len(codes))]).to(told.device)
        return {"discriminator": functional.binary_cross_entropy_with_logits(told, truth)}

    def fooling_losses(self, batch: Batch, generator: Generator) -> dict[str, Tensor]:
        """``fooling``: codes are to be taken for draws of the prior."""
        x, frames = self._normalised(batch)
        told = self.network.discriminator(self.network.body.coder(x.unsqueeze(1), frames)).float()
        loss = functional.binary_cross_entropy_with_logits(told, torch.ones_like(told))
        return {"fooling": self.settings.losses.fooling * loss}

    def _normalised(self, batch: Batch) -> tuple[Tensor, Tensor]:
        frames = batch.inputs["audio_frames"]
        return self.network.normalise(batch.inputs["audio"], frames), frames


def _speaker(utterance: Utterance) -> str | None:
    """A name that no other corpus uses for somebody else; None where the speaker is not known."""
    name = utterance.speaker.removeprefix(f"{utterance.corpus}/")
    return None if name == UNKNOWN_SPEAKER else f"{utterance.corpus}/{name}"
