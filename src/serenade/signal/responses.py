"""Impulse responses of rooms: recorded ones from files, and synthesised ones.

A synthesised response is Polack's (1988): the direct sound, then Gaussian noise that decays exponentially. It has the
reverberation time and the ratio of direct to reverberant sound that are asked for, and no room's single reflections.
"""

import math
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Generator, Tensor

from serenade.core.errors import AudioError, UsageError
from serenade.signal.audio import SAMPLE_RATE, stream_audio
from serenade.signal.convolution import convolve
from serenade.signal.kept import KeptWaveforms
from serenade.signal.speech_level import is_silent

__all__ = ["ResponseBank", "reverberate", "synthesise_response"]

_PREDELAY_S = 0.005  # from the direct sound to the first reflections
_MOST_S = 10.0  # of a recorded response; halls have faded by then


def synthesise_response(t60_s: float, direct_db: float, generator: Generator) -> Tensor:
    """The impulse response of a room that does not exist.

    Args:
        t60_s: time in which the reverberation falls by 60 dB; the response ends after it.
        direct_db: energy of the direct sound over that of the reverberation, in dB.
        generator: source of randomness, on the CPU.

    Returns:
        (K,) the direct sound is its first sample and is 1.
    """
    delay, length = round(_PREDELAY_S * SAMPLE_RATE), max(1, round(t60_s * SAMPLE_RATE))
    time_s = torch.arange(length, dtype=torch.float64) / SAMPLE_RATE
    tail = torch.randn(length, dtype=torch.float64, generator=generator) * torch.exp(-3 * math.log(10) * time_s / t60_s)
    tail *= math.sqrt(10 ** (-direct_db / 10) / float(tail.square().sum()))
    return torch.cat([torch.ones(1), torch.zeros(delay - 1), tail.float()])


def reverberate(waveform: Tensor, response: Tensor) -> Tensor:
    """Sound in a room, as loud as it was: its mean power does not change.

    Args:
        waveform: (T,).
        response: (K,), the direct sound first.

    Returns:
        (T,) cut where the waveform ends.
    """
    wet = convolve(waveform, response.to(waveform.dtype))
    power = float(wet.double().square().mean())
    return wet if power == 0 else wet * math.sqrt(float(waveform.double().square().mean()) / power)


class ResponseBank:
    """Recorded impulse responses, read when they are first needed and kept up to a bound of memory.

    Args:
        files: at least one; what comes before the loudest sample, the direct sound, is cut off.
        most_kept_mb: decoded sound kept; what was not used for the longest is read again.

    Raises:
        UsageError: there are none.
    """

    def __init__(self, files: Iterable[Path], *, most_kept_mb: float = 64.0) -> None:
        self._files = {str(path): path for path in sorted(files)}
        if not self._files:
            raise UsageError("there are no impulse responses")
        self._kept = KeptWaveforms(self._read, most_kept_mb)

    @property
    def names(self) -> tuple[str, ...]:
        """The files, sorted."""
        return tuple(self._files)

    def response(self, name: str) -> Tensor:
        """(K,) the response of a file from its direct sound on; not to be modified.

        Raises:
            AudioError: it cannot be read, or is silent.
            UsageError: there is none of that name.
        """
        if name not in self._files:
            raise UsageError(f"there is no impulse response {name!r}")
        return self._kept[name]

    def drop_unusable(self) -> tuple[AudioError, ...]:
        """Read every file once, and never use those again that are broken or silent.

        Returns:
            What is wrong with each of them.

        Raises:
            AudioError: all of them are.
        """
        failures = self._kept.unusable(self._files)
        if len(failures) == len(self._files):
            raise next(iter(failures.values()))
        self._files = {name: path for name, path in self._files.items() if name not in failures}
        return tuple(failures.values())

    def _read(self, name: str) -> Tensor:
        waveform = next(stream_audio(self._files[name], block_s=_MOST_S))
        if is_silent(waveform):
            raise AudioError("the impulse response is silent", reason="silent", where=name)
        return waveform[int(waveform.abs().argmax()) :]
