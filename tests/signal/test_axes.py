"""What rows and columns of features are, found by sounds whose frequency and time are known."""

import math

import pytest
import torch

from serenade.signal.axes import feature_axes
from serenade.signal.features import (
    FilterBankSettings,
    FrontEndSettings,
    LogMelSettings,
    MfccSettings,
    MuLawSpectrogramSettings,
    SpectrogramSettings,
    build_front_end,
)

KINDS = [LogMelSettings(), FilterBankSettings(), SpectrogramSettings(), MuLawSpectrogramSettings()]


def kind(settings: FrontEndSettings) -> str:
    return settings.kind


@pytest.mark.parametrize("settings", KINDS, ids=kind)
def test_row_of_a_tone_is_the_row_of_its_frequency(settings: FrontEndSettings) -> None:
    hz = 1500.0
    tone = 0.5 * torch.sin(2 * math.pi * hz * torch.arange(16_000) / 16_000)
    loudest = int(build_front_end(settings)(tone[None])[0].mean(dim=1).argmax())
    rows = feature_axes(settings).row_hz
    assert rows is not None
    assert len(rows) == build_front_end(settings).num_features
    assert abs(rows[loudest] - hz) <= rows[loudest + 1] - rows[loudest - 1]


@pytest.mark.parametrize("settings", [*KINDS, MfccSettings()], ids=kind)
def test_column_of_a_click_is_the_column_of_its_time(settings: FrontEndSettings) -> None:
    click_s = 0.61
    samples = torch.zeros(1, 16_000)
    samples[0, round(click_s * 16_000)] = 1.0
    features = build_front_end(settings)(samples)[0]
    change = (features - features[:, :1]).abs().sum(dim=0)
    columns = (change > 0.5 * change.max()).nonzero().flatten().double()
    axes = feature_axes(settings)
    assert float(axes.first_s + columns.mean() * axes.hop_s) == pytest.approx(click_s, abs=axes.hop_s)


def test_rows_of_mfcc_are_no_frequencies() -> None:
    assert feature_axes(MfccSettings()).row_hz is None
