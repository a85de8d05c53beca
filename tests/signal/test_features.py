"""Front ends against their definitions in plain float64 loops, against reference tensors, and their contract."""

import math
import typing

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from serenade.core.errors import SettingsError, UsageError
from serenade.core.settings import make_settings
from serenade.signal import FRONT_ENDS
from serenade.signal.features import (
    FilterBankSettings,
    FrontEndSettings,
    LogMelSettings,
    MfccSettings,
    MuLawSpectrogramSettings,
    SpectrogramSettings,
    build_front_end,
)
from serenade.signal.segments import SegmentSettings, cut
from serenade.signal.spectra import cosine_transform, htk_filters, slaney_filters, window_of

DEFAULTS = [MfccSettings(), LogMelSettings(), FilterBankSettings(), SpectrogramSettings(), MuLawSpectrogramSettings()]
OTHERS = [
    MuLawSpectrogramSettings(scale="minmax", num_bins=200, mu=100.0, pad_end=0),
    MuLawSpectrogramSettings(scale="reference", window="rectangular", fft_length=3198, pad_end=0),
    MfccSettings(
        num_coefficients=13, fft_length=512, hop_length=128, num_bands=40, low_hz=50, high_hz=7000, padding="reflect"
    ),
    MfccSettings(top_db=20.0, floor=1e-6),
    LogMelSettings(
        num_bands=80,
        window="hamming",
        window_length=1024,
        hop_length=256,
        fft_length=1024,
        log="natural",
        floor=1e-6,
        floor_by="add",
    ),
    LogMelSettings(num_bands=40, window_length=400, hop_length=160, fft_length=512, padding="reflect", floor=1e-4),
    FilterBankSettings(pre_emphasis=0.0, window="hamming", high_hz=8000.0, num_bands=26),
    SpectrogramSettings(fft_length=1600, window="hamming"),
    SpectrogramSettings(fft_length=640, num_bins=321, hop_length=333, floor=1e-6),
]
ALL = DEFAULTS + OTHERS


def name(settings) -> str:
    return settings.kind


# ---------------------------------------------------------------------------------------------------------------------
# The definitions, written for reading: float64, one value at a time where that can be waited for.


def plain_window(kind, length):
    alpha = {"rectangular": 1.0, "hann": 0.5, "hamming": 0.54}[kind]
    return np.array([alpha - (1 - alpha) * math.cos(2 * math.pi * n / length) for n in range(length)])


def plain_power(frames, fft_length):
    """(L, B) |sum_n x_n exp(-2 pi i k n / N)|²."""
    k, n = np.arange(fft_length // 2 + 1), np.arange(frames.shape[1])
    return np.abs(frames @ np.exp(-2j * np.pi * ((np.outer(n, k)) % fft_length) / fft_length)) ** 2


def centred_frames(samples, length, hop, padding):
    padded = np.pad(samples, length // 2, mode=padding)
    return np.stack([padded[t * hop : t * hop + length] for t in range(1 + len(samples) // hop)])


def filled_frames(samples, length, hop):
    count = 1 + max(0, math.ceil((len(samples) - length) / hop))
    padded = np.concatenate([samples, np.zeros(length + count * hop)])
    return np.stack([padded[t * hop : t * hop + length] for t in range(count)])


def slaney_mel(hz):
    return hz / (200 / 3) if hz < 1000 else 15 + 27 * math.log(hz / 1000) / math.log(6.4)


def slaney_hz(mel):
    return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)


def plain_slaney(num_bands, fft_length, low_hz, high_hz):
    low, high = slaney_mel(low_hz), slaney_mel(high_hz)
    edges = [slaney_hz(low + (high - low) * i / (num_bands + 1)) for i in range(num_bands + 2)]
    filters = np.zeros((num_bands, fft_length // 2 + 1))
    for m in range(num_bands):
        left, centre, right = edges[m : m + 3]
        for k in range(fft_length // 2 + 1):
            hz = k * 16_000 / fft_length
            if left < hz <= centre:
                filters[m, k] = (hz - left) / (centre - left) * 2 / (right - left)
            elif centre < hz < right:
                filters[m, k] = (right - hz) / (right - centre) * 2 / (right - left)
    return filters


def plain_htk(num_bands, fft_length, low_hz, high_hz):
    def mel(hz):
        return 2595 * math.log10(1 + hz / 700)

    mels = [mel(low_hz) + (mel(high_hz) - mel(low_hz)) * i / (num_bands + 1) for i in range(num_bands + 2)]
    corners = [math.floor((fft_length + 1) * 700 * (10 ** (m / 2595) - 1) / 16_000) for m in mels]
    filters = np.zeros((num_bands, fft_length // 2 + 1))
    for j in range(num_bands):
        left, centre, right = corners[j : j + 3]
        for k in range(left, centre):
            filters[j, k] = (k - left) / (centre - left)
        for k in range(centre, right):
            filters[j, k] = (right - k) / (right - centre)
    return filters


def plain_dct(num_coefficients, num_bands):
    table = np.zeros((num_coefficients, num_bands))
    for k in range(num_coefficients):
        for n in range(num_bands):
            scale = math.sqrt((1 if k == 0 else 2) / num_bands)
            table[k, n] = scale * math.cos(math.pi * k * (2 * n + 1) / (2 * num_bands))
    return table


def plain_mfcc(x, s):
    frames = centred_frames(x, s.fft_length, s.hop_length, s.padding) * plain_window("hann", s.fft_length)
    power = plain_slaney(s.num_bands, s.fft_length, s.low_hz, s.high_hz) @ plain_power(frames, s.fft_length).T
    decibels = 10 * np.log10(np.maximum(power, s.floor))
    return plain_dct(s.num_coefficients, s.num_bands) @ np.maximum(decibels, decibels.max() - s.top_db)


def plain_log_mel(x, s):
    frames = centred_frames(x, s.window_length, s.hop_length, s.padding) * plain_window(s.window, s.window_length)
    power = plain_slaney(s.num_bands, s.fft_length, s.low_hz, s.high_hz) @ plain_power(frames, s.fft_length).T
    floored = power + s.floor if s.floor_by == "add" else np.maximum(power, s.floor)
    return (np.log10 if s.log == "log10" else np.log)(floored)


def plain_filter_bank(x, s):
    emphasised = np.array([x[0]] + [x[t] - s.pre_emphasis * x[t - 1] for t in range(1, len(x))])
    frames = filled_frames(emphasised, s.window_length, s.hop_length) * plain_window(s.window, s.window_length)
    power = plain_power(frames, s.fft_length) / s.fft_length
    return np.log(np.maximum(plain_htk(s.num_bands, s.fft_length, s.low_hz, s.high_hz) @ power.T, s.floor))


def plain_spectrogram(x, s):
    frames = filled_frames(x, s.window_length, s.hop_length) * plain_window(s.window, s.window_length)
    decibels = 10 * np.log10(np.maximum(plain_power(frames, s.fft_length).T / s.fft_length, s.floor))
    return (decibels - decibels.max())[: s.num_bins]


def plain_mu_law(x, s):
    frames = filled_frames(np.concatenate([x, np.zeros(s.pad_end)]), s.window_length, s.hop_length)
    magnitude = np.sqrt(plain_power(frames * plain_window(s.window, s.window_length), s.fft_length).T)
    kept = magnitude[: s.num_bins]
    if s.scale == "max":
        scaled = kept / kept.max()
    elif s.scale == "minmax":
        scaled = 2 * (kept - kept.min()) / (kept.max() - kept.min()) - 1
    else:
        scaled = 2 * kept / magnitude.max() - 1
    return np.sign(scaled) * np.log(1 + s.mu * abs(scaled)) / np.log(1 + s.mu)


PLAIN = {
    "mu_law": plain_mu_law,
    "mfcc": plain_mfcc,
    "log_mel": plain_log_mel,
    "filter_bank": plain_filter_bank,
    "spectrogram": plain_spectrogram,
}
# float32 against float64. At 100 dB below the loudest bin, where spectrograms still show something, the rounding of a
# float32 transform is a hundredth of a decibel.
TOLERANCE = {"mu_law": 1e-3, "mfcc": 1e-3, "log_mel": 1e-4, "filter_bank": 2e-4, "spectrogram": 2e-2}

# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clips() -> torch.Tensor:
    """(3, 5000): a glide, noise that is a hundred times louder, and a quiet click."""
    t = np.arange(5_000) / 16_000
    rng = np.random.default_rng(3)
    glide = 0.01 * np.sin(2 * np.pi * (300 * t + 2_000 * t**2)) + 1e-4 * rng.standard_normal(5_000)
    click = 1e-3 * rng.standard_normal(5_000) * np.exp(-(((t - 0.1) / 0.02) ** 2)) + 1e-5 * rng.standard_normal(5_000)
    return torch.from_numpy(np.stack([glide, rng.standard_normal(5_000), click])).float()


def test_tables_equal_their_definitions_in_float64():
    for kind in ("hann", "hamming", "rectangular"):
        np.testing.assert_allclose(window_of(kind, 640).numpy(), plain_window(kind, 640), atol=1e-14)
    for bands, fft_length, low_hz, high_hz in ((128, 2048, 0.0, 8000.0), (40, 512, 50.0, 7000.0)):
        slaney = slaney_filters(bands, fft_length, 16_000, low_hz, high_hz).numpy()
        np.testing.assert_allclose(slaney, plain_slaney(bands, fft_length, low_hz, high_hz), atol=1e-13)
    for bands, fft_length, low_hz, high_hz in ((40, 1024, 0.0, 4000.0), (26, 512, 100.0, 8000.0)):
        htk = htk_filters(bands, fft_length, 16_000, low_hz, high_hz).numpy()
        np.testing.assert_allclose(htk, plain_htk(bands, fft_length, low_hz, high_hz), atol=1e-14)
    cosines = cosine_transform(128, 128)
    np.testing.assert_allclose(cosines[:26].numpy(), plain_dct(26, 128), atol=1e-14)
    np.testing.assert_allclose((cosines @ cosines.T).numpy(), np.eye(128), atol=1e-12)


@pytest.mark.parametrize("exportable", [False, True])
@pytest.mark.parametrize("settings", ALL, ids=name)
def test_equals_the_definition(clips, settings, exportable):
    features = build_front_end(settings, exportable=exportable)(clips)
    assert features.dtype == torch.float32
    for clip, found in zip(clips, features, strict=True):
        expected = PLAIN[settings.kind](clip.double().numpy(), settings)
        np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=TOLERANCE[settings.kind])


@pytest.mark.parametrize("exportable", [False, True])
@pytest.mark.parametrize(
    ("key", "settings", "length_s", "overlap_s", "tolerance"),
    [
        ("mfcc_1.8_1.6", MfccSettings(), 1.8, 1.6, 3e-4),
        ("mfcc_2_1", MfccSettings(), 2.0, 1.0, 3e-4),
        ("melspectrogram_2_1", LogMelSettings(), 2.0, 1.0, 3e-5),
        ("logfbank_2_1", FilterBankSettings(), 2.0, 1.0, 3e-5),
        ("spectrogram_2_1", SpectrogramSettings(), 2.0, 1.0, 2e-3),
        (
            "interspeech2018_2_1",
            MuLawSpectrogramSettings(window="rectangular", fft_length=3198, pad_end=0, scale="reference"),
            2.0,
            1.0,
            1e-4,
        ),
    ],
)
def test_equals_the_reference_front_ends(shared, key, settings, length_s, overlap_s, tolerance, exportable):
    with np.load(shared / "parity" / "features.npz") as reference:
        waveform, expected = torch.from_numpy(reference["wav"]), reference[key]
    segments = cut(waveform, SegmentSettings(length_s=length_s, overlap_s=overlap_s, reference_step=True))
    features = build_front_end(settings, exportable=exportable)(segments).numpy()
    if settings.kind == "filter_bank":
        expected = expected.transpose(0, 2, 1)  # the reference has time first
    np.testing.assert_allclose(features, expected, rtol=0, atol=tolerance)


def test_equals_librosa_where_it_is_installed(clips):
    librosa = pytest.importorskip("librosa", reason="needs the extra oracle")
    clip = clips[0].numpy()
    expected = librosa.feature.mfcc(y=clip, sr=16_000, n_mfcc=26)
    np.testing.assert_allclose(build_front_end(MfccSettings())(clips[:1])[0].numpy(), expected, rtol=0, atol=1e-3)
    power = librosa.feature.melspectrogram(y=clip, sr=16_000, n_fft=800, hop_length=400, n_mels=128)
    expected = np.log10(np.maximum(power, 1e-10))
    np.testing.assert_allclose(build_front_end(LogMelSettings())(clips[:1])[0].numpy(), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("exportable", [False, True])
@pytest.mark.parametrize("settings", ALL, ids=name)
@pytest.mark.parametrize("num_samples", [1_025, 1_536, 4_000, 4_001])
def test_says_its_shape_before(settings, exportable, num_samples):
    front_end = build_front_end(settings, exportable=exportable)
    assert front_end(torch.zeros(2, num_samples)).shape == (2, *front_end.shape(num_samples))


def test_shapes_of_the_spec():
    assert build_front_end(MfccSettings()).shape(28_800) == (26, 57)
    assert build_front_end(MfccSettings()).shape(32_000) == (26, 63)
    assert build_front_end(LogMelSettings()).shape(28_800) == (128, 73)
    assert build_front_end(LogMelSettings()).shape(32_000) == (128, 81)
    assert build_front_end(FilterBankSettings()).shape(32_000) == (40, 197)
    assert build_front_end(SpectrogramSettings()).shape(32_000) == (400, 197)
    assert build_front_end(MuLawSpectrogramSettings()).shape(32_000) == (400, 200)
    assert build_front_end(MuLawSpectrogramSettings(pad_end=0)).shape(32_000) == (400, 197)


def test_mu_law_of_the_spec():
    """F(0.5) = 0.8757, read off a spectrogram whose second frame has half of the magnitude of its first."""
    clip = torch.cat([torch.ones(640), 0.5 * torch.ones(640)]).unsqueeze(0)
    settings = MuLawSpectrogramSettings(hop_length=640, pad_end=0)
    found = build_front_end(settings)(clip)[0, 0]
    np.testing.assert_allclose(found.numpy(), [1.0, 0.8757], atol=1e-4)
    low = build_front_end(MuLawSpectrogramSettings(scale="minmax"))(0.01 * torch.randn(1, 5_000)).min()
    assert float(low) == pytest.approx(-1)


@pytest.mark.parametrize("settings", ALL, ids=name)
def test_a_clip_is_the_same_alone_and_beside_louder_ones(clips, settings):
    front_end = build_front_end(settings)
    many = torch.cat([clips] * 20)  # more than are computed at once
    together = front_end(many)
    alone = torch.cat([front_end(clip.unsqueeze(0)) for clip in clips])
    assert torch.equal(together, torch.cat([alone] * 20))
    assert torch.equal(front_end(many.flip(0)), together.flip(0))


@pytest.mark.parametrize("settings", DEFAULTS, ids=name)
def test_a_short_clip_and_silence_have_finite_features(settings):
    for waveforms in (torch.zeros(1, 5_000), torch.full((1, 1), 0.5), torch.zeros(1, 1)):
        front_end = build_front_end(settings)
        features = front_end(waveforms)
        assert features.shape == (1, *front_end.shape(waveforms.shape[1]))
        assert features.isfinite().all()


@pytest.mark.parametrize("settings", DEFAULTS, ids=name)
def test_no_clips_give_no_features(settings):
    front_end = build_front_end(settings)
    assert front_end(torch.zeros(0, 5_000)).shape == (0, *front_end.shape(5_000))


@pytest.mark.parametrize("settings", DEFAULTS, ids=name)
def test_takes_views_and_leaves_its_input_alone(settings):
    waveform = torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    before = waveform.clone()
    segments = waveform.unfold(0, 8_000, 1_000)
    front_end = build_front_end(settings)
    assert torch.equal(front_end(segments), front_end(segments.contiguous()))
    assert torch.equal(waveform, before)


@pytest.mark.parametrize("exportable", [False, True])
@pytest.mark.parametrize("settings", DEFAULTS, ids=name)
def test_has_nothing_to_store_or_train(settings, exportable):
    front_end = build_front_end(settings, exportable=exportable)
    assert not front_end.state_dict()
    assert not list(front_end.parameters())


@pytest.mark.parametrize("settings", DEFAULTS, ids=name)
def test_a_gradient_reaches_the_waveform(clips, settings):
    waveforms = clips.clone().requires_grad_()
    build_front_end(settings)(waveforms).square().mean().backward()
    assert waveforms.grad is not None
    assert waveforms.grad.isfinite().all()
    assert (waveforms.grad.abs().amax(dim=1) > 0).all()


@pytest.mark.parametrize("settings", DEFAULTS, ids=name)
def test_mixed_precision_around_it_changes_nothing(clips, settings):
    front_end = build_front_end(settings)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = front_end(clips)
    assert torch.equal(mixed, front_end(clips))


@pytest.mark.slow  # the exporter alone takes seconds
@pytest.mark.parametrize("settings", DEFAULTS, ids=name)
def test_can_be_exported_for_any_number_of_clips(clips, settings):
    front_end = build_front_end(settings, exportable=True)
    exported = torch.export.export(front_end, (clips,), dynamic_shapes=({0: torch.export.Dim("clips")},))
    operations = {str(node.target) for node in exported.graph.nodes if node.op == "call_function"}
    assert not any("fft" in operation or "stft" in operation or "complex" in operation for operation in operations)
    many = torch.cat([clips] * 3)
    expected = build_front_end(settings)(many)
    np.testing.assert_allclose(exported.module()(many).numpy(), expected.numpy(), atol=TOLERANCE[settings.kind], rtol=0)


@pytest.mark.gpu
@pytest.mark.parametrize("exportable", [False, True])
@pytest.mark.parametrize("settings", DEFAULTS, ids=name)
def test_cpu_and_gpu_agree(clips, settings, exportable):
    front_end = build_front_end(settings, exportable=exportable)
    on_cpu = front_end(clips)
    on_gpu = front_end.cuda()(clips.cuda()).cpu()
    np.testing.assert_allclose(on_gpu.numpy(), on_cpu.numpy(), rtol=0, atol=TOLERANCE[settings.kind])


class TestRefusals:
    @pytest.mark.parametrize("shape", [(5_000,), (1, 1, 5_000), (2, 0)])
    def test_other_shapes(self, shape):
        with pytest.raises(UsageError, match=r"takes \(N, T\) waveforms"):
            build_front_end(MfccSettings())(torch.zeros(shape))

    def test_too_short_to_reflect(self):
        front_end = build_front_end(MfccSettings(padding="reflect"))
        assert front_end(torch.zeros(1, 1_025)).isfinite().all()
        with pytest.raises(UsageError, match=r"too short to be reflected.*1024 samples.*more than 1024"):
            front_end(torch.zeros(1, 1_024))

    @pytest.mark.parametrize(
        "settings",
        [MfccSettings(fft_length=256), LogMelSettings(num_bands=400), FilterBankSettings(num_bands=200)],
        ids=name,
    )
    def test_bands_without_a_frequency(self, settings):
        with pytest.raises(SettingsError, match=r"mel bands hold no frequency.*Use fewer bands"):
            build_front_end(settings)

    @pytest.mark.parametrize(
        ("cls", "values", "message"),
        [
            (MfccSettings, {"num_coefficients": 129}, "num_coefficients must be at most num_bands"),
            (MfccSettings, {"low_hz": 4000, "high_hz": 4000}, "low_hz must be below high_hz"),
            (MfccSettings, {"high_hz": 9000}, "high_hz"),
            (MfccSettings, {"n_mels": 40}, "unknown key 'n_mels'"),
            (LogMelSettings, {"window_length": 1024}, "window_length must be at most fft_length"),
            (FilterBankSettings, {"pre_emphasis": 1.5}, "pre_emphasis"),
            (SpectrogramSettings, {"fft_length": 640}, "num_bins must be at most"),
        ],
    )
    def test_settings_that_cannot_be(self, cls, values, message):
        with pytest.raises(SettingsError, match=message):
            make_settings(cls, values)


class TestTable:
    def test_every_kind_of_settings_is_in_the_table_and_back(self):
        union = typing.get_args(typing.get_args(FrontEndSettings)[0])
        kinds = [cls.model_fields["kind"].default for cls in union]
        assert kinds == list(FRONT_ENDS)
        for cls in union:
            assert type(build_front_end(cls())) is FRONT_ENDS.resolve(cls.model_fields["kind"].default)

    def test_the_kind_chooses_the_settings(self):
        adapter = TypeAdapter(FrontEndSettings)
        assert adapter.validate_python({"kind": "log_mel", "num_bands": 40}) == LogMelSettings(num_bands=40)
        with pytest.raises(ValidationError, match="mfcc"):
            adapter.validate_python({"kind": "cqt"})


def test_many_frames_are_taken_in_blocks_without_a_seam(monkeypatch):
    clip = torch.randn(2, 5_000, generator=torch.Generator().manual_seed(0))
    front_end = build_front_end(LogMelSettings(hop_length=100))
    whole = front_end(clip)
    monkeypatch.setattr("serenade.signal.spectra._FRAMES_AT_ONCE", 7)
    torch.testing.assert_close(front_end(clip), whole, rtol=0, atol=1e-5)
