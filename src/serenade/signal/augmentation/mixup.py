"""Mixup of waveforms: an example and a share of another one of its batch (Zhang et al., ICLR 2018).

The label is mixed with it: a loss takes `share` of the example's own label and the rest of the partner's.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from torch import Generator, Tensor

from serenade.core.errors import UsageError
from serenade.signal.augmentation.drawn import Drawn, draw_index, within
from serenade.signal.augmentation.step import Parameters, Place, Step, StepSettings, fitted

__all__ = ["Mixup", "MixupSettings"]


class MixupSettings(StepSettings):
    """Share of the example itself."""

    kind: Literal["mixup"] = "mixup"
    share: Annotated[Drawn, within(0, 1)] = Drawn(low=0.2, high=0.8)


class Mixup(Step[MixupSettings]):
    """Adds another waveform of the batch, as it was before any step; the result is as long as the longer one."""

    settings_class = MixupSettings
    mixes_targets = True

    def draw(self, place: Place, generator: Generator) -> Parameters:
        """A share, and which waveform of the batch is the partner.

        Raises:
            UsageError: there is no other waveform.
        """
        if place.count < 2:
            raise UsageError("mixup needs two waveforms", found="a batch of one")
        partner = draw_index(place.count - 1, generator)
        return {"share": self.settings.share.draw(generator), "partner": partner + (partner >= place.index)}

    def apply(self, waveform: Tensor, parameters: Parameters, batch: Sequence[Tensor]) -> Tensor:
        """(max(T, T of the partner),)."""
        share, partner = float(parameters["share"]), batch[int(parameters["partner"])]
        length = max(len(waveform), len(partner))
        return share * fitted(waveform, length) + (1 - share) * fitted(partner, length)
