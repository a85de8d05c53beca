"""The mel front end of MESM, against a plain writing of it."""

import math

import numpy as np
import pytest
import torch

from serenade.signal.mel_pieces import MelPieces, MelPieceSettings


def plain_mel(samples: np.ndarray) -> np.ndarray:
    """(128, L) by loops over frames and filters."""
    padded = np.pad(samples.astype(float), 200, mode="reflect")
    window = np.array([0.5 - 0.5 * math.cos(2 * math.pi * n / 400) for n in range(400)])
    frames = [padded[k * 200 : k * 200 + 400] * window for k in range(1 + len(samples) // 200)]
    power = np.array([np.abs(np.fft.rfft(frame)) ** 2 for frame in frames]).T
    top = 2595 * math.log10(1 + 8000 / 700)
    edges = [700 * (10 ** (top * k / 129 / 2595) - 1) for k in range(130)]
    mel = np.zeros((128, power.shape[1]))
    for band in range(128):
        low, middle, high = edges[band : band + 3]
        for number in range(201):
            hz = 40.0 * number
            mel[band] += max(0.0, min((hz - low) / (middle - low), (high - hz) / (high - middle))) * power[number]
    return mel


def test_it_is_the_plain_writing_with_81_frames_a_second():
    samples = np.random.default_rng(0).standard_normal(16_000).astype(np.float32)
    front_end = MelPieces()
    mel = front_end.spectrogram(torch.from_numpy(samples))
    assert mel.shape == (128, 81)
    assert np.abs(mel.numpy() - plain_mel(samples)).max() < 1e-4 * mel.max()
    assert int((front_end.filters.amax(dim=1) == 0).sum()) == 4  # as published


def test_a_second_has_three_pieces_the_last_filled_up_with_15_frames():
    waveform = torch.randn(16_000, generator=torch.Generator().manual_seed(0))
    front_end = MelPieces()
    pieces = front_end(waveform)
    assert pieces.shape == (3, 1, 128, 32)
    assert torch.equal(pieces[:, 0].permute(1, 0, 2).flatten(1)[:, :81], front_end.spectrogram(waveform))
    assert pieces[2, :, :, 17:].abs().max() == 0
    assert (pieces[2, :, :, :17].sum(dim=1) > 0).all()
    assert MelPieceSettings().piece_s == 0.4


@pytest.mark.parametrize("samples", [1, 200, 201])
def test_what_is_too_short_to_be_reflected_is_filled_up(samples):
    assert MelPieces()(torch.ones(samples)).shape == (1, 1, 128, 32)


def test_the_logarithm_is_of_one_more_than_the_power():
    waveform = torch.randn(5_000, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(MelPieces(MelPieceSettings(log=True))(waveform), MelPieces()(waveform).log1p())


def test_the_band_must_have_an_extent():
    with pytest.raises(ValueError, match="below high_hz"):
        MelPieceSettings(low_hz=5000, high_hz=4000)
