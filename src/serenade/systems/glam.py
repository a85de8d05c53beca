"""GLAM whole: 26 MFCC of 1.8 s segments, the network, mixup, and the mean of segment scores per utterance.

W. Zhu, X. Li, "Speech Emotion Recognition with Global-Aware Fusion on Multi-scale Feature Representation",
ICASSP 2022, doi 10.1109/ICASSP43922.2022.9747517.

Equation to code:
    MFCC (section 3.1)                  `signal.features`, kind "mfcc"
    stem, multi-scale block (2.1, 2.2)  `models.glam.Glam`, `MultiScaleBlock`
    global-aware block (2.3)            `models.glam.GlobalAwareBlock`
    mixup (2.4)                         `nn.mixup`, used in `SegmentClassifierSystem.losses`
    Adam, decay 0.95 per epoch (3.1)    `training.loop`, preset ``glam-published``

Deviations, with reasons: short turns are padded and scored instead of dropped (published: dropped, which leaves out up
to a fifth of a corpus); the segment step is exact; validation chooses the epoch (published: the test set does).

Target numbers (IEMOCAP improvised, random 80/20, best epoch on test: leaky): WA 81.18 +- 1.47, UA 79.25 +- 1.88.
"""

from torch import nn

from serenade.models.glam import Glam, GlamNetworkSettings
from serenade.training.segment_system import SegmentClassifierSettings, SegmentClassifierSystem

__all__ = ["GlamSettings", "GlamSystem"]


class GlamSettings(SegmentClassifierSettings):
    """Settings of the GLAM system."""

    network: GlamNetworkSettings = GlamNetworkSettings()


class GlamSystem(SegmentClassifierSystem):
    """GLAM on segments."""

    settings_class = GlamSettings
    settings: GlamSettings

    def build(self, num_classes: int, height: int, width: int) -> nn.Module:
        """GLAM for features of a size."""
        return Glam(num_classes, height, width, self.settings.network)
