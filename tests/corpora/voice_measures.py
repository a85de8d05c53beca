"""Plain measurements of voices that know nothing of how they were made."""

import numpy as np
from numpy.typing import NDArray

RATE = 16000


def pitches(waveform: NDArray[np.floating]) -> NDArray[np.float64]:
    """Fundamental frequency in Hz of the clearly voiced 50-ms frames: first strong peak of the autocorrelation."""
    window = np.hanning(800)
    own = np.correlate(window, window, "full")[799:]
    found = []
    threshold = 0.2 * np.sqrt(np.mean(waveform**2))
    lags = np.arange(RATE // 500, RATE // 60)
    for start in range(0, len(waveform) - 800, 240):
        frame = (waveform[start : start + 800] - waveform[start : start + 800].mean()) * window
        if np.sqrt(np.mean(frame**2)) < threshold:
            continue
        ratio = np.correlate(frame, frame, "full")[799:] / own.clip(1e-2)
        ratio = ratio[lags] / ratio[0]
        if ratio.max() > 0.6:
            inner = (ratio[1:-1] >= ratio[:-2]) & (ratio[1:-1] >= ratio[2:]) & (ratio[1:-1] > 0.9 * ratio.max())
            if inner.any():
                found.append(RATE / lags[1 + np.argmax(inner)])
    return np.array(found)


def formants(waveform: NDArray[np.floating], order: int = 18) -> list[float]:
    """Frequencies in Hz of the narrow resonances that linear prediction finds in a steady vowel."""
    x = np.append(waveform[0], waveform[1:] - 0.97 * waveform[:-1]) * np.hamming(len(waveform))
    r = np.array([x[: len(x) - lag] @ x[lag:] for lag in range(order + 1)])
    toeplitz = r[np.abs(np.subtract.outer(np.arange(order), np.arange(order)))]
    roots = np.roots(np.concatenate([[1.0], -np.linalg.solve(toeplitz, r[1:])]))
    roots = roots[roots.imag > 0]
    frequencies, widths = np.angle(roots) * RATE / 2 / np.pi, -np.log(np.abs(roots)) * RATE / np.pi
    return sorted(float(f) for f, width in zip(frequencies, widths, strict=True) if width < 500 and f > 150)


def high_band_db(waveform: NDArray[np.floating], above_hz: float = 2500.0) -> float:
    """Energy above a frequency relative to all of it, dB."""
    power = np.abs(np.fft.rfft(waveform)) ** 2
    above = np.fft.rfftfreq(len(waveform), 1 / RATE) > above_hz
    return float(10 * np.log10(power[above].sum() / power.sum()))


def periodicity(waveform: NDArray[np.floating], pitch_hz: float) -> float:
    """Correlation of the waveform with itself one mean cycle later (best lag within 3 %)."""
    lags = range(int(RATE / pitch_hz * 0.97), int(RATE / pitch_hz * 1.03) + 2)
    return max(float(np.corrcoef(waveform[:-lag], waveform[lag:])[0, 1]) for lag in lags)
