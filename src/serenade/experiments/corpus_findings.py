"""What stands out in a measured corpus: criteria with their thresholds, and the recordings that fail them.

The thresholds are chosen so that studio corpora pass but for single files (EMO-DB, RAVDESS and nEMO were looked at),
and so that what passes needs no listening. A finding is a reason to listen, not a verdict.
"""

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log

from serenade.core.records import Utterance
from serenade.core.wording import counted
from serenade.signal.quality import Quality

__all__ = ["CRITERIA", "Criterion", "Norms", "flag"]

_CLIPPED_SHARE = 1e-4
_TOLD_FROM_PEAK = 0.005  # 164 steps of 16 bit: tops of softer voices are flat because the steps are coarse
_QUIET_DB = -50.0
_SILENT_SHARE = 0.7
_PAUSE_S = 1.5
_OFFSET = 0.01
_BAND_SHARE = 0.75
_SNR_DB = 10.0
_LENGTH_Z = 3.5
_LEAST_SPREAD = 0.05  # of log length: equal lengths must not make every other one an outlier
_MODEL_RATE = 16_000


@dataclass(frozen=True, slots=True)
class Norms:
    """What is usual in the corpus.

    Args:
        log_length: median of the natural logarithm of the lengths.
        shorter_spread: 1.4826 times the median distance from it of those that are not longer (a standard deviation
            where lengths are log-normal); each side has its own, because lengths are often skewed.
        longer_spread: the same of those that are not shorter.
        sample_rate: the most frequent one.
        channels: the most frequent number.
    """

    log_length: float
    shorter_spread: float
    longer_spread: float
    sample_rate: int
    channels: int

    @classmethod
    def of(cls, found: Sequence[Quality]) -> "Norms":
        """The norms of at least one recording."""
        lengths = [log(quality.duration_s) for quality in found]
        middle = statistics.median(lengths)
        rates = Counter(quality.sample_rate for quality in found)
        channels = Counter(quality.channels for quality in found)
        return cls(
            middle,
            _spread(middle - length for length in lengths),
            _spread(length - middle for length in lengths),
            _most_frequent(rates),
            _most_frequent(channels),
        )


def _spread(distances: Iterable[float]) -> float:
    """1.4826 times the median of the distances on this side, at least 5 %."""
    return max(1.4826 * statistics.median(distance for distance in distances if distance >= 0), _LEAST_SPREAD)


def _most_frequent(counts: Mapping[int, int]) -> int:
    return max(counts, key=lambda value: (counts[value], value))


_Test = Callable[[Quality, Norms], tuple[float, str] | None]
"""How far a recording is off (greater is worse) and what was found, in words; None where it passes."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """Something a recording can fail.

    Args:
        name: in JSON.
        title: for people.
        threshold: when it fails, in words.
        advice: what it means and what to do.
        test: looks at one recording.
    """

    name: str
    title: str
    threshold: str
    advice: str
    test: _Test


def _clipping(quality: Quality, norms: Norms) -> tuple[float, str] | None:
    share = quality.clipped_share
    if share <= _CLIPPED_SHARE or quality.peak < _TOLD_FROM_PEAK:
        return None
    return share, f"{share:.3%} of the samples, peak {quality.peak:.2f}"


def _noise(quality: Quality, norms: Norms) -> tuple[float, str] | None:
    snr = quality.snr_db
    return (-snr, f"{snr:.0f} dB") if snr is not None and snr < _SNR_DB else None


def _quiet(quality: Quality, norms: Norms) -> tuple[float, str] | None:
    return (-quality.level_db, f"{quality.level_db:.0f} dB") if quality.level_db < _QUIET_DB else None


def _silence(quality: Quality, norms: Norms) -> tuple[float, str] | None:
    ends = {"before": quality.leading_silence_s, "after": quality.trailing_silence_s}
    long = [f"{seconds:.1f} s {place}" for place, seconds in ends.items() if seconds > _PAUSE_S]
    if quality.silent_share <= _SILENT_SHARE and not long:
        return None
    return quality.silent_share, ", ".join([f"{quality.silent_share:.0%} silent", *long])


def _offset(quality: Quality, norms: Norms) -> tuple[float, str] | None:
    offset = quality.dc_offset
    return (abs(offset), f"{offset:+.3f} of full scale") if abs(offset) > _OFFSET else None


def _bandwidth(quality: Quality, norms: Norms) -> tuple[float, str] | None:
    share = quality.bandwidth_hz / (quality.sample_rate / 2)
    if share >= _BAND_SHARE:
        return None
    return 1 - share, f"ends at {quality.bandwidth_hz / 1000:.1f} kHz of {quality.sample_rate / 2000:g} kHz"


def _length(quality: Quality, norms: Norms) -> tuple[float, str] | None:
    distance = log(quality.duration_s) - norms.log_length
    z = distance / (norms.shorter_spread if distance < 0 else norms.longer_spread)
    return (abs(z), f"{quality.duration_s:.2f} s, robust z {z:+.1f}") if abs(z) > _LENGTH_Z else None


def _rate(quality: Quality, norms: Norms) -> tuple[float, str] | None:
    if quality.sample_rate >= _MODEL_RATE and quality.sample_rate == norms.sample_rate:
        return None
    return 1 / quality.sample_rate, f"{quality.sample_rate} Hz"


def _channels(quality: Quality, norms: Norms) -> tuple[float, str] | None:
    return (quality.channels, counted(quality.channels, "channel")) if quality.channels != norms.channels else None


CRITERIA: tuple[Criterion, ...] = (
    Criterion(
        "clipping",
        "Clipped",
        f"more than {_CLIPPED_SHARE:.2%} of the samples in flat tops",
        "Rows of equal samples at the extreme: the recording was too loud. It cannot be mended; record again or leave "
        "it out, above all where one class is clipped and another is not.",
        _clipping,
    ),
    Criterion(
        "noise",
        "Noisy",
        f"estimated SNR below {_SNR_DB:.0f} dB",
        "Much noise, music or other voices, or a recording without any pause, for which the estimate is too low.",
        _noise,
    ),
    Criterion(
        "bandwidth",
        "Narrowband",
        f"spectrum ends below {_BAND_SHARE:.0%} of half the sample rate",
        "Once recorded at a lower rate, sent over a telephone, or strongly compressed. Mixed with full-band recordings "
        "it tells a model where a file comes from.",
        _bandwidth,
    ),
    Criterion(
        "quiet",
        "Very quiet",
        f"level of the speech below {_QUIET_DB:.0f} dB of full scale",
        "Near the steps of 16 bit. Normalise the level only if loudness is not meant to carry emotion.",
        _quiet,
    ),
    Criterion(
        "silence",
        "Mostly silence",
        f"more than {_SILENT_SHARE:.0%} of the frames silent, or more than {_PAUSE_S} s before or after the speech",
        "Trim it, or give the speech as a span with the columns start and end.",
        _silence,
    ),
    Criterion(
        "length",
        "Length outliers",
        f"log length more than {_LENGTH_Z} robust standard deviations from the median",
        "Very long: several utterances in one file, or speech of two people? Very short: cut off, or no words?",
        _length,
    ),
    Criterion(
        "offset",
        "Constant offset",
        f"mean of the samples beyond {_OFFSET:.0%} of full scale",
        "A fault of the sound card. A high-pass filter takes it out.",
        _offset,
    ),
    Criterion(
        "rate",
        "Other sample rate",
        "not the most frequent rate of the corpus, or below 16 kHz",
        "Serenade resamples everything to 16 kHz, but what was recorded at a lower rate lacks the upper band.",
        _rate,
    ),
    Criterion(
        "channels",
        "Other number of channels",
        "not the most frequent number of the corpus",
        "Serenade takes the mean over channels. Two people on two channels become one recording of both: "
        "split it first.",
        _channels,
    ),
)


def flag(utterances: Sequence[Utterance], quality: Mapping[str, Quality]) -> dict[str, list[tuple[Utterance, str]]]:
    """The utterances that fail each criterion, the worst first, with what was found.

    Args:
        utterances: at least one.
        quality: their figures by id.
    """
    norms = Norms.of([quality[utterance.id] for utterance in utterances])
    flagged = {}
    for criterion in CRITERIA:
        tested = [(utterance, criterion.test(quality[utterance.id], norms)) for utterance in utterances]
        failed = [(utterance, *found) for utterance, found in tested if found is not None]
        failed.sort(key=lambda item: (-item[1], item[0].id))
        flagged[criterion.name] = [(utterance, words) for utterance, _, words in failed]
    return flagged
