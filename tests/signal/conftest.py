"""Small recordings made in memory."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

Encode = Callable[..., bytes]


@pytest.fixture(scope="session")
def voice() -> NDArray[np.float64]:
    """(T, 2) two and a half seconds at 44.1 kHz: a gliding tone with an echo in the other channel, and some noise."""
    rng = np.random.default_rng(7)
    t = np.arange(int(2.5 * 44_100)) / 44_100
    left = 0.3 * np.sin(2 * np.pi * (180 * t + 40 * t**2)) + 0.1 * np.sin(2 * np.pi * 1500 * t)
    return np.stack([left, 0.5 * np.roll(left, 3000)], axis=1) + 0.01 * rng.standard_normal((len(t), 2))


@pytest.fixture(scope="session")
def encode() -> Encode:
    """Bytes of a file in any format of soundfile."""

    def make(samples: NDArray[np.floating], rate: int, kind: str = "WAV", subtype: str | None = None) -> bytes:
        file = BytesIO()
        soundfile.write(file, samples, rate, format=kind, subtype=subtype)
        return file.getvalue()

    return make


@pytest.fixture(scope="session")
def resampled() -> Callable[[NDArray[np.floating], int], NDArray[np.floating]]:
    """(T,) mean over channels at 16 kHz by soxr's function for whole signals."""

    def make(samples: NDArray[np.floating], rate: int) -> NDArray[np.floating]:
        mono = samples.mean(axis=1) if samples.ndim == 2 else samples
        return soxr.resample(mono.astype(np.float32), rate, 16_000, quality="HQ")

    return make
