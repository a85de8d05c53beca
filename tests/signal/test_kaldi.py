"""Kaldi's filter bank against its definition, frame by frame in float64, and SUPERB's differences."""

import math

import numpy as np
import torch

from serenade.signal.kaldi import SuperbFilterBank, kaldi_filter_bank, superb_filter_bank


def chirp(samples: int) -> np.ndarray:
    steps = np.arange(samples) / 16000
    noise = 0.01 * np.random.default_rng(0).normal(size=samples)
    return (0.3 * np.sin(2 * np.pi * (200 * steps + 900 * steps**2)) + noise + 0.02).astype(np.float32)


def plain_filter_bank(waveform: np.ndarray) -> np.ndarray:
    """feature-window.cc and mel-computations.cc of Kaldi, step by step."""

    def mel(hertz: float) -> float:
        return 1127 * math.log(1 + hertz / 700)

    edges = np.linspace(mel(20), mel(8000), 82)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)) ** 0.85
    rows = []
    for start in range(0, len(waveform) - 399, 160):
        frame = waveform[start : start + 400].astype(np.float64)
        frame = frame - frame.mean()
        frame = np.array([frame[n] - 0.97 * frame[max(0, n - 1)] for n in range(400)]) * window
        power = np.abs(np.fft.fft(np.pad(frame, (0, 112)))[:256]) ** 2
        row = []
        for band in range(80):
            left, centre, right = edges[band : band + 3]
            energy = 0.0
            for place in range(256):
                height = mel(place * 31.25)
                if left < height < right:
                    rising = height <= centre
                    share = (height - left) / (centre - left) if rising else (right - height) / (right - centre)
                    energy += share * power[place]
            row.append(math.log(max(energy, 2.0**-23)))
        rows.append(row)
    return np.array(rows)


def test_bands_are_those_of_the_definition() -> None:
    waveform = chirp(3000)
    found = kaldi_filter_bank(torch.from_numpy(waveform)).numpy()
    assert found.shape == (17, 80)
    np.testing.assert_allclose(found, plain_filter_bank(waveform), atol=2e-3)
    assert (kaldi_filter_bank(torch.zeros(400)) == math.log(2.0**-23)).all()


def test_differences_are_slopes_and_everything_is_normalised() -> None:
    waveform = torch.from_numpy(chirp(16000))
    bands = kaldi_filter_bank(waveform).double().numpy()
    padded = np.pad(bands, ((2, 2), (0, 0)), mode="edge")
    slopes = np.array([np.polyfit(range(-2, 3), padded[n : n + 5], 1)[0] for n in range(len(bands))])
    padded = np.pad(slopes, ((2, 2), (0, 0)), mode="edge")
    curves = np.array([np.polyfit(range(-2, 3), padded[n : n + 5], 1)[0] for n in range(len(bands))])
    expected = np.concatenate([bands, slopes, curves], axis=1)
    expected = (expected - expected.mean(axis=0)) / expected.std(axis=0, ddof=1)
    np.testing.assert_allclose(superb_filter_bank(waveform).numpy(), expected, atol=2e-3)
    assert (superb_filter_bank(waveform[:400]) == 0).all()


def test_a_batch_by_matrix_products_has_the_same_numbers() -> None:
    for samples in (400, 560, 9000):
        rows = torch.stack([torch.from_numpy(chirp(samples)), 0.1 * torch.from_numpy(chirp(samples)).flip(0)])
        found = SuperbFilterBank()(rows)
        expected = torch.stack([superb_filter_bank(row) for row in rows])
        torch.testing.assert_close(found, expected, rtol=0, atol=5e-3)  # quotients of small differences
