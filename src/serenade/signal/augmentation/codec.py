"""What lossy coding at a low rate leaves of speech: Opus and MP3, by FFmpeg through PyAV (extra `media`)."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated, Any, Literal

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from serenade.core.errors import MissingExtraError
from serenade.signal.audio import SAMPLE_RATE
from serenade.signal.augmentation.drawn import Drawn, within
from serenade.signal.augmentation.step import Parameters, Place, Sources, Step, StepSettings, fitted

__all__ = ["Mp3", "Mp3Settings", "Opus", "OpusSettings", "through_codec"]

_CODERS: dict[str, tuple[str, str, str, dict[str, str]]] = {  # encoder, its sample format, decoder, options
    "opus": ("libopus", "flt", "libopus", {"application": "voip"}),
    "mp3": ("libmp3lame", "fltp", "mp3float", {}),
}


class OpusSettings(StepSettings):
    """Kilobits a second, coded for voice; calls over the network take 6 to 24."""

    kind: Literal["opus"] = "opus"
    kbps: Annotated[Drawn, within(6, 128)] = Drawn(low=6, high=24)


class Mp3Settings(StepSettings):
    """Kilobits a second; MP3 at 16 kHz knows 8, 16, 24, 32, 40, ... and the nearest is taken."""

    kind: Literal["mp3"] = "mp3"
    kbps: Annotated[Drawn, within(8, 160)] = Drawn(low=8, high=32, choices=(8, 16, 24, 32))


def through_codec(waveform: Tensor, codec: Literal["opus", "mp3"], kbps: float) -> Tensor:
    """(T,) coded and decoded, without the delay of the coder.

    Args:
        waveform: (T,) at 16 kHz.
        codec: one of the two.
        kbps: kilobits a second.

    Raises:
        MissingExtraError: PyAV is not installed.
    """
    av = _load(codec)
    packets, header = _encode(av, codec, waveform.numpy(), round(1000 * kbps))
    decoder = av.CodecContext.create(_CODERS[codec][2], "r")
    decoder.sample_rate, decoder.layout = SAMPLE_RATE, "mono"
    if header is not None:
        decoder.extradata = header  # with it the decoder drops what the coder has put before
    frames = [frame for packet in (*packets, None) for frame in decoder.decode(packet)]
    samples = np.concatenate([_floats(frame.to_ndarray()) for frame in frames])
    if frames[0].sample_rate != SAMPLE_RATE:  # Opus is decoded at 48 kHz
        samples = soxr.resample(samples, frames[0].sample_rate, SAMPLE_RATE, quality="HQ")
    return fitted(torch.from_numpy(samples), len(waveform))


def _load(codec: str) -> Any:
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", extra="media", purpose=f"the step {codec!r}") from error
    return av


def _encode(av: Any, codec: str, samples: NDArray[np.float32], bit_rate: int) -> tuple[list[Any], bytes | None]:
    name, sample_format, _, options = _CODERS[codec]
    encoder = av.CodecContext.create(name, "w")
    encoder.sample_rate, encoder.layout, encoder.format = SAMPLE_RATE, "mono", sample_format
    encoder.bit_rate, encoder.time_base, encoder.options = bit_rate, Fraction(1, SAMPLE_RATE), options
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format=sample_format, layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, 0, encoder.time_base
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    return packets, encoder.extradata


def _floats(values: NDArray[Any]) -> NDArray[np.float32]:
    """(n,) of one channel, decoded as floats or as 16 bits."""
    scale = 1.0 if values.dtype.kind == "f" else 2.0**-15
    return (values.reshape(-1) * scale).astype(np.float32)


class Opus(Step[OpusSettings]):
    """Codes with Opus and decodes."""

    settings_class = OpusSettings

    def __init__(self, settings: OpusSettings, sources: Sources) -> None:
        super().__init__(settings, sources)
        _load("opus")  # what is missing is missed before the work

    def draw(self, place: Place, generator: Generator) -> Parameters:
        """A bit rate."""
        return {"kbps": self.settings.kbps.draw(generator)}

    def apply(self, waveform: Tensor, parameters: Parameters, batch: Sequence[Tensor]) -> Tensor:
        """(T,)."""
        return through_codec(waveform, "opus", float(parameters["kbps"]))


class Mp3(Step[Mp3Settings]):
    """Codes with MP3 and decodes."""

    settings_class = Mp3Settings

    def __init__(self, settings: Mp3Settings, sources: Sources) -> None:
        super().__init__(settings, sources)
        _load("mp3")

    def draw(self, place: Place, generator: Generator) -> Parameters:
        """A bit rate."""
        return {"kbps": self.settings.kbps.draw(generator)}

    def apply(self, waveform: Tensor, parameters: Parameters, batch: Sequence[Tensor]) -> Tensor:
        """(T,)."""
        return through_codec(waveform, "mp3", float(parameters["kbps"]))
