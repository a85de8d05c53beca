"""What the rows and columns of features are: hertz and seconds."""

from dataclasses import dataclass

import torch

from serenade.signal.audio import SAMPLE_RATE
from serenade.signal.features import FilterBankSettings, FrontEndSettings, LogMelSettings, MfccSettings
from serenade.signal.spectra import htk_centres, slaney_centres

__all__ = ["FeatureAxes", "feature_axes"]


@dataclass(frozen=True, slots=True)
class FeatureAxes:
    """The axes of (F, L) features.

    Args:
        first_s: the middle of the first frame.
        hop_s: from frame to frame.
        row_hz: frequency of each row; None where rows are no frequencies (MFCC).
    """

    first_s: float
    hop_s: float
    row_hz: tuple[float, ...] | None


def feature_axes(settings: FrontEndSettings) -> FeatureAxes:
    """The axes of what a front end gives."""
    hop_s = settings.hop_length / SAMPLE_RATE
    if isinstance(settings, MfccSettings):
        return FeatureAxes(0.0, hop_s, None)
    if isinstance(settings, LogMelSettings):
        centres = slaney_centres(settings.num_bands, settings.low_hz, settings.high_hz)
        return FeatureAxes(0.0, hop_s, tuple(centres.tolist()))  # frames are centred on multiples of the hop
    middle_s = settings.window_length / 2 / SAMPLE_RATE
    if isinstance(settings, FilterBankSettings):
        centres = htk_centres(settings.num_bands, settings.low_hz, settings.high_hz)
    else:
        centres = torch.arange(settings.num_bins, dtype=torch.float64) * SAMPLE_RATE / settings.fft_length
    return FeatureAxes(middle_s, hop_s, tuple(centres.tolist()))
