"""Acoustic fingerprints: what of a recording survives another codec, rate, level or cut, in 200 bytes a second.

After J. Haitsma and T. Kalker, "A Highly Robust Audio Fingerprinting System", ISMIR 2002. At 8 kHz, 40 times a second,
the energy E(n, m) of 33 bands from 150 Hz to 3.3 kHz (width growing with frequency) over 128 ms gives 32 bits:

    F(n, m) = 1 where E(n, m)^r - E(n, m + 1)^r - (E(n - 4, m)^r - E(n - 4, m + 1)^r) > 0        r = 1/4

Bits are signs, so a gain changes none of them. Other than in the paper the differences are taken of the fourth root,
over 100 ms, and of windows of 128 ms, where it has 370 ms and 11.6 ms: two takes of one sentence by one person differ
in what is shorter than a sound, and long windows average just that away.

Beside the bits stands the level of the frame, in steps of half a decibel: it tells speech from pauses, whose bits are
chance, and how much louder a copy is.
"""

from collections.abc import Iterable
from functools import cache

import numpy as np
import soxr
from numpy.typing import NDArray

__all__ = ["FRAME_RATE", "SPAN_S", "Fingerprint", "Fingerprinter", "fingerprint_of", "frames_between"]

_RATE = 8_000  # Hz; telephone copies have no more
_HOP = 200
_WINDOW = 1_024
_LAG = 4  # frames between the two energies of a difference
_BANDS = 33
_LOWEST_HZ, _HIGHEST_HZ = 150.0, 3_300.0  # the telephone's band, within any codec's
_SPAN = _WINDOW + _LAG * _HOP  # samples that a frame looks at
_CHUNK = 512  # frames computed at once: 13 s, so that memory does not grow with the recording
_LEAST_DB = -110.0  # of full scale, level 0
_STEPS_PER_DB = 2

FRAME_RATE = _RATE / _HOP
"""Frames a second."""

SPAN_S = _SPAN / _RATE
"""Seconds of sound that one frame looks at; a shorter recording has no fingerprint."""

_Samples = NDArray[np.float32]


class Fingerprint:
    """The frames of a recording.

    Args:
        bits: (L,) uint32, one word a frame; frame n looks at the sound from n / 40 s on, for `SPAN_S`.
        levels: (L,) uint8 in half decibels above -110 dB of full scale.
    """

    __slots__ = ("bits", "levels")

    def __init__(self, bits: NDArray[np.uint32], levels: NDArray[np.uint8]) -> None:
        self.bits = bits
        self.levels = levels

    def __len__(self) -> int:
        return len(self.bits)

    def __getitem__(self, span: slice) -> "Fingerprint":
        return Fingerprint(self.bits[span], self.levels[span])

    def levels_db(self) -> NDArray[np.float32]:
        """(L,) level of each frame in dB of full scale."""
        return (self.levels / np.float32(_STEPS_PER_DB) + np.float32(_LEAST_DB)).astype(np.float32)

    def to_bytes(self) -> bytes:
        """Five bytes a frame: all words, little end first, then all levels."""
        return self.bits.astype("<u4").tobytes() + self.levels.tobytes()

    @classmethod
    def from_bytes(cls, stored: bytes) -> "Fingerprint":
        """The inverse of `to_bytes`.

        Raises:
            ValueError: the bytes are not those of a fingerprint.
        """
        frames, rest = divmod(len(stored), 5)
        if rest:
            raise ValueError(f"{len(stored)} bytes are no fingerprint")
        bits = np.frombuffer(stored, dtype="<u4", count=frames).astype(np.uint32, copy=False)
        return cls(bits, np.frombuffer(stored, dtype=np.uint8, offset=4 * frames))


class Fingerprinter:
    """Makes the fingerprint of a recording that arrives in blocks; the result does not depend on their lengths.

    Args:
        sample_rate: of the blocks, in Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self._resampler = (
            None if sample_rate == _RATE else soxr.ResampleStream(sample_rate, _RATE, 1, dtype="float32", quality="MQ")
        )
        self._held = np.zeros(0, dtype=np.float32)
        self._parts: list[Fingerprint] = []

    def add(self, mono: _Samples) -> None:
        """Take the next samples.

        Args:
            mono: (T,) in [-1, 1].
        """
        self._take(mono if self._resampler is None else self._resampler.resample_chunk(mono))

    def finish(self) -> Fingerprint:
        """The fingerprint of all that was added; empty for less than `SPAN_S`."""
        if self._resampler is not None:
            self._take(self._resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True))
        if len(self._held) >= _SPAN:
            self._parts.append(_frames(self._held))
        self._held = np.zeros(0, dtype=np.float32)
        return Fingerprint(
            np.concatenate([np.zeros(0, dtype=np.uint32), *(part.bits for part in self._parts)]),
            np.concatenate([np.zeros(0, dtype=np.uint8), *(part.levels for part in self._parts)]),
        )

    def _take(self, samples: _Samples) -> None:
        self._held = np.concatenate([self._held, samples])
        chunk = _SPAN + (_CHUNK - 1) * _HOP
        while len(self._held) >= chunk:
            self._parts.append(_frames(self._held[:chunk]))
            self._held = self._held[_CHUNK * _HOP :]


def fingerprint_of(blocks: Iterable[_Samples], sample_rate: int) -> Fingerprint:
    """The fingerprint of samples in memory.

    Args:
        blocks: (T,) each, in [-1, 1].
        sample_rate: their rate in Hz.
    """
    maker = Fingerprinter(sample_rate)
    for block in blocks:
        maker.add(block)
    return maker.finish()


def frames_between(fingerprint: Fingerprint, start_s: float, end_s: float | None) -> Fingerprint:
    """The frames that look at nothing outside a span of the recording.

    Args:
        fingerprint: of the whole recording.
        start_s: where the span begins.
        end_s: where it ends; None for the end of the recording.
    """
    first = int(np.ceil(start_s * FRAME_RATE - 1e-6))
    if end_s is None:
        return fingerprint[first:]
    last = int(np.floor((end_s - SPAN_S) * FRAME_RATE + 1e-6))
    return fingerprint[first : max(first, last + 1)]


def _frames(samples: _Samples) -> Fingerprint:
    """All frames of (T,) samples at 8 kHz, T at least one span."""
    windows = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW)[::_HOP]
    spectra = np.fft.rfft(windows * _window(), axis=1)  # (L + lag, F)
    power = spectra.real**2 + spectra.imag**2
    bands = power @ _filters()  # (L + lag, 33)
    mean_square = bands.sum(axis=1) / np.float32(_WINDOW * np.square(_window()).sum() / 2)
    roots = np.sqrt(np.sqrt(bands))
    slopes = roots[:, :-1] - roots[:, 1:]
    signs = slopes[_LAG:] > slopes[:-_LAG]
    bits = np.packbits(signs, axis=1, bitorder="little").view("<u4")[:, 0]
    middle = mean_square[_LAG // 2 : _LAG // 2 + len(bits)]
    level_db = 10 * np.log10(np.maximum(middle, np.float32(1e-12)))
    levels = np.clip(np.round((level_db - _LEAST_DB) * _STEPS_PER_DB), 0, 255).astype(np.uint8)
    return Fingerprint(bits.astype(np.uint32, copy=False), levels)


@cache
def _window() -> _Samples:
    """(1024,) Hann window."""
    return np.asarray(np.hanning(_WINDOW + 1)[:-1], dtype=np.float32)


@cache
def _filters() -> _Samples:
    """(F, 33) share of every bin of the spectrum in every band; bands of equal width in the logarithm of frequency."""
    edges = np.geomspace(_LOWEST_HZ, _HIGHEST_HZ, _BANDS + 1) * _WINDOW / _RATE  # in bins
    bins = np.arange(_WINDOW // 2 + 1)[:, None]
    share = np.minimum(bins + 0.5, edges[1:]) - np.maximum(bins - 0.5, edges[:-1])
    return np.asarray(np.clip(share, 0, 1), dtype=np.float32)
