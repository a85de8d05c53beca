"""What systems share that see an utterance as windows of frames and average the probabilities of the windows.

Unlike segments (`training.segment_system`) windows are cut from the features of the whole utterance, do not overlap,
and are filled up with the training mean behind the last valid frame, whose number goes along.
"""

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Protocol, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, device, nn

from serenade.core.labels import LabelSet
from serenade.core.settings import Settings
from serenade.nn.masking import valid_steps
from serenade.signal.audio import SAMPLE_RATE
from serenade.signal.augmentation.speed import change_speed
from serenade.signal.features import FrontEndSettings, LogMelSettings, build_front_end
from serenade.signal.normaliser import Normaliser, NormaliserSettings
from serenade.training.alignment import Alignment
from serenade.training.batches import mean_over_segments
from serenade.training.settings import TrainingSettings
from serenade.training.system import Batch, Example, Outputs
from serenade.training.windows import collate_windows, windows_of

__all__ = ["WindowClassifier", "WindowNetwork", "WindowSystem", "WindowSystemSettings"]

_WINDOWS_AT_ONCE = 64  # of a long recording; bounds the memory of scoring


class WindowClassifier(Protocol):
    """A network that classifies sequences of which some frames are valid."""

    def scores_and_embeddings(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 1, F, L) features with (B,) valid frames to (B, K) logits and (B, D) embeddings."""


class WindowSystemSettings(Settings):
    """Features and recipe of Latif et al., IEEE Trans. Affective Computing 2023, or our defaults for them."""

    front_end: FrontEndSettings = LogMelSettings(
        num_bands=80,
        window="hamming",
        window_length=1024,
        hop_length=256,
        fft_length=1024,
        log="natural",
        floor=1e-6,
        floor_by="add",
    )
    normaliser: NormaliserSettings = NormaliserSettings(kind="per_bin")
    window_frames: int = Field(
        480, ge=32, description="frames that the network sees at once, 7.68 s at the default hop"
    )
    training: TrainingSettings = TrainingSettings(
        epochs=100,
        batch_size=32,
        learning_rate=1e-4,
        weight_decay=0.0,
        schedule="restore_and_halve",
        restore_after=5,
        min_learning_rate=1e-5,
        clip_norm=5.0,
        criterion="ua",
    )

    @model_validator(mode="after")
    def _check_normaliser(self) -> Self:
        if self.normaliser.kind == "clip":
            raise ValueError("normaliser.kind = clip would take padding for speech: use per_bin, global or none")
        return self


class WindowNetwork(nn.Module):
    """Normaliser and network; a system adds its other heads.

    Args:
        normaliser: of the features.
        body: the network, a `WindowClassifier`.
    """

    def __init__(self, normaliser: Normaliser, body: nn.Module) -> None:
        super().__init__()
        self.normaliser, self.body = normaliser, body

    def normalise(self, features: Tensor, frames: Tensor) -> Tensor:
        """(B, F, L) features of which (B,) `frames` are valid, normalised; padding becomes 0, the training mean."""
        normalised: Tensor = self.normaliser(features)
        return normalised.masked_fill(~valid_steps(frames, features.shape[2])[:, None], 0.0)

    def scores_and_embeddings(self, features: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """(B, F, L) features of which (B,) `frames` are valid to (B, K) logits and (B, D) embeddings."""
        body: WindowClassifier = self.body  # type: ignore[assignment]  # every network of a window system is one
        return body.scores_and_embeddings(self.normalise(features, frames).unsqueeze(1), frames)


class WindowSystem:
    """Extraction, batches and scoring of such a system.

    A system sets `network` and `reach`, and adds what it trains on and its losses.

    Args:
        settings: of the system.
        labels: classes.
    """

    settings: WindowSystemSettings
    network: WindowNetwork
    reach: int
    """Frames behind the valid ones that scores may depend on."""
    speeds: tuple[float, ...] = ()
    """At which the features of training examples are extracted too."""

    def __init__(self, settings: WindowSystemSettings, labels: LabelSet) -> None:
        self.settings, self.labels = settings, labels
        self.front_end = build_front_end(settings.front_end)
        self.num_bands, _ = self.front_end.shape(SAMPLE_RATE)

    @cached_property
    def alignment(self) -> Alignment:
        """Of corpora that are normalised each by its own statistics."""
        return Alignment(self.network.normaliser)

    def to(self, where: device) -> Self:
        """The system with its network on a device; features are extracted on the CPU."""
        self.network.to(where)
        return self

    def cache_key(self, *, training: bool) -> str:
        """Front end, and the speeds for training, the window for scoring."""
        front_end = self.settings.front_end.model_dump_json()
        return f"{front_end}|speeds {self.speeds}" if training else f"{front_end}|{self.settings.window_frames} frames"

    def extract(self, waveform: Tensor, *, training: bool) -> dict[str, Tensor]:
        """``audio`` of a (T,) waveform.

        For scoring (W, F, L), windows; for training (1, F, L) float16 as a whole, and ``speed0``, ``speed1``, ... at
        other speeds.
        """
        if not training:
            return {"audio": windows_of(self._features(waveform), self.settings.window_frames)}
        inputs = {"audio": self._features(waveform).half()}
        for place, speed in enumerate(self.speeds):
            inputs[f"speed{place}"] = self._features(change_speed(waveform, speed)).half()
        return inputs

    def _features(self, waveform: Tensor) -> Tensor:
        with torch.inference_mode(not waveform.requires_grad):
            features: Tensor = self.front_end(waveform.unsqueeze(0))
            return features

    def put_together(self, items: Sequence[Example], names: Sequence[str], *, trim: bool) -> Batch:
        """Windows of all items along the first axis, with their valid lengths.

        Args:
            items: examples.
            names: inputs that are used, where an item has them.
            trim: fill up to no more than `reach` behind the longest; else to the whole window.
        """
        used = [
            Example(item.utterance, {name: item.inputs[name] for name in names if name in item.inputs}, item.target)
            for item in self.alignment.align(items)
        ]
        voted = self.labels if self.settings.training.targets == "votes" else None
        return collate_windows(used, self.settings.window_frames, reach=self.reach if trim else None, voted=voted)

    def predict(self, batch: Batch) -> Outputs:
        """Softmax per window, averaged; embeddings are averaged over windows too."""
        self.network.eval()
        inputs = (torch.split(batch.inputs[name], _WINDOWS_AT_ONCE) for name in ("audio", "audio_frames"))
        scored = [self.network.scores_and_embeddings(*part) for part in zip(*inputs, strict=True)]
        logits, embeddings = (torch.cat(parts) for parts in zip(*scored, strict=True))
        per_example = torch.split(logits.log_softmax(dim=1), batch.lengths.tolist())
        log_means = torch.stack([windows.logsumexp(dim=0) - math.log(len(windows)) for windows in per_example])
        return Outputs(log_means.exp(), mean_over_segments(embeddings, batch.lengths), log_means)
