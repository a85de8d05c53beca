"""What systems share that classify fixed-length segments of an utterance with one network and average their scores.

A published system of this kind adds its network, its settings and its recipe (`systems`); everything here is the same
for all of them, so that they can be compared on the same segments, features, mixtures and scores.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol, Self

import torch
from pydantic import Field
from torch import Generator, Tensor, device, nn

from serenade.core.errors import SettingsError
from serenade.core.labels import LabelSet
from serenade.core.settings import Settings
from serenade.nn.mixup import draw_mixture, mixed_cross_entropy
from serenade.signal.features import FrontEndSettings, MfccSettings, build_front_end
from serenade.signal.normaliser import Normaliser, NormaliserSettings
from serenade.signal.segments import SegmentSettings, cut
from serenade.training.alignment import Alignment
from serenade.training.batches import collate, draw_segments, mean_over_segments, split_segments, upsample
from serenade.training.settings import TrainingSettings
from serenade.training.system import Batch, Example, Outputs

__all__ = ["SegmentClassifier", "SegmentClassifierSettings", "SegmentClassifierSystem", "SegmentNetwork"]


class SegmentClassifier(Protocol):
    """A network that gives scores and the vector that shows them best."""

    def scores_and_embeddings(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 1, F, L) features to (N, K) logits and (N, D) embeddings."""

    def __call__(self, x: Tensor) -> Tensor:
        """(N, 1, F, L) features to (N, K) logits."""


class SegmentClassifierSettings(Settings):
    """Settings that all systems of this kind have."""

    front_end: FrontEndSettings = MfccSettings()
    normaliser: NormaliserSettings = NormaliserSettings()
    segments: SegmentSettings = SegmentSettings()
    evaluation_overlap_s: float | None = Field(
        None, ge=0, description="overlap of segments when scoring; unset: that of training"
    )
    segments_per_epoch: int | None = Field(
        None, ge=1, description="segments drawn per utterance and epoch; unset: all of them, as published"
    )
    upsample: bool = Field(False, description="repeat utterances of smaller classes up to the largest, in every epoch")
    mixup_alpha: float = Field(0.5, ge=0, description="Beta(alpha, alpha); 0 switches mixup off")
    training: TrainingSettings = TrainingSettings()


class SegmentNetwork(nn.Module):
    """Normaliser and network: all that has weights or fitted buffers.

    Args:
        normaliser: of the features.
        body: the network.
    """

    def __init__(self, normaliser: Normaliser, body: nn.Module) -> None:
        super().__init__()
        self.normaliser, self.body = normaliser, body

    def scores_and_embeddings(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(N, F, L) features to (N, K) logits and (N, D) embeddings."""
        body: SegmentClassifier = self.body  # type: ignore[assignment]  # every network of a segment system is one
        return body.scores_and_embeddings(self.normaliser(features).unsqueeze(1))

    def forward(self, features: Tensor) -> Tensor:
        """(N, F, L) features to (N, K) logits."""
        logits: Tensor = self.body(self.normaliser(features).unsqueeze(1))
        return logits


class SegmentClassifierSystem(ABC):
    """Such a system as the training loop and the recogniser see it.

    Args:
        settings: of the system.
        labels: classes.

    Raises:
        SettingsError: segments overlap by their whole length when scoring.
    """

    settings_class: type[Settings] = SegmentClassifierSettings
    settings: SegmentClassifierSettings

    def __init__(self, settings: SegmentClassifierSettings, labels: LabelSet) -> None:
        self.settings, self.labels = settings, labels
        self.evaluation_segments = _evaluation_segments(settings)
        self.front_end = build_front_end(settings.front_end)
        height, width = self.front_end.shape(settings.segments.length)
        normaliser = Normaliser(settings.normaliser, height)
        self.network = SegmentNetwork(normaliser, self.build(len(labels), height, width))
        self.alignment = Alignment(normaliser)

    @abstractmethod
    def build(self, num_classes: int, height: int, width: int) -> nn.Module:
        """The network, a `SegmentClassifier`, for features of a size."""

    def to(self, where: device) -> Self:
        """The system on a device."""
        self.front_end.to(where)
        self.network.to(where)
        return self

    def cache_key(self, *, training: bool) -> str:
        """Front end and segmentation."""
        segments = self.settings.segments if training else self.evaluation_segments
        return f"{self.settings.front_end.model_dump_json()}|{segments.model_dump_json()}"

    def extract(self, waveform: Tensor, *, training: bool) -> dict[str, Tensor]:
        """``audio: (N, F, L)`` of a (T,) waveform."""
        segments = cut(waveform, self.settings.segments if training else self.evaluation_segments)
        with torch.inference_mode(not waveform.requires_grad):
            return {"audio": self.front_end(segments)}

    def fit_inputs(self, train: Sequence[Example]) -> None:
        """Fit the normaliser on the training part of a fold."""
        self.alignment.fit(train)

    def training_items(self, examples: Sequence[Example], generator: Generator) -> list[Example]:
        """All segments, or as many per utterance as the settings say, drawn anew."""
        if self.settings.upsample:
            examples = upsample(examples, generator)
        if self.settings.segments_per_epoch is None:
            return split_segments(examples)
        return draw_segments(examples, self.settings.segments_per_epoch, generator)

    def collate(self, items: Sequence[Example]) -> Batch:
        """Segments of all items along the first axis."""
        return collate(self.alignment.align(items), self.labels if self.settings.training.targets == "votes" else None)

    def losses(self, batch: Batch, generator: Generator) -> dict[str, Tensor]:
        """Cross-entropy of mixed segments."""
        features = batch.inputs["audio"]
        mixture = draw_mixture(len(features), self.settings.mixup_alpha, generator)
        targets = batch.targets if batch.shares is None else batch.shares
        logits = self.network(features if mixture is None else mixture.mix(features))
        return {"emotion": mixed_cross_entropy(logits, targets, mixture)}

    def predict(self, batch: Batch) -> Outputs:
        """Softmax of the mean of segment logits; embeddings are averaged over segments too."""
        self.network.eval()
        logits, embeddings = self.network.scores_and_embeddings(batch.inputs["audio"])
        means = mean_over_segments(logits, batch.lengths)
        return Outputs(means.softmax(1), mean_over_segments(embeddings, batch.lengths), means.log_softmax(1))

    def segment_logits(self, waveforms: Tensor) -> Tensor:
        """(N, K) logits of (N, T) segments."""
        logits: Tensor = self.network.eval()(self.front_end(waveforms))
        return logits


def _evaluation_segments(settings: SegmentClassifierSettings) -> SegmentSettings:
    overlap = settings.evaluation_overlap_s
    if overlap is None:
        return settings.segments
    if overlap >= settings.segments.length_s:
        raise SettingsError(
            "evaluation_overlap_s must be shorter than a segment",
            found=overlap,
            expected=f"less than {settings.segments.length_s}",
        )
    return settings.segments.model_copy(update={"overlap_s": overlap})
