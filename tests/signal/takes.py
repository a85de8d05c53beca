"""Takes that sound a little like speech, and what may happen to a copy of one."""

from io import BytesIO

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from serenade.signal.fingerprints import Fingerprint, fingerprint_of

Sound = NDArray[np.float32]

RATE = 16_000


def take(seed: int, seconds: float = 2.5) -> Sound:
    """Thirty gliding tones that swell and fade each at its own pace, with pauses at both ends."""
    rng = np.random.default_rng([20, seed])
    count = round(seconds * RATE)
    time_s = np.arange(count) / RATE
    knots = np.arange(0, seconds + 0.1, 0.09)
    sound = np.zeros(count)
    for _ in range(30):
        pitch = rng.uniform(150, 3_500) * (1 + 0.05 * np.interp(time_s, knots, rng.uniform(-1, 1, len(knots))))
        swell = np.interp(time_s, knots, rng.uniform(0, 1, len(knots)) ** 3)
        sound += swell * np.sin(2 * np.pi * np.cumsum(pitch) / RATE + rng.uniform(0, 6))
    quiet = np.clip(np.minimum(time_s, seconds - time_s) / 0.15, 0, 1)
    sound = quiet * sound / np.abs(sound).max() * 0.4 + 1e-4 * rng.standard_normal(count)
    return sound.astype(np.float32)


def encoded(sound: Sound, kind: str, subtype: str | None, rate: int = RATE) -> tuple[Sound, int]:
    """The sound after a codec."""
    file = BytesIO()
    soundfile.write(file, soxr.resample(sound, RATE, rate), rate, format=kind, subtype=subtype)
    file.seek(0)
    decoded, file_rate = soundfile.read(file, dtype="float32")
    return decoded, file_rate


def copies(sound: Sound) -> dict[str, Fingerprint]:
    """Fingerprints of copies of a take by what was done to them."""
    rng = np.random.default_rng(3)
    louder = np.clip(sound * 10 ** (12 / 20), -1, 1).astype(np.float32)
    noisy = sound + (1e-2 * np.sqrt(np.mean(sound**2)) * 10**0.5 * rng.standard_normal(len(sound))).astype(np.float32)
    made = {
        "opus": encoded(sound, "OGG", "OPUS"),
        "mp3": encoded(sound, "MP3", None, 44_100),
        "flac": encoded(sound, "FLAC", None),
        "8 kHz": encoded(sound, "WAV", "PCM_16", 8_000),
        "44.1 kHz": encoded(sound, "WAV", "PCM_16", 44_100),
        "12 dB softer": encoded(sound * np.float32(10 ** (-12 / 20)), "WAV", "PCM_16"),
        "12 dB louder": (louder, RATE),
        "cut by 0.2 s": (sound[3_200:-3_280], RATE),
        "cut by 0.5 s": (sound[8_090:-8_000], RATE),
        "noise 30 dB below": (noisy, RATE),
    }
    return {name: fingerprint_of([samples], rate) for name, (samples, rate) in made.items()}
