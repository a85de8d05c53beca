"""Upstreams: the library's own numbers, exact under padding, frame arithmetic, limits."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="needs the extra ssl")

from tests.models.checkpoints import WAVEFORM, write_checkpoint

from serenade.core.errors import AudioError, UsageError
from serenade.models.upstreams.checkpoint import ARCHITECTURES, open_upstream
from serenade.models.upstreams.upstream import Upstream, pad_waveforms

NAMES = [*WAVEFORM, "whisper"]
every_upstream = pytest.mark.parametrize("name", NAMES)
LENGTHS = (4000, 400, 2719, 2720)  # 12, 1, 8 and 8 frames


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    """Name to folder and the library's network, all made once."""
    root = tmp_path_factory.mktemp("upstreams")
    return {name: (root / name, write_checkpoint(root / name, name)) for name in NAMES}


def speech(samples: int, seed: int = 0) -> torch.Tensor:
    """Noise with a mean and an envelope of its own."""
    noise = torch.randn(samples, generator=torch.Generator().manual_seed(seed))
    return 0.3 * (1 + seed) * noise * torch.linspace(0.2, 1, samples) + 0.1 * seed


def batch(upstream: Upstream, *more: int) -> list[torch.Tensor]:
    return [upstream.prepare(speech(samples, seed), 16000) for seed, samples in enumerate((*LENGTHS, *more))]


def library_layers(name: str, network: Any, waveform: torch.Tensor) -> list[torch.Tensor]:
    """Every layer of one utterance from the library, with its own preparation of the waveform."""
    import transformers

    if name == "whisper":
        extractor = transformers.WhisperFeatureExtractor(feature_size=80)
        prepared = extractor(waveform.numpy(), sampling_rate=16000, return_tensors="pt").input_features
        found = network.encoder(prepared, output_hidden_states=True)
        frames = -(-len(waveform) // 320)
    else:
        extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
        prepared = extractor(waveform.numpy(), sampling_rate=16000, return_tensors="pt").input_values
        found = network(prepared, output_hidden_states=True)
        frames = found.last_hidden_state.shape[1]
    return [layer[0, :frames] for layer in (*found.hidden_states[:-1], found.last_hidden_state)]


def test_every_architecture_is_tested(checkpoints: dict[str, tuple[Path, Any]]) -> None:
    speech_kinds = {kind for kind, architecture in ARCHITECTURES.items() if architecture.modality == "speech"}
    assert {open_upstream(folder).kind for folder, _ in checkpoints.values()} == speech_kinds


@every_upstream
def test_single_utterance_has_the_librarys_layers(name: str, checkpoints: dict[str, tuple[Path, Any]]) -> None:
    folder, network = checkpoints[name]
    upstream = open_upstream(folder)
    waveform = speech(3000, 2)
    with torch.inference_mode():
        found = upstream(*pad_waveforms([upstream.prepare(waveform, 16000)]))
        expected = library_layers(name, network, waveform)
    assert len(found.layers) == len(expected) == upstream.num_layers
    for layer, other in zip(found.layers, expected, strict=True):
        assert layer.shape == (1, len(other), upstream.dim)
        torch.testing.assert_close(layer[0], other, rtol=1e-5, atol=1e-5)
    assert found.last is found.layers[-1]


@every_upstream
def test_padded_batch_gives_what_each_utterance_alone_gives(
    name: str, checkpoints: dict[str, tuple[Path, Any]]
) -> None:
    upstream = open_upstream(checkpoints[name][0])
    drawn = np.random.default_rng(sum(map(ord, name))).integers(400, 9000, 3).tolist()
    utterances = batch(upstream, *drawn)
    waveforms, lengths = pad_waveforms(utterances)
    waveforms = torch.nn.functional.pad(waveforms, (0, 1500))
    waveforms[0, lengths[0] :] = 7.0  # what stands in the padding does not count
    with torch.inference_mode():
        together = upstream(waveforms, lengths)
        assert together.lengths.tolist() == upstream.num_frames(lengths).tolist()
        for row, utterance in enumerate(utterances):
            alone = upstream(*pad_waveforms([utterance]))
            frames = int(together.lengths[row])
            for layer, other in zip(together.layers, alone.layers, strict=True):
                torch.testing.assert_close(layer[row, :frames], other[0], rtol=1e-5, atol=1e-5)
                assert (layer[row, frames:] == 0).all()


@every_upstream
def test_threads_do_not_disturb_each_other(name: str, checkpoints: dict[str, tuple[Path, Any]]) -> None:
    """Each goes through one network with batches of its own lengths; all begin together and meet in the middle."""
    upstream = open_upstream(checkpoints[name][0])
    batches = [
        pad_waveforms([upstream.prepare(speech(3000 + 700 * place + 400 * n, place + n), 16000) for n in range(2)])
        for place in range(4)
    ]
    with torch.inference_mode():
        alone = [upstream(*batch).layers[-1] for batch in batches]
    start = threading.Barrier(len(batches))
    network: Any = upstream.network

    def meet(*_: object) -> None:
        start.wait(timeout=60)

    network.register_forward_pre_hook(meet)

    def compute(batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        with torch.inference_mode():
            last: torch.Tensor = upstream(*batch).layers[-1]
        return last

    with ThreadPoolExecutor(len(batches)) as pool:
        together = list(pool.map(compute, batches))
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["wav2vec2-base", "hubert-base", "wavlm-base"])
def test_librarys_rule_lets_the_padding_in(name: str, checkpoints: dict[str, tuple[Path, Any]]) -> None:
    upstream = open_upstream(checkpoints[name][0], padding="library")
    utterances = batch(upstream)
    with torch.inference_mode():
        together = upstream(*pad_waveforms(utterances)).last[2, :8]
        alone = upstream(*pad_waveforms([utterances[2]])).last[0]
        library = checkpoints[name][1](pad_waveforms(utterances)[0]).last_hidden_state[2, :8]
    torch.testing.assert_close(together, library, rtol=1e-5, atol=1e-5)
    assert (together - alone).norm() > 0.05 * alone.norm()


def test_large_models_end_with_their_final_normalisation(checkpoints: dict[str, tuple[Path, Any]]) -> None:
    folder, network = checkpoints["hubert-large"]
    upstream = open_upstream(folder)
    prepared = upstream.prepare(speech(3000), 16000)
    with torch.inference_mode():
        last = upstream(*pad_waveforms([prepared])).last[0]
        before = network(prepared[None], output_hidden_states=True).hidden_states[-1][0]
        torch.testing.assert_close(last, network.encoder.layer_norm(before), rtol=1e-5, atol=1e-5)
        assert (last - before).norm() > 0.1 * before.norm()


def test_number_of_frames_is_the_closed_form(checkpoints: dict[str, tuple[Path, Any]]) -> None:
    upstream = open_upstream(checkpoints["wav2vec2-base"][0])
    assert (upstream.hop_length, upstream.least_samples, upstream.frame_rate) == (320, 400, 50)
    told = {399: 0, 400: 1, 719: 1, 720: 2, 16000: 49, 80000: 249}
    assert upstream.num_frames(torch.tensor(list(told))).tolist() == list(told.values())
    samples = torch.arange(20_000)
    expected = torch.where(samples < 400, 0, (samples - 400) // 320 + 1)
    assert torch.equal(upstream.num_frames(samples), expected)


@pytest.mark.parametrize("normalise", [True, False])
def test_waveforms_are_normalised_where_the_folder_says_so(normalise: bool, tmp_path: Path) -> None:
    import transformers

    write_checkpoint(tmp_path, "hubert-base")
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=normalise)
    extractor.save_pretrained(tmp_path)
    waveform = speech(5000, 3)
    prepared = open_upstream(tmp_path).prepare(waveform, 16000)
    expected = extractor(waveform.numpy(), sampling_rate=16000, return_tensors="np").input_values[0]
    np.testing.assert_allclose(prepared.numpy(), expected, rtol=1e-4, atol=1e-5)
    assert bool(abs(prepared.mean()) < 1e-5) == normalise


def test_constant_waveform_stays_finite(checkpoints: dict[str, tuple[Path, Any]]) -> None:
    for folder, _ in checkpoints.values():
        upstream = open_upstream(folder)
        silence = upstream.prepare(torch.zeros(2000), 16000)
        with torch.inference_mode():
            assert upstream(*pad_waveforms([silence, batch(upstream)[0]])).last.isfinite().all()


@pytest.mark.parametrize(
    ("name", "samples", "rate", "message"),
    [
        ("wav2vec2-base", 399, 16000, r"shorter than one frame.*Found: 399 samples.*Expected: at least 400 samples"),
        ("wav2vec2-base", 199, 8000, r"shorter than one frame.*Found: 398 samples"),
        ("whisper", 0, 16000, r"shorter than one frame of the whisper upstream"),
        ("whisper", 480001, 16000, r"longer than the whisper upstream takes.*at most 480000 samples \(30 s\)\. Cut"),
    ],
)
def test_what_an_upstream_cannot_take_is_refused(
    name: str, samples: int, rate: int, message: str, checkpoints: dict[str, tuple[Path, Any]]
) -> None:
    with pytest.raises(UsageError, match=message):
        open_upstream(checkpoints[name][0]).prepare(torch.zeros(samples), rate)


def test_other_sample_rates_are_resampled(tmp_path: Path) -> None:
    network = write_checkpoint(tmp_path, "hubert-base")
    assert network is not None
    upstream = open_upstream(tmp_path)
    steps = torch.arange(16000) / 16000
    tone = torch.sin(2 * torch.pi * 440 * steps)
    for rate in (8000, 44100):
        given = torch.sin(2 * torch.pi * 440 * torch.arange(rate) / rate)
        found = upstream.prepare(given, rate)
        assert len(found) == 16000
        expected = upstream.prepare(tone, 16000)
        assert (found - expected)[500:-500].abs().max() < 0.01


def test_samples_that_are_no_numbers_are_refused(checkpoints: dict[str, tuple[Path, Any]]) -> None:
    upstream = open_upstream(checkpoints["wavlm-base"][0])
    waveform = speech(4000)
    waveform[7] = float("nan")
    with pytest.raises(AudioError, match="not finite"):
        upstream.prepare(waveform, 16000)
    with pytest.raises(UsageError, match=r"takes one channel\. Found: \(2, 4000\)"):
        upstream.prepare(torch.zeros(2, 4000), 16000)


@pytest.mark.parametrize("name", ["wav2vec2-base", "wavlm-large"])
def test_nothing_is_masked_or_skipped_in_training(name: str, tmp_path: Path) -> None:
    no_dropout = {"hidden_dropout": 0, "attention_dropout": 0, "activation_dropout": 0, "feat_proj_dropout": 0}
    write_checkpoint(tmp_path, name, layerdrop=1.0, mask_time_prob=1.0, mask_feature_prob=1.0, **no_dropout)
    upstream = open_upstream(tmp_path)
    with torch.inference_mode():
        evaluated, trained = (upstream.train(mode)(*pad_waveforms(batch(upstream))) for mode in (False, True))
    assert len(trained.layers) == upstream.num_layers
    torch.testing.assert_close(trained.last, evaluated.last)
