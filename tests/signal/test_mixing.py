"""Noise at a ratio: levels against plain loops over P.56, ratios by an independent measure, fixed mixtures fixed."""

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from serenade.core.errors import AudioError, UsageError
from serenade.core.records import Utterance
from serenade.corpora.noise import list_files
from serenade.signal.convolution import convolve
from serenade.signal.mixing import NoiseBank, fixed_mixture, mix_at_snr, noise_excerpt
from serenade.signal.speech_level import active_level_db, is_silent, power_level_db, speech_level_db

RATE = 16000


def seeded(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def speech_like(seconds: float = 2.0, seed: int = 0) -> Tensor:
    """Bursts of noise with pauses between, as syllables and words have them."""
    time_s = torch.arange(round(seconds * RATE)) / RATE
    bursts = ((time_s * 3 % 1) < 0.6) * ((time_s % 1.5) < 0.9) * (time_s > 0.3)
    return 0.1 * bursts * torch.randn(len(time_s), generator=seeded(seed))


def p56(samples: NDArray[np.float64]) -> float:
    """Method B sample by sample with counters, as the recommendation states it (thresholds of 16 bits)."""
    g, hangover = math.exp(-1 / (0.03 * RATE)), math.ceil(0.2 * RATE)
    thresholds = [2.0**-power for power in range(15, 0, -1)]
    active, held = [0] * 15, [hangover] * 15
    p = q = 0.0
    for x in samples:
        p = g * p + (1 - g) * abs(x)
        q = g * q + (1 - g) * p
        for j, c in enumerate(thresholds):
            if q >= c:
                active[j], held[j] = active[j] + 1, 0
            elif held[j] < hangover:
                active[j], held[j] = active[j] + 1, held[j] + 1
    energy = float((samples**2).sum())
    levels = [10 * math.log10(energy / count) for count in active if count]
    margins = [level - 20 * math.log10(c) for level, c in zip(levels, thresholds, strict=False)]
    above = max(j for j, margin in enumerate(margins) if margin > 15.9)
    share = (margins[above] - 15.9) / (margins[above] - margins[above + 1])
    return levels[above] + share * (levels[above + 1] - levels[above])


@pytest.mark.parametrize(("length", "taps"), [(1, 1), (5, 9), (1000, 37), (70000, 301), (140000, 9001)])
def test_convolution_is_the_sum_it_says(length: int, taps: int) -> None:
    x, h = (torch.randn(n, dtype=torch.float64, generator=seeded(n)) for n in (length, taps))
    ours = convolve(x, h)
    for t in {0, length // 3, length // 2, length - 1}:
        expected = sum(float(h[k] * x[t - k]) for k in range(min(taps, t + 1)))
        assert float(ours[t]) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("gain", [1.0, 0.03])
def test_active_level_is_that_of_the_recommendation(gain: float) -> None:
    speech = gain * speech_like()
    assert active_level_db(speech) == pytest.approx(p56(speech.double().numpy()), abs=1e-6)


def test_active_level_passes_over_pauses() -> None:
    speech = speech_like(8.0)
    padded = torch.cat([torch.zeros(12 * RATE), speech, torch.zeros(20 * RATE)])
    assert active_level_db(padded) == pytest.approx(active_level_db(speech), abs=0.3)  # 0.2 s after the end are active
    assert power_level_db(speech) - power_level_db(padded) == pytest.approx(10 * math.log10(5), abs=1e-4)


def test_without_pauses_both_levels_agree() -> None:
    tone = 0.5 * torch.sin(2 * torch.pi * 440 * torch.arange(4 * RATE) / RATE)
    assert power_level_db(tone) == pytest.approx(10 * math.log10(0.125), abs=1e-3)
    assert active_level_db(tone) == pytest.approx(power_level_db(tone), abs=0.1)


@pytest.mark.parametrize("samples", [torch.ones(1), torch.eye(1, 8000)[0], 3 * torch.ones(10), 1e-4 * torch.ones(9000)])
def test_odd_sound_has_a_level(samples: Tensor) -> None:
    assert math.isfinite(active_level_db(samples))


def test_silence_has_no_level() -> None:
    for silence in (torch.zeros(0), torch.zeros(100), 1e-6 * torch.ones(100)):
        assert is_silent(silence)
        with pytest.raises(AudioError, match="silence has no speech level"):
            active_level_db(silence)
        with pytest.raises(AudioError, match="silence has no speech level"):
            speech_level_db(silence, "whole")


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 10.0, 20.0])
@pytest.mark.parametrize("noise_s", [0.5, 2.0, 7.0])
def test_ratio_is_what_was_asked_for(snr_db: float, noise_s: float) -> None:
    speech = speech_like()
    noise = 0.02 * torch.randn(round(noise_s * RATE), generator=seeded(3))
    mixture = mix_at_snr(speech, noise, snr_db, start=77)
    added = mixture.waveform.double().numpy() / mixture.scale - speech.double().numpy()
    measured = p56(speech.double().numpy()) - 10 * math.log10(float((added**2).mean()))
    assert measured == pytest.approx(snr_db, abs=0.01)


def test_ratio_to_the_whole_is_a_ratio_of_mean_squares() -> None:
    speech, noise = speech_like(), torch.randn(3 * RATE, generator=seeded(3))
    mixture = mix_at_snr(speech, noise, 10, level="whole")
    added = mixture.waveform.double() / mixture.scale - speech.double()
    ratio = float(speech.double().square().mean() / added.square().mean())
    assert 10 * math.log10(ratio) == pytest.approx(10, abs=1e-3)


def test_a_sum_beyond_full_scale_is_scaled_as_a_whole() -> None:
    speech, noise = 5 * speech_like(), torch.randn(2 * RATE, generator=seeded(3))
    mixture = mix_at_snr(speech, noise, 0)
    assert mixture.scale < 1
    assert float(mixture.waveform.abs().max()) == pytest.approx(1)
    assert torch.allclose(mixture.waveform, mixture.scale * (speech + mixture.gain * noise), atol=1e-6)


def test_inputs_are_not_modified() -> None:
    speech, noise = speech_like(), torch.randn(RATE, generator=seeded(3))
    before = speech.clone(), noise.clone()
    mix_at_snr(speech, noise, 0, start=5)
    assert torch.equal(speech, before[0])
    assert torch.equal(noise, before[1])


def test_noise_is_cut_or_begins_again() -> None:
    noise = torch.arange(5.0)
    assert noise_excerpt(noise, 3, 1).tolist() == [1, 2, 3]
    assert noise_excerpt(noise, 8, 3).tolist() == [3, 4, 0, 1, 2, 3, 4, 0]
    assert noise_excerpt(noise, 2, 4).tolist() == [4, 0]
    with pytest.raises(AudioError, match="no samples"):
        noise_excerpt(torch.zeros(0), 3)


def test_silence_has_no_ratio() -> None:
    with pytest.raises(AudioError, match="speech is silent, so its ratio to noise is undefined"):
        mix_at_snr(torch.zeros(RATE), torch.ones(RATE), 10)
    with pytest.raises(AudioError, match=r"noise is silent.*: rain\.wav"):
        mix_at_snr(speech_like(), torch.zeros(RATE), 10, recording="rain.wav")
    for wrong in (math.nan, math.inf, 200.0):
        with pytest.raises(UsageError, match="not a signal-to-noise ratio"):
            mix_at_snr(speech_like(), torch.ones(RATE), wrong)


@pytest.fixture
def noise_folder(tmp_path: Path) -> Path:
    for environment, seconds in (("kitchen", 3.0), ("street", 0.4)):
        for number in range(2):
            path = tmp_path / "noises" / environment / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            samples = 0.1 * torch.randn(round(seconds * RATE), generator=seeded(number))
            soundfile.write(path, samples.numpy(), RATE)
    return tmp_path / "noises"


def bank_of(folder: Path, **options: object) -> NoiseBank:
    return NoiseBank(list_files(folder).utterances, **options)  # type: ignore[arg-type]  # passed on as they are


def test_a_fixed_mixture_is_the_same_for_every_model(noise_folder: Path) -> None:
    speech = speech_like(1.0)
    first = fixed_mixture(speech, bank_of(noise_folder), snr_db=10, utterance="a/1", repeat=2)
    busy = bank_of(noise_folder, most_kept_mb=0)
    for seed in range(5):
        busy.draw(1000, seeded(seed))
    torch.manual_seed(9)
    again = fixed_mixture(speech, busy, snr_db=10.0, utterance="a/1", repeat=2)
    assert torch.equal(first.waveform, again.waveform)
    assert (first.noise.recording, first.noise.start) == (again.noise.recording, again.noise.start)


def test_repeat_utterance_and_ratio_each_draw_anew(noise_folder: Path) -> None:
    bank, speech = bank_of(noise_folder, environments=["kitchen"]), speech_like(1.0)
    starts = {
        fixed_mixture(speech, bank, snr_db=snr, utterance=name, repeat=repeat).noise.start
        for snr in (0.0, 10.0)
        for name in ("a", "b")
        for repeat in (0, 1)
    }
    assert len(starts) == 8


def test_environments_are_drawn_evenly_and_starts_fit(noise_folder: Path) -> None:
    bank, generator = bank_of(noise_folder), seeded(0)
    drawn = [bank.draw(RATE, generator) for _ in range(400)]
    assert 160 < sum(item.environment == "kitchen" for item in drawn) < 240
    assert len({item.recording for item in drawn}) == 4
    assert all(item.start <= 2 * RATE for item in drawn if item.environment == "kitchen")
    again = drawn[7]
    assert torch.equal(bank.excerpt(again.recording, RATE, again.start).waveform, again.waveform)


def test_only_environments_asked_for_are_drawn(noise_folder: Path) -> None:
    bank = bank_of(noise_folder, environments=["street"])
    assert bank.environments == ("street",)
    assert {bank.draw(RATE, seeded(seed)).environment for seed in range(10)} == {"street"}
    with pytest.raises(UsageError, match=r"'stret'.*kitchen, street.*Did you mean 'street'"):
        bank_of(noise_folder, environments=["stret"])
    with pytest.raises(UsageError, match="no recordings of noise"):
        NoiseBank([])
    with pytest.raises(UsageError, match="no recording of noise 'x'"):
        bank.waveform("x")


def test_silent_stretches_are_drawn_anew_and_silent_recordings_named(tmp_path: Path) -> None:
    samples = np.zeros(4 * RATE)
    samples[RATE : RATE + 100] = 0.5
    for name, values in (("gaps/1.wav", samples), ("silent/1.wav", 0 * samples)):
        (tmp_path / name).parent.mkdir()
        soundfile.write(tmp_path / name, values, RATE)
    bank = bank_of(tmp_path, environments=["gaps"])
    assert all(not is_silent(bank.draw(RATE // 2, seeded(seed)).waveform) for seed in range(20))
    with pytest.raises(AudioError, match=r"recording of noise is silent.*silent/1\.wav"):
        bank_of(tmp_path, environments=["silent"]).draw(RATE, seeded(0))


def test_of_demand_the_first_channel_is_used(tmp_path: Path) -> None:
    recordings = [
        Utterance(
            f"TBUS/ch{n:02d}", tmp_path, "noise", "TBUS", None, extra={"environment": "TBUS", "channel": f"{n:02d}"}
        )
        for n in (1, 2, 16)
    ]
    with pytest.raises(UsageError, match="no recording"):
        NoiseBank(recordings).waveform("TBUS/ch02")


def test_memory_of_a_bank_is_bounded(noise_folder: Path) -> None:
    bank = bank_of(noise_folder, most_kept_mb=0.2, most_s=1.0)
    for name in ("kitchen/0.wav", "kitchen/1.wav", "street/0.wav", "street/1.wav"):
        assert len(bank.waveform(name)) <= RATE
        assert bank._kept.num_bytes <= 0.2 * 2**20


def test_threads_share_a_bank(noise_folder: Path) -> None:
    bank = bank_of(noise_folder, most_kept_mb=0.2)

    def draw(seed: int) -> float:
        return sum(float(bank.draw(2000, seeded(seed + place)).waveform.sum()) for place in range(20))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(draw, range(8))) == [draw(seed) for seed in range(8)]


def test_what_cannot_be_used_is_dropped(noise_folder: Path) -> None:
    (noise_folder / "street" / "broken.wav").write_bytes(b"x" * 99)
    soundfile.write(noise_folder / "street" / "silent.wav", np.zeros(RATE), RATE)
    (noise_folder / "kitchen" / "0.wav").write_bytes(b"")
    (noise_folder / "kitchen" / "1.wav").write_bytes(b"")
    bank = bank_of(noise_folder)
    assert len(bank.drop_unusable()) == 4
    assert bank.environments == ("street",)
    assert {bank.draw(100, seeded(seed)).recording for seed in range(20)} == {"street/0.wav", "street/1.wav"}
    assert bank.drop_unusable() == ()


def test_real_noise_at_a_real_ratio(shared: Path) -> None:
    from serenade.signal.audio import read_audio

    bank = bank_of(shared / "corpora" / "noise")
    speech = read_audio(next((shared / "corpora" / "emodb").rglob("03a01Fa.*")))
    mixture = fixed_mixture(speech, bank, snr_db=10, utterance="03a01Fa")
    added = mixture.waveform.double() / mixture.scale - speech.double()
    assert active_level_db(speech) - power_level_db(added) == pytest.approx(10, abs=0.01)
