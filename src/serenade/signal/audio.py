"""Reading recordings of any rate, channels and common format as 16 kHz mono, whole or in blocks.

wav, flac, ogg, opus, mp3 and aiff are decoded by soundfile; m4a, webm, mp4, wma and the like by PyAV (extra `media`).
What a file is, its first bytes say and not its name. Every reader goes through one path: blocks of the file's own rate,
mean over channels, soxr in high quality; so `read_audio` is the concatenation of `stream_audio`.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soxr
from numpy.typing import NDArray

from serenade.core.errors import AudioError, UsageError
from serenade.signal.decoding import RATES, Recording, Samples, open_file, open_recording, source_name
from serenade.signal.fingerprints import Fingerprinter

if TYPE_CHECKING:  # to examine a recording takes no torch, and loading it a second
    from torch import Tensor

__all__ = [
    "SAMPLE_RATE",
    "AudioFacts",
    "Resampler",
    "examine",
    "facts_of",
    "from_array",
    "read_audio",
    "stream_audio",
    "stream_samples",
]

SAMPLE_RATE = 16_000
"""The one rate of all waveforms in Serenade, in Hz."""

_MOST_CHANNELS = 64
_LOUDEST = 256.0  # floats beyond are integers that were not scaled to [-1, 1]


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """What a recording is, after all of it was decoded.

    Args:
        duration_s: length.
        sample_rate: of the file, in Hz.
        channels: of the file.
        peak: largest magnitude of the mean over channels; 0 for digital silence.
        content: first 32 hexadecimal digits of the SHA-256 of the file's bytes.
        fingerprint: its acoustic fingerprint, as `Fingerprint.to_bytes` gives it; None where it was not made.
    """

    duration_s: float
    sample_rate: int
    channels: int
    peak: float
    content: str
    fingerprint: bytes | None = None


def examine(path: Path | str) -> AudioFacts:
    """Decode a whole recording, a block at a time, and say what it is.

    Raises:
        AudioError: it cannot be read, holds no samples, or some are not finite.
        MissingExtraError: its format needs PyAV.
    """
    with open_recording(path, 0.0, None) as recording:
        return facts_of(recording, path)


def facts_of(recording: Recording, path: Path | str) -> AudioFacts:
    """What `examine` says, of a recording that is open; its blocks are drawn to the end.

    Args:
        recording: the whole of it.
        path: its file, whose bytes are hashed.

    Raises:
        AudioError: it is damaged, holds no samples, or some are not finite.
    """
    frames, peak = 0, 0.0
    fingerprinter = Fingerprinter(recording.sample_rate)
    for mono in _mono_blocks(recording, source_name(path)):
        fingerprinter.add(mono)
        frames += len(mono)
        peak = max(peak, float(np.abs(mono).max()))
    with open_file(path) as file:
        content = hashlib.sha256()
        while chunk := file.read(2**20):
            content.update(chunk)
    rate, fingerprint = recording.sample_rate, fingerprinter.finish().to_bytes()
    return AudioFacts(frames / rate, rate, recording.channels, peak, content.hexdigest()[:32], fingerprint)


def read_audio(source: Path | str | bytes, *, start_s: float = 0.0, end_s: float | None = None) -> "Tensor":
    """The samples of a recording, or of a span of it.

    Args:
        source: a path, or the bytes of a file.
        start_s: where the span begins.
        end_s: where it ends; None for the end of the recording.

    Returns:
        (T,) mean over channels at 16 kHz, T at least 1.

    Raises:
        AudioError: it cannot be read, holds no samples, some are not finite, or the span does not lie within it.
        MissingExtraError: its format needs PyAV.
    """
    import torch

    return torch.cat(list(stream_audio(source, start_s=start_s, end_s=end_s)))


def stream_audio(
    source: Path | str | bytes, *, block_s: float = 30.0, start_s: float = 0.0, end_s: float | None = None
) -> "Iterator[Tensor]":
    """The samples of `read_audio` in blocks; memory does not grow with the recording.

    Args:
        source: a path, or the bytes of a file.
        block_s: length of a block; the last one may be shorter.
        start_s: where the span begins.
        end_s: where it ends; None for the end of the recording.

    Yields:
        (T,) at 16 kHz.

    Raises:
        AudioError: as `read_audio`, while the blocks are drawn.
        MissingExtraError: its format needs PyAV.
        UsageError: `block_s` is not a positive length.
    """
    return _as_tensors(stream_samples(source, block_s=block_s, start_s=start_s, end_s=end_s))


def _as_tensors(blocks: Iterator[Samples]) -> "Iterator[Tensor]":
    import torch

    for samples in blocks:
        yield torch.from_numpy(samples)


def stream_samples(
    source: Path | str | bytes, *, block_s: float = 30.0, start_s: float = 0.0, end_s: float | None = None
) -> Iterator[Samples]:
    """What `stream_audio` gives, as numpy arrays; torch is not loaded.

    Args:
        source: a path, or the bytes of a file.
        block_s: length of a block; the last one may be shorter.
        start_s: where the span begins.
        end_s: where it ends; None for the end of the recording.

    Yields:
        (T,) float32 at 16 kHz.

    Raises:
        AudioError: as `read_audio`, while the blocks are drawn.
        MissingExtraError: its format needs PyAV.
        UsageError: `block_s` is not a positive length.
    """
    if not 1 <= block_s * SAMPLE_RATE < math.inf:
        raise UsageError("block_s must be a positive length", found=block_s)
    return _stream(source, round(block_s * SAMPLE_RATE), start_s, end_s)


def _stream(source: Path | str | bytes, block: int, start_s: float, end_s: float | None) -> Iterator[Samples]:
    with open_recording(source, start_s, end_s) as recording:
        mono = _mono_blocks(recording, source_name(source))
        yield from _blocks_of(block, _resampled(mono, recording.sample_rate))


def from_array(array: Any, sample_rate: int, *, resample: bool = True) -> "Tensor":
    """Samples in memory as every reader gives them.

    Args:
        array: numpy array or tensor: (T,), (T, C) or (C, T). Of two axes the shorter one is the channels; a square is
            (T, C). Floats lie in [-1, 1]; int16, int32, int8 and uint8 are scaled by their range.
        sample_rate: rate of the array in Hz.
        resample: to 16 kHz; without it the rate stays, for parts of a stream that a `Resampler` takes together.

    Returns:
        (T,) mean over channels at 16 kHz; bit for bit what `read_audio` gives for a file of these samples.

    Raises:
        AudioError: the array is empty or not finite.
        UsageError: another type, number of axes or scale, or not a rate.
    """
    import torch

    if not (isinstance(sample_rate, int | np.integer) and RATES[0] <= sample_rate <= RATES[1]):
        raise UsageError("not a sample rate", found=repr(sample_rate), expected=f"an integer, {RATES[0]}-{RATES[1]} Hz")
    values = _numpy_of(array) if isinstance(array, torch.Tensor) else array
    if not isinstance(values, np.ndarray):
        raise UsageError("audio must be a numpy array or a tensor", found=type(array).__name__)
    samples = _scaled(_time_first(values))
    recording = Recording(int(sample_rate), samples.shape[1], iter([samples]))
    mono = _mono_blocks(recording, "audio in memory")
    parts = list(_resampled(mono, recording.sample_rate) if resample else mono)
    return torch.from_numpy(np.concatenate(parts))


def _numpy_of(tensor: "Tensor") -> NDArray[Any]:
    import torch

    plain = tensor.detach().cpu()
    values: NDArray[Any] = (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()  # numpy has no bfloat16
    return values


def _time_first(values: NDArray[Any]) -> NDArray[Any]:
    """(T, C) from (T,), (T, C) or (C, T)."""
    if values.size == 0:
        raise AudioError("there are no samples", reason="empty", where="audio in memory", found=f"shape {values.shape}")
    if values.ndim == 1:
        return values[:, None]
    if values.ndim != 2 or min(values.shape) > _MOST_CHANNELS:
        raise UsageError(
            "audio must have the shape (T,), (T, C) or (C, T)",
            found=f"shape {values.shape}",
            expected=f"at most {_MOST_CHANNELS} channels",
        )
    return values.T if values.shape[0] < values.shape[1] else values


def _scaled(values: NDArray[Any]) -> Samples:
    """Floats in [-1, 1] of any accepted type; the input is not modified."""
    if values.dtype.kind == "f":
        loudest = float(np.abs(values[np.isfinite(values)]).max(initial=0.0))
        if loudest > _LOUDEST:
            raise UsageError(
                "audio as floats must lie in [-1, 1]",
                found=f"a magnitude of {loudest:g}",
                hint="Divide by the full scale, such as 32768 for 16 bit",
            )
        return values.astype(np.float32)
    if values.dtype in (np.uint8, np.int8, np.int16, np.int32):
        middle = 128 if values.dtype == np.uint8 else 0
        full_scale = 2 ** (8 * values.dtype.itemsize - 1)
        return np.asarray((values.astype(np.float64) - middle) / full_scale, dtype=np.float32)
    raise UsageError(
        "audio samples of a type that is not known",
        found=values.dtype,
        expected="float, int16, int32, int8 or uint8",
    )


def _mono_blocks(recording: Recording, where: str) -> Iterator[Samples]:
    """(n,) means over channels, each checked to be finite."""
    position = 0
    for block in recording.blocks:
        mono = _mean(block)
        finite = np.isfinite(mono)
        if not finite.all():
            at = (position + int(finite.argmin())) / recording.sample_rate
            raise AudioError(
                "samples are not finite",
                reason="not finite",
                where=where,
                found=f"NaN or infinity first at {at:.3f} s",
                hint="Write the file anew from its source",
            )
        position += len(mono)
        yield mono


def _mean(block: Samples) -> Samples:
    """(n,) mean over channels, added in their order so that no sample depends on how long its block is."""
    mono = block[:, 0].copy()
    if block.shape[1] > 1:
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is reported by the caller
            for channel in range(1, block.shape[1]):
                mono += block[:, channel]
            mono /= np.float32(block.shape[1])
    return mono


class Resampler:
    """A stream of one rate at 16 kHz; its chunks may be of any lengths, the result does not depend on them.

    Args:
        sample_rate: of what is given, in Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        same = sample_rate == SAMPLE_RATE
        self._stream = None if same else soxr.ResampleStream(sample_rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
        self._given, self._first = 0, 0.0

    def add(self, samples: Samples) -> Samples:
        """What the next (n,) samples add to the result; it lags a little behind."""
        if self._stream is None or not len(samples):
            return samples
        self._first = self._first if self._given else float(samples[0])
        part: Samples = self._stream.resample_chunk(samples)
        self._given += len(part)
        return part

    def finish(self) -> Samples:
        """The rest."""
        if self._stream is None:
            return np.zeros(0, dtype=np.float32)
        part: Samples = self._stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
        if len(part) == 0 and self._given == 0:  # the recording is shorter than half a sample at 16 kHz
            return np.array([self._first], dtype=np.float32)
        return part


def _resampled(blocks: Iterable[Samples], sample_rate: int) -> Iterator[Samples]:
    """The same sound at 16 kHz, in parts of any length, at least one sample in all."""
    resampler = Resampler(sample_rate)
    for block in blocks:
        part = resampler.add(block)
        if len(part):
            yield part
    if len(part := resampler.finish()):
        yield part


def _blocks_of(length: int, parts: Iterable[Samples]) -> Iterator[Samples]:
    """The same samples in blocks of one length; the last one may be shorter."""
    held: list[Samples] = []
    count = 0
    for part in parts:
        held.append(part)
        count += len(part)
        if count >= length:
            joined = np.concatenate(held)
            whole = count - count % length
            for start in range(0, whole, length):
                yield joined[start : start + length].copy()
            held, count = [joined[whole:].copy()], count - whole
    if count:
        yield np.concatenate(held)
