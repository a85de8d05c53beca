"""Each step does what its name says, by a measure that shares no code with it."""

import io
import math
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from serenade.core.errors import MissingExtraError, UsageError
from serenade.signal.augmentation.band import limit_band
from serenade.signal.augmentation.chain import AugmentationChain, AugmentationSettings
from serenade.signal.augmentation.codec import through_codec
from serenade.signal.augmentation.noise import coloured_noise
from serenade.signal.augmentation.pitch import change_pitch, stretch
from serenade.signal.augmentation.speed import change_speed
from serenade.signal.augmentation.telephone import through_law
from serenade.signal.responses import reverberate, synthesise_response

RATE = 16000


def seeded(seed: int) -> Generator:
    return Generator().manual_seed(seed)


def tone(hz: float, seconds: float = 1.0) -> Tensor:
    return (
        0.3 * torch.sin(2 * torch.pi * hz * torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE)
    ).float()


def noise(seconds: float = 2.0, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(round(seconds * RATE), generator=seeded(seed))


def applied(chain: str, waveform: Tensor, seed: int = 0) -> Tensor:
    done, _ = AugmentationChain(AugmentationSettings.model_validate(chain))(waveform[None], seeded(seed))
    return done[0]


def peak_hz(waveform: Tensor) -> float:
    """The strongest frequency, between bins by a parabola."""
    size = 2**16
    spectrum = np.log(np.abs(np.fft.rfft(waveform.numpy() * np.hanning(len(waveform)), size)) + 1e-12)
    k = int(spectrum.argmax())
    a, b, c = spectrum[k - 1 : k + 2]
    return float((k + 0.5 * (a - c) / (a - 2 * b + c)) * RATE / size)


def power_between(waveform: Tensor, low_hz: float, high_hz: float) -> float:
    spectrum = np.abs(np.fft.rfft(waveform.double().numpy() * np.hanning(len(waveform)))) ** 2
    hz = np.fft.rfftfreq(len(waveform), 1 / RATE)
    return float(spectrum[(hz >= low_hz) & (hz < high_hz)].sum())


def lag(ours: Tensor, reference: Tensor) -> int:
    """By how many samples the one comes later than the other."""
    products = np.correlate(ours.numpy(), reference.numpy(), mode="full")
    return int(products.argmax()) - (len(reference) - 1)


@pytest.mark.parametrize(("factor", "hz"), [(0.9, 900.0), (1.1, 1100.0)])
def test_speed_moves_a_tone_and_its_end(factor: float, hz: float) -> None:
    faster = applied(f"speed:{factor}", tone(1000))
    assert peak_hz(faster) == pytest.approx(hz, abs=0.2)
    assert len(faster) == pytest.approx(RATE / factor, abs=1)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 999, 16001])
@pytest.mark.parametrize("factor", [0.25, 0.9, 1.1, 1.2345, 4.0])
def test_length_under_speed_is_within_one_sample(length: int, factor: float) -> None:
    assert abs(len(change_speed(torch.ones(length), factor)) - length / factor) <= 1


def test_slowing_empties_the_top_of_the_spectrum() -> None:
    slower = change_speed(noise(), 0.9)
    assert power_between(slower, 7400, 8000) < 1e-6 * power_between(slower, 1000, 7000)


@pytest.mark.parametrize("semitones", [-12.0, -3.0, 2.0, 7.0])
def test_pitch_moves_a_tone_and_not_its_end(semitones: float) -> None:
    higher = applied(f"pitch:{semitones}", tone(440))
    assert peak_hz(higher) == pytest.approx(440 * 2 ** (semitones / 12), rel=2e-3)
    assert len(higher) == RATE


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_stretching_keeps_frequency_level_and_order(factor: float) -> None:
    two = torch.cat([tone(300), tone(900)])
    longer = stretch(two, factor)
    assert len(longer) == round(factor * 2 * RATE)
    middle = len(longer) // 2
    assert peak_hz(longer[: middle - 1000]) == pytest.approx(300, rel=2e-3)
    assert peak_hz(longer[middle + 1000 :]) == pytest.approx(900, rel=2e-3)
    assert float(longer.square().mean()) == pytest.approx(float(two.square().mean()), rel=0.05)


def test_pitch_of_nothing_changes_nothing() -> None:
    speech = noise()
    assert torch.allclose(change_pitch(speech, 0)[1000:-1000], speech[1000:-1000], atol=1e-5)


def test_gain_is_decibels() -> None:
    assert torch.allclose(applied("gain:20", tone(440)), 10 * tone(440))


def test_shift_moves_and_fills_with_zeros() -> None:
    ramp = torch.arange(1.0, 1601.0)
    later = applied("shift:0.05", ramp)
    assert later[:800].tolist() == [0] * 800
    assert torch.equal(later[800:], ramp[:800])
    earlier = applied("shift:-0.05", ramp)
    assert torch.equal(earlier[:800], ramp[800:])
    assert earlier[800:].tolist() == [0] * 800
    assert torch.equal(applied("shift:0.05/wrap=true", ramp), ramp.roll(800))
    assert applied("shift:5", ramp).tolist() == [0] * 1600


@pytest.mark.parametrize("source", ["white", "pink"])
def test_noise_has_the_ratio_asked_for(source: str) -> None:
    steady = tone(440, 2.0)  # no pauses: its active level is its power, to what the smoothing leaves
    added = applied(f"noise:10/{source}/level=whole", steady).double() - steady.double()
    ratio = float(steady.double().square().mean() / added.square().mean())
    assert 10 * math.log10(ratio) == pytest.approx(10, abs=0.01)


def test_pink_noise_has_equal_power_in_every_octave() -> None:
    pink = coloured_noise("pink", 8 * RATE, seeded(1))
    assert float(pink.square().mean()) == pytest.approx(1, abs=1e-5)
    octaves = [10 * math.log10(power_between(pink, low, 2 * low)) for low in (62.5, 125, 250, 500, 1000, 2000, 4000)]
    assert max(octaves) - min(octaves) < 1.5


def schroeder_t60(response: NDArray[np.float64]) -> float:
    """Reverberation time from the slope of the backward integral between -5 and -35 dB (ISO 3382-1, T30)."""
    remaining = 10 * np.log10(np.cumsum(response[::-1] ** 2)[::-1] / (response**2).sum())
    used = (remaining <= -5) & (remaining >= -35)
    slope = np.polyfit(np.flatnonzero(used) / RATE, remaining[used], 1)[0]
    return float(-60 / slope)


@pytest.mark.parametrize("t60_s", [0.2, 0.5, 1.5])
@pytest.mark.parametrize("direct_db", [-6.0, 0.0, 10.0])
def test_synthesised_room_decays_as_asked(t60_s: float, direct_db: float) -> None:
    response = synthesise_response(t60_s, direct_db, seeded(3)).double().numpy()
    direct, tail = response[0], response[1:]
    assert 10 * math.log10(direct**2 / float((tail**2).sum())) == pytest.approx(direct_db, abs=1e-4)
    assert schroeder_t60(tail) == pytest.approx(t60_s, rel=0.08)
    assert not tail[:78].any(), "nothing is reflected within 5 ms"


def test_reverberation_is_convolution_and_keeps_power() -> None:
    dry, response = noise(0.3), synthesise_response(0.3, 0, seeded(1))
    wet = reverberate(dry, response)
    full = np.convolve(dry.double().numpy(), response.double().numpy())[: len(dry)]
    full *= math.sqrt(float((dry.double() ** 2).mean()) / (full**2).mean())
    assert np.allclose(wet.numpy(), full, atol=1e-6)


def test_reverberation_does_not_delay() -> None:
    click = torch.zeros(RATE)
    click[4000] = 1
    assert int(applied("reverb:0.5/3", click).abs().argmax()) == 4000


@pytest.mark.parametrize(("low_hz", "high_hz"), [(300.0, 3400.0), (0.0, 4000.0), (1000.0, 8000.0)])
def test_band_passes_inside_and_stops_outside(low_hz: float, high_hz: float) -> None:
    sound = noise(4.0)
    limited = limit_band(sound, low_hz, high_hz)
    inside = power_between(limited, low_hz + 60, high_hz - 60) / power_between(sound, low_hz + 60, high_hz - 60)
    assert inside == pytest.approx(1, abs=1e-3)
    for low, high in ((0.0, low_hz - 80), (high_hz + 80, 8000.0)):
        if high > low:
            assert power_between(limited, low, high) < 1e-5 * power_between(sound, low, high)
    assert lag(limited[:4000], sound[:4000]) == 0


def test_telephone_leaves_its_band() -> None:
    sound = noise(4.0)
    phoned = applied("telephone", sound)
    reference = power_between(phoned, 400, 3300)
    assert reference == pytest.approx(power_between(sound, 400, 3300), rel=0.02)
    # what is left outside is the noise of 8-bit coding, spread evenly, and nothing above 4 kHz
    assert power_between(phoned, 0, 200) < 1e-3 * reference
    assert power_between(phoned, 3600, 3900) < 1e-3 * reference
    assert power_between(phoned, 4200, 8000) < 1e-6 * reference
    assert lag(phoned[:8000], sound[:8000]) == 0


@pytest.mark.parametrize(("law", "subtype"), [("mu_law", "ULAW"), ("a_law", "ALAW")])
def test_laws_are_those_of_another_library(law: Any, subtype: str) -> None:
    every = np.arange(-(2**15), 2**15).astype(np.int16)
    buffer = io.BytesIO()
    soundfile.write(buffer, every, 8000, format="WAV", subtype=subtype)
    buffer.seek(0)
    theirs, _ = soundfile.read(buffer, dtype="float32")
    assert np.array_equal(through_law((every / 2**15).astype(np.float32), law), theirs)


@pytest.mark.parametrize("codec", ["opus", "mp3"])
@pytest.mark.parametrize("kbps", [8, 24])
def test_codecs_keep_length_and_place(codec: Any, kbps: int) -> None:
    pytest.importorskip("av")
    sound = limit_band(noise(1.5), 100, 3000)
    coded = through_codec(sound, codec, kbps)
    assert len(coded) == len(sound)
    assert abs(lag(coded, sound)) <= 1
    error = float((coded - sound).square().mean() / sound.square().mean())
    assert error > 1e-3, "a low rate is heard"
    better = through_codec(sound, codec, 64)
    assert float((better - sound).square().mean() / sound.square().mean()) < error


@pytest.mark.parametrize("codec", ["opus", "mp3"])
@pytest.mark.parametrize("length", [1, 100, 321])
def test_codecs_take_short_sound(codec: Any, length: int) -> None:
    pytest.importorskip("av")
    assert len(through_codec(noise()[:length], codec, 16)) == length


def test_codecs_name_the_extra_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"'opus' needs the package 'av'.*serenade\[media\]"):
        AugmentationChain(AugmentationSettings.model_validate("opus"))


def test_mixup_is_linear_and_its_partner_another() -> None:
    batch = torch.stack([torch.full((50,), float(10**row)) for row in range(4)])
    mixed, records = AugmentationChain(AugmentationSettings.model_validate("mixup"))(batch, seeded(0))
    partners = set()
    for row, record in enumerate(records):
        share, partner = (record.steps[0].parameters[name] for name in ("share", "partner"))
        assert 0.2 <= share <= 0.8
        assert partner != row
        partners.add(partner)
        assert torch.allclose(mixed[row], share * batch[row] + (1 - share) * batch[partner])
    assert len(partners) > 1


def test_mixup_takes_the_partner_unchanged_and_is_as_long_as_the_longer() -> None:
    chain = AugmentationChain(AugmentationSettings.model_validate("gain:20,mixup:0.5"))
    batch, lengths = torch.ones(2, 60), torch.tensor([40, 60])
    mixed, records = chain(batch, seeded(0), lengths)
    assert chain.mixes_targets
    assert [record.length for record in records] == [60, 60]
    assert mixed[0].tolist() == pytest.approx([5.5] * 40 + [0.5] * 20)


def test_mixup_of_one_is_refused() -> None:
    with pytest.raises(UsageError, match="mixup needs two waveforms"):
        applied("mixup", noise())
