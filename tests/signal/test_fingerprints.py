"""Fingerprints: what they hold, against a plain version, and what changes nothing in them."""

from itertools import pairwise

import numpy as np
import pytest
from tests.signal.takes import RATE, take

from serenade.signal.fingerprints import FRAME_RATE, SPAN_S, Fingerprint, Fingerprinter, fingerprint_of, frames_between


def plain_bits(sound: np.ndarray) -> np.ndarray:
    """(L, 32) the formula, term by term, in float64, of sound at 8 kHz."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
    edges = [150 * 22 ** (band / 33) / 8000 * 1024 for band in range(34)]
    energies = []
    for start in range(0, len(sound) - 1023, 200):
        power = np.abs(np.fft.rfft(window * sound[start : start + 1024])) ** 2
        row = []
        for low, high in pairwise(edges):
            inside = [max(0.0, min(k + 0.5, high) - max(k - 0.5, low)) for k in range(513)]
            row.append(float(np.dot(power, inside)) ** 0.25)
        energies.append(row)
    e = np.array(energies)
    return np.array(
        [[e[n, m] - e[n, m + 1] > e[n - 4, m] - e[n - 4, m + 1] for m in range(32)] for n in range(4, len(e))]
    )


def test_bits_are_those_of_the_formula() -> None:
    sound = take(1, 1.5)[::2]
    found = fingerprint_of([sound], 8_000)
    bits = (found.bits[:, None] >> np.arange(32, dtype=np.uint32)) & 1
    expected = plain_bits(sound.astype(np.float64))
    assert bits.shape == expected.shape == (int((1.5 - SPAN_S) * FRAME_RATE) + 1, 32)
    assert np.mean(bits == expected) > 0.999  # differences of nearly nothing may round to the other side


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("length", [1, 777, 30_000])
def test_the_length_of_blocks_changes_nothing(rate: int, length: int) -> None:
    sound = np.tile(take(2, 4.0), 1 + 3 * (length > 1))[: 1_500_000 // (100 if length == 1 else 1)]
    whole = fingerprint_of([sound], rate)
    parts = fingerprint_of([sound[at : at + length] for at in range(0, len(sound), length)], rate)
    assert whole.to_bytes() == parts.to_bytes()


def test_a_long_recording_is_made_in_parts_of_bounded_length() -> None:
    maker, longest = Fingerprinter(8_000), 0
    for _ in range(40):
        maker.add(np.tile(take(3, 1.0)[::2], 2))
        longest = max(longest, len(maker._held))
    assert longest < 15 * 8_000
    assert len(maker.finish()) == (40 * 16_000 / 2 * 2 - 1_824) // 200 + 1


def test_a_gain_changes_no_bit_and_shows_in_the_level() -> None:
    sound = take(4)
    plain, softer = fingerprint_of([sound], RATE), fingerprint_of([sound / 4], RATE)
    assert np.array_equal(plain.bits, softer.bits)
    assert np.abs((plain.levels_db() - softer.levels_db()) - 12.04).max() <= 0.5


def test_the_level_of_a_full_sine_is_minus_three_decibels() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 8_000).astype(np.float32)
    assert np.abs(fingerprint_of([tone], 8_000).levels_db() + 3.0).max() <= 0.5


def test_silence_has_the_least_level() -> None:
    assert set(fingerprint_of([np.zeros(16_000, dtype=np.float32)], 8_000).levels) == {0}


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (1, 0), (1_823, 0), (1_824, 1), (2_024, 2)])
def test_less_than_one_span_of_sound_has_no_frame(samples: int, frames: int) -> None:
    assert len(fingerprint_of([take(5)[:samples]], 8_000)) == frames


def test_bytes_and_back() -> None:
    found = fingerprint_of([take(6)], RATE)
    stored = found.to_bytes()
    again = Fingerprint.from_bytes(stored)
    assert len(stored) == 5 * len(found)
    assert np.array_equal(again.bits, found.bits)
    assert np.array_equal(again.levels, found.levels)
    assert len(Fingerprint.from_bytes(b"")) == 0
    with pytest.raises(ValueError, match="7 bytes"):
        Fingerprint.from_bytes(b"1234567")


def test_a_span_has_the_frames_that_look_at_nothing_else() -> None:
    sound = take(7, 3.0)
    whole = fingerprint_of([sound], RATE)
    inside = frames_between(whole, 1.0, 2.0)
    alone = fingerprint_of([sound[RATE : 2 * RATE]], RATE)
    assert len(inside) == len(alone)
    wrong = np.bitwise_count(inside.bits ^ alone.bits)
    assert wrong[2:-2].mean() < 0.5  # the resampler rings at a cut
    assert len(frames_between(whole, 0.0, None)) == len(whole)
    assert len(frames_between(whole, 1.0, 1.1)) == 0
