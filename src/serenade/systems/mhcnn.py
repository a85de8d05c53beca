"""MHCNN whole: head fusion over a convolutional trunk, on segments of MFCC.

M. Xu, F. Zhang, S. U. Khan, "Improve Accuracy of Speech Emotion Recognition with Attention Head Fusion", CCWC 2020;
M. Xu, F. Zhang, W. Zhang, IEEE Access 2021. One of the networks that GLAM is compared with.

Equation to code:
    trunk                               `nn.trunk.TimeFrequencyTrunk`
    A_i = softmax(Q_i * K_i), A_i * V_i `nn.head_fusion.HeadFusion`
    mean of ReLU, linear                `models.mhcnn.Mhcnn`
    Adam, rate / 10 every ten epochs    preset ``mhcnn-published``

Deviations, with reasons: preset ``mhcnn`` uses GLAM's segments, mixup and recipe, so that the networks are compared and
not the pipelines; ``mhcnn-published`` has its own. As in all systems here short turns are padded and scored, and
validation chooses the epoch (published: the best WA and the best UA on the test set, each at an epoch of its own).

Target numbers (IEMOCAP improvised, random 80/20, best epoch on test: leaky): WA 76.18, UA 76.36.
"""

from torch import nn

from serenade.models.mhcnn import Mhcnn, MhcnnNetworkSettings
from serenade.training.segment_system import SegmentClassifierSettings, SegmentClassifierSystem

__all__ = ["MhcnnSettings", "MhcnnSystem"]


class MhcnnSettings(SegmentClassifierSettings):
    """Settings of the MHCNN system."""

    network: MhcnnNetworkSettings = MhcnnNetworkSettings()


class MhcnnSystem(SegmentClassifierSystem):
    """MHCNN on segments."""

    settings_class = MhcnnSettings
    settings: MhcnnSettings

    def build(self, num_classes: int, height: int, width: int) -> nn.Module:
        """MHCNN for features of a size."""
        return Mhcnn(num_classes, height, width, self.settings.network)
