"""The floor every network must clear: log-mel statistics and a plain classifier, under the same folds.

Ten statistics over time of each log-mel band (mean, deviation, extremes, five quantiles, deviation of the difference of
neighbouring frames), standardised on the training part of the fold, and a multinomial logistic regression or a support
vector machine (scikit-learn). The strength of its penalty is chosen on the validation part, then both parts are fitted
together. Fitted in one step and stored as tensors, so that it predicts without scikit-learn.
"""

from typing import Self

import torch
from torch import Tensor, device

from serenade.core.labels import LabelSet
from serenade.signal.features import FrontEndSettings, LogMelSettings, build_front_end
from serenade.signal.functionals import STATISTICS, recording_statistics
from serenade.training.one_vector import OneVectorSettings, OneVectorSystem

__all__ = ["BaselineSettings", "BaselineSystem"]


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
        super().__init__(settings, labels, STATISTICS * self.front_end.num_features)

    def to(self, where: device) -> Self:
        """The system on a device."""
        self.front_end.to(where)
        return super().to(where)

    def cache_key(self, *, training: bool) -> str:
        """The front end; training and scoring see the same."""
        return f"{STATISTICS} statistics|{self.front_end_settings.model_dump_json()}"

    def extract(self, waveform: Tensor, *, training: bool) -> dict[str, Tensor]:
        """``audio: (1, 10 F)``: ten statistics over time of each band of a (T,) waveform."""
        with torch.inference_mode(not waveform.requires_grad):
            return {"audio": recording_statistics(self.front_end, waveform).unsqueeze(0)}
