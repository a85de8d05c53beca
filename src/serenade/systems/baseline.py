"""The floor every network must clear: log-mel statistics and a logistic regression, under the same folds.

Ten statistics over time of each log-mel band (mean, deviation, extremes, five quantiles, deviation of the difference of
neighbouring frames), standardised on the training part of the fold, and a multinomial logistic regression
(scikit-learn). The strength of its penalty is chosen on the validation part, then both parts are fitted together.
Fitted in one step and stored as one linear layer, so that it predicts without scikit-learn.
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
from serenade.evaluation.metrics import confusion, ua
from serenade.signal.features import FrontEndSettings, LogMelSettings, build_front_end
from serenade.training.batches import collate, mean_over_segments
from serenade.training.settings import TrainingSettings
from serenade.training.system import Batch, Example, Outputs

__all__ = ["BaselineNetwork", "BaselineSettings", "BaselineSystem"]

_MIN_SAMPLES = 2048  # a shorter waveform is padded with zeros to a whole analysis window
_MAX_ITERATIONS = 3000
_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
_STATISTICS = 5 + len(_QUANTILES)


class BaselineSettings(Settings):
    """Settings of the baseline."""

    front_end: FrontEndSettings = LogMelSettings()
    inverse_regularisation: tuple[float, ...] = Field(
        (0.001, 0.01, 0.1, 1.0),
        min_length=1,
        description="values of scikit-learn's C tried on the validation part; without one the middle value is taken",
    )
    class_weight: bool = Field(True, description="weigh classes by the inverse of their frequency")
    training: TrainingSettings = Field(TrainingSettings(), description="not used: fitted in one step")


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
        self.network = BaselineNetwork(_STATISTICS * self.front_end.shape(_MIN_SAMPLES)[0], len(labels))

    def to(self, where: device) -> Self:
        """The system on a device."""
        self.front_end.to(where)
        self.network.to(where)
        return self

    def cache_key(self, *, training: bool) -> str:
        """The front end; training and scoring see the same."""
        return f"{_STATISTICS} statistics|{self.settings.front_end.model_dump_json()}"

    def extract(self, waveform: Tensor, *, training: bool) -> dict[str, Tensor]:
        """``audio: (1, 10 F)``: ten statistics over time of each band of a (T,) waveform."""
        padded = nn.functional.pad(waveform, (0, max(0, _MIN_SAMPLES - len(waveform))))
        with torch.inference_mode():
            return {"audio": _statistics_over_time(self.front_end(padded.unsqueeze(0))[0]).unsqueeze(0)}

    def fit_inputs(self, train: Sequence[Example]) -> None:
        """Fit the standardisation on the training part of a fold."""
        statistics = torch.cat([example.inputs["audio"] for example in train])
        self.network.mean.copy_(statistics.mean(dim=0))
        self.network.scale.copy_(statistics.std(dim=0, correction=0).clamp_min(math.sqrt(1e-10)))

    def fit(self, train: Sequence[Example], selection: Sequence[Example], seed: int) -> None:
        """Choose C on the validation part, then fit both parts; the problem is convex, so the seed changes nothing."""
        tried = sorted(self.settings.inverse_regularisation)
        best = tried[len(tried) // 2]
        if selection and len(tried) > 1:
            best = max(tried, key=lambda value: self._merit(train, selection, value))
        self._regress([*train, *selection], best)

    def _merit(self, train: Sequence[Example], selection: Sequence[Example], value: float) -> float:
        """UA on the validation part of a regression fitted on the training part."""
        self._regress(train, value)
        outputs = self.predict(collate(selection).to(self.network.mean.device))
        targets = np.array([example.target for example in selection])
        counts = confusion(targets, outputs.probabilities.argmax(dim=1).cpu().numpy(), len(self.labels))
        return float(ua(counts))

    def _regress(self, examples: Sequence[Example], inverse_regularisation: float) -> None:
        try:
            from sklearn.linear_model import LogisticRegression
        except ImportError as error:
            raise MissingExtraError("sklearn", extra="train", purpose="fitting the baseline") from error
        with torch.inference_mode():
            statistics = torch.cat([example.inputs["audio"] for example in examples]).to(self.network.mean.device)
            inputs = self.network.embed(statistics).cpu().numpy()
        regression = LogisticRegression(
            C=inverse_regularisation,
            class_weight="balanced" if self.settings.class_weight else None,
            max_iter=_MAX_ITERATIONS,
        )
        regression.fit(inputs.astype(np.float64), np.array([example.target for example in examples]))
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

    @torch.no_grad()
    def predict(self, batch: Batch) -> Outputs:
        """Softmax of the regression's scores."""
        self.network.eval()
        embeddings = mean_over_segments(self.network.embed(batch.inputs["audio"]), batch.lengths)
        return Outputs(self.network.classifier(embeddings).softmax(dim=1), embeddings)


def _statistics_over_time(bands: Tensor) -> Tensor:
    """Ten statistics of each band.

    Args:
        bands: (F, L) frames of a recording, L at least 1.

    Returns:
        (10 F,): means, deviations, minima, maxima, deviations of the differences of neighbouring frames (0 for a single
        frame), and five quantiles.
    """
    levels = torch.tensor(_QUANTILES, device=bands.device)
    steps = bands.diff(dim=1) if bands.shape[1] > 1 else torch.zeros_like(bands)
    return torch.cat(
        [
            bands.mean(dim=1),
            bands.std(dim=1, correction=0),
            bands.amin(dim=1),
            bands.amax(dim=1),
            steps.std(dim=1, correction=0),
            torch.quantile(bands, levels, dim=1).flatten(),
        ]
    )
