"""Sound for pages: a file made of blocks is that of the whole, in a format that browsers play."""

import io

import numpy as np
import pytest
import soundfile

from serenade.signal.compression import SoundFile


def test_file_of_blocks_is_that_of_the_whole_and_sounds_alike() -> None:
    time_s = np.arange(32_000) / 16_000
    samples = (0.3 * np.sin(2 * np.pi * 440 * time_s)).astype(np.float32)
    whole, parts = SoundFile(16_000), SoundFile(16_000)
    whole.add(samples)
    for start in range(0, len(samples), 7_001):
        parts.add(samples[start : start + 7_001])
    data = whole.finish()
    assert parts.finish() == data
    assert whole.mime in ("audio/mpeg", "audio/ogg")
    heard, rate = soundfile.read(io.BytesIO(data))
    assert rate == 16_000
    assert len(data) < 32_000
    spectrum = np.abs(np.fft.rfft(heard[4_000:20_000]))
    assert spectrum.argmax() == pytest.approx(440, abs=1)
