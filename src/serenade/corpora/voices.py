"""A parametric source-filter voice: pseudo-words and a `Delivery` in, a waveform out. numpy only.

Every glottal pulse is made in the frequency domain, pitch-synchronously, and added at its exact (sub-sample) instant:

    pulse(f) = KLGLOTT88 flow derivative (open quotient) x spectral tilt x cascade of formants x nasal pole and zero

so formants, pitch, jitter and shimmer may change from pulse to pulse, and there is no loop over samples. Aspiration is
noise, modulated by the glottal cycle, through the same formants frame by frame; fricatives and bursts are noise through
a band of their own. Formants of vowels are the male averages of Peterson and Barney (1952), those of sonorants are
close to Klatt's (1980), all scaled by the length of the speaker's vocal tract.

Reference: D. H. Klatt and L. C. Klatt, "Analysis, synthesis, and perception of voice quality variations among female
and male talkers", JASA 87(2), 1990.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serenade.core.errors import UsageError

__all__ = ["PHONES", "SAMPLE_RATE", "Delivery", "Phone", "formant_response", "parse_text", "synthesise"]

_Floats = NDArray[np.floating[Any]]
_Complexes = NDArray[np.complexfloating[Any, Any]]

SAMPLE_RATE = 16000
_HOP = 80  # samples between control frames: 5 ms
_HOP_S = _HOP / SAMPLE_RATE
_PULSE_FFT = 1024  # 64 ms: after closure the narrowest formant (70 Hz) has room to decay by 90 dB
_LEAD = 272  # room before the closure for the longest opening phase: 17 ms, nine tenths of a cycle of 55 Hz
_NOISE_FFT = 512
_NOISE_WINDOW = 2 * _HOP  # Hann windows at half their length add up to one
_UPPER_FORMANTS = ((3500.0, 200.0), (4500.0, 280.0), (5500.0, 350.0), (6500.0, 420.0), (7500.0, 500.0))
_BANDWIDTHS = (70.0, 95.0, 140.0)
_NEUTRAL_TRACT = (500.0, 1500.0, 2500.0)  # a uniform tube: where careless vowels drift to


@dataclass(frozen=True, slots=True)
class Delivery:
    """How one utterance is spoken; every value is what the waveform is made from.

    Args:
        pitch_hz: fundamental frequency in the middle of the utterance, without accents.
        accent_st: height of a pitch accent, semitones.
        declination_st: fall of the pitch from begin to end, semitones.
        final_st: movement of the pitch on the last syllable, semitones.
        rate: speaking rate; 1 is about five and a half syllables a second.
        level_db: level of the speech, dB relative to full scale (RMS over the stretch that is spoken).
        accent_db: how much louder stressed syllables are.
        open_quotient: share of the cycle in which the glottis is open, 0.3 (pressed) to 0.9 (lax).
        tilt_db: attenuation of the source at 3 kHz.
        breath_db: level of the aspiration noise relative to the voice, at the lips.
        jitter: standard deviation of the cycle length, as a share of it.
        shimmer_db: standard deviation of the cycle amplitude.
        tremor_st: amplitude of a 5.5-Hz tremor of the pitch, semitones.
        articulation: size of the vowel space; 1 is the vowel's own place, 0 a neutral tube.
        tract: length of the vocal tract, 1 is 17.5 cm; formants are divided by it.
    """

    pitch_hz: float
    accent_st: float
    declination_st: float
    final_st: float
    rate: float
    level_db: float
    accent_db: float
    open_quotient: float
    tilt_db: float
    breath_db: float
    jitter: float
    shimmer_db: float
    tremor_st: float
    articulation: float
    tract: float


@dataclass(frozen=True, slots=True)
class Phone:
    """One speech sound.

    Args:
        formants: F1 to F3 in Hz for a 17.5 cm tract.
        duration_s: length at rate 1.
        voice: amplitude of voicing relative to a vowel.
        noise_db: level of frication relative to a vowel; None for none.
        noise_hz: centre of the frication.
        noise_width_hz: width (standard deviation) of the frication.
        kind: "vowel", "sonorant", "nasal", "fricative" or "stop".
    """

    formants: tuple[float, float, float]
    duration_s: float
    voice: float = 1.0
    noise_db: float | None = None
    noise_hz: float = 4000.0
    noise_width_hz: float = 1000.0
    kind: str = "vowel"


PHONES: dict[str, Phone] = {
    "a": Phone((730, 1090, 2440), 0.105, 0.75),
    "e": Phone((530, 1840, 2480), 0.095, 1.0),
    "i": Phone((270, 2290, 3010), 0.090, 1.3),
    "o": Phone((570, 840, 2410), 0.100, 0.9),
    "u": Phone((300, 870, 2240), 0.090, 1.3),
    "l": Phone((310, 1050, 2880), 0.060, 0.55, kind="sonorant"),
    "r": Phone((310, 1060, 1600), 0.055, 0.55, kind="sonorant"),
    "j": Phone((260, 2070, 3020), 0.060, 0.60, kind="sonorant"),
    "w": Phone((290, 610, 2150), 0.060, 0.60, kind="sonorant"),
    "m": Phone((480, 1270, 2130), 0.070, 0.45, kind="nasal"),
    "n": Phone((480, 1340, 2470), 0.065, 0.45, kind="nasal"),
    "s": Phone((320, 1390, 2530), 0.100, 0.0, -13.0, 6200, 1100, "fricative"),
    "sh": Phone((300, 1840, 2750), 0.100, 0.0, -11.0, 3300, 800, "fricative"),
    "f": Phone((340, 1100, 2080), 0.090, 0.0, -25.0, 5000, 3500, "fricative"),
    "v": Phone((220, 1100, 2080), 0.065, 0.40, -29.0, 5000, 3500, "fricative"),
    "z": Phone((240, 1390, 2530), 0.075, 0.30, -18.0, 6200, 1100, "fricative"),
    "p": Phone((400, 1000, 2150), 0.075, 0.0, -20.0, 900, 900, "stop"),
    "t": Phone((400, 1700, 2600), 0.075, 0.0, -12.0, 4300, 1400, "stop"),
    "k": Phone((300, 1990, 2850), 0.080, 0.0, -12.0, 2000, 600, "stop"),
    "b": Phone((200, 1000, 2150), 0.065, 0.16, -22.0, 900, 900, "stop"),
    "d": Phone((200, 1700, 2600), 0.060, 0.16, -16.0, 4000, 1400, "stop"),
    "g": Phone((200, 1990, 2850), 0.065, 0.16, -16.0, 2000, 600, "stop"),
}
_LETTERS = re.compile("|".join(sorted(PHONES, key=len, reverse=True)))
_SILENCE = Phone((500, 1500, 2500), 0.13, 0.0, kind="pause")


@dataclass(frozen=True, slots=True)
class _Spoken:
    """A phone in its place in the sentence."""

    phone: Phone
    stressed: bool = False
    final: bool = False


def parse_text(text: str) -> list[_Spoken]:
    """The phones of a pseudo-sentence: words of letters from `PHONES`, stressed on their first vowel.

    A comma is a short pause.

    Raises:
        UsageError: a letter that stands for no phone, or no vowel at all.
    """
    spoken: list[_Spoken] = []
    for word in re.findall(r"[^\s,.]+|,", text.lower()):
        if word == ",":
            spoken.append(_Spoken(_SILENCE))
            continue
        names = _LETTERS.findall(word)
        if "".join(names) != word:
            raise UsageError(
                "a pseudo-word has letters without a sound", found=repr(word), expected=f"only {' '.join(PHONES)}"
            )
        vowels = [place for place, name in enumerate(names) if PHONES[name].kind == "vowel"]
        spoken += [_Spoken(PHONES[name], stressed=place in vowels[:1]) for place, name in enumerate(names)]
    last = max((place for place, item in enumerate(spoken) if item.phone.kind == "vowel"), default=None)
    if last is None:
        raise UsageError("a pseudo-sentence needs at least one vowel", found=repr(text))
    spoken[last] = _Spoken(spoken[last].phone, spoken[last].stressed, final=True)
    return spoken


# --------------------------------------------------------------------------------------------- control tracks


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of constant targets; a stop has three of them."""

    duration_s: float
    formants: tuple[float, float, float]
    voice: float = 0.0
    breath: float = 0.0
    noise: float = 0.0
    noise_hz: float = 4000.0
    noise_width_hz: float = 1000.0
    nasal: float = 0.0
    accent: float = 0.0
    is_final: bool = False


def _pieces(spoken: list[_Spoken], delivery: Delivery, generator: np.random.Generator) -> list[_Piece]:
    pieces: list[_Piece] = []
    stretches = np.exp(generator.normal(0.0, 0.08, len(spoken)))
    weights = generator.uniform(0.7, 1.3, len(spoken))
    for item, stretch, weight in zip(spoken, stretches.tolist(), weights.tolist(), strict=True):
        pieces += _pieces_of(item, delivery, stretch, weight)
    return pieces


def _pieces_of(item: _Spoken, delivery: Delivery, stretch: float, weight: float) -> list[_Piece]:
    phone = item.phone
    # consonants give way less than vowels when speech is faster
    duration = phone.duration_s * stretch / delivery.rate ** (1.0 if phone.kind in ("vowel", "pause") else 0.7)
    gain = 0.0 if phone.noise_db is None else 10 ** (phone.noise_db / 20)
    noise = (gain, phone.noise_hz / delivery.tract, phone.noise_width_hz)
    formants = _targets(phone, delivery)
    if phone.kind == "vowel":
        duration *= (1.3 if item.stressed else 0.95) * (1.5 if item.final else 1.0)
        accent = weight if item.stressed else 0.0
        loudness = 10 ** ((delivery.accent_db * (accent - 0.35) - 3.0 * item.final) / 20)
        return [_Piece(duration, formants, phone.voice * loudness, 1.0, accent=accent, is_final=item.final)]
    if phone.kind == "stop":
        voiceless = phone.voice == 0.0
        release = _Piece(0.012, formants, 0.0, 0.3, *noise)
        closure = _Piece(max(0.02, duration - (0.035 if voiceless else 0.012)), formants, phone.voice)
        return [closure, release, *([_Piece(0.023, formants, 0.05, 2.5)] if voiceless else [])]
    if phone.kind == "pause":
        return [_Piece(duration, formants)]
    nasal = float(phone.kind == "nasal")
    return [_Piece(duration, formants, phone.voice, phone.voice, *noise, nasal=nasal)]


def _targets(phone: Phone, delivery: Delivery) -> tuple[float, float, float]:
    """Formants of a phone for a speaker: vowels move towards or away from a neutral tube, all scale with the tract."""
    size = delivery.articulation if phone.kind == "vowel" else 1.0
    moved = (neutral + size * (own - neutral) for own, neutral in zip(phone.formants, _NEUTRAL_TRACT, strict=True))
    first, second, third = (max(180.0, value) / delivery.tract for value in moved)
    return first, second, third


@dataclass(frozen=True, slots=True)
class _Tracks:
    """Control values every 5 ms; each (L,), formants (L, 3)."""

    formants: _Floats
    voice: _Floats
    breath: _Floats
    noise: _Floats
    noise_hz: _Floats
    noise_width_hz: _Floats
    nasal: _Floats
    pitch_hz: _Floats
    accent: _Floats


def _tracks(pieces: list[_Piece], delivery: Delivery, generator: np.random.Generator) -> _Tracks:
    ends = np.cumsum([piece.duration_s for piece in pieces])
    frames = round(float(ends[-1]) / _HOP_S) + 1
    times = np.arange(frames) * _HOP_S
    place = np.minimum(np.searchsorted(ends, times, side="right"), len(pieces) - 1)

    def held(name: str) -> NDArray[np.float64]:
        return np.array([getattr(piece, name) for piece in pieces], dtype=np.float64)[place]

    glide = 0.055 / delivery.rate**0.5
    formants = np.stack([_smooth(column, glide) for column in held("formants").T], axis=1)
    edges = np.clip(np.minimum(times, times[-1] - times) / 0.03, 0.0, 1.0)  # 30 ms on- and offset
    wander = _smooth(generator.normal(0.0, 1.0, frames), 0.25)
    accent = _smooth(held("accent"), 0.11 / delivery.rate)
    semitones = (
        delivery.declination_st * (0.5 - times / times[-1])
        + delivery.accent_st * (accent - 0.25)
        + delivery.final_st * _smooth(np.cumsum(held("is_final")) * _HOP_S / 0.15, 0.05)
        + delivery.tremor_st * np.sin(2 * np.pi * (5.5 * times + generator.uniform()))
        + 0.35 * wander / max(1e-9, float(wander.std()))
    )
    named = {
        "formants": formants,
        "voice": _smooth(held("voice"), 0.03) * edges,
        "breath": _smooth(held("breath"), 0.03) * edges,
        "noise": _smooth(held("noise"), 0.015) * edges,
        "noise_hz": held("noise_hz"),
        "noise_width_hz": held("noise_width_hz"),
        "nasal": _smooth(held("nasal"), 0.02),
        "pitch_hz": np.clip(delivery.pitch_hz * 2.0 ** (semitones / 12), 55.0, 600.0),
        "accent": accent,
    }
    return _Tracks(**{name: values.astype(np.float32) for name, values in named.items()})


def _smooth(values: NDArray[np.float64], width_s: float) -> NDArray[np.float64]:
    """Hann-weighted moving average; the ends are held."""
    half = max(1, round(width_s / _HOP_S))
    kernel = np.hanning(2 * half + 1)
    padded = np.concatenate([np.full(half, values[0]), values, np.full(half, values[-1])])
    return np.convolve(padded, kernel / kernel.sum(), mode="valid")


# ------------------------------------------------------------------------------------------------ spectra


def _turns(angles: _Floats) -> _Complexes:
    """exp(j angle); sine and cosine apart are several times faster than the complex exponential."""
    turned = np.empty(angles.shape, np.complex64)
    turned.real = np.cos(angles)
    turned.imag = np.sin(angles)
    return turned


def formant_response(frequencies: _Floats, bandwidths: _Floats, bins: _Floats) -> _Complexes:
    """Response of cascaded digital resonators with unit gain at 0 Hz.

    Args:
        frequencies: (N, R) centres in Hz.
        bandwidths: (N, R) in Hz.
        bins: (F,) frequencies in Hz at which to evaluate.

    Returns:
        (N, F) product over the R resonators.
    """
    radius = np.exp(-np.pi * bandwidths / SAMPLE_RATE)
    first = 2 * radius * np.cos(2 * np.pi * frequencies / SAMPLE_RATE)  # (N, R)
    second = radius**2
    delay = _turns(-2 * np.pi * bins / SAMPLE_RATE)[None]  # (1, F): z^-1
    delay_twice = delay * delay
    product = np.ones((len(frequencies), len(bins)), np.complex64)
    for column in range(frequencies.shape[1]):
        a, b = first[:, column, None], second[:, column, None]
        product *= 1 - a * delay + b * delay_twice
    gain = np.prod(1 - first + second, axis=1, dtype=np.float32)
    response: _Complexes = (gain[:, None] / product).astype(np.complex64)
    return response


def _tract(tracks: _Tracks, at: _Floats, delivery: Delivery, bins: _Floats) -> _Complexes:
    """Vocal-tract response at frame positions `at` (fractional frames): (N, F)."""
    frames = np.arange(len(tracks.voice))
    formants = np.stack([np.interp(at, frames, column) for column in tracks.formants.T], axis=1).astype(np.float32)
    widen = np.float32(1 + 0.8 * max(0.0, delivery.open_quotient - 0.5))  # an open glottis damps the tract
    bandwidths = np.broadcast_to(np.array(_BANDWIDTHS, np.float32) * widen, formants.shape)
    upper = np.array(_UPPER_FORMANTS, np.float32)
    upper = upper[upper[:, 0] / delivery.tract < 0.97 * SAMPLE_RATE / 2]
    fixed = formant_response(upper[None, :, 0] / np.float32(delivery.tract), upper[None, :, 1], bins)
    response = formant_response(formants, bandwidths, bins) * fixed
    nasal = np.interp(at, frames, tracks.nasal).astype(np.float32)
    where = np.flatnonzero(nasal > 0.01)
    if len(where):
        response[where] *= _nasal_pair(nasal[where], delivery, bins)
    return response


def _nasal_pair(nasal: _Floats, delivery: Delivery, bins: _Floats) -> _Complexes:
    """The pole and zero of an open velum; they cancel where `nasal` is 0."""
    pole = (450.0 - 180.0 * nasal[:, None]) / np.float32(delivery.tract)
    zero = np.full_like(pole, 450.0 / delivery.tract)
    width = np.full_like(pole, 100.0)
    pair: _Complexes = formant_response(pole, width, bins) / formant_response(zero, width, bins)
    return pair


def _glottal_pulse(open_s: _Floats, delay_s: _Floats, tilt_db: _Floats, bins: _Floats) -> _Complexes:
    """Spectra of KLGLOTT88 flow derivatives whose closure lies at `delay_s`: (N, F).

    The derivative over the open phase x = t / open_s is 2x - 3x^2, scaled to -1 at closure. Its transform with the
    closure at time 0 is exp(ju) times the integral over [0, 1] of (2x - 3x^2) exp(-jux), u = 2 pi f open_s; then a
    first-order low-pass takes tilt_db off at 3 kHz.
    """
    u = 2 * np.pi * bins[None] * open_s[:, None]
    u = np.maximum(u, 0.05)  # below that the closed form cancels; the pulse has no energy there anyway
    opening = _turns(u)
    j = np.complex64(1j)
    # exp(ju) * integral of x exp(-jux) = (1 + ju - exp(ju)) / u^2, of x^2: (j u^2 + 2 u - 2j + 2j exp(ju)) / u^3
    linear = (1 + j * u - opening) / u**2
    square = (j * u**2 + 2 * u - 2 * j + 2 * j * opening) / u**3
    corner = 3000.0 / np.sqrt(10 ** (tilt_db / 10) - 1)
    low_pass = 1 / (1 + j * bins[None] / corner[:, None])
    shift = _turns(-2 * np.pi * bins[None] * delay_s[:, None])
    return np.asarray((2 * linear - 3 * square) * open_s[:, None] * SAMPLE_RATE * low_pass * shift, np.complex64)


# ------------------------------------------------------------------------------------------------ branches


def _voiced(tracks: _Tracks, delivery: Delivery, samples: int, generator: np.random.Generator) -> _Floats:
    """The glottal pulses through the tract: (samples,)."""
    frames = np.arange(len(tracks.voice))
    cycles = np.concatenate([[0.0], np.cumsum(tracks.pitch_hz[:-1], dtype=np.float64) * _HOP_S])
    instants = np.interp(np.arange(1, int(cycles[-1])), cycles, frames * _HOP_S)
    period = 1 / np.interp(instants / _HOP_S, frames, tracks.pitch_hz)
    instants = instants + period * delivery.jitter * generator.normal(size=len(instants)).clip(-2.5, 2.5)
    at = (instants / _HOP_S).astype(np.float32)
    strength = np.interp(at, frames, tracks.voice) * 10 ** (
        delivery.shimmer_db * generator.normal(size=len(at)).clip(-2.5, 2.5) / 20
    )
    kept = strength > 1e-3
    at, strength, instants, period = at[kept], strength[kept], instants[kept], period[kept]
    # stressed syllables are spoken with more effort: less open, less tilt
    effort = np.interp(at, frames, tracks.accent)
    quotient = np.clip(delivery.open_quotient - 0.04 * effort, 0.3, 0.9)
    tilt = np.clip(delivery.tilt_db - 2.0 * effort, 0.5, 40.0)
    whole = np.floor(instants * SAMPLE_RATE)
    delay = _LEAD + instants * SAMPLE_RATE - whole
    bins = np.fft.rfftfreq(_PULSE_FFT, 1 / SAMPLE_RATE).astype(np.float32)
    single = [values.astype(np.float32) for values in (period * quotient, delay / SAMPLE_RATE, tilt)]
    spectra = _glottal_pulse(single[0], single[1], single[2], bins)
    spectra *= _tract(tracks, at, delivery, bins)
    spectra *= strength.astype(np.float32)[:, None]
    pulses = np.fft.irfft(spectra, _PULSE_FFT, axis=1)
    return _overlap_add(pulses, whole.astype(np.int64) - _LEAD, samples)


def _overlap_add(pieces: _Floats, starts: NDArray[np.int64], samples: int) -> _Floats:
    """Add pieces (N, W) at their starts; what lies outside (samples,) is cut off."""
    width = pieces.shape[1]
    total = np.zeros(samples + 2 * width, np.float32)
    for piece, start in zip(pieces, starts + width, strict=True):
        total[start : start + width] += piece
    return total[width : width + samples]


def _noisy(
    tracks: _Tracks, delivery: Delivery, samples: int, generator: np.random.Generator
) -> tuple[_Floats, _Floats]:
    """Aspiration and frication, each (samples,)."""
    frames = len(tracks.voice)
    white = generator.normal(size=frames * _HOP + _NOISE_WINDOW).astype(np.float32)
    cycles = np.cumsum(np.repeat(tracks.pitch_hz, _HOP)) / SAMPLE_RATE
    breathing = white.copy()
    breathing[: frames * _HOP] *= 1 + 0.6 * np.sin(2 * np.pi * cycles).astype(np.float32)  # noise follows the glottis
    bins = np.fft.rfftfreq(_NOISE_FFT, 1 / SAMPLE_RATE).astype(np.float32)
    at = np.arange(frames, dtype=np.float32)
    aspiration = _filter_frames(breathing, _tract(tracks, at, delivery, bins), tracks.breath, samples)
    hissing = np.flatnonzero(tracks.noise > 1e-4)
    shape = np.zeros((frames, len(bins)), np.float32)
    distance = (bins[None] - tracks.noise_hz[hissing, None]) / tracks.noise_width_hz[hissing, None]
    shape[hissing] = np.exp(-0.5 * distance**2)
    shape[hissing] /= np.sqrt(np.mean(shape[hissing] ** 2, axis=1, keepdims=True))
    frication = _filter_frames(white, shape, tracks.noise, samples)
    return aspiration, frication


def _filter_frames(noise: _Floats, response: _Floats | _Complexes, gain: _Floats, samples: int) -> _Floats:
    """Noise through a response (L, F) and gain (L,) that change every frame: (samples,)."""
    used = np.flatnonzero(gain > 1e-4)
    if not len(used):
        return np.zeros(samples, np.float32)
    window = np.hanning(_NOISE_WINDOW + 1)[:-1].astype(np.float32)
    cut = np.lib.stride_tricks.sliding_window_view(noise, _NOISE_WINDOW)[used * _HOP] * window
    filtered = np.fft.rfft(cut, _NOISE_FFT, axis=1) * response[used] * gain[used, None]
    return _overlap_add(np.fft.irfft(filtered, _NOISE_FFT, axis=1), used * _HOP - _HOP, samples)


def synthesise(text: str, delivery: Delivery, generator: np.random.Generator) -> NDArray[np.float32]:
    """Speech of a pseudo-sentence, without silence around it.

    Args:
        text: words of letters from `PHONES`; a comma is a short pause.
        delivery: how it is spoken.
        generator: draws durations, jitter, shimmer and noise; the same state gives the same waveform.

    Returns:
        (T,) float32 at `SAMPLE_RATE`, at the level the delivery asks for; it may exceed 1 where that is too loud.

    Raises:
        UsageError: a letter that stands for no phone, or no vowel at all.
    """
    tracks = _tracks(_pieces(parse_text(text), delivery, generator), delivery, generator)
    samples = len(tracks.voice) * _HOP + _NOISE_FFT
    voiced = _voiced(tracks, delivery, samples, generator)
    aspiration, frication = _noisy(tracks, delivery, samples, generator)
    loudness = _rms(voiced)
    speech = voiced / loudness
    speech += aspiration * (10 ** (delivery.breath_db / 20) / max(1e-9, _rms(aspiration)))
    # a vowel lies about 6 dB above the mean of the utterance; a lax voice comes with weaker consonants
    speech += 2.0 * frication * 10 ** (0.5 * (8.0 - delivery.tilt_db) / 20)
    return (speech * (10 ** (delivery.level_db / 20) / _rms(speech))).astype(np.float32)


def _rms(values: _Floats) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
