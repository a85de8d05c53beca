"""The compact upstream: frames, padding, its folder, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from serenade.core.errors import AudioError, CheckpointError, UsageError
from serenade.models.upstreams.checkpoint import open_upstream
from serenade.models.upstreams.masked_mel import (
    LogMelPairs,
    MaskedMelSettings,
    MaskedMelUpstream,
    MaskedPredictor,
    read_heard,
    save_masked_mel,
)
from serenade.models.upstreams.upstream import pad_waveforms

TINY = MaskedMelSettings(
    num_bands=20, width=16, num_blocks=2, num_heads=2, feed_forward=32, position_kernel=5, position_groups=4
)


def tiny_upstream() -> MaskedMelUpstream:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        upstream = MaskedMelUpstream(TINY).eval()
    upstream.encoder.mean.fill_(-4.0)
    upstream.encoder.deviation.fill_(3.0)
    return upstream


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_masked_mel(tmp_path, tiny_upstream().encoder, TINY)
    return tmp_path


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (559, 0), (560, 1), (879, 1), (880, 2), (16000, 49)])
def test_frames_of_so_many_samples(samples: int, frames: int) -> None:
    upstream = tiny_upstream()
    assert int(upstream.num_frames(torch.tensor(samples))) == frames
    if frames:
        found = upstream(torch.randn(1, samples), torch.tensor([samples]))
        assert found.last.shape == (1, frames, 16)
        assert len(found.layers) == upstream.num_layers == 3
    assert upstream.frame_rate == 50


def test_steps_are_pairs_of_log_mel_as_computed_step_by_step() -> None:
    waveform = 0.1 * torch.randn(2000, generator=torch.Generator().manual_seed(0))
    pairs = LogMelPairs(20)
    steps = pairs(waveform[None])[0].numpy()
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    for place in range(len(steps)):
        for half in (0, 1):
            start = 320 * place + 160 * half
            power = np.abs(np.fft.rfft(waveform[start : start + 400].numpy() * window, 512)) ** 2
            mels = np.log(pairs.filters.numpy() @ power + 1e-6)
            assert np.allclose(steps[place, 20 * half : 20 * half + 20], mels, atol=1e-3)
    assert len(steps) == (2000 - 560) // 320 + 1


@settings(max_examples=15)
@given(st.lists(st.integers(560, 9000), min_size=1, max_size=4), st.integers(0, 3000))
def test_an_utterance_has_the_same_frames_alone_and_in_any_batch(lengths: list[int], more: int) -> None:
    upstream = tiny_upstream()
    generator = torch.Generator().manual_seed(sum(lengths))
    waveforms = [0.1 * torch.randn(n, generator=generator) for n in lengths]
    batch, counts = pad_waveforms(waveforms)
    batch = torch.nn.functional.pad(batch, (0, more), value=0.7)  # what stands beyond the end does not count
    for row, n in enumerate(lengths):
        batch[row, n:] = 0.7
    with torch.no_grad():
        together = upstream(batch, counts)
        for row, waveform in enumerate(waveforms):
            alone = upstream(waveform[None], torch.tensor([len(waveform)]))
            for one, other in zip(alone.layers, together.layers, strict=True):
                length = one.shape[1]
                assert torch.allclose(one[0], other[row, :length], atol=2e-5)
                assert not other[row, length:].any()


def test_padding_does_not_touch_masked_prediction() -> None:
    torch.manual_seed(0)
    network = MaskedPredictor(TINY, 7).eval()
    mels = torch.randn(1, 12, 40)
    masked = torch.zeros(1, 12, dtype=torch.bool)
    masked[0, 3:6] = True
    long = torch.cat([mels, torch.full((1, 9, 40), 50.0)], dim=1)
    with torch.no_grad():
        alone = network(mels, torch.tensor([12]), masked)
        padded = network(long, torch.tensor([12]), torch.nn.functional.pad(masked, (0, 9)))
    for one, other in zip(alone, padded, strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    assert alone[0].shape == (3, 7)


def test_masked_steps_are_not_seen() -> None:
    torch.manual_seed(0)
    network = MaskedPredictor(TINY, 7).eval()
    mels = torch.randn(1, 12, 40)
    masked = torch.zeros(1, 12, dtype=torch.bool)
    masked[0, 3:6] = True
    other = mels.clone()
    other[0, 3:6] += 5
    with torch.no_grad():
        scores, _, truth = network(mels, torch.tensor([12]), masked)
        changed, _, new_truth = network(other, torch.tensor([12]), masked)
    assert torch.equal(scores, changed)
    assert torch.allclose(new_truth - truth, torch.full_like(truth, 5.0), atol=1e-5)


def test_every_parameter_learns() -> None:
    network = MaskedPredictor(TINY, 7)
    masked = torch.zeros(2, 12, dtype=torch.bool)
    masked[:, 3:6] = True
    scores, mels, _ = network(torch.randn(2, 12, 40), torch.tensor([12, 9]), masked)
    (scores.square().mean() + mels.square().mean()).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


def test_a_folder_gives_the_same_upstream_back(folder: Path) -> None:
    opened = open_upstream(folder)
    assert isinstance(opened, MaskedMelUpstream)
    assert not opened.training
    waveform = 0.1 * torch.randn(1, 4000)
    lengths = torch.tensor([4000])
    with torch.no_grad():
        assert torch.equal(opened(waveform, lengths).last, tiny_upstream()(waveform, lengths).last)
    assert opened.identity() == tiny_upstream().identity()
    save_masked_mel(folder, MaskedMelUpstream(TINY).encoder, TINY)
    assert open_upstream(folder).identity() != opened.identity()


def test_what_is_no_such_upstream_is_refused(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    name = next(iter(weights))
    save_file({k: v for k, v in weights.items() if k != name}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=f"such as {name}"):
        open_upstream(folder)
    save_file({**weights, "more": torch.zeros(1)}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="such as more"):
        open_upstream(folder)
    save_file({**weights, name: torch.full_like(weights[name], float("nan"))}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="not finite"):
        open_upstream(folder)
    save_file(weights, folder / "model.safetensors")
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:-100])
    with pytest.raises(CheckpointError, match="damaged or cut short"):
        open_upstream(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "format": 9}))
    with pytest.raises(CheckpointError, match="another version of Serenade"):
        open_upstream(folder)
    (folder / "config.json").write_text(json.dumps({**config, "network": {"width": 15, "num_heads": 2}}))
    with pytest.raises(CheckpointError, match="describes no network"):
        open_upstream(folder)


def test_recordings_it_cannot_take_are_refused() -> None:
    upstream = tiny_upstream()
    with pytest.raises(UsageError, match="at least 560 samples"):
        upstream.prepare(torch.zeros(559), 16000)
    with pytest.raises(AudioError, match="not finite"):
        upstream.prepare(torch.full((9000,), float("nan")), 16000)
    silence = upstream(torch.zeros(1, 9000), torch.tensor([9000]))
    assert bool(silence.last.isfinite().all())


def test_an_upstream_that_cannot_say_what_it_heard_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be told what this upstream was pretrained on"):
        read_heard(folder)
    (folder / "pretraining.json").write_text('{"heard": {"speakers": {"ab": 2}}}')
    with pytest.raises(CheckpointError, match="cannot be told"):
        read_heard(folder)
    (folder / "pretraining.json").write_text('{"heard": {"speakers": {"ab": 2}, "recordings": {}, "unknown": 0}}')
    heard = read_heard(folder)
    assert heard is not None
    assert heard.speakers == {"ab": 2}
    (folder / "config.json").write_text('{"model_type": "hubert"}')
    assert read_heard(folder) is None
