"""Attention pooling whole: time- and frequency-specific filters on a mu-law spectrogram, pooled by attention.

P. Li, Y. Song, I. McLoughlin, W. Guo, L. Dai, "An Attention Pooling based Representation Learning Method for Speech
Emotion Recognition", Interspeech 2018, doi 10.21437/Interspeech.2018-1242. Later papers call it APCNN.

Equation to code:
    spectrogram, mu-law (section 3.1)          `signal.features`, kind "mu_law"
    10x2 and 2x8 filters, trunk (Figure 1)     `nn.trunk.TimeFrequencyTrunk`
    (X a_k)^T (X b) (section 2.3)              `models.apcnn.AttentionPooling`
    bilinear pooling (section 2.2)             `models.apcnn.BilinearPooling`
    SGD, Nesterov, rate / 10 at 21, 31, 41     preset ``attention-pooling``
    mean of segment scores                     `training.segment_system`

Deviations, with reasons: silence is mapped to 0 before the mu-law, since the literal text puts it where the law is
flattest (``front_end.scale``); the sum of the equation and not the mean of the text reduces the maps, which would
divide by the number of cells twice (``network.head``); short turns are padded and scored. The paper says nothing of a
validation part: the last epoch is kept.

Presets: ``attention-pooling``, ``attention-pooling-gap``, ``attention-pooling-bilinear`` are the paper's three systems;
``apcnn`` is its network in GLAM's pipeline; ``apcnn-published`` what GLAM's authors ran under that name.

Target numbers (IEMOCAP improvised, leave one speaker out, happy alone): WA 71.75, UA 68.06; GAP 71.35, 67.54; bilinear
69.17, 64.16.
"""

from torch import nn

from serenade.models.apcnn import Apcnn, ApcnnNetworkSettings
from serenade.training.segment_system import SegmentClassifierSettings, SegmentClassifierSystem

__all__ = ["AttentionPoolingSettings", "AttentionPoolingSystem"]


class AttentionPoolingSettings(SegmentClassifierSettings):
    """Settings of the attention-pooling system."""

    network: ApcnnNetworkSettings = ApcnnNetworkSettings()


class AttentionPoolingSystem(SegmentClassifierSystem):
    """Attention pooling on segments."""

    settings_class = AttentionPoolingSettings
    settings: AttentionPoolingSettings

    def build(self, num_classes: int, height: int, width: int) -> nn.Module:
        """The network; it takes features of any size that its poolings leave something of."""
        network = Apcnn(num_classes, self.settings.network)
        network.trunk.output_size(height, width)  # raises now rather than in the first step
        return network
