"""Louder or softer."""

from collections.abc import Sequence
from typing import Annotated, Literal

from torch import Generator, Tensor

from serenade.signal.augmentation.drawn import Drawn, within
from serenade.signal.augmentation.step import Parameters, Place, Step, StepSettings

__all__ = ["Gain", "GainSettings"]


class GainSettings(StepSettings):
    """Decibels added."""

    kind: Literal["gain"] = "gain"
    gain_db: Annotated[Drawn, within(-60, 60)] = Drawn(low=-6, high=6)


class Gain(Step[GainSettings]):
    """Multiplies all samples; none is clipped, so they may lie beyond 1."""

    settings_class = GainSettings

    def draw(self, place: Place, generator: Generator) -> Parameters:
        """A gain."""
        return {"gain_db": self.settings.gain_db.draw(generator)}

    def apply(self, waveform: Tensor, parameters: Parameters, batch: Sequence[Tensor]) -> Tensor:
        """(T,)."""
        return waveform * 10 ** (float(parameters["gain_db"]) / 20)
