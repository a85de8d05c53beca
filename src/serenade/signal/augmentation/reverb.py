"""Room reverberation, by recorded impulse responses or synthesised ones."""

from collections.abc import Sequence
from typing import Annotated, Literal

from torch import Generator, Tensor

from serenade.signal.augmentation.drawn import Drawn, draw_index, draw_seed, within
from serenade.signal.augmentation.step import Parameters, Place, Step, StepSettings
from serenade.signal.responses import reverberate, synthesise_response

__all__ = ["Reverb", "ReverbSettings"]


class ReverbSettings(StepSettings):
    """Seconds in which a synthesised room falls by 60 dB; where there are recorded responses, those are used."""

    kind: Literal["reverb"] = "reverb"
    t60_s: Annotated[Drawn, within(0.05, 5)] = Drawn(low=0.2, high=0.8)
    direct_db: Annotated[Drawn, within(-30, 30)] = Drawn(low=-3, high=6)


class Reverb(Step[ReverbSettings]):
    """Puts the sound into a room; its mean power stays."""

    settings_class = ReverbSettings

    def draw(self, place: Place, generator: Generator) -> Parameters:
        """A recorded response, or what a synthesised one is made of."""
        if self.sources.responses is not None:
            names = self.sources.responses.names
            return {"response": names[draw_index(len(names), generator)]}
        t60_s, direct_db = self.settings.t60_s.draw(generator), self.settings.direct_db.draw(generator)
        return {"t60_s": t60_s, "direct_db": direct_db, "seed": draw_seed(generator)}

    def apply(self, waveform: Tensor, parameters: Parameters, batch: Sequence[Tensor]) -> Tensor:
        """(T,)."""
        return reverberate(waveform, self._response(parameters))

    def _response(self, parameters: Parameters) -> Tensor:
        if "response" in parameters:
            assert self.sources.responses is not None
            return self.sources.responses.response(str(parameters["response"]))
        generator = Generator().manual_seed(int(parameters["seed"]))
        return synthesise_response(float(parameters["t60_s"]), float(parameters["direct_db"]), generator)
