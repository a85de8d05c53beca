"""The floor every network must clear: log-mel statistics and a logistic regression, under the same folds.

Mean and standard deviation over time of each log-mel band, standardised on the training part of the fold, and a
multinomial logistic regression (scikit-learn). Fitted in one step and stored as one linear layer.
"""

import math
from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from pydantic import Field
from torch import Generator, Tensor, device, nn

from serenade.core.errors import MissingExtraError
from serenade.core.labels import LabelSet
from serenade.core.settings import Settings
from serenade.signal.features import FrontEndSettings, LogMelSettings, build_front_end
from serenade.training.batches import collate, mean_over_segments
from serenade.training.settings import TrainingSettings
from serenade.training.system import Batch, Example, Outputs

__all__ = ["BaselineSettings", "BaselineSystem"]

MIN_SAMPLES = 2048  # a shorter waveform is padded with zeros to a whole analysis window
MAX_ITERATIONS = 2000


class BaselineSettings(Settings):
    """Settings of the baseline."""

    front_end: FrontEndSettings = LogMelSettings()
    inverse_regularisation: float = Field(0.1, gt=0, description="scikit-learn's C: smaller is smoother")
    class_weight: bool = Field(True, description="weigh classes by the inverse of their frequency")
    training: TrainingSettings = Field(
        TrainingSettings(epochs=1, selection="last"), description="not used: the baseline is fitted in one step"
    )


class BaselineNetwork(nn.Module):
    """Standardise, then one linear layer."""

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.classifier = nn.Linear(width, num_classes)

    def embed(self, statistics: Tensor) -> Tensor:
        """(N, D) standardised statistics."""
        return (statistics - self.mean) / self.scale

    def forward(self, statistics: Tensor) -> Tensor:
        """(N, D) statistics to (N, K) logits."""
        logits: Tensor = self.classifier(self.embed(statistics))
        return logits


class BaselineSystem:
    """Statistics and logistic regression as the training loop and the recogniser see them.

    Args:
        settings: of the baseline.
        labels: classes.
    """

    settings_class = BaselineSettings

    def __init__(self, settings: BaselineSettings, labels: LabelSet) -> None:
        self.settings, self.labels = settings, labels
        self.front_end = build_front_end(settings.front_end)
        self.network = BaselineNetwork(2 * self.front_end.shape(MIN_SAMPLES)[0], len(labels))

    def to(self, where: device) -> Self:
        """The system on a device."""
        self.front_end.to(where)
        self.network.to(where)
        return self

    def cache_key(self, *, training: bool) -> str:
        """The front end; training and scoring see the same."""
        return f"statistics|{self.settings.front_end.model_dump_json()}"

    def extract(self, waveform: Tensor, *, training: bool) -> dict[str, Tensor]:
        """``audio: (1, 2F)``: mean and standard deviation over time of each band of a (T,) waveform."""
        padded = nn.functional.pad(waveform, (0, max(0, MIN_SAMPLES - len(waveform))))
        with torch.inference_mode():
            bands = self.front_end(padded.unsqueeze(0))  # (1, F, L)
            return {"audio": torch.cat([bands.mean(dim=2), bands.std(dim=2, correction=0)], dim=1)}

    def fit_inputs(self, train: Sequence[Example]) -> None:
        """Fit the standardisation on the training part of a fold."""
        statistics = torch.cat([example.inputs["audio"] for example in train])
        self.network.mean.copy_(statistics.mean(dim=0))
        self.network.scale.copy_(statistics.std(dim=0, correction=0).clamp_min(math.sqrt(1e-10)))

    def fit(self, train: Sequence[Example], seed: int) -> None:
        """Fit the regression on the training part of a fold; the problem is convex, so the seed changes nothing."""
        try:
            from sklearn.linear_model import LogisticRegression
        except ImportError as error:
            raise MissingExtraError("sklearn", extra="train", purpose="fitting the baseline") from error
        with torch.inference_mode():
            inputs = self.network.embed(torch.cat([example.inputs["audio"] for example in train])).double().numpy()
        targets = np.array([example.target for example in train])
        weights = "balanced" if self.settings.class_weight else None
        regression = LogisticRegression(
            C=self.settings.inverse_regularisation, class_weight=weights, max_iter=MAX_ITERATIONS
        )
        regression.fit(inputs, targets)
        self._take_over(regression.classes_, regression.coef_, regression.intercept_)

    def _take_over(self, classes: np.ndarray, weights: np.ndarray, biases: np.ndarray) -> None:
        """Copy a fitted regression; a class absent from training gets a score that never wins."""
        if len(classes) == 2 and len(weights) == 1:  # scikit-learn stores two classes as one row
            weights, biases = np.vstack([-weights / 2, weights / 2]), np.concatenate([-biases / 2, biases / 2])
        with torch.no_grad():
            self.network.classifier.weight.zero_()
            self.network.classifier.bias.fill_(-1e4)
            self.network.classifier.weight[classes] = torch.tensor(weights, dtype=torch.float32)
            self.network.classifier.bias[classes] = torch.tensor(biases, dtype=torch.float32)

    def training_items(self, examples: Sequence[Example], generator: Generator) -> Sequence[Example]:
        """The examples themselves."""
        return examples

    def collate(self, items: Sequence[Example]) -> Batch:
        """One row per utterance."""
        return collate(items)

    def losses(self, batch: Batch, generator: Generator) -> dict[str, Tensor]:
        """Cross-entropy of the linear layer; `fit` minimises it with its penalty in one step."""
        return {"emotion": nn.functional.cross_entropy(self.network(batch.inputs["audio"]), batch.targets)}

    def predict(self, batch: Batch) -> Outputs:
        """Softmax of the regression's scores."""
        self.network.eval()
        embeddings = mean_over_segments(self.network.embed(batch.inputs["audio"]), batch.lengths)
        return Outputs(self.network.classifier(embeddings).softmax(dim=1), embeddings)
