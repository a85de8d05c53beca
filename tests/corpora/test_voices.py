from dataclasses import replace

import numpy as np
import pytest
from tests.corpora.voice_measures import formants, high_band_db, periodicity, pitches

from serenade.core.errors import UsageError
from serenade.corpora.expression import _HIGHEST, _LOWEST
from serenade.corpora.voices import (
    PHONES,
    SAMPLE_RATE,
    Delivery,
    _glottal_pulse,
    formant_response,
    parse_text,
    synthesise,
)

PLAIN = Delivery(
    pitch_hz=120.0,
    accent_st=0.0,
    declination_st=0.0,
    final_st=0.0,
    rate=1.0,
    level_db=-25.0,
    accent_db=0.0,
    open_quotient=0.55,
    tilt_db=6.0,
    breath_db=-45.0,
    jitter=0.0,
    shimmer_db=0.0,
    tremor_st=0.0,
    articulation=1.0,
    tract=1.0,
)
TEXT = "manole kedi, suna pitoge"


def speak(text=TEXT, seed=0, **changes):
    return synthesise(text, replace(PLAIN, **changes), np.random.default_rng(seed))


def held_vowel(vowel="a", seed=0, **changes):
    """The middle of a vowel held for about a second."""
    waveform = speak(vowel, seed, rate=0.15, **changes).astype(np.float64)
    middle = len(waveform) // 2
    return waveform[middle - 4000 : middle + 4000]


def test_formant_response_is_that_of_the_resonator_recursion():
    length, delay = 4096, np.zeros(2)
    response = np.zeros(length)
    radius = np.exp(-np.pi * 90 / SAMPLE_RATE)
    b, c = 2 * radius * np.cos(2 * np.pi * 700 / SAMPLE_RATE), -(radius**2)
    for n in range(length):
        response[n] = (1 - b - c) * (n == 0) + b * delay[0] + c * delay[1]
        delay[:] = response[n], delay[0]
    bins = np.fft.rfftfreq(length, 1 / SAMPLE_RATE)
    ours = formant_response(np.array([[700.0]]), np.array([[90.0]]), bins)[0]
    assert np.allclose(ours, np.fft.rfft(response), rtol=1e-4, atol=1e-5)  # ours is float32


def test_glottal_pulse_is_the_transform_of_its_polynomial():
    open_s, delay_s, bins = 0.0045, 0.014, np.array([100.0, 440.0, 1500.0, 5000.0], np.float32)
    x = np.linspace(0, 1, 200_001)
    flow = 2 * x - 3 * x**2
    time = delay_s - open_s + open_s * x
    expected = [np.trapezoid(flow * np.exp(-2j * np.pi * f * time), time) * SAMPLE_RATE for f in bins]
    corner = 3000 / np.sqrt(10 ** (10 / 10) - 1)
    expected = np.array(expected) / (1 + 1j * bins / corner)
    ours = _glottal_pulse(*(np.array([v], np.float32) for v in (open_s, delay_s, 10.0)), bins)[0]
    assert np.allclose(ours, expected, rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("tract", [1.0, 0.86])
@pytest.mark.parametrize("vowel", "aeiou")
def test_linear_prediction_finds_the_formants_of_a_vowel(vowel, tract):
    found = formants(held_vowel(vowel, pitch_hz=100.0, tract=tract)[3400:4600])[:3]
    assert found == pytest.approx([f / tract for f in PHONES[vowel].formants], rel=0.06)


@pytest.mark.parametrize("pitch_hz", [90.0, 140.0, 220.0, 320.0])
def test_measured_pitch_is_the_pitch_asked_for(pitch_hz):
    found = np.median(pitches(held_vowel(pitch_hz=pitch_hz)))
    assert found == pytest.approx(pitch_hz, rel=0.05)  # the voice wanders by a third of a semitone


def test_pitch_moves_with_accents_declination_and_final_movement():
    def spread(**changes):
        found = pitches(speak(**changes))
        return 12 * np.log2(np.percentile(found, 95) / np.percentile(found, 5))

    flat = spread()
    assert spread(accent_st=8.0) > flat + 2.5
    assert spread(declination_st=6.0) > flat + 2.5
    rising, falling = (pitches(speak("mamamama", final_st=st))[-1] for st in (4.0, -4.0))
    assert rising > 1.3 * falling


def test_level_is_the_level_asked_for_whatever_the_voice():
    for changes in ({}, {"tilt_db": 20.0}, {"breath_db": -15.0}, {"pitch_hz": 250.0}):
        waveform = speak(level_db=-31.0, **changes).astype(np.float64)
        assert 10 * np.log10(np.mean(waveform**2)) == pytest.approx(-31.0, abs=0.01)


def test_a_faster_rate_shortens_the_utterance():
    slow, normal, fast = (len(speak(rate=rate)) for rate in (0.8, 1.0, 1.25))
    assert slow > 1.1 * normal > 1.2 * fast


def test_accent_db_makes_stressed_syllables_louder():
    def dynamics(accent_db):
        waveform = speak("mamama nanana", accent_db=accent_db)
        frames = np.sqrt(np.mean(waveform[: len(waveform) // 320 * 320].reshape(-1, 320) ** 2, axis=1))
        return frames.max() / np.percentile(frames, 60)

    assert dynamics(8.0) > 1.2 * dynamics(0.0)


def test_tilt_and_open_quotient_take_energy_from_high_frequencies():
    assert high_band_db(held_vowel(tilt_db=15.0)) < high_band_db(held_vowel(tilt_db=3.0)) - 6
    first_two = {}
    for quotient in (0.4, 0.8):
        spectrum = np.abs(np.fft.rfft(held_vowel(open_quotient=quotient, pitch_hz=150.0) * np.hanning(8000)))
        first_two[quotient] = spectrum[60:95].max() / spectrum[130:175].max()  # bins of 2 Hz: 120-190, 260-350 Hz
    assert first_two[0.8] > 1.5 * first_two[0.4]  # H1 - H2 grows with the open quotient (Klatt & Klatt 1990)


@pytest.mark.parametrize("change", [{"jitter": 0.02}, {"shimmer_db": 1.2}, {"breath_db": -8.0}])
def test_jitter_shimmer_and_breath_make_a_voice_less_periodic(change):
    def regular(**changes):
        return np.mean([periodicity(held_vowel(seed=s, **changes)[:1600], 120.0) for s in range(4)])

    assert regular() > 0.97
    assert regular(**change) < regular() - 0.01


def test_pulses_lie_between_samples_where_the_pitch_says_so():
    vowel = held_vowel("i", pitch_hz=320.0, tilt_db=1.0, breath_db=-60.0)
    depths = []
    for start in range(0, 6400, 800):
        power = np.abs(np.fft.rfft(vowel[start : start + 800] * np.blackman(800), 8192)) ** 2
        bands = power[1280:1920].reshape(4, 160)  # 2.5 to 3.75 kHz, one harmonic in each 312 Hz
        depths += (10 * np.log10(bands.max(axis=1) / bands.min(axis=1))).tolist()
    assert np.median(depths) > 65  # 83 dB; pulses moved to whole samples fill the valleys: 52 dB


def test_tremor_moves_the_pitch_about_five_times_a_second():
    found = pitches(held_vowel(tremor_st=1.0))
    assert 12 * np.log2(found.max() / found.min()) > 1.5


def test_small_articulation_draws_vowels_together():
    careless = [formants(held_vowel(v, articulation=0.6)[3400:4600])[:2] for v in "ai"]
    careful = [formants(held_vowel(v, articulation=1.0)[3400:4600])[:2] for v in "ai"]
    assert np.linalg.norm(np.subtract(*careless)) < 0.75 * np.linalg.norm(np.subtract(*careful))


def test_fricatives_are_noise_in_their_band_and_stops_have_a_silent_closure():
    waveform = speak("asa").astype(np.float64)
    frames = waveform[: len(waveform) // 160 * 160].reshape(-1, 160)
    assert max(high_band_db(frame, 4000) for frame in frames) > -1.0
    assert high_band_db(held_vowel("a"), 4000) < -15.0
    quiet = speak("aka").astype(np.float64)
    levels = np.sqrt(np.mean(quiet[: len(quiet) // 160 * 160].reshape(-1, 160) ** 2, axis=1))
    inner = levels[8 : len(levels) - 8]
    assert inner.min() < 0.02 * levels.max()


def test_same_state_of_the_generator_gives_the_same_waveform():
    assert np.array_equal(speak(seed=3), speak(seed=3))
    first, second = speak(seed=3), speak(seed=4)
    assert len(first) != len(second) or not np.allclose(first, second)


@pytest.mark.parametrize("extreme", [_LOWEST, _HIGHEST], ids=["lowest", "highest"])
def test_the_ends_of_every_range_give_finite_speech(extreme):
    waveform = synthesise(TEXT, extreme, np.random.default_rng(0))
    assert waveform.dtype == np.float32
    assert np.isfinite(waveform).all()
    assert 1.0 < len(waveform) / SAMPLE_RATE < 5.0


def test_two_letters_that_make_one_sound_are_one_phone():
    assert [item.phone for item in parse_text("sha")] == [PHONES["sh"], PHONES["a"]]


def test_first_vowel_of_every_word_is_stressed_and_the_last_of_all_is_final():
    spoken = parse_text("mano, kedi")
    assert [item.stressed for item in spoken if item.phone.kind == "vowel"] == [True, False, True, False]
    assert [item.final for item in spoken if item.phone.kind == "vowel"] == [False, False, False, True]


@pytest.mark.parametrize(
    ("text", "message"), [("hello", r"without a sound.*'hello'"), ("", "at least one vowel"), ("sst", "one vowel")]
)
def test_text_that_cannot_be_spoken_is_refused(text, message):
    with pytest.raises(UsageError, match=message):
        parse_text(text)
