"""Pictures of sound: levels and places that a tone must have."""

import pytest
import torch

from serenade.signal.pictures import FLOOR_DB, level_picture


def test_a_tone_is_where_and_as_loud_as_it_is() -> None:
    tone = 0.5 * torch.sin(2 * torch.pi * 2000 * torch.arange(16000) / 16000)
    picture = level_picture(tone, "a tone")
    row, column = divmod(int(picture.values.argmax()), picture.values.shape[1])
    assert row * 25 == 2000
    assert picture.values[80, 50] == pytest.approx(-6.02, abs=0.05)
    assert picture.ticks[80.0] == "2000"
    assert picture.span_s[1] == pytest.approx(1.005)
    assert 0 <= column <= 100


@pytest.mark.parametrize("length", [1, 100, 16000])
def test_silence_and_short_sound_have_a_picture(length: int) -> None:
    picture = level_picture(torch.zeros(length), "nothing")
    assert picture.values.shape == (321, 1 + length // 160)
    assert (picture.values == FLOOR_DB).all()
