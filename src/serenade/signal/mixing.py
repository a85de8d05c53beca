"""Speech in noise at a chosen signal-to-noise ratio, and the mixtures on which models are compared.

The ratio is that of the level of the speech (the active speech level of ITU-T P.56, or the mean square over the whole)
to the mean square of the noise added to it. For a comparison every model must hear the same mixture, so `fixed_mixture`
draws environment, recording and start from a generator seeded by repeat, utterance and ratio, and by nothing else.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from serenade.core.errors import AudioError, UsageError
from serenade.core.names import did_you_mean
from serenade.core.records import Utterance
from serenade.core.seeding import derive_seed
from serenade.signal.audio import SAMPLE_RATE, stream_audio
from serenade.signal.kept import KeptWaveforms
from serenade.signal.speech_level import SpeechLevel, is_silent, power_level_db, speech_level_db

__all__ = ["NoiseBank", "NoiseExcerpt", "NoisyMixture", "fixed_mixture", "mix_at_snr", "noise_excerpt"]

_DEMAND_CHANNEL = "01"  # its 16 microphones recorded one take
_MOST_SNR_DB = 120.0  # beyond, float32 holds only one of the two
_TRIES = 100


@dataclass(frozen=True, slots=True)
class NoiseExcerpt:
    """A stretch of noise as long as the speech it is for.

    Args:
        waveform: (T,).
        recording: id of its recording.
        environment: where that was made; None where nobody said.
        start: its first sample in the recording; a recording that ends before the speech begins again.
    """

    waveform: Tensor
    recording: str
    environment: str | None
    start: int


@dataclass(frozen=True, slots=True)
class NoisyMixture:
    """Speech in noise: ``scale * (speech + gain * noise)``.

    Args:
        waveform: (T,) the mixture.
        snr_db: the ratio asked for.
        gain: what the noise was multiplied by.
        scale: what the sum was multiplied by so that no sample lies beyond 1; 1 where none did.
        noise: what the speech was mixed with.
    """

    waveform: Tensor
    snr_db: float
    gain: float
    scale: float
    noise: NoiseExcerpt


def noise_excerpt(noise: Tensor, length: int, start: int = 0) -> Tensor:
    """(length,) samples of (M,) noise from a start on; noise that ends before begins again.

    Raises:
        AudioError: there is no noise.
    """
    if len(noise) == 0:
        raise AudioError("the noise holds no samples", reason="empty", where="audio in memory")
    start %= len(noise)
    if start + length <= len(noise):
        return noise[start : start + length]
    return noise.roll(-start).repeat(-(-length // len(noise)))[:length]


def mix_at_snr(
    speech: Tensor,
    noise: Tensor,
    snr_db: float,
    *,
    level: SpeechLevel = "active",
    start: int = 0,
    recording: str = "noise in memory",
) -> NoisyMixture:
    """Add noise to speech at a signal-to-noise ratio.

    The gain of the noise is ``10^((L_speech - L_noise - snr) / 20)`` with both levels in dB; where the sum passes full
    scale all of it is scaled down, which leaves the ratio as it is.

    Args:
        speech: (T,).
        noise: (M,), cut where it is longer than the speech and repeated where it is shorter.
        snr_db: level of the speech above the mean power of the noise that is added.
        level: what the level of the speech is.
        start: sample of the noise to begin with.
        recording: what the noise is called, in the result and in messages.

    Raises:
        AudioError: the speech or the stretch of noise is silent, so there is no ratio.
        UsageError: the ratio is not a number between -120 and 120 dB.
    """
    if not (math.isfinite(snr_db) and abs(snr_db) <= _MOST_SNR_DB):
        raise UsageError(
            "not a signal-to-noise ratio", found=f"{snr_db:g} dB", expected=f"between ±{_MOST_SNR_DB:g} dB"
        )
    if is_silent(speech):
        raise AudioError(
            "the speech is silent, so its ratio to noise is undefined",
            reason="silent",
            where="audio in memory",
            hint="Leave silent recordings out",
        )
    excerpt = NoiseExcerpt(noise_excerpt(noise, len(speech), start), recording, None, start)
    if is_silent(excerpt.waveform):
        raise AudioError(
            "the noise is silent, so the ratio of speech to it is undefined",
            reason="silent",
            where=recording,
            found=f"nothing above -100 dB within {len(speech) / SAMPLE_RATE:.2f} s from sample {start}",
            hint="Take another recording or another start",
        )
    gain = 10 ** ((speech_level_db(speech, level) - power_level_db(excerpt.waveform) - snr_db) / 20)
    mixed = speech.double() + gain * excerpt.waveform.double()
    scale = 1 / max(1.0, float(mixed.abs().max()))
    return NoisyMixture((scale * mixed).to(speech.dtype), snr_db, gain, scale, excerpt)


class NoiseBank:
    """Recordings of noise by environment, read when they are first needed and kept up to a bound of memory.

    Args:
        recordings: as the corpus "noise" lists them. Of DEMAND's 16 microphones the first is used.
        environments: the ones to use; empty for all.
        most_kept_mb: decoded sound kept; what was not used for the longest is read again.
        most_s: of a longer recording only the beginning is used.

    Raises:
        UsageError: there are no recordings, or none of an environment asked for.
    """

    def __init__(
        self,
        recordings: Iterable[Utterance],
        *,
        environments: Sequence[str] = (),
        most_kept_mb: float = 384.0,
        most_s: float = 600.0,
    ) -> None:
        by_environment: dict[str, list[Utterance]] = {}
        for recording in sorted(recordings, key=lambda utterance: utterance.id):
            if recording.extra.get("channel", _DEMAND_CHANNEL) == _DEMAND_CHANNEL:
                by_environment.setdefault(recording.extra.get("environment", recording.speaker), []).append(recording)
        if not by_environment:
            raise UsageError("there are no recordings of noise")
        for name in environments:
            if name not in by_environment:
                raise UsageError(
                    f"there is no noise of the environment {name!r}",
                    expected=f"one of {', '.join(sorted(by_environment))}",
                    hint=did_you_mean(name, by_environment),
                )
        chosen = sorted(set(environments) or by_environment)
        self._recordings = {name: tuple(by_environment[name]) for name in chosen}
        self._by_id = {utterance.id: utterance for name in chosen for utterance in self._recordings[name]}
        self._most_samples = round(most_s * SAMPLE_RATE)
        self._kept = KeptWaveforms(self._read, most_kept_mb)

    @property
    def environments(self) -> tuple[str, ...]:
        """Names of the environments used, sorted."""
        return tuple(self._recordings)

    @property
    def recordings(self) -> tuple[Utterance, ...]:
        """All that are drawn from, sorted by environment and id."""
        return tuple(each for row in self._recordings.values() for each in row)

    def waveform(self, recording: str) -> Tensor:
        """(M,) samples of the recording of an id; not to be modified.

        Raises:
            AudioError: it cannot be read, or all of it is silent.
            UsageError: there is none of that id.
        """
        if recording not in self._by_id:
            raise UsageError(f"there is no recording of noise {recording!r}")
        return self._kept[recording]

    def _read(self, name: str) -> Tensor:
        recording = self._by_id[name]
        blocks, length = [], 0
        for block in stream_audio(recording.audio, start_s=recording.start_s, end_s=recording.end_s):
            blocks.append(block)
            length += len(block)
            if length >= self._most_samples:
                break
        waveform = torch.cat(blocks)[: self._most_samples]
        if is_silent(waveform):
            raise AudioError(
                "the recording of noise is silent, so the ratio of speech to it is undefined",
                reason="silent",
                where=recording.audio,
                hint="Take it out of the folder of noise",
            )
        return waveform

    def drop_unusable(self) -> tuple[AudioError, ...]:
        """Read every recording once, and never draw those again that are broken or silent.

        Returns:
            What is wrong with each of them.

        Raises:
            AudioError: all of them are.
        """
        failures = self._kept.unusable(self._by_id)
        if len(failures) == len(self._by_id):
            raise next(iter(failures.values()))
        self._by_id = {name: each for name, each in self._by_id.items() if name not in failures}
        kept = {place: tuple(each for each in row if each.id in self._by_id) for place, row in self._recordings.items()}
        self._recordings = {place: row for place, row in kept.items() if row}
        return tuple(failures.values())

    def excerpt(self, recording: str, length: int, start: int) -> NoiseExcerpt:
        """A stretch of the recording of an id.

        Raises:
            AudioError: it cannot be read, or all of it is silent.
            UsageError: there is no recording of that id.
        """
        waveform = noise_excerpt(self.waveform(recording), length, start)
        known = self._by_id[recording]
        return NoiseExcerpt(waveform, recording, known.extra.get("environment", known.speaker), start)

    def draw(self, length: int, generator: Generator) -> NoiseExcerpt:
        """A stretch drawn at random: first the environment, then the recording, then the start.

        A longer recording is entered where the stretch fits into it, a shorter one anywhere. A silent stretch is drawn
        anew.

        Args:
            length: samples.
            generator: source of randomness, on the CPU.

        Raises:
            AudioError: a recording cannot be read or is silent, or no stretch with sound was found.
        """
        for _ in range(_TRIES):
            recordings = self._recordings[self.environments[_below(len(self._recordings), generator)]]
            recording = recordings[_below(len(recordings), generator)].id
            spare = len(self.waveform(recording)) - length
            start = _below(spare + 1 if spare >= 0 else spare + length, generator)
            excerpt = self.excerpt(recording, length, start)
            if not is_silent(excerpt.waveform):
                return excerpt
        raise AudioError(
            "no stretch of noise with sound in it was found",
            reason="silent",
            where=", ".join(self.environments),
            found=f"{_TRIES} silent stretches of {length / SAMPLE_RATE:.2f} s",
            hint="Take noise with fewer gaps",
        )


def _below(count: int, generator: Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


def fixed_mixture(
    speech: Tensor,
    bank: NoiseBank,
    *,
    snr_db: float,
    utterance: str,
    repeat: int = 0,
    level: SpeechLevel = "active",
) -> NoisyMixture:
    """The mixture of an utterance that every model is tested on.

    Args:
        speech: (T,).
        bank: the noise; another choice of recordings gives other mixtures.
        snr_db: level of the speech above the noise.
        utterance: its id.
        repeat: number of the repeat of the experiment.
        level: what the level of the speech is.

    Raises:
        AudioError: the speech is silent, or a recording of noise cannot be read or is silent.
        UsageError: the ratio is not a number between -120 and 120 dB.
    """
    # 10 and 10.0 are one ratio
    generator = Generator().manual_seed(derive_seed(repeat, "noise", utterance, f"{float(snr_db):g}"))
    drawn = bank.draw(len(speech), generator)
    mixture = mix_at_snr(speech, drawn.waveform, snr_db, level=level, recording=drawn.recording)
    return replace(mixture, noise=drawn)
