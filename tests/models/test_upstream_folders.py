"""Checkpoint folders: whole ones in all their forms are read, anything else is refused with the reason."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

pytest.importorskip("transformers", reason="needs the extra ssl")

from tests.models.checkpoints import make_network, write_checkpoint

from serenade.core.errors import CheckpointError
from serenade.models.upstreams.checkpoint import open_upstream

WEIGHTS = "model.safetensors"
WEIGHT_NORM = "encoder.pos_conv_embed.conv.parametrizations.weight.original"


def assert_holds(folder: Path, network: Any) -> None:
    """A folder opens as an upstream with exactly the weights of a network."""
    found = open_upstream(folder).network.state_dict()
    for name, value in network.state_dict().items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=0)


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS)


def set_config(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_pretrained_model_with_its_quantiser_is_read(tmp_path: Path) -> None:
    network = write_checkpoint(tmp_path, "wav2vec2-base", "ForPreTraining")
    assert_holds(tmp_path, network.wav2vec2)


def test_whispers_decoder_is_left_aside(tmp_path: Path) -> None:
    network = write_checkpoint(tmp_path, "whisper", "ForConditionalGeneration")
    assert_holds(tmp_path, network.model.encoder)


def test_old_file_with_old_names_in_half_precision_is_read(tmp_path: Path) -> None:
    network = write_checkpoint(tmp_path, "hubert-base")
    old = {f"{WEIGHT_NORM}0": "encoder.pos_conv_embed.conv.weight_g"}
    old |= {f"{WEIGHT_NORM}1": "encoder.pos_conv_embed.conv.weight_v"}
    weights = {f"hubert.{old.get(name, name)}": value.half() for name, value in network.state_dict().items()}
    (tmp_path / WEIGHTS).unlink()
    torch.save(weights, tmp_path / "pytorch_model.bin")
    assert_holds(tmp_path, network.half().float())
    assert {value.dtype for value in open_upstream(tmp_path).parameters()} == {torch.float32}


def test_shards_are_read(tmp_path: Path) -> None:
    network = write_checkpoint(tmp_path, "wavlm-base")
    (tmp_path / WEIGHTS).unlink()
    network.save_pretrained(tmp_path, max_shard_size="6KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    assert_holds(tmp_path, network)
    next(tmp_path.glob("model-*.safetensors")).unlink()
    with pytest.raises(CheckpointError, match="the file is missing, damaged or cut short"):
        open_upstream(tmp_path)


@pytest.mark.parametrize("head", ["ForCTC", "ForSequenceClassification"])
def test_fine_tuned_models_are_refused(head: str, tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "wav2vec2-base", head)
    with pytest.raises(CheckpointError, match=rf"fine-tuned for .*Found: Wav2Vec2{head}.*only pretrained"):
        open_upstream(tmp_path)
    set_config(tmp_path, architectures=["Wav2Vec2Model"])  # the weights tell it too
    with pytest.raises(CheckpointError, match=r"fine-tuned for .*Found: the weight (lm_head|classifier)"):
        open_upstream(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: {k: v for k, v in w.items() if "layers.1.feed_forward" not in k}, "4 missing, such as enc"),
        (lambda w: w | {"encoder.layers.7.bias": torch.zeros(3)}, r"1 without a place, such as encoder\.lay"),
        (lambda w: w | {"feature_projection.projection.bias": torch.zeros(3)}, "1 of another shape, such as feature_p"),
        (lambda w: w | {"feature_projection.projection.bias": torch.full((16,), torch.nan)}, "1 not finite, such as f"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_are_refused(change: Any, message: str, tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "wavlm-base")
    rewrite(tmp_path, change)
    with pytest.raises(CheckpointError, match=rf"do not fit the network.*Found: {message}"):
        open_upstream(tmp_path)


@pytest.mark.parametrize("size", [0, 130, 20_000])
@pytest.mark.parametrize("name", [WEIGHTS, "pytorch_model.bin"])
def test_file_cut_short_is_refused(name: str, size: int, tmp_path: Path) -> None:
    network = write_checkpoint(tmp_path, "hubert-base")
    if name != WEIGHTS:
        (tmp_path / WEIGHTS).unlink()
        torch.save(network.state_dict(), tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    assert len(whole) > size
    (tmp_path / name).write_bytes(whole[:size])
    with pytest.raises(CheckpointError, match=r"cut short: .*Fetch it again"):
        open_upstream(tmp_path)


def test_folders_that_are_no_upstream_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"there is no such folder: .*nowhere"):
        open_upstream(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match=r"no checkpoint: it has no config\.json"):
        open_upstream(tmp_path)
    write_checkpoint(tmp_path, "data2vec-audio")
    (tmp_path / WEIGHTS).rename(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match=r"holds no weights.*model\.safetensors or pytorch_model\.bin"):
        open_upstream(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"does not say whether waveforms are normalised"):
        open_upstream(tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(CheckpointError, match=r"it has no preprocessor_config\.json.*take it from where"):
        open_upstream(tmp_path)
    set_config(tmp_path, model_type="gpt2")
    with pytest.raises(
        CheckpointError, match=r"no known upstream.*Found: model_type 'gpt2'\. Expected: one of wav2vec2"
    ):
        open_upstream(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json cannot be read"):
        open_upstream(tmp_path)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("hubert-base", {"sampling_rate": None}, r"names no sample rate.*sampling_rate = None"),
        (
            "whisper",
            {"feature_size": 128},
            r"another checkpoint than config.json.*Found: 128 bands.*Expected: 80 bands",
        ),
        ("whisper", {"chunk_length": 10}, r"Found: 80 bands of 10 s\. Expected: 80 bands of 30 s"),
        ("whisper", {"hop_length": 0}, r"preprocessor_config\.json"),
    ],
)
def test_preparations_that_do_not_fit_are_refused(
    name: str, change: dict[str, object], message: str, tmp_path: Path
) -> None:
    write_checkpoint(tmp_path, name)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError, match=message):
        open_upstream(tmp_path)


def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path) -> None:
    network = write_checkpoint(tmp_path, "hubert-base")
    (tmp_path / WEIGHTS).unlink()
    for other in ({"model": network.state_dict(), "epoch": 3}, [1, 2]):
        torch.save(other, tmp_path / "pytorch_model.bin")
        with pytest.raises(CheckpointError, match="other things than weights"):
            open_upstream(tmp_path)


def test_settings_that_describe_no_network_are_refused(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, "hubert-large")
    set_config(tmp_path, conv_kernel=[10, 3])
    with pytest.raises(CheckpointError, match=r"config\.json describes no network"):
        open_upstream(tmp_path)
    write_checkpoint(
        tmp_path / "adapter", "wav2vec2-large", add_adapter=True, num_adapter_layers=1, output_hidden_size=16
    )
    with pytest.raises(CheckpointError, match="has an adapter"):
        open_upstream(tmp_path / "adapter")


def test_drawn_weights_differ_from_network_to_network() -> None:
    one, other = make_network("hubert-base"), make_network("wavlm-base")
    assert not torch.equal(one.feature_projection.projection.weight, other.feature_projection.projection.weight)
