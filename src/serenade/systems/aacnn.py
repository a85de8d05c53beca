"""AACNN whole: area attention over a convolutional trunk, on segments of MFCC.

M. Xu, F. Zhang, X. Cui, W. Zhang, "Speech Emotion Recognition with Multiscale Area Attention and Data Augmentation",
ICASSP 2021, in the PyTorch form of GLAM's authors. One of the networks that GLAM is compared with.

Equation to code:
    trunk, branches joined on height        `nn.trunk.TimeFrequencyTrunk`
    softmax over areas (q . k_a), sum v_a   `nn.area_attention.AreaAttention`
    ReLU, flatten, linear                   `models.aacnn.Aacnn`

Deviations, with reasons: the layout "flat" is that of the only PyTorch reference; the paper describes "grid"
(``network.area.layout``). Preset ``aacnn`` uses GLAM's segments, mixup and recipe, so that the networks are compared
and not the pipelines; ``aacnn-published`` is the original's log-mel input with rows of areas, without its warped copies
of the training files (VTLP) and without its dropout at test time, which made its scores random.

Target numbers (IEMOCAP improvised, random 80/20, best epoch on test: leaky): WA 79.34, UA 77.54 with VTLP.
"""

from torch import nn

from serenade.models.aacnn import Aacnn, AacnnNetworkSettings
from serenade.training.segment_system import SegmentClassifierSettings, SegmentClassifierSystem

__all__ = ["AacnnSettings", "AacnnSystem"]


class AacnnSettings(SegmentClassifierSettings):
    """Settings of the AACNN system."""

    network: AacnnNetworkSettings = AacnnNetworkSettings()


class AacnnSystem(SegmentClassifierSystem):
    """AACNN on segments."""

    settings_class = AacnnSettings
    settings: AacnnSettings

    def build(self, num_classes: int, height: int, width: int) -> nn.Module:
        """AACNN for features of a size."""
        return Aacnn(num_classes, height, width, self.settings.network)
