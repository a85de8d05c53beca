"""Systems that see one vector per utterance: standardise it, classify it, fitted in one step.

What such a system adds is how a waveform becomes the vector.
"""

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
import torch
from pydantic import Field
from torch import Generator, Tensor, device, nn

from serenade.core.errors import UsageError
from serenade.core.labels import LabelSet
from serenade.core.settings import Settings
from serenade.nn.classifiers import StandardisedClassifier
from serenade.training.batches import collate, mean_over_segments
from serenade.training.classifiers import ClassifierSettings, Material, fit_classifier, make_classifier
from serenade.training.settings import FittedTrainingSettings, TrainingSettings
from serenade.training.speakers import NORMALISED, PROTOCOL, SpeakerNormalisation, normalise_by_speaker
from serenade.training.system import Batch, Example, Outputs

__all__ = ["OneVectorSettings", "OneVectorSystem"]


class OneVectorSettings(ClassifierSettings):
    """Settings of a system that classifies one vector per utterance."""

    speaker_normalisation: SpeakerNormalisation = Field(
        "none",
        description="all_utterances: standardise every feature over all recordings of its speaker, tested speakers "
        "included (a protocol of its own, declared beside every number); none: by the training part alone",
    )
    training: FittedTrainingSettings = Field(TrainingSettings(), description="not used: fitted in one step")


class OneVectorSystem:
    """The classifier as the training loop and the recogniser see it.

    Args:
        settings: of the system.
        labels: classes.
        width: D, features per utterance.
    """

    settings_class: ClassVar[type[Settings]] = OneVectorSettings
    notes: tuple[str, ...] = ()

    def __init__(self, settings: OneVectorSettings, labels: LabelSet, width: int) -> None:
        self.settings, self.labels = settings, labels
        self.network = StandardisedClassifier(width, make_classifier(settings, width, len(labels)))

    @property
    def protocol(self) -> str | None:
        """What it sees besides the training part; None for nothing."""
        return None if self.settings.speaker_normalisation == "none" else PROTOCOL

    def prepare(self, examples: Sequence[Example]) -> list[Example]:
        """All examples of a run with the inputs that the protocol asks for."""
        return list(examples) if self.protocol is None else normalise_by_speaker(examples)

    def to(self, where: device) -> Self:
        """The system on a device."""
        self.network.to(where)
        return self

    def fit_inputs(self, train: Sequence[Example]) -> None:
        """Fit the standardisation on the training part of a fold."""
        self.network.fit_scale(self._features(collate(train)))

    def fit(self, train: Sequence[Example], selection: Sequence[Example], seed: int) -> None:
        """Choose what is not fitted, then fit both parts; nothing is drawn, so the seed changes nothing."""
        examples = [*train, *selection]
        with torch.inference_mode():
            inputs = self.network.embed(self._features(collate(examples))).cpu().numpy().astype(np.float64)
        targets = np.array([example.target for example in examples])
        material = Material(inputs, targets, [f"{e.utterance.corpus}/{e.utterance.speaker}" for e in examples])
        fit_classifier(self.network.classifier, self.settings, material, len(selection), len(self.labels))

    def training_items(self, examples: Sequence[Example], generator: Generator) -> Sequence[Example]:
        """The examples themselves."""
        return examples

    def collate(self, items: Sequence[Example]) -> Batch:
        """One row per utterance."""
        return collate(items)

    def losses(self, batch: Batch, generator: Generator) -> dict[str, Tensor]:
        """Cross-entropy; `fit` minimises its own objective in one step."""
        return {"emotion": nn.functional.cross_entropy(self.network(self._features(batch)), batch.targets)}

    def predict(self, batch: Batch) -> Outputs:
        """Softmax of the classifier's logits, and the standardised vector."""
        self.network.eval().requires_grad_(False)  # nothing is learnt here; the features may still have a gradient
        embeddings = mean_over_segments(self.network.embed(self._features(batch)), batch.lengths)
        logits = self.network.classifier(embeddings)
        return Outputs(logits.softmax(dim=1), embeddings, logits.log_softmax(dim=1))

    def _features(self, batch: Batch) -> Tensor:
        """(B, D) features, on the network's device."""
        wanted = "audio" if self.protocol is None else NORMALISED
        if wanted not in batch.inputs:
            raise UsageError(
                "this system works on features normalised per speaker, which single recordings do not have",
                where=batch.ids[0] if batch.ids[0] else None,
                hint="Use it under `serenade run`; for a model to use, train one with speaker_normalisation=none",
            )
        return batch.inputs[wanted].to(self.network.mean.device)
