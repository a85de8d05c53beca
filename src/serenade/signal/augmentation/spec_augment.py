"""SpecAugment: bands of frequency and stretches of time taken out (Park et al., Interspeech 2019), without warping.

`spec_augment` works on normalised features, where 0 is the mean of the training data. The step of this name takes the
same bands and stretches out of a waveform, so that they can be heard and any system can use them.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor

from serenade.core.errors import UsageError
from serenade.signal.audio import SAMPLE_RATE
from serenade.signal.augmentation.drawn import draw_index
from serenade.signal.augmentation.step import Parameters, Place, Step, StepSettings
from serenade.signal.spectra import slaney_centres

__all__ = ["Masks", "SpecAugment", "SpecAugmentSettings", "draw_masks", "mask_features", "spec_augment"]

_Spans = tuple[tuple[int, int], ...]

# How the step sees a waveform: the log-mel spectrogram for which the widths below were chosen
_WINDOW, _HOP, _BANDS = 1024, 256, 80


class SpecAugmentSettings(StepSettings):
    """Masks of frequency and of time."""

    kind: Literal["spec_augment"] = "spec_augment"
    frequency_masks: int = Field(default=2, ge=0)
    least_bands: int = Field(default=4, ge=1, description="width of a frequency mask, at least")
    most_bands: int = Field(default=16, ge=1)
    time_masks: int = Field(default=2, ge=0)
    least_frames: int = Field(default=8, ge=1, description="width of a time mask, at least")
    most_frames: int = Field(default=40, ge=1)
    most_share: float = Field(default=0.2, gt=0, le=1, description="of the valid frames that one time mask may take")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.least_bands > self.most_bands or self.least_frames > self.most_frames:
            raise ValueError("the least width of a mask must not exceed the most")
        return self


@dataclass(frozen=True, slots=True)
class Masks:
    """What is taken out of one example.

    Args:
        bands: first band and number of bands of each frequency mask.
        frames: first frame and number of frames of each time mask.
    """

    bands: _Spans
    frames: _Spans

    def to_json(self) -> dict[str, Any]:
        """Plain values only."""
        return asdict(self)


def draw_masks(settings: SpecAugmentSettings, num_bands: int, length: int, generator: Generator) -> Masks:
    """Masks for one example; widths and places are even, and all lies inside the valid part.

    A time mask is never wider than the share of the valid frames that the settings allow (but one frame wide where
    that would be none), and a frequency mask never wider than all bands.

    Args:
        settings: how many and how wide.
        num_bands: F, at least 1.
        length: valid frames, at least 1.
        generator: source of randomness, on the CPU.
    """
    most_frames = max(1, int(settings.most_share * length))

    def spans(count: int, least: int, most: int, cap: int, size: int) -> _Spans:
        widths = [min(least + draw_index(most - least + 1, generator), cap) for _ in range(count)]
        return tuple((draw_index(size - width + 1, generator), width) for width in widths)

    return Masks(
        spans(settings.frequency_masks, settings.least_bands, settings.most_bands, num_bands, num_bands),
        spans(settings.time_masks, settings.least_frames, settings.most_frames, most_frames, length),
    )


def mask_features(features: Tensor, masks: Masks, length: int) -> Tensor:
    """(F, L) features with masked cells set to 0; frames from `length` on are padding and stay as they are."""
    masked = features.clone()
    for start, width in masks.bands:
        masked[start : start + width, :length] = 0
    for start, width in masks.frames:
        masked[:, start : start + width] = 0
    return masked


def spec_augment(
    features: Tensor, settings: SpecAugmentSettings, generator: Generator, lengths: Tensor | None = None
) -> tuple[Tensor, tuple[Masks, ...]]:
    """Mask each example of a batch by masks of its own.

    Args:
        features: (N, F, L), normalised: 0 is the mean.
        settings: how many masks and how wide, and of what share of the examples.
        generator: source of randomness, on the CPU.
        lengths: (N,) int64 valid frames, at least 1; None where all are.

    Returns:
        (N, F, L) masked features, and the masks of each example.

    Raises:
        UsageError: the features or the lengths have another shape.
    """
    if features.ndim != 3 or 0 in features.shape[1:]:
        raise UsageError("SpecAugment takes (N, F, L) features", found=f"shape {tuple(features.shape)}")
    valid = [features.shape[2]] * len(features) if lengths is None else lengths.tolist()
    if len(valid) != len(features) or not all(1 <= length <= features.shape[2] for length in valid):
        raise UsageError(
            "lengths that do not fit the features", found=valid, expected=f"1 to {features.shape[2]} for each example"
        )
    drawn = []
    for length in valid:
        chosen = settings.probability == 1 or float(torch.rand((), generator=generator)) < settings.probability
        drawn.append(draw_masks(settings, features.shape[1], length, generator) if chosen else Masks((), ()))
    masked = [mask_features(*parts) for parts in zip(features, drawn, valid, strict=True)]
    return torch.stack(masked) if masked else features.clone(), tuple(drawn)


class SpecAugment(Step[SpecAugmentSettings]):
    """Takes bands of 80 on the mel scale and frames of 16 ms out of a waveform."""

    settings_class = SpecAugmentSettings

    def draw(self, place: Place, generator: Generator) -> Parameters:
        """Masks."""
        masks = draw_masks(self.settings, _BANDS, 1 + place.length // _HOP, generator)
        return {"bands": masks.bands, "frames": masks.frames}

    def apply(self, waveform: Tensor, parameters: Parameters, batch: Sequence[Tensor]) -> Tensor:
        """(T,)."""
        window = torch.hamming_window(_WINDOW)
        spectrum = torch.stft(waveform, _WINDOW, _HOP, window=window, pad_mode="constant", return_complex=True)
        for start, width in parameters["bands"]:
            low, high = _centres()[start], _centres()[start + width - 1]
            spectrum[round(low) : round(high) + 1] = 0
        for start, width in parameters["frames"]:
            spectrum[:, start : start + width] = 0
        return torch.istft(spectrum, _WINDOW, _HOP, window=window, length=len(waveform))


@cache
def _centres() -> tuple[float, ...]:
    """The middle of each band in bins of the transform."""
    return tuple((slaney_centres(_BANDS, 0, SAMPLE_RATE / 2) * _WINDOW / SAMPLE_RATE).tolist())
