"""Explanations against plain slow versions, and what is refused."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.inference.conftest import noise
from torch import Tensor, nn

from serenade.core.errors import AudioError, MissingExtraError, UnknownNameError, UsageError
from serenade.core.labels import LabelSet
from serenade.inference import METHODS
from serenade.inference.attribution import Segments, gradcam, integrated_gradients, occlusion
from serenade.inference.explanation import Explainer
from serenade.inference.recognizer import Recognizer
from serenade.nn.attention_maps import over_input
from serenade.signal.normaliser import Normaliser, NormaliserSettings
from serenade.systems import make_system
from serenade.training.segment_system import SegmentNetwork

LABELS = LabelSet(("angry", "happy", "sad"))
SMALL = {
    "front_end": {"kind": "mfcc", "num_coefficients": 9},
    "segments": {"length_s": 0.5, "overlap_s": 0.3},
}
SPECTROGRAM = {
    "front_end": {"kind": "mu_law", "num_bins": 48, "fft_length": 640, "pad_end": 0},
    "segments": {"length_s": 0.6, "overlap_s": 0.3},
}

Record = Callable[..., Path]


def explainer(name: str = "glam", **settings: object) -> Explainer:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        system = make_system(name, {**SMALL, **settings}, LABELS)
    system.network.eval().requires_grad_(False)
    return Explainer(system)


@pytest.fixture(scope="module")
def glam() -> Explainer:
    return explainer()


@pytest.fixture(scope="module")
def pooling() -> Explainer:
    return explainer("attention_pooling", **SPECTROGRAM)


def test_answer_is_that_of_the_recognizer(glam: Explainer, record: Record) -> None:
    file = record("a.wav", 1.7)
    explanation = glam(file, method="attention")
    expected = Recognizer(glam._system)(file)
    assert explanation.prediction == expected
    assert explanation.target == expected.label
    logits = np.log(explanation.curve.probabilities)
    logits -= logits[:, :1]  # a softmax forgets what is common to all classes
    mean = np.exp(logits.mean(0)) / np.exp(logits.mean(0)).sum()
    # the recording's score is the mean of its segments' logits, each known but for a constant
    np.testing.assert_allclose(mean, list(expected.scores.values()), rtol=1e-4)


def test_stretch_is_explained_as_a_recording_of_its_own(glam: Explainer, record: Record) -> None:
    samples = noise(3.0)
    whole = record("a.wav", samples)
    part = record("b.wav", samples[16_000:32_000])
    found = glam(whole, start_s=1.0, end_s=2.0, method="attention")
    expected = glam(part, method="attention")
    assert found.prediction.scores == pytest.approx(expected.prediction.scores, rel=1e-5)
    assert (found.prediction.start_s, found.prediction.end_s) == (1.0, 2.0)
    assert found.span_s == (1.0, 2.0)
    assert found.curve.spans_s[0] == pytest.approx((1.0, 1.5))
    np.testing.assert_allclose(found.overlays[0].values, expected.overlays[0].values, rtol=1e-4)
    assert "of the stretch from 1 s to 2 s alone" in found.notes[0]


def test_long_recording_is_shown_in_part_and_says_so(
    glam: Explainer, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serenade.inference.explanation.MOST_S", 2.0)
    file = record("long.wav", 3.5)
    whole = glam(file, method="attention")
    assert whole.span_s == (0.0, 2.0)
    assert whole.prediction.end_s == 3.5
    assert "0 s to 2 s of 3.5 s" in whole.notes[0]
    part = glam(file, start_s=1.0, method="attention")
    assert part.span_s == (1.0, 3.0)
    assert "No more than 2 s" in part.notes[0]


def test_overlapping_segments_are_averaged(pooling: Explainer) -> None:
    samples = torch.from_numpy(noise(1.4))
    explanation = pooling(samples, 16_000, target="sad")
    system = pooling._system
    segments = [samples[start : start + 9600] for start in (0, 4800, 9600)]  # 0.6 s every 0.3 s
    columns: dict[int, list[Tensor]] = {}
    with torch.inference_mode():
        for number, segment in enumerate(segments):
            features = system.front_end(segment[None])
            maps = system.network.body.attention_maps(features[:, None])
            for frame, values in enumerate(over_input(maps["product"].values[:, 2:3], 48, 57)[0, 0, 0].T):
                columns.setdefault(30 * number + frame, []).append(values)  # 10 ms hop
    shown = explanation.overlays[2]
    assert shown.name == "product"
    for column in range(shown.values.shape[1]):
        if column in columns:
            expected = torch.stack(columns[column]).mean(0).numpy()
            np.testing.assert_allclose(shown.values[:, column], expected, rtol=1e-4, atol=1e-9)
        else:
            assert np.isnan(shown.values[:, column]).all()


def test_maps_of_attention_pooling_follow_the_class(pooling: Explainer, record: Record) -> None:
    file = record("a.wav", 1.0)
    one, other = pooling(file, target="angry"), pooling(file, target="happiness")
    assert [o.name for o in one.overlays] == ["bottom_up", "top_down", "product"]
    assert other.target == "happy"
    same = [
        np.array_equal(a.values, b.values, equal_nan=True) for a, b in zip(one.overlays, other.overlays, strict=True)
    ]
    assert same == [True, False, False]
    assert one.sound is None
    assert one.features.axis == "Hz"
    assert list(one.features.ticks.values()) == ["0", "500", "1000"]


def test_short_recording_shows_only_what_was_recorded(pooling: Explainer) -> None:
    explanation = pooling(noise(0.25), 16_000)
    assert 0.2 < explanation.features.span_s[1] <= 0.27
    assert np.isfinite(explanation.overlays[0].values).all()


@pytest.mark.parametrize("method", ["attention", "integrated-gradients", "gradcam", "occlusion"])
def test_every_method_stays_finite_on_next_to_nothing(glam: Explainer, method: str) -> None:
    pytest.importorskip("captum")
    samples = np.zeros(16_000, dtype=np.float32)
    samples[8000] = 0.01
    explanation = glam(samples, 16_000, method=method)
    assert explanation.overlays
    for overlay in explanation.overlays:
        covered = ~np.isnan(explanation.features.values[0])
        assert np.isfinite(overlay.values[:, covered]).all()
        assert overlay.values.shape == explanation.features.values.shape


def test_auto_takes_attention_where_there_is_some(glam: Explainer, pooling: Explainer, record: Record) -> None:
    pytest.importorskip("captum")
    file = record("a.wav", 0.8)
    assert pooling(file).method == "attention"
    beside = glam(file)
    assert beside.method == "attention and gradcam"  # its gates know no classes
    assert beside.overlays[0].name == "gradcam"
    none = explainer("attention_pooling", **SPECTROGRAM, network={"head": "gap"})
    assert none(file).method == "integrated-gradients"


def test_even_map_is_called_so(glam: Explainer, record: Record) -> None:
    even = {o.name: "ALL BUT EVEN" in o.meaning for o in glam(record("a.wav", 0.8), method="attention").overlays}
    assert even["gate-time"]  # of drawn weights
    assert not even["update-time"]


def test_system_without_segments_is_explained_by_silencing(record: Record) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        system = make_system("baseline", {}, LABELS)
    whole = Explainer(system)
    generator = torch.Generator().manual_seed(0)
    for weight in (*system.network.parameters(), *system.network.buffers()):
        if weight.is_floating_point():
            weight.data = torch.randn(weight.shape, generator=generator).abs() / 10 + 0.5
    explanation = whole(record("a.wav", 1.0), target="sad")
    assert explanation.method == "occlusion"
    (overlay,) = explanation.overlays
    assert overlay.values.shape == (1, explanation.features.values.shape[1])
    assert len(np.unique(overlay.values)) <= 4  # a second in quarters
    with pytest.raises(UsageError, match="needs a network that scores segments"):
        whole(record("b.wav", 1.0), method="gradcam")


def test_what_cannot_be_done_is_refused(glam: Explainer, record: Record) -> None:
    file = record("a.wav", 1.0)
    with pytest.raises(UsageError, match=r"no class 'angr'.*Did you mean 'angry'"):
        glam(file, target="angr")
    with pytest.raises(UnknownNameError, match="Did you mean 'integrated-gradients'"):
        glam(file, method="integrated-gradient")
    with pytest.raises(UsageError, match="stretch is empty"):
        glam(file, start_s=0.5, end_s=0.5)
    with pytest.raises(AudioError, match=r"span does not lie"):
        glam(file, start_s=5.0)
    with pytest.raises(UsageError, match="after the end"):
        glam(noise(1.0), 16_000, start_s=5.0)
    with pytest.raises(UsageError, match="sample rate"):
        glam(noise(1.0), start_s=0.1)
    gap = explainer("attention_pooling", **SPECTROGRAM, network={"head": "gap"})
    with pytest.raises(UsageError, match=r"no attention to show.*integrated-gradients"):
        gap(file, method="attention")


def test_silence_and_too_short_a_sound_are_refused_as_in_prediction(glam: Explainer, record: Record) -> None:
    for name, samples in (("silent.wav", np.zeros(16_000)), ("short.wav", 0.1 * np.ones(500))):
        file = record(name, samples)
        with pytest.raises(AudioError) as expected:
            Recognizer(glam._system)(file)
        with pytest.raises(AudioError) as found:
            glam(file)
        assert str(found.value) == str(expected.value)
    half = record("half.wav", np.concatenate([noise(1.0), np.zeros(16_000, np.float32)]))
    with pytest.raises(AudioError, match=r"half\.wav"):
        glam(half, start_s=1.2)


def test_missing_captum_names_the_extra(glam: Explainer, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum", None)
    file = record("a.wav", 0.8)
    with pytest.raises(MissingExtraError, match=r"serenade\[explain\]"):
        glam(file, method="gradcam")
    alone = glam(file)
    assert alone.method == "attention"
    assert any("same for every class" in note for note in alone.notes)


class Linear(nn.Module):
    """Scores are weighted sums of the features."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(1)))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("nfl,kfl->nk", x[:, 0], self.weights)


def linear_segments() -> tuple[Segments, Tensor]:
    body = Linear()
    network = SegmentNetwork(Normaliser(NormaliserSettings(kind="none"), 4), body).eval()
    features = torch.randn(11, 4, 6, generator=torch.Generator().manual_seed(2))
    baseline = features.mean(dim=(0, 2)).unsqueeze(1)
    done: list[int] = []
    expected = body.weights[2].detach() * (features - baseline)
    return Segments(network, features, 2, baseline, done.append), expected


def test_integrated_gradients_of_a_linear_network_are_weight_times_difference() -> None:
    pytest.importorskip("captum")
    segments, expected = linear_segments()
    (maps,) = integrated_gradients(segments)
    torch.testing.assert_close(maps.values, expected, rtol=1e-4, atol=1e-5)


def test_occlusion_of_a_linear_network_is_the_sum_of_a_patch() -> None:
    pytest.importorskip("captum")
    segments, expected = linear_segments()  # patches are 1 x 1 here
    (maps,) = occlusion(segments)
    torch.testing.assert_close(maps.values, expected, rtol=1e-4, atol=1e-5)


def test_integrated_gradients_add_up_to_the_difference_of_scores(glam: Explainer) -> None:
    pytest.importorskip("captum")
    network = glam._system.network
    features = 5 * torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(0))
    baseline = features.mean(dim=(0, 2)).unsqueeze(1)
    (maps,) = integrated_gradients(Segments(network, features, 1, baseline, lambda _: None))
    difference = (network(features) - network(baseline.expand(1, 9, 16)))[:, 1]
    torch.testing.assert_close(maps.values.sum(dim=(1, 2)), difference, rtol=0.05, atol=0.01)


def test_gradcam_is_the_weighted_sum_of_cells(glam: Explainer) -> None:
    pytest.importorskip("captum")
    network, body = glam._system.network, glam._system.network.body
    features = 5 * torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(0))
    (maps,) = gradcam(Segments(network, features, 1, features[0, :, :1], lambda _: None))
    cells = body.cells(network.normaliser(features)[:, None]).detach().requires_grad_()
    body.scores_of_cells(cells)[:, 1].sum().backward()
    assert cells.grad is not None
    raised = (cells.grad.mean(dim=(2, 3), keepdim=True) * cells).sum(1, keepdim=True).relu().detach()
    torch.testing.assert_close(maps.values, over_input(raised, 9, 16, 2)[:, 0].mean(1), rtol=1e-4, atol=1e-7)


def test_progress_counts_every_segment(glam: Explainer) -> None:
    seen: list[tuple[int, int]] = []
    explanation = glam(noise(2.5), 16_000, method="attention", progress=lambda total, done: seen.append((total, done)))
    assert {total for total, _ in seen} == {len(explanation.curve.spans_s)}
    assert sum(done for _, done in seen) == len(explanation.curve.spans_s)


def test_methods_are_those_of_the_command() -> None:
    from serenade.app.commands import explain

    offered = explain.explain.__annotations__["method"].__metadata__[0].metavar.split("|")
    assert offered == ["auto", *METHODS]


def windowed(name: str, frames: int = 40) -> Explainer:
    """A system of windows of 0.64 s, its normaliser fitted."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        values = {"window_frames": frames}
        system = make_system(name, values, LABELS)
        system.network.normaliser.fit([system.extract(torch.from_numpy(noise(2.0)), training=False)["audio"]])
    system.network.eval().requires_grad_(False)
    return Explainer(system)


@pytest.mark.parametrize("name", ["mtl_aug", "ss_aae"])
def test_windows_are_put_together_to_the_whole_and_attention_is_that_of_each(name: str) -> None:
    made = windowed(name)
    assert made.attends
    samples = noise(2.1)  # 132 frames: three windows, and one that is aligned with the end
    explanation = made(samples, 16_000)
    assert explanation.method == "attention and gradcam"
    whole = made._system.front_end(torch.from_numpy(samples)[None])[0]
    shown = explanation.features.values
    np.testing.assert_allclose(shown, whole[:, : shown.shape[1]], atol=1e-4)
    (attended,) = [overlay for overlay in explanation.overlays if overlay.name == "attention"]
    body, normaliser = made._system.network.body, made._system.network.normaliser
    with torch.no_grad():
        weights = body.attention_maps(normaliser(whole[None, :, :40]).unsqueeze(1))["attention"].values
    assert float(weights.sum()) == pytest.approx(1.0, abs=1e-5)
    first = over_input(weights, 80, 40)[0, 0, 0]
    np.testing.assert_allclose(attended.values[:, :40], first, atol=1e-6)


def test_a_recording_of_one_window_is_explained_by_gradients_too() -> None:
    made = windowed("mtl_aug")
    samples = noise(0.4)
    maps = made(samples, 16_000, method="integrated-gradients")
    assert maps.overlays[0].values.shape == maps.features.values.shape
    assert np.isfinite(maps.overlays[0].values).all()
    assert np.abs(maps.overlays[0].values).max() > 0
