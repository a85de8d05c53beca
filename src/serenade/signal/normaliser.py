"""Features brought to zero mean and unit deviation, with statistics of the training part of a fold only."""

from collections.abc import Iterable
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from serenade.core.errors import TrainingError, UsageError
from serenade.core.settings import Settings

__all__ = ["Normaliser", "NormaliserSettings"]

_BY_BIN = ("per_bin", "per_corpus")
_SMALLEST_STD = 1e-5  # a bin that hardly varies is centred but not blown up


class NormaliserSettings(Settings):
    """Over what mean and deviation are taken."""

    kind: Literal["none", "global", "per_bin", "per_corpus", "clip"] = Field(
        default="none",
        description="none; global: one mean and deviation; per_bin: one for each feature bin; "
        "per_corpus: as per_bin, every corpus by its own, the tested one by those of its unlabelled recordings; "
        "clip: each bin of each clip by its own mean and deviation over time, nothing is fitted",
    )


class Normaliser(nn.Module):
    """``(features - mean) / std``; mean and std are buffers, so they are saved with the weights.

    Args:
        settings: over what mean and std are taken.
        num_bins: F, the feature axis.
    """

    mean: Tensor
    std: Tensor
    fitted: Tensor

    def __init__(self, settings: NormaliserSettings, num_bins: int) -> None:
        super().__init__()
        self.settings, self.num_bins = settings, num_bins
        self._is_fitted = not self._needs_fit
        if self._needs_fit:
            rows = num_bins if settings.kind in _BY_BIN else 1
            self.register_buffer("mean", torch.zeros(rows, 1))
            self.register_buffer("std", torch.ones(rows, 1))
            self.register_buffer("fitted", torch.tensor(False))
            self.register_load_state_dict_post_hook(_read_fitted)  # type: ignore[no-untyped-call]  # torch left it so

    @property
    def _needs_fit(self) -> bool:
        return self.settings.kind in ("global", *_BY_BIN)

    def fit(self, features: Iterable[Tensor]) -> None:
        """Take the statistics of the training part of a fold; with nothing to fit, `features` is left alone.

        Args:
            features: (N, F, L) tensors, gone through once; N and L may differ from one to the next.

        Raises:
            TrainingError: there are no features, or some are not finite.
            UsageError: a tensor has another shape.
        """
        if not self._needs_fit:
            return
        mean, variance = _moments(self._rows(item) for item in features)
        std = variance.sqrt()
        self.mean.copy_(mean.unsqueeze(1))
        self.std.copy_(torch.where(std < _SMALLEST_STD, 1.0, std).unsqueeze(1))
        self.fitted.fill_(True)
        self._is_fitted = True

    def _rows(self, features: Tensor) -> Tensor:
        """(rows, values) float64: all values that share a mean in one row."""
        self._check(features)
        by_bin = features.detach().to("cpu", torch.float64).transpose(0, 1).reshape(self.num_bins, -1)
        return by_bin if self.settings.kind in _BY_BIN else by_bin.reshape(1, -1)

    def _check(self, features: Tensor) -> None:
        if features.ndim != 3 or features.shape[1] != self.num_bins:
            raise UsageError(
                "features of another shape than the normaliser is for",
                found=tuple(features.shape),
                expected=f"(N, {self.num_bins}, L)",
            )

    def forward(self, features: Tensor) -> Tensor:
        """Normalised features.

        Args:
            features: (N, F, L).

        Returns:
            (N, F, L); no clip has an influence on another.

        Raises:
            TrainingError: the normaliser has to be fitted and was not.
            UsageError: the features have another shape.
        """
        self._check(features)
        if not self._is_fitted:
            raise TrainingError(
                "the normaliser was used before it was fitted",
                hint="Call fit with the training part of the fold, or load a trained checkpoint",
            )
        if self.settings.kind == "none":
            return features
        if self.settings.kind == "clip":
            mean = features.mean(dim=2, keepdim=True)
            std = features.std(dim=2, keepdim=True, correction=0)
            return (features - mean) / torch.where(std < _SMALLEST_STD, 1.0, std)
        return (features - self.mean) / self.std


def _read_fitted(module: nn.Module, incompatible_keys: Any) -> None:
    """After loading: whether the loaded statistics were fitted, as a plain bool (no wait for a GPU in `forward`)."""
    assert isinstance(module, Normaliser)
    module._is_fitted = bool(module.fitted)


def _moments(parts: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and variance (over n, not n - 1) of each row, merged part by part (Chan, Golub, LeVeque 1979)."""
    count, mean, squares = 0, torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    for part in parts:
        size = part.shape[1]
        if size == 0:
            continue
        part_mean = part.mean(dim=1)
        part_squares = (part - part_mean.unsqueeze(1)).square().sum(dim=1)
        delta = part_mean - mean
        mean = mean + delta * (size / (count + size))
        squares = squares + part_squares + delta.square() * (count * size / (count + size))
        count += size
    if count == 0:
        raise TrainingError("there are no features to fit the normaliser to")
    if not bool(squares.isfinite().all()):
        raise TrainingError("the features to fit the normaliser to are not all finite")
    return mean, squares / count
