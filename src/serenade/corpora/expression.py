"""How made-up speakers express emotions: the one table of it, and the drawing of speakers and utterances from it.

What an emotion does to a voice stands in `PROFILES`, as changes against the speaker's neutral way of speaking. The
directions (pitch, range, rate, energy, voice quality per emotion) follow the literature below; the sizes are chosen
for this corpus, not taken from it.

* R. Banse, K. R. Scherer, "Acoustic profiles in vocal emotion expression", JPSP 70(3), 1996.
* F. Burkhardt, W. F. Sendlmeier, "Verification of acoustical correlates of emotional speech using formant-synthesis",
  ISCA Workshop on Speech and Emotion, 2000.
* K. R. Scherer, "Vocal communication of emotion: A review of research paradigms", Speech Communication 40, 2003.

An utterance is spoken with the values of ::

    base of the gender + speaker + strength x (profile of the emotion) + style + utterance

where strength and the three other terms are drawn: speakers differ in voice, in how strongly and in how (style) they
express an emotion, utterances differ, and weak renderings come near to neutral. So the classes overlap.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from serenade.core.errors import UnknownNameError
from serenade.core.names import did_you_mean
from serenade.core.seeding import derive_seed
from serenade.corpora.voices import Delivery

__all__ = ["PROFILES", "Profile", "Speaker", "draw_delivery", "draw_speaker", "random_stream"]


@dataclass(frozen=True, slots=True)
class Profile:
    """Changes of a `Delivery`: accent, rate, articulation and tract are ratios, the others differences."""

    pitch_st: float = 0.0
    accent: float = 1.0
    declination_st: float = 0.0
    final_st: float = 0.0
    rate: float = 1.0
    level_db: float = 0.0
    accent_db: float = 0.0
    open_quotient: float = 0.0
    tilt_db: float = 0.0
    breath_db: float = 0.0
    jitter: float = 0.0
    shimmer_db: float = 0.0
    tremor_st: float = 0.0
    articulation: float = 1.0
    tract: float = 1.0


# fmt: off
PROFILES: dict[str, Profile] = {
    #                 pitch accent decl. final  rate level acc_db  open  tilt breath jitter shim. trem. artic. tract
    "angry":   Profile(2.0, 1.50,  1.0, -2.5, 1.14,  8.0,  2.5, -0.11, -6.5, -3.0, 0.004, 0.25, 0.00, 1.14, 1.01),
    "bored":   Profile(-2., 0.40,  0.0, -0.5, 0.82, -3.0, -1.0,  0.03,  2.0,  1.0, 0.000, 0.00, 0.00, 0.85, 1.01),
    "fearful": Profile(7.0, 0.80, -0.5,  1.0, 1.15,  0.0, -0.5,  0.04, -0.5,  5.0, 0.006, 0.30, 0.35, 0.92, 0.99),
    "happy":   Profile(6.0, 1.80, -1.0,  2.0, 1.06,  2.5,  1.0,  0.03, -1.0,  1.0, 0.001, 0.00, 0.00, 1.06, 0.92),
    "neutral": Profile(),
    "sad":     Profile(-1., 0.55,  0.5, -1.0, 0.84, -4.5, -1.0,  0.09,  4.5,  6.0, 0.003, 0.20, 0.08, 0.82, 1.01),
}
# one standard deviation of what is drawn once per speaker, once per speaker and emotion, and for every utterance
_SPEAKER_SPREAD = Profile(
                       1.5, 1.15,  0.6,  0.5, 1.07,  1.2,  0.5,  0.03,  1.2,  2.0, 0.001, 0.08, 0.00, 1.05, 1.03)
_STYLE_SPREAD = Profile(
                       0.6, 1.15,  0.5,  0.6, 1.04,  0.8,  0.4,  0.015, 0.7,  1.0, 0.001, 0.05, 0.04, 1.03, 1.007)
_UTTERANCE_SPREAD = Profile(
                       0.8, 1.20,  0.7,  0.8, 1.05,  1.0,  0.6,  0.015, 0.8,  1.0, 0.001, 0.05, 0.03, 1.03, 1.005)
# pitch in Hz, accent in semitones
_BASES = {
    "female": Delivery(205., 3.5,  2.5, -1.5, 1.00, -30.,  3.0,  0.60, 10.0, -29., 0.005, 0.25, 0.00, 1.00, 0.86),
    "male":   Delivery(115., 3.5,  2.5, -1.5, 1.00, -30.,  3.0,  0.53,  8.0, -33., 0.006, 0.25, 0.00, 1.00, 1.00),
}
_LOWEST = Delivery(     65., 0.3, -3.0, -6.0, 0.65, -45.,  0.0,  0.32,  1.0, -45., 0.001, 0.02, 0.00, 0.60, 0.72)
_HIGHEST = Delivery(   420., 9.0,  7.0,  6.0, 1.40, -19.,  9.0,  0.88, 28.0, -12., 0.025, 1.20, 1.00, 1.35, 1.15)
# fmt: on


@dataclass(frozen=True, slots=True)
class Speaker:
    """A made-up person.

    Args:
        name: such as "s01".
        gender: "female" or "male".
        change: what sets the voice apart from its gender's base, one number per field of `Profile`.
        strength: how strongly emotions are expressed, around 1.
        noise_db: level of the background of the recordings, dB relative to full scale.
    """

    name: str
    gender: str
    change: tuple[float, ...]
    strength: float
    noise_db: float


def _changes(profile: Profile) -> NDArray[np.float64]:
    """One number per field, all of them additive: ratios become logarithms."""
    pairs = ((getattr(profile, field.name), field.default) for field in fields(Profile))
    return np.array([np.log(value) if neutral == 1.0 else value for value, neutral in pairs])


def random_stream(seed: int, *purpose: str | int) -> np.random.Generator:
    """The random numbers of one purpose; they depend on nothing else that is drawn."""
    return np.random.Generator(np.random.PCG64(derive_seed(seed, "synthetic", *purpose)))


def draw_speaker(number: int, seed: int) -> Speaker:
    """The speaker of a number (from 1; odd ones are female); it does not depend on how many there are."""
    generator = random_stream(seed, "speaker", number)
    change = _changes(_SPEAKER_SPREAD) * generator.normal(size=len(fields(Profile))).clip(-2.0, 2.0)
    return Speaker(
        name=f"s{number:02d}",
        gender="female" if number % 2 else "male",
        change=tuple(change.tolist()),
        strength=generator.uniform(0.9, 1.1),
        noise_db=generator.uniform(-66.0, -56.0),
    )


def draw_delivery(speaker: Speaker, emotion: str, take: int, seed: int) -> tuple[Delivery, float]:
    """How a speaker says the utterance of a number in an emotion, and the strength of the emotion in it.

    Raises:
        UnknownNameError: there is no profile for the emotion.
    """
    if emotion not in PROFILES:
        raise UnknownNameError(
            f"the synthetic voices have no emotion {emotion!r}",
            expected=f"one of {', '.join(PROFILES)}",
            hint=did_you_mean(emotion, PROFILES),
        )
    generator = random_stream(seed, "utterance", speaker.name, emotion, take)
    style = random_stream(seed, "style", speaker.name, emotion).normal(size=len(fields(Profile))).clip(-2.0, 2.0)
    strength = speaker.strength * generator.uniform(0.6, 1.2)
    change = (
        np.array(speaker.change)
        + strength * _changes(PROFILES[emotion])
        + style * _changes(_STYLE_SPREAD)
        + generator.normal(size=len(style)).clip(-2.5, 2.5) * _changes(_UTTERANCE_SPREAD)
    )
    base = _BASES[speaker.gender]
    values = dict(zip((field.name for field in fields(Profile)), change.tolist(), strict=True))
    moved = {
        "pitch_hz": base.pitch_hz * 2.0 ** (values.pop("pitch_st") / 12),
        "accent_st": base.accent_st * float(np.exp(values.pop("accent"))),
    }
    for name, value in values.items():
        own = getattr(base, name)
        moved[name] = own * float(np.exp(value)) if name in ("rate", "articulation", "tract") else own + value
    held = {
        name: float(np.clip(value, getattr(_LOWEST, name), getattr(_HIGHEST, name))) for name, value in moved.items()
    }
    return Delivery(**held), strength
