"""What every network keeps to: shapes, gradients, independence of the batch, saving, exporting."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from serenade.models import MODELS
from serenade.models.aacnn import Aacnn, AacnnNetworkSettings, AreaSettings
from serenade.models.apcnn import Apcnn, OneLayerCnn
from serenade.models.glam import Glam
from serenade.models.hand_crafted import EmoEmbs, LfLstm, LfTrans, Mult, SequenceNetwork, SequenceSettings
from serenade.models.mesm import Fe2e, Frames, Mesm
from serenade.models.mesm_settings import Fe2eSettings, MesmSettings, Modality
from serenade.models.mhcnn import Mhcnn
from serenade.models.mtl_aug import CnnBlstm
from serenade.models.ss_aae import AaeClassifier

CLASSES = 5


class OneTensor(nn.Module):
    """A network of words, faces and sound as one of a single tensor (B, 8, 32, 16): two faces, three pieces each."""

    SIZES = Fe2eSettings(
        text_dim=16,
        face_shape=(2, 16, 16),
        audio_shape=(1, 32, 16),
        channels=(4, 6, 8, 10),
        branch_dim=8,
        num_layers=1,
        feed_forward=16,
        dropout=0,
    )

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        count = len(x)
        faces = x[:, 1:5, :16].reshape(2 * count, 2, 16, 16)
        pieces = x[:, 5:8].reshape(3 * count, 1, 32, 16)
        scores: Tensor = self.network(
            text=x[:, 0, 0],
            face=Frames(faces, torch.full((count,), 2)),
            audio=Frames(pieces, torch.full((count,), 3)),
        )
        return scores


class OneSequence(nn.Module):
    """A network of sequences of words, sound and face as one of a single tensor (B, 3, 4, 10): four rows of each."""

    WIDTHS: Mapping[Modality, int] = {"text": 10, "audio": 10, "face": 10}

    def __init__(self, network: SequenceNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        lengths = torch.full((len(x),), x.shape[2])
        scores: Tensor = self.network({n: Frames(x[:, i].flatten(0, 1), lengths) for i, n in enumerate(self.WIDTHS)})
        return scores


def sequences(network: type[SequenceNetwork], **settings: Any) -> tuple[nn.Module, Tensor]:
    sizes = SequenceSettings.model_validate({"dropout": 0, "num_layers": 1, "feed_forward": 16, "width": 8} | settings)
    return OneSequence(network(CLASSES, OneSequence.WIDTHS, sizes)), torch.randn(3, 3, 4, 10)


# A small one of each, and an input it takes. A new model: one line here.
MAKERS: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    "glam": lambda: (Glam(CLASSES, 26, 57), torch.randn(3, 1, 26, 57)),
    "mhcnn": lambda: (Mhcnn(CLASSES, 26, 63), torch.randn(3, 1, 26, 63)),
    "aacnn": lambda: (
        Aacnn(CLASSES, 26, 63, AacnnNetworkSettings(area=AreaSettings(dropout=0))),
        torch.randn(3, 1, 26, 63),
    ),
    "apcnn": lambda: (Apcnn(CLASSES), torch.randn(3, 1, 60, 70)),
    "one-layer": lambda: (OneLayerCnn(CLASSES, 10, 2), torch.randn(3, 1, 40, 50)),
    "cnn-blstm": lambda: (CnnBlstm(CLASSES, 26), torch.randn(3, 1, 26, 57)),
    "ss-aae": lambda: (AaeClassifier(CLASSES, 26), torch.randn(3, 1, 26, 57)),
    "fe2e": lambda: (OneTensor(Fe2e(CLASSES, OneTensor.SIZES)), torch.randn(3, 8, 32, 16)),
    "mesm": lambda: (
        OneTensor(Mesm(CLASSES, MesmSettings(shared=OneTensor.SIZES, mask_gradient="straight_through"))),
        torch.randn(3, 8, 32, 16),
    ),
    "lf-lstm": lambda: sequences(LfLstm),
    "lf-trans": lambda: sequences(LfTrans),
    "emoembs": lambda: sequences(EmoEmbs),
    "mult": lambda: sequences(Mult),
}
# Networks of frames whose number varies from utterance to utterance are not exported as one graph.
RAGGED = {"fe2e", "mesm", "lf-lstm", "lf-trans", "emoembs", "mult"}
# As published, read at the last step also on the way back, which begins there and has no state before it.
AT_LAST = {"lf-lstm", "emoembs"}
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}  # another batch size adds in another order, in single precision


def make(name: str, seed: int = 0) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(seed)
    return MAKERS[name]()


every_model = pytest.mark.parametrize("name", MODELS)


def test_every_model_has_a_maker() -> None:
    assert set(MAKERS) == set(MODELS)


@every_model
def test_scores_have_a_row_per_input_and_a_column_per_class(name: str) -> None:
    model, inputs = make(name)
    logits = model(inputs)
    assert logits.shape == (len(inputs), CLASSES)
    assert logits.dtype == torch.float32
    assert torch.isfinite(logits).all()


@every_model
def test_first_argument_is_the_number_of_classes(name: str) -> None:
    assert next(iter(inspect.signature(MODELS.resolve(name)).parameters)) == "num_classes"


@every_model
def test_every_parameter_gets_a_finite_gradient(name: str) -> None:
    model, inputs = make(name)
    model(inputs).square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        assert parameter.grad.abs().max() > 0 or (name in AT_LAST and key.endswith("weight_hh_l0_reverse")), key


@every_model
def test_input_alone_and_in_a_batch_is_scored_alike(name: str) -> None:
    model, inputs = make(name)
    model(inputs)  # moves the running statistics away from where they start
    model.eval()
    with torch.inference_mode():
        together = model(inputs)
        for place in range(len(inputs)):
            torch.testing.assert_close(model(inputs[place : place + 1])[0], together[place], **TOLERANCE)


@every_model
def test_same_seed_same_network(name: str) -> None:
    first, second, other = (make(name, seed)[0].state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


@every_model
def test_weights_come_back_from_a_file(name: str, tmp_path: Path) -> None:
    model, inputs = make(name, 1)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    copy, _ = make(name, 2)
    copy.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    with torch.inference_mode():
        assert torch.equal(copy.eval()(inputs), model.eval()(inputs))


@every_model
def test_forward_leaves_its_input_alone(name: str) -> None:
    model, inputs = make(name)
    before = inputs.clone()
    model(inputs)
    assert torch.equal(inputs, before)


@pytest.mark.parametrize("name", [name for name in MODELS if name not in RAGGED])
@pytest.mark.slow
@pytest.mark.filterwarnings(r"ignore:The tensor attributes .*_flat_weights:UserWarning")  # of every torch LSTM
def test_exported_graph_says_the_same(name: str) -> None:
    model, inputs = make(name)
    model.eval()
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(model, (inputs,), dynamic_shapes=({0: batch},))
    other = torch.cat([inputs, inputs.flip(0)])
    with torch.inference_mode():
        torch.testing.assert_close(program.module()(other), model(other), **TOLERANCE)
