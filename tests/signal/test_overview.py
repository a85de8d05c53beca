"""Overviews: what a screen shows of a recording does not depend on the blocks it came in."""

import numpy as np
import pytest
import torch

from serenade.signal import overview
from serenade.signal.overview import OverviewMaker


def made(waveform: torch.Tensor, size: int) -> overview.SoundOverview:
    maker = OverviewMaker()
    for block in waveform.split(size):
        maker.add(block)
    return maker.finish()


def test_blocks_do_not_matter_and_peaks_are_those_of_their_columns() -> None:
    waveform = torch.from_numpy(np.random.default_rng(0).uniform(-0.9, 0.9, 50_123).astype(np.float32))
    whole, parts = made(waveform, 50_123), made(waveform, 777)
    np.testing.assert_array_equal(whole.envelope, parts.envelope)
    np.testing.assert_array_equal(whole.levels, parts.levels)
    assert whole.duration_s == 50_123 / 16_000
    columns = waveform[: 50_123 // 320 * 320].view(-1, 320)
    np.testing.assert_allclose(whole.envelope[: len(columns), 1] / 127, columns.amax(1), atol=0.004)
    assert whole.levels.shape[1] == pytest.approx(50_123 / 800, abs=2)


def test_a_tone_stands_in_its_band() -> None:
    tone = 0.5 * torch.sin(2 * torch.pi * 1000 * torch.arange(16_000) / 16_000)
    levels = made(tone, 16_000).levels.astype(float).mean(1)
    low, high = levels[:5].max(), levels.max()
    assert high > low + 60
    assert 12 < levels.argmax() < 25  # 1 kHz on 48 mel bands from 60 Hz to 8 kHz


def test_a_very_long_recording_is_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "_MOST_STEPS", 100)
    monkeypatch.setattr(overview, "_MOST_FRAMES", 50)
    found = made(torch.rand(16_000 * 5), 9_999)
    assert len(found.envelope) <= 100
    assert found.levels.shape[1] <= 50
    assert len(found.envelope) * found.step_s == pytest.approx(5.0, abs=0.2)


def test_nothing_at_all() -> None:
    assert made(torch.zeros(0), 1).duration_s == 0.0
