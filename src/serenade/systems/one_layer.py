"""The network of the filter-shape study: one convolution of one shape on a mu-law spectrogram.

P. Li, Y. Song, I. McLoughlin, W. Guo, L. Dai, "An Attention Pooling based Representation Learning Method for Speech
Emotion Recognition", Interspeech 2018, section 4 and Figure 2. It asks how tall (along frequency) and how wide (along
time) a first filter should be: 16 filters of one shape, normalised, rectified, averaged over the map, classified.

Equation to code:
    spectrogram, mu-law (section 3.1)          `signal.features`, kind "mu_law"
    one layer, global average, linear          `models.apcnn.OneLayerCnn`
    SGD, Nesterov, rate / 10 at 21, 31, 41     preset ``one-layer``, that of ``attention-pooling``
    both sweeps                                `experiments.filter_shapes`, ``serenade study filter-shapes``

Deviations, with reasons: those of `systems.attention_pooling`. The paper does not say how the layer is padded: it is
not, so that every value of the map has seen the spectrogram only.

Target numbers (IEMOCAP improvised, leave one speaker out, read off Figure 2): WA 64.1 for 10 x 2, 62.3 for 2 x 8, 57.9
for 2 x 2.
"""

from pydantic import Field
from torch import nn

from serenade.core.errors import UsageError
from serenade.core.settings import Settings
from serenade.models.apcnn import OneLayerCnn
from serenade.training.segment_system import SegmentClassifierSettings, SegmentClassifierSystem

__all__ = ["OneLayerNetworkSettings", "OneLayerSettings", "OneLayerSystem"]


class OneLayerNetworkSettings(Settings):
    """The shape of the filters."""

    filter_height: int = Field(10, ge=1, description="bins of the filter; 10 Hz each with the preset's front end")
    filter_width: int = Field(2, ge=1, description="frames of the filter; 10 ms each with the preset's front end")


class OneLayerSettings(SegmentClassifierSettings):
    """Settings of the one-layer system."""

    network: OneLayerNetworkSettings = OneLayerNetworkSettings()


class OneLayerSystem(SegmentClassifierSystem):
    """One convolution on segments."""

    settings_class = OneLayerSettings
    settings: OneLayerSettings

    def build(self, num_classes: int, height: int, width: int) -> nn.Module:
        """The network.

        Raises:
            UsageError: the filter is larger than the features.
        """
        shape = self.settings.network
        if shape.filter_height > height or shape.filter_width > width:
            raise UsageError(
                "the filter is larger than the spectrogram",
                found=f"{shape.filter_height} x {shape.filter_width} (bins x frames)",
                expected=f"at most {height} x {width}",
            )
        return OneLayerCnn(num_classes, shape.filter_height, shape.filter_width)
