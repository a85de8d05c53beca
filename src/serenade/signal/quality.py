"""How good a recording is: length, level, clipping, silence, offset, bandwidth and noise, measured in one pass.

The samples are looked at as they lie in the file, at its own rate: resampling would hide clipping and bandwidth. They
arrive in blocks; what is kept is one number for 20 ms (1.4 MB for two hours) and a few sums.

How each figure is defined stands with `Quality`. The thresholds above which a figure is a finding are not here but
with the corpus (`serenade.experiments.corpus_findings`): what is a fault in one corpus is the style of another.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serenade.core.errors import AudioError
from serenade.signal.decoding import Recording, Samples, open_recording, source_name

__all__ = ["FRAME_S", "SILENCE_DB", "Quality", "QualityMeter", "measure_quality", "tap"]

FRAME_S = 0.02
"""Length of the frames whose power tells speech from silence."""
SILENCE_DB = 40.0
"""A frame is silent if it lies this far below the loudest frame."""

_FULL_SCALE = 0.999  # what is decoded from 16 bit or from a lossy format reaches 1.0 or not quite
_FLAT_RUN = 3  # equal samples at the extreme that make a flat top
_NOTHING = 1e-10  # power of a frame that is digital silence: -100 dB of full scale
_FLOOR_DB = -100.0
_QUIETEST = 10.0  # per cent of the frames taken for noise
_MOST_SNR_DB = 80.0
_BIN_HZ = 31.25  # spacing of the spectrum, about
_EDGE_DB = 22.0  # by how much the spectrum falls where a band ends
_EDGE_HZ = 400.0  # within how many Hz it falls so
_LEAST_EDGE_HZ = 3_000.0  # below it a single vowel looks like a band that ends; telephones reach 3.4 kHz
_NEAR_NYQUIST = 0.9  # an edge above it is the filter of a converter


@dataclass(frozen=True, slots=True)
class Quality:
    """Figures of a recording or of a span of it. Levels are in dB of full scale (a full square wave is 0 dB).

    Args:
        duration_s: length in seconds.
        sample_rate: of the file, in Hz.
        channels: of the file.
        peak: largest magnitude in any channel; 1 is full scale.
        clipped_share: share of samples that lie in flat tops: at least three samples in a row, in one channel, that
            equal its greatest or its least value. Samples beyond 0.999 count as equal. One sample at full scale is a
            normalised file, a row of them is a clipped one, also where it was made quieter afterwards.
        level_db: root mean square of the frames that are not silent, of the mean over channels.
        silent_share: share of frames (20 ms) more than 40 dB below the loudest frame.
        leading_silence_s: how long it is silent before the first frame that is not.
        trailing_silence_s: how long it is silent after the last such frame.
        dc_offset: mean of the samples in the channel where it is largest, with its sign.
        bandwidth_hz: where the long-term spectrum ends: the frequency at which it falls by 22 dB within 400 Hz and
            above which nothing comes near again; half the sample rate where there is no such edge. A file at 16 kHz
            that was once telephone speech has an edge near 4 kHz. Edges below 3 kHz are not looked for.
        snr_db: power of the recording over the power of its quietest tenth of frames, the latter taken for noise and
            subtracted from the former. Frames of digital silence are left out; 80 at most. Good within 1 dB for
            steady noise up to about 20 dB, if a tenth of the recording is pause; without pauses it comes out too low,
            with noise that comes and goes too high. None where all frames are digital silence.
    """

    duration_s: float
    sample_rate: int
    channels: int
    peak: float
    clipped_share: float
    level_db: float
    silent_share: float
    leading_silence_s: float
    trailing_silence_s: float
    dc_offset: float
    bandwidth_hz: float
    snr_db: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain values only."""
        return asdict(self)


def measure_quality(path: Path | str, spans: Sequence[tuple[float, float | None]] = ((0.0, None),)) -> list[Quality]:
    """The figures of spans of a recording, which is decoded once.

    Args:
        path: the recording.
        spans: beginning and end in seconds; None is the end of the recording.

    Returns:
        One entry per span.

    Raises:
        AudioError: the recording cannot be read, or a span holds no sample.
        MissingExtraError: its format needs PyAV.
    """
    with open_recording(path) as recording:
        meters = [QualityMeter(recording.sample_rate, recording.channels, *span) for span in spans]
        for block in recording.blocks:
            for meter in meters:
                meter.add(block)
    return [meter.result(source_name(path)) for meter in meters]


def tap(recording: Recording, meters: Sequence["QualityMeter"]) -> Recording:
    """The same recording; every block goes to the meters once its reader has taken it and asks for the next."""

    def blocks() -> Iterator[Samples]:
        for block in recording.blocks:
            yield block
            for meter in meters:
                meter.add(block)

    return Recording(recording.sample_rate, recording.channels, blocks())


class QualityMeter:
    """Takes the blocks of a recording and gives the figures of one span of it.

    Args:
        sample_rate: in Hz.
        channels: C.
        start_s: where the span begins.
        end_s: where it ends; None for the end of the recording.
    """

    def __init__(self, sample_rate: int, channels: int, start_s: float = 0.0, end_s: float | None = None) -> None:
        self.sample_rate, self.channels = sample_rate, channels
        self._start = round(start_s * sample_rate)
        self._stop = None if end_s is None else round(end_s * sample_rate)
        self._position = 0
        self._count = 0
        self._sums = np.zeros(channels)
        self._peak = 0.0
        self._tops = [_FlatTops() for _ in range(2 * channels)]  # of every channel, upright and upside down
        self._frames = _FramePowers(max(1, round(FRAME_S * sample_rate)))
        self._spectrum = _LongTermSpectrum(sample_rate)

    def add(self, block: Samples) -> None:
        """Take the next block of the recording: (n, C).

        Raises:
            AudioError: samples in the span are not finite.
        """
        low = max(0, self._start - self._position)
        high = len(block) if self._stop is None else min(len(block), self._stop - self._position)
        self._position += len(block)
        if high > low:
            self._take(block[low:high])

    def _take(self, block: Samples) -> None:
        peak = float(np.abs(block).max())
        if not np.isfinite(peak):
            raise AudioError("samples are not finite", reason="not finite", where="the recording that is measured")
        self._peak = max(self._peak, peak)
        self._count += len(block)
        self._sums += block.sum(axis=0, dtype=np.float64)
        for channel in range(self.channels):
            limited = np.clip(block[:, channel], -_FULL_SCALE, _FULL_SCALE)
            self._tops[2 * channel].add(limited)
            self._tops[2 * channel + 1].add(-limited)
        mono = block[:, 0] if self.channels == 1 else block.mean(axis=1)
        self._frames.add(mono)
        self._spectrum.add(mono)

    def result(self, where: str = "audio in memory") -> Quality:
        """The figures of what was taken.

        Args:
            where: what to call the recording in a complaint.

        Raises:
            AudioError: no sample lay in the span.
        """
        if self._count == 0:
            raise AudioError("there are no samples to measure", reason="bad span", where=where)
        means = self._sums / self._count
        powers = self._frames.powers(float(means.mean()))
        active = _active(powers)
        places = np.flatnonzero(active)
        before, after = (int(places[0]), int(len(active) - 1 - places[-1])) if len(places) else (len(active), 0)
        return Quality(
            duration_s=self._count / self.sample_rate,
            sample_rate=self.sample_rate,
            channels=self.channels,
            peak=self._peak,
            clipped_share=sum(tops.samples for tops in self._tops) / (self._count * self.channels),
            level_db=_decibel(float(powers[active].mean()) if len(places) else 0.0),
            silent_share=1 - float(active.mean()),
            leading_silence_s=before * FRAME_S,
            trailing_silence_s=after * FRAME_S,
            dc_offset=float(means[np.abs(means).argmax()]),
            bandwidth_hz=self._spectrum.bandwidth_hz(),
            snr_db=_snr_db(powers),
        )


class _FlatTops:
    """Counts the samples in rows of at least three that equal the greatest value so far."""

    def __init__(self) -> None:
        self.samples = 0
        self._top = -np.inf
        self._open = 0  # length of the row that reaches the end of the last block

    def add(self, samples: Samples) -> None:
        """Take the next (n,) samples."""
        top = float(samples.max())
        if top > self._top:
            self._top, self.samples, self._open = top, 0, 0
        if top < self._top or top <= 0:  # digital silence has no tops
            self._open = 0
            return
        at_top = np.concatenate(([False], samples == self._top, [False])).astype(np.int8)
        steps = np.flatnonzero(np.diff(at_top))
        starts, lengths = steps[::2], steps[1::2] - steps[::2]
        before = self._open if starts[0] == 0 else 0
        if before >= _FLAT_RUN:  # already counted, and now longer
            self.samples -= before
        lengths[0] += before
        self.samples += int(lengths[lengths >= _FLAT_RUN].sum())
        self._open = int(lengths[-1]) if at_top[-2] else 0


class _FramePowers:
    """Mean square and mean of every whole frame."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._held: list[Samples] = []
        self._num_held = 0
        self._squares: list[NDArray[np.float32]] = []
        self._means: list[NDArray[np.float32]] = []

    def add(self, mono: Samples) -> None:
        """Take the next (n,) samples."""
        self._held.append(mono)
        self._num_held += len(mono)
        if self._num_held < self._length:
            return
        joined = np.concatenate(self._held)
        whole = len(joined) // self._length * self._length
        self._keep(joined[:whole].reshape(-1, self._length))
        self._held, self._num_held = [joined[whole:].copy()], len(joined) - whole

    def _keep(self, frames: NDArray[np.float32]) -> None:
        self._squares.append(np.square(frames, dtype=np.float64).mean(axis=1).astype(np.float32))
        self._means.append(frames.mean(axis=1, dtype=np.float64).astype(np.float32))

    def powers(self, offset: float) -> NDArray[np.float64]:
        """(L,) power of every frame about a constant offset; what is shorter than a frame is one."""
        if not self._squares:
            self._keep(np.concatenate(self._held)[None])
        squares, means = (np.concatenate(parts).astype(np.float64) for parts in (self._squares, self._means))
        powers: NDArray[np.float64] = np.maximum(squares - 2 * offset * means + offset**2, 0.0)
        return powers


class _LongTermSpectrum:
    """Mean power spectrum over windows that do not overlap, without those that are digital silence."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._length = max(16, 2 * round(sample_rate / _BIN_HZ / 2))
        self._window = np.hanning(self._length).astype(np.float32)
        self._sum = np.zeros(self._length // 2 + 1)
        self._held = np.zeros(0, dtype=np.float32)
        self._any = False

    def add(self, mono: Samples) -> None:
        """Take the next (n,) samples."""
        joined = np.concatenate((self._held, mono))
        whole = len(joined) // self._length * self._length
        if whole:
            windows = joined[:whole].reshape(-1, self._length)
            loud = np.square(windows).mean(axis=1) > _NOTHING
            spectra = np.fft.rfft(windows[loud] * self._window, axis=1)
            self._sum += (spectra.real**2 + spectra.imag**2).sum(axis=0)
            self._any = self._any or bool(loud.any())
        self._held = joined[whole:].copy()

    def bandwidth_hz(self) -> float:
        """The highest edge of the spectrum, or half the sample rate."""
        nyquist = self._rate / 2
        if not self._any:
            return nyquist
        level = 10 * np.log10(np.maximum(_smooth(self._sum), 1e-30))  # (F,)
        hertz = np.linspace(0, nyquist, len(level))
        step = max(1, round(_EDGE_HZ / (nyquist / (len(level) - 1))))
        if len(level) <= 2 * step:
            return nyquist
        ceiling = np.maximum.accumulate(level[::-1])[::-1]  # (F,) the loudest from here upwards
        fall = level[:-step] - ceiling[step:]
        edges = np.flatnonzero((fall >= _EDGE_DB) & (hertz[:-step] >= _LEAST_EDGE_HZ))
        edges = edges[hertz[edges] <= _NEAR_NYQUIST * nyquist]
        return float(hertz[edges[0] + step // 2]) if len(edges) else nyquist


def _smooth(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """(F,) mean over five bins."""
    padded = np.pad(power, 2, mode="edge")
    smoothed: NDArray[np.float64] = np.lib.stride_tricks.sliding_window_view(padded, 5).mean(axis=1)
    return smoothed


def _active(powers: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(L,) which frames are not silent."""
    least = max(float(powers.max()) * 10 ** (-SILENCE_DB / 10), _NOTHING)
    active: NDArray[np.bool_] = powers > least
    return active


def _snr_db(powers: NDArray[np.float64]) -> float | None:
    sound = powers[powers > _NOTHING]
    if not len(sound):
        return None
    noise = float(np.percentile(sound, _QUIETEST))
    speech = max(float(sound.mean()) - noise, _NOTHING)
    return min(_MOST_SNR_DB, _decibel(speech) - _decibel(noise))


def _decibel(power: float) -> float:
    return float(10 * np.log10(power)) if power > 1e-10 else _FLOOR_DB
