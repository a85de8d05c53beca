"""Engines: the frames of every other engine are those of torch in float32, within the precision it has."""

from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers", reason="needs the extra ssl")

from tests.models.checkpoints import WAVEFORM, write_checkpoint, write_text_checkpoint

from serenade.core.errors import UsageError
from serenade.models.upstreams.engines import ENGINES, EngineName, EngineUpstream, engines_for, with_engine
from serenade.models.upstreams.upstream import Frames, Upstream, pad_waveforms
from serenade.systems.upstreams import named_upstream

LENGTHS = (6000, 400, 2719)
# relative norm of the difference to float32
TOLERANCES: dict[EngineName, float] = {
    "float32": 0.0,
    "bfloat16": 0.03,
    "onnxruntime": 1e-5,
    "openvino": 1e-5,
    "openvino-bf16": 0.03,
}


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SERENADE_CACHE", str(tmp_path / "cache"))


def opened(name: str, folder: Path) -> Upstream:
    if name == "bert":
        write_text_checkpoint(folder, name)
    else:  # torch 2.13 gives wrong grouped convolutions in bfloat16 of few channels, as these would be
        write_checkpoint(folder, name, **({} if name == "whisper" else {"num_conv_pos_embedding_groups": 1}))
    return named_upstream(folder)


def inputs(upstream: Upstream) -> tuple[torch.Tensor, torch.Tensor]:
    if upstream.modality == "text":
        return pad_waveforms([upstream.prepare_text(text) for text in ("I am so happy !", "no")])
    generator = torch.Generator().manual_seed(0)
    return pad_waveforms([upstream.prepare(torch.randn(n, generator=generator), 16000) for n in LENGTHS])


def assert_parity(upstream: Upstream, engine: EngineName) -> None:
    batch = inputs(upstream)
    with torch.inference_mode():
        expected = upstream(*batch)  # also: what a batch leaves behind must not reach the export
        other = with_engine(upstream, engine)
        found = other(*batch)
        again = upstream(*batch)
    assert torch.equal(found.lengths, expected.lengths)
    assert len(found.layers) == upstream.num_layers
    for layer, reference, unchanged in zip(found.layers, expected.layers, again.layers, strict=True):
        assert layer.shape == reference.shape
        assert layer.dtype == torch.float32
        assert (layer - reference).norm() <= TOLERANCES[engine] * reference.norm()
        assert torch.equal(reference, unchanged)
    assert other.identity() == upstream.identity()
    assert (other.dim, other.frame_rate, other.modality) == (upstream.dim, upstream.frame_rate, upstream.modality)


@pytest.mark.parametrize("name", ["wav2vec2-base", "hubert-large"])
def test_bfloat16_is_near(name: str, tmp_path: Path) -> None:
    assert_parity(opened(name, tmp_path), "bfloat16")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*WAVEFORM, "whisper", "bert"])
def test_engines_agree_with_torch(name: str, tmp_path: Path) -> None:
    for package in ("onnxscript", "onnxruntime", "openvino"):
        pytest.importorskip(package)
    upstream = opened(name, tmp_path)
    for engine in ENGINES:
        assert_parity(upstream, engine)


def test_engine_that_gives_other_frames_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream = opened("hubert-base", tmp_path)

    class Wrong(EngineUpstream):
        def forward(self, waveforms: torch.Tensor, lengths: torch.Tensor) -> Frames:
            found = upstream(waveforms, lengths)
            return Frames(tuple(1.3 * layer for layer in found.layers), found.lengths)

    monkeypatch.setattr("serenade.models.upstreams.engines._Bfloat16", Wrong)
    with pytest.raises(UsageError, match=r"bfloat16 gives wrong frames for the hubert upstream\. Found: 30 % away"):
        with_engine(upstream, "bfloat16")


@pytest.mark.slow
def test_file_is_exported_once(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    upstream = opened("wav2vec2-large", tmp_path)
    with_engine(upstream, "onnxruntime")
    (file,) = (tmp_path / "cache" / "engines").glob("*.onnx")
    written = file.stat().st_mtime_ns
    with_engine(upstream, "onnxruntime")
    assert file.stat().st_mtime_ns == written


def test_upstreams_without_weights_have_one_engine(tmp_path: Path) -> None:
    assert engines_for(named_upstream("mfcc")) == ("float32",)
    assert with_engine(named_upstream("mfcc"), "float32").kind == "mfcc"
    with pytest.raises(UsageError, match="no weights: it has no engine but float32"):
        with_engine(named_upstream("mfcc"), "bfloat16")
    found = engines_for(opened("hubert-base", tmp_path))
    assert found[:2] == ("float32", "bfloat16")
    assert set(found) <= set(ENGINES)
