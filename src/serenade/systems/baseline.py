"""The floor every network must clear: log-mel statistics and a plain classifier, under the same folds.

Ten statistics over time of each log-mel band (mean, deviation, extremes, five quantiles, deviation of the difference of
neighbouring frames), standardised on the training part of the fold, and a multinomial logistic regression or a support
vector machine (scikit-learn). The strength of its penalty is chosen on the validation part, then both parts are fitted
together. Fitted in one step and stored as tensors, so that it predicts without scikit-learn.
"""

from typing import Self

import torch
from torch import Tensor, device, nn

from serenade.core.labels import LabelSet
from serenade.signal.features import FrontEndSettings, LogMelSettings, build_front_end
from serenade.training.one_vector import OneVectorSettings, OneVectorSystem

__all__ = ["BaselineSettings", "BaselineSystem"]

_MIN_SAMPLES = 2048  # a shorter waveform is padded with zeros to a whole analysis window
_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
_STATISTICS = 5 + len(_QUANTILES)


class BaselineSettings(OneVectorSettings):
    """Settings of the baseline."""

    front_end: FrontEndSettings = LogMelSettings()


class BaselineSystem(OneVectorSystem):
    """Statistics and a classifier as the training loop and the recogniser see them.

    Args:
        settings: of the baseline.
        labels: classes.
    """

    settings_class = BaselineSettings

    def __init__(self, settings: BaselineSettings, labels: LabelSet) -> None:
        self.front_end_settings = settings.front_end
        self.front_end = build_front_end(settings.front_end)
        super().__init__(settings, labels, _STATISTICS * self.front_end.shape(_MIN_SAMPLES)[0])

    def to(self, where: device) -> Self:
        """The system on a device."""
        self.front_end.to(where)
        return super().to(where)

    def cache_key(self, *, training: bool) -> str:
        """The front end; training and scoring see the same."""
        return f"{_STATISTICS} statistics|{self.front_end_settings.model_dump_json()}"

    def extract(self, waveform: Tensor, *, training: bool) -> dict[str, Tensor]:
        """``audio: (1, 10 F)``: ten statistics over time of each band of a (T,) waveform."""
        padded = nn.functional.pad(waveform, (0, max(0, _MIN_SAMPLES - len(waveform))))
        with torch.inference_mode(not waveform.requires_grad):
            return {"audio": _statistics_over_time(self.front_end(padded.unsqueeze(0))[0]).unsqueeze(0)}


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
