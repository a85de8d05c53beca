"""Noise added at a signal-to-noise ratio: recordings, or computed white and pink noise."""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor

from serenade.core.errors import UsageError
from serenade.signal.augmentation.drawn import Drawn, draw_seed, within
from serenade.signal.augmentation.step import Parameters, Place, Sources, Step, StepSettings
from serenade.signal.mixing import mix_at_snr
from serenade.signal.speech_level import SpeechLevel

__all__ = ["Noise", "NoiseSettings", "coloured_noise"]

_QUICK = 4096


class NoiseSettings(StepSettings):
    """Level of the speech over that of the noise."""

    kind: Literal["noise"] = "noise"
    snr_db: Annotated[Drawn, within(-30, 60)] = Drawn(low=0, high=20)
    source: Literal["auto", "recorded", "pink", "white"] = Field(
        default="auto", description="auto: recordings where there are any, else pink noise"
    )
    level: SpeechLevel = Field(default="active", description="level of the speech: ITU-T P.56, or mean power of all")


def coloured_noise(colour: Literal["pink", "white"], length: int, generator: Generator) -> Tensor:
    """(length,) noise of power 1; that of pink noise falls by 3 dB an octave."""
    if colour == "white" or length < 4:
        return torch.randn(length, generator=generator)
    # Of a length whose transform is quick, for it is six times as slow at others; then cut.
    whole = -(-length // _QUICK) * _QUICK
    spectrum = torch.fft.rfft(torch.randn(whole, generator=generator))
    spectrum[1:] /= torch.arange(1, len(spectrum)).sqrt()
    spectrum[0] = 0
    pink: Tensor = torch.fft.irfft(spectrum, n=whole)[:length]
    return pink.div(pink.square().mean().sqrt())


class Noise(Step[NoiseSettings]):
    """Adds noise; silence has no ratio to noise and is refused."""

    settings_class = NoiseSettings
    needs_sound = True

    def __init__(self, settings: NoiseSettings, sources: Sources) -> None:
        super().__init__(settings, sources)
        if settings.source == "recorded" and sources.noise is None:
            raise UsageError("the step 'noise' needs recordings of noise", hint="Name a folder of them")

    def draw(self, place: Place, generator: Generator) -> Parameters:
        """A ratio, and a stretch of a recording or the seed of a computed noise."""
        snr_db, source, bank = self.settings.snr_db.draw(generator), self.settings.source, self.sources.noise
        if bank is not None and source in ("auto", "recorded"):
            drawn = bank.draw(place.length, generator)
            return {"snr_db": snr_db, "source": "recorded", "recording": drawn.recording, "start": drawn.start}
        return {"snr_db": snr_db, "source": "pink" if source == "auto" else source, "seed": draw_seed(generator)}

    def apply(self, waveform: Tensor, parameters: Parameters, batch: Sequence[Tensor]) -> Tensor:
        """(T,)."""
        recording = str(parameters.get("recording", f"{parameters['source']} noise"))
        noise = self._noise(len(waveform), parameters)
        return mix_at_snr(
            waveform, noise, float(parameters["snr_db"]), level=self.settings.level, recording=recording
        ).waveform

    def _noise(self, length: int, parameters: Parameters) -> Tensor:
        if parameters["source"] == "recorded":
            assert self.sources.noise is not None
            return self.sources.noise.excerpt(str(parameters["recording"]), length, int(parameters["start"])).waveform
        colour: Literal["pink", "white"] = "pink" if parameters["source"] == "pink" else "white"
        return coloured_noise(colour, length, Generator().manual_seed(int(parameters["seed"])))
