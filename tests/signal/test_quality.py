"""Figures of recordings whose figures are known because they were made so."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from serenade.core.errors import AudioError
from serenade.signal.audio import examine, facts_of
from serenade.signal.decoding import open_recording
from serenade.signal.quality import Quality, QualityMeter, measure_quality, tap

RATE = 16_000


def speech(seconds: float = 4.0, rate: int = RATE, seed: int = 0) -> NDArray[np.float64]:
    """Noise whose loudness comes and goes twice a second, with pauses of a third of the time."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * rate)) / rate
    shape = np.clip(np.sin(2 * np.pi * 2 * time_s) + 0.4, 0, None)
    return 0.1 * rng.normal(size=len(time_s)) * shape


def measured(*channels: NDArray[np.float64], rate: int = RATE, block: int = 5_000) -> Quality:
    meter = QualityMeter(rate, len(channels))
    samples = np.stack(channels, axis=1).astype(np.float32)
    for start in range(0, len(samples), block):
        meter.add(samples[start : start + block])
    return meter.result()


def test_level_of_a_sine_is_3_db_below_its_amplitude() -> None:
    sine = 0.5 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)
    found = measured(sine)
    assert found.level_db == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.01)
    assert found.peak == pytest.approx(0.5)
    assert (found.duration_s, found.sample_rate, found.channels) == (1.0, RATE, 1)
    assert found.silent_share == 0


def test_silence_around_does_not_change_the_level() -> None:
    sine = 0.5 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)
    padded = np.concatenate([np.zeros(RATE), sine, np.zeros(2 * RATE)])
    found = measured(padded)
    assert found.level_db == pytest.approx(measured(sine).level_db, abs=0.01)
    assert found.silent_share == pytest.approx(3 / 4)
    assert (found.leading_silence_s, found.trailing_silence_s) == pytest.approx((1.0, 2.0))


@pytest.mark.parametrize(("below_db", "silent"), [(35, 0.0), (45, 0.5)])
def test_silence_is_40_db_below_the_loudest_frame(below_db: float, silent: float) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)
    assert measured(np.concatenate([tone, tone * 10 ** (-below_db / 20)])).silent_share == silent


def slow_clipped(samples: NDArray[np.float32]) -> float:
    """Samples in rows of at least three at the greatest or least value, counted one by one."""
    limited = [min(max(float(x), float(np.float32(-0.999))), float(np.float32(0.999))) for x in samples]
    clipped = 0
    for extreme in (max(limited), min(limited)):
        row = 0
        for sample in [*limited, None]:
            if sample == extreme:
                row += 1
            else:
                clipped += row if row >= 3 else 0
                row = 0
    return clipped / len(samples)


@pytest.mark.parametrize("gain", [0.5, 4.0, 8.0, 20.0])
@pytest.mark.parametrize("quieter", [1.0, 0.3])
@pytest.mark.parametrize("block", [7, 1_000, 100_000])
def test_flat_tops_are_counted_whatever_the_blocks(gain: float, quieter: float, block: int) -> None:
    loud = quieter * np.clip(gain * soxr.resample(speech(0.5), 8_000, RATE), -1, 1)
    found = measured(loud, block=block)
    assert found.clipped_share == pytest.approx(slow_clipped(loud.astype(np.float32)), abs=1e-12)
    assert (found.clipped_share > 0) == (gain >= 4)


def test_one_sample_at_full_scale_is_no_clipping() -> None:
    voice = speech()
    assert measured(voice / np.abs(voice).max()).clipped_share == 0


def test_the_share_counts_all_channels() -> None:
    clean, clipped = 0.1 * speech(), np.clip(20 * np.repeat(speech()[::4], 4), -1, 1)
    both = measured(clean, clipped)
    assert both.clipped_share == pytest.approx(measured(clipped).clipped_share / 2)
    assert both.peak == 1


def test_offset_is_found_and_not_taken_for_sound() -> None:
    voice = speech()
    shifted = measured(voice - 0.2)
    assert shifted.dc_offset == pytest.approx(-0.2, abs=1e-3)
    assert shifted.level_db == pytest.approx(measured(voice).level_db, abs=0.01)
    assert shifted.silent_share == pytest.approx(measured(voice).silent_share, abs=0.02)


@pytest.mark.parametrize("snr_db", [0, 5, 10, 15, 20, 25])
@pytest.mark.parametrize("seed", [1, 2])
def test_snr_of_known_mixtures(snr_db: float, seed: int) -> None:
    voice, rng = speech(seed=seed), np.random.default_rng(seed + 10)
    noise = rng.normal(size=len(voice))
    noise *= np.sqrt((voice**2).mean() / (noise**2).mean()) * 10 ** (-snr_db / 20)
    assert measured(voice + noise).snr_db == pytest.approx(snr_db, abs=1.0)


@pytest.mark.parametrize(("kind", "tolerance_db"), [("emodb/wav", 2.0), ("emotiontts-ko/Emotional", 1.0)])
@pytest.mark.parametrize("snr_db", [0, 10])
def test_snr_of_real_speech_in_white_noise(shared: Path, kind: str, tolerance_db: float, snr_db: float) -> None:
    files = sorted(path for path in (shared / "corpora" / kind).rglob("*.*") if path.suffix in (".flac", ".opus"))[::25]
    rng = np.random.default_rng(0)
    for path in files:
        voice, rate = soundfile.read(path)
        noise = rng.normal(size=len(voice))
        noise *= np.sqrt((voice**2).mean() / (noise**2).mean()) * 10 ** (-snr_db / 20)
        assert measured(voice + noise, rate=rate).snr_db == pytest.approx(snr_db, abs=tolerance_db)
    assert files


@pytest.mark.parametrize("through", [8_000, 11_025])
@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_speech_that_was_narrowband_once_is_seen(through: int, rate: int) -> None:
    voice = speech(rate=rate)
    narrow = soxr.resample(soxr.resample(voice, rate, through), through, rate)
    sixteen_bits = np.round(narrow * 32768) / 32768
    for samples in (narrow, sixteen_bits):
        assert measured(samples, rate=rate).bandwidth_hz == pytest.approx(through / 2, rel=0.1)
    assert measured(voice, rate=rate).bandwidth_hz == rate / 2


def test_real_corpora_are_not_called_narrowband(shared: Path) -> None:
    files = [path for name in ("emodb/wav", "ravdess/Actor_05") for path in (shared / "corpora" / name).iterdir()]
    found = [measure_quality(path)[0] for path in sorted(files)[::8]]
    assert found
    assert {quality.bandwidth_hz for quality in found} == {8_000}


def test_blocks_do_not_matter() -> None:
    voice = np.clip(6 * speech(), -1, 1) + 0.01
    whole = measured(voice, block=10**6)
    for block in (1, 333, 16_000):
        parts = asdict(measured(voice[:20_000], block=block))
        once = asdict(measured(voice[:20_000], block=10**6))
        assert parts == pytest.approx(once, rel=1e-9)
    assert whole.snr_db is not None


def test_spans_equal_files_of_their_own(tmp_path: Path) -> None:
    voice = np.stack([speech(5.0, 44_100), 0.5 * speech(5.0, 44_100, seed=3)], axis=1)
    soundfile.write(tmp_path / "all.wav", voice, 44_100, subtype="FLOAT")
    spans = [(0.0, None), (1.0, 2.5), (2.0, 4.0), (4.5, None)]
    found = measure_quality(tmp_path / "all.wav", spans)
    for (start_s, end_s), quality in zip(spans, found, strict=True):
        stop = None if end_s is None else round(end_s * 44_100)
        soundfile.write(tmp_path / "part.wav", voice[round(start_s * 44_100) : stop], 44_100, subtype="FLOAT")
        assert asdict(measure_quality(tmp_path / "part.wav")[0]) == pytest.approx(asdict(quality), rel=1e-9)


@pytest.mark.parametrize("count", [1, 2, 100, 321])
def test_tiny_and_silent_recordings_have_figures(count: int) -> None:
    for samples in (np.zeros(count), 0.1 * np.ones(count)):
        found = measured(samples)
        assert found.duration_s == count / RATE
        assert found.bandwidth_hz == RATE / 2
        assert np.isfinite([value for value in asdict(found).values() if value is not None]).all()
    silent = measured(np.zeros(count))
    assert (silent.snr_db, silent.silent_share, silent.level_db, silent.clipped_share) == (None, 1.0, -100.0, 0.0)


def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    meter = QualityMeter(RATE, 1)
    with pytest.raises(AudioError, match="no samples to measure"):
        meter.result()
    for value in (np.nan, np.inf):
        with pytest.raises(AudioError, match="not finite"):
            QualityMeter(RATE, 1).add(np.array([[0.1], [value]], dtype=np.float32))
    with pytest.raises(AudioError, match="no such recording"):
        measure_quality(tmp_path / "absent.wav")
    soundfile.write(tmp_path / "a.wav", speech(1.0), RATE)
    with pytest.raises(AudioError, match=r"no samples to measure: .*a\.wav"):
        measure_quality(tmp_path / "a.wav", [(2.0, 3.0)])


def test_a_tapped_recording_gives_facts_and_figures_in_one_pass(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, speech(6.0), RATE)
    meter = QualityMeter(RATE, 1)
    with open_recording(path) as recording:
        facts = facts_of(tap(recording, [meter]), path)
    assert facts == examine(path)
    assert meter.result() == measure_quality(path)[0]


SCRIPT = """
import json, sys, psutil
from serenade.signal.quality import measure_quality
found = []
for path in sys.argv[1:]:
    quality = measure_quality(path)[0]
    found.append((quality.duration_s, psutil.Process().memory_info().rss / 2**20))
print(json.dumps(found))
"""


@pytest.mark.slow
def test_memory_is_flat_over_two_hours(tmp_path: Path) -> None:
    pytest.importorskip("psutil", reason="needs the extra dev")
    minute = (speech(60.0) * 2**15).astype(np.int16)
    for name, minutes in (("short", 15), ("long", 120)):
        with soundfile.SoundFile(tmp_path / f"{name}.flac", "w", RATE, 1, compression_level=0.0) as file:
            for _ in range(minutes):
                file.write(minute)
    files = [str(tmp_path / "short.flac"), str(tmp_path / "long.flac")]
    done = subprocess.run([sys.executable, "-c", SCRIPT, *files], capture_output=True, text=True, check=True)
    (short_s, short_mb), (long_s, long_mb) = json.loads(done.stdout)
    assert (short_s, long_s) == (900, 7_200)
    # One float for the power and one for the mean of 20 ms are 2.5 MB more; the samples would be 400 MB.
    assert long_mb - short_mb < 30
