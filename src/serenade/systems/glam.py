"""GLAM whole: 26 MFCC of 1.8 s segments, the network, mixup, and the mean of segment scores per utterance.

W. Zhu, X. Li, "Speech Emotion Recognition with Global-Aware Fusion on Multi-scale Feature Representation",
ICASSP 2022, doi 10.1109/ICASSP43922.2022.9747517.

Equation to code:
    MFCC (section 3.1)                  `signal.features`, kind "mfcc"
    stem, multi-scale block (2.1, 2.2)  `models.glam.Glam`, `MultiScaleBlock`
    global-aware block (2.3)            `models.glam.GlobalAwareBlock`
    mixup (2.4)                         `nn.mixup`, used in `GlamSystem.losses`
    Adam, decay 0.95 per epoch (3.1)    `training.loop`, preset ``glam-published``

Deviations, with reasons: short turns are padded and scored instead of dropped (published: dropped, which leaves out up
to a fifth of a corpus); the segment step is exact; validation chooses the epoch (published: the test set does).

Target numbers (IEMOCAP improvised, random 80/20, best epoch on test: leaky): WA 81.18 +- 1.47, UA 79.25 +- 1.88.
"""

from collections.abc import Sequence
from typing import Self

import torch
from pydantic import Field
from torch import Generator, Tensor, device, nn

from serenade.core.errors import SettingsError
from serenade.core.labels import LabelSet
from serenade.core.settings import Settings
from serenade.models.glam import Glam, GlamNetworkSettings
from serenade.nn.mixup import draw_mixture, mixed_cross_entropy
from serenade.signal.features import FrontEndSettings, MfccSettings, build_front_end
from serenade.signal.normaliser import Normaliser, NormaliserSettings
from serenade.signal.segments import SegmentSettings, cut
from serenade.training.batches import collate, draw_segments, mean_over_segments, split_segments, upsample
from serenade.training.settings import TrainingSettings
from serenade.training.system import Batch, Example, Outputs

__all__ = ["GlamNetwork", "GlamSettings", "GlamSystem"]


class GlamSettings(Settings):
    """Settings of the GLAM system."""

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
    network: GlamNetworkSettings = GlamNetworkSettings()
    training: TrainingSettings = TrainingSettings()


class GlamNetwork(nn.Module):
    """Normaliser and network: all that has weights or fitted buffers."""

    def __init__(self, settings: GlamSettings, num_classes: int, shape: tuple[int, int]) -> None:
        super().__init__()
        self.normaliser = Normaliser(settings.normaliser, shape[0])
        self.glam = Glam(num_classes, *shape, settings.network)

    def embed(self, features: Tensor) -> Tensor:
        """(N, F, L) features to (N, D)."""
        embedding: Tensor = self.glam.embed(self.normaliser(features).unsqueeze(1))
        return embedding

    def forward(self, features: Tensor) -> Tensor:
        """(N, F, L) features to (N, K) logits."""
        logits: Tensor = self.glam.classifier(self.embed(features))
        return logits


class GlamSystem:
    """GLAM as the training loop and the recogniser see it.

    Args:
        settings: of the system.
        labels: classes.
    """

    settings_class = GlamSettings

    def __init__(self, settings: GlamSettings, labels: LabelSet) -> None:
        self.settings, self.labels = settings, labels
        self.evaluation_segments = _evaluation_segments(settings)
        self.front_end = build_front_end(settings.front_end)
        self.network = GlamNetwork(settings, len(labels), self.front_end.shape(settings.segments.length))

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
        with torch.inference_mode():
            return {"audio": self.front_end(segments)}

    def fit_inputs(self, train: Sequence[Example]) -> None:
        """Fit the normaliser on the training part of a fold."""
        self.network.normaliser.fit(example.inputs["audio"] for example in train)

    def training_items(self, examples: Sequence[Example], generator: Generator) -> list[Example]:
        """All segments, or as many per utterance as the settings say, drawn anew."""
        if self.settings.upsample:
            examples = upsample(examples, generator)
        if self.settings.segments_per_epoch is None:
            return split_segments(examples)
        return draw_segments(examples, self.settings.segments_per_epoch, generator)

    def collate(self, items: Sequence[Example]) -> Batch:
        """Segments of all items along the first axis."""
        return collate(items, self.labels if self.settings.training.targets == "votes" else None)

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
        embeddings = self.network.embed(batch.inputs["audio"])
        logits = mean_over_segments(self.network.glam.classifier(embeddings), batch.lengths)
        return Outputs(logits.softmax(dim=1), mean_over_segments(embeddings, batch.lengths))

    def segment_logits(self, waveforms: Tensor) -> Tensor:
        """(N, K) logits of (N, T) segments."""
        logits: Tensor = self.network.eval()(self.front_end(waveforms))
        return logits


def _evaluation_segments(settings: GlamSettings) -> SegmentSettings:
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
