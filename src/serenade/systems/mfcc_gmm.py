"""MFCC frames and one Gaussian mixture per class: the classic before networks, and a check on what order in time adds.

D. A. Reynolds, R. C. Rose, "Robust Text-Independent Speaker Identification Using Gaussian Mixture Speaker Models", IEEE
Trans. Speech and Audio Processing 1995 (with emotions for speakers: B. Schuller et al., ICASSP 2003).

13 MFCC of 25 ms windows every 10 ms with their first and second time derivatives, standardised on the training part of
the fold; a mixture of Gaussians with diagonal covariances for the frames of each class (scikit-learn, seeded). The
class with the largest mean log-likelihood per frame wins. Frames that follow each other are not independent, so their
sum would give probabilities of 0 and 1. The logits are the means times a factor, which is fitted on the validation
part (1 without one) and changes no decision; the factor multiplies the log prior too.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from pydantic import Field
from torch import Generator, Tensor, device, nn

from serenade.core.errors import MissingExtraError
from serenade.core.labels import LabelSet
from serenade.core.seeding import derive_seed
from serenade.core.settings import Settings
from serenade.nn.mixtures import GaussianMixtures
from serenade.signal.features import FrontEndSettings, MfccSettings, build_front_end
from serenade.training.batches import collate, mean_over_segments
from serenade.training.classifiers import fit_steepness
from serenade.training.settings import FittedTrainingSettings, TrainingSettings
from serenade.training.system import Batch, Example, Outputs

__all__ = ["MIN_SAMPLES", "MfccGmmNetwork", "MfccGmmSettings", "MfccGmmSystem", "deltas"]

MIN_SAMPLES = 2048  # a shorter waveform is padded with zeros to a whole analysis window
_REACH = 2  # frames on each side of the regression that gives a derivative (HTK's default)
_MIN_DEVIATION = 1e-5


class MfccGmmSettings(Settings):
    """Settings of Gaussian mixtures on MFCC frames."""

    front_end: FrontEndSettings = MfccSettings(num_coefficients=13, fft_length=400, hop_length=160, num_bands=40)
    derivatives: int = Field(2, ge=0, le=2, description="orders of time derivatives beside the coefficients")
    components: int = Field(16, ge=1, description="Gaussians per class")
    variance_floor: float = Field(1e-3, gt=0, description="added to variances of standardised features")
    max_iterations: int = Field(100, ge=1, description="of expectation maximisation")
    prior: bool = Field(False, description="add the logarithm of each class's share of the training utterances")
    training: FittedTrainingSettings = Field(TrainingSettings(), description="not used: fitted in one step")


class MfccGmmNetwork(nn.Module):
    """Standardise frames, then score them under the mixtures."""

    mean: Tensor
    scale: Tensor
    log_prior: Tensor
    steepness: Tensor

    def __init__(self, num_classes: int, components: int, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.register_buffer("log_prior", torch.zeros(num_classes, dtype=torch.float64))
        self.register_buffer("steepness", torch.ones((), dtype=torch.float64))
        self.mixtures = GaussianMixtures(num_classes, components, width)

    def embed(self, frames: Tensor) -> Tensor:
        """(N, D) standardised frames."""
        return (frames - self.mean) / self.scale

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """(B, K) logits of utterances whose frames (N, D) follow each other."""
        means = mean_over_segments(self.mixtures(self.embed(frames)), lengths)
        return (self.steepness * (means + self.log_prior)).float()


class MfccGmmSystem:
    """Mixtures as the training loop and the recogniser see them.

    Args:
        settings: of the system.
        labels: classes.
    """

    settings_class = MfccGmmSettings

    def __init__(self, settings: MfccGmmSettings, labels: LabelSet) -> None:
        self.settings, self.labels = settings, labels
        self.front_end = build_front_end(settings.front_end)
        width = self.front_end.shape(MIN_SAMPLES)[0] * (1 + settings.derivatives)
        self.network = MfccGmmNetwork(len(labels), settings.components, width)

    def to(self, where: device) -> Self:
        """The system on a device."""
        self.front_end.to(where)
        self.network.to(where)
        return self

    def cache_key(self, *, training: bool) -> str:
        """Front end and derivatives; training and scoring see the same."""
        return f"frames with {self.settings.derivatives} derivatives|{self.settings.front_end.model_dump_json()}"

    def extract(self, waveform: Tensor, *, training: bool) -> dict[str, Tensor]:
        """``audio: (L, D)``: the frames of a (T,) waveform with their derivatives."""
        padded = nn.functional.pad(waveform, (0, max(0, MIN_SAMPLES - len(waveform))))
        with torch.inference_mode():
            orders = [self.front_end(padded.unsqueeze(0))[0]]
            for _ in range(self.settings.derivatives):
                orders.append(deltas(orders[-1]))
            return {"audio": torch.cat(orders).T.contiguous()}

    def fit_inputs(self, train: Sequence[Example]) -> None:
        """Fit the standardisation on the frames of the training part."""
        frames = torch.cat([example.inputs["audio"] for example in train])
        self.network.mean.copy_(frames.mean(dim=0))
        self.network.scale.copy_(frames.std(dim=0, correction=0).clamp_min(_MIN_DEVIATION))

    def fit(self, train: Sequence[Example], selection: Sequence[Example], seed: int) -> None:
        """Fit a mixture to the frames of each class of the training part; the validation part gives the factor."""
        targets = [example.target for example in train]
        for label in range(len(self.labels)):
            members = [example for example in train if example.target == label]
            if members:
                self._fit_class(label, members, seed)
        self.network.mixtures.forget([label for label in range(len(self.labels)) if label not in targets])
        if self.settings.prior:
            shares = torch.tensor([max(targets.count(label), 1) / len(train) for label in range(len(self.labels))])
            self.network.log_prior.copy_(shares.log())
        self.network.steepness.fill_(self._steepness(selection))

    def _fit_class(self, label: int, members: Sequence[Example], seed: int) -> None:
        try:
            from sklearn.mixture import GaussianMixture
        except ImportError as error:
            raise MissingExtraError("sklearn", extra="train", purpose="fitting Gaussian mixtures") from error
        with torch.inference_mode():
            frames = torch.cat([example.inputs["audio"] for example in members]).to(self.network.mean.device)
            inputs = self.network.embed(frames).cpu().double().numpy()
        mixture = GaussianMixture(
            min(self.settings.components, len(inputs)),
            covariance_type="diag",
            reg_covar=self.settings.variance_floor,
            max_iter=self.settings.max_iterations,
            random_state=derive_seed(seed, f"mixture {label}") % 2**32,
        )
        _fit_quietly(mixture, inputs)
        found = (mixture.weights_, mixture.means_, mixture.covariances_)
        self.network.mixtures.take(label, *(torch.from_numpy(values) for values in found))

    def _steepness(self, selection: Sequence[Example]) -> float:
        if not selection:
            return 1.0
        with torch.inference_mode():
            scores = torch.cat([self._logits(collate([example])) for example in selection])
        return fit_steepness(scores.cpu().double().numpy(), np.array([example.target for example in selection]))

    def _logits(self, batch: Batch) -> Tensor:
        here = batch.to(self.network.mean.device)
        logits: Tensor = self.network(here.inputs["audio"], here.lengths)
        return logits

    def training_items(self, examples: Sequence[Example], generator: Generator) -> Sequence[Example]:
        """The examples themselves."""
        return examples

    def collate(self, items: Sequence[Example]) -> Batch:
        """Frames of all utterances along the first axis."""
        return collate(items)

    def losses(self, batch: Batch, generator: Generator) -> dict[str, Tensor]:
        """Cross-entropy; `fit` maximises likelihoods in one step."""
        return {"emotion": nn.functional.cross_entropy(self._logits(batch), batch.targets)}

    @torch.no_grad()
    def predict(self, batch: Batch) -> Outputs:
        """Softmax of the logits, and the mean of the standardised frames."""
        self.network.eval()
        here = batch.to(self.network.mean.device)
        embeddings = mean_over_segments(self.network.embed(here.inputs["audio"]), here.lengths)
        return Outputs(self._logits(batch).softmax(dim=1), embeddings)


def _fit_quietly(mixture: object, inputs: np.ndarray) -> None:
    """Fit; a mixture that has not converged after all iterations is used as it is, without scikit-learn's warning."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # also of k-means on fewer distinct frames than components
        mixture.fit(inputs)  # type: ignore[attr-defined] # scikit-learn has no types


def deltas(features: Tensor) -> Tensor:
    """Time derivatives by regression over two frames on each side; the first and last frames are repeated.

    d[t] = sum_n n (c[t + n] - c[t - n]) / (2 sum_n n^2), n = 1, 2 (the HTK Book, equation 5.16).

    Args:
        features: (F, L), L at least 1.

    Returns:
        (F, L).
    """
    length = features.shape[1]
    padded = nn.functional.pad(features.unsqueeze(0), (_REACH, _REACH), mode="replicate")[0]
    total = torch.zeros_like(features)
    for step in range(1, _REACH + 1):
        later = padded[:, _REACH + step : _REACH + step + length]
        total += step * (later - padded[:, _REACH - step : _REACH - step + length])
    return total / (2 * sum(step * step for step in range(1, _REACH + 1)))
