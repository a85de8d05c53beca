"""GLAM's ablations: published parameter counts, the authors' tensors, and that each computes what it says."""

from pathlib import Path

import pytest
import torch
from tests.models.references import check_evaluation, check_training, fill, read, renamed
from torch.nn import functional

from serenade.core.errors import UsageError
from serenade.models.glam import Glam, GlamNetworkSettings, GlobalAwareBlock, SingleScaleBlock, StemGate

ABLATIONS = [
    ({"stem_kernel": 5}, 904_142),
    ({"fusion": "none"}, 686_820),
    ({"fusion": "none", "stem_kernel": 5}, 686_884),
    ({"block": "single_3"}, 818_062),
    ({"block": "single_5"}, 990_094),
    ({"block": "no_shortcut"}, 904_078),
    ({"fusion": "heads"}, 879_076),
    ({"fusion": "area"}, 686_820),
    ({"fusion": "attentive"}, 962_682),
    ({"stem": "mixed"}, 904_110),
    ({"stem": "gated"}, 699_652),
]


def build(changes: dict[str, object], *, classes: int = 4, height: int = 26, width: int = 57) -> Glam:
    return Glam(classes, height, width, GlamNetworkSettings.model_validate(changes))


@pytest.mark.parametrize(("changes", "count"), ABLATIONS, ids=str)
def test_parameter_count_is_that_of_the_released_class(changes: dict[str, object], count: int) -> None:
    assert sum(parameter.numel() for parameter in build(changes).parameters()) == count


@pytest.mark.parametrize(("changes", "count"), ABLATIONS, ids=str)
def test_every_ablation_trains_and_scores_alone_as_in_a_batch(changes: dict[str, object], count: int) -> None:
    torch.manual_seed(0)
    network = build(changes, classes=5, height=20, width=33)
    x = torch.randn(3, 1, 20, 33)
    network(x).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name
    network.eval()
    with torch.inference_mode():
        together = network(x)
        assert network.embed(x).shape == (3, network.embedding_dim)
        for place in range(3):
            torch.testing.assert_close(network(x[place : place + 1])[0], together[place], rtol=1e-4, atol=1e-4)


def test_multi_scale_only_is_the_authors(shared: Path) -> None:
    reference = read(shared, "glam_multiscale_only")
    names = {
        **{f"stem_{side}": f"conv1{side}" for side in "ab"},
        **{f"stem_{side}_norm": f"bn1{side}" for side in "ab"},
        **{f"block{i}": f"conv{i + 1}" for i in (1, 2, 3)},
        **{f"block{i}.norm": f"conv{i + 1}.bn" for i in (1, 2, 3)},
        "top": "conv5",
        "top_norm": "bn5",
        "classifier": "fc",
    }
    network = build({"fusion": "none"})
    fill(network, lambda name: reference[f"state.{renamed(name, names)}"])
    check_evaluation(network, reference, 1e-4)
    gradients = {renamed(name, names): p for name, p in network.named_parameters()}
    check_training(network, reference, lambda name: gradients[name].grad, 1e-4)


def test_single_scale_block_adds_its_input_twice() -> None:
    block = SingleScaleBlock(3, 5, relu=False).double().eval()
    x = torch.randn(2, 3, 6, 7, dtype=torch.float64)
    block.norm.running_mean.fill_(0.5)
    wanted = functional.conv2d(x, block.conv.weight, block.conv.bias, padding=2)
    wanted[:, :3] += x
    wanted[:, 3:] += x
    torch.testing.assert_close(block(x), (wanted - 0.5) / (1 + 1e-5) ** 0.5)


def test_no_shortcut_is_multi_scale_without_its_input() -> None:
    torch.manual_seed(0)
    with_input, without = build({}).double().eval(), build({"block": "no_shortcut"}).double().eval()
    without.load_state_dict(with_input.state_dict())
    x = torch.randn(2, 64, 13, 14, dtype=torch.float64)
    scale = 1 / (1 + 1e-5) ** 0.5
    before = [
        torch.cat([block.conv3(x), block.conv5(x)], dim=1) + shortcut
        for block, shortcut in (
            (with_input.block3, torch.cat([x, x], dim=1)),
            (without.block3, torch.zeros(1).double()),
        )
    ]
    torch.testing.assert_close(with_input.block3(x), functional.relu(before[0] * scale))
    torch.testing.assert_close(without.block3(x), functional.relu(before[1] * scale))


def test_attention_is_added_to_the_gate() -> None:
    torch.manual_seed(0)
    block = GlobalAwareBlock(6, 5, attention=True).double()
    x = torch.randn(2, 6, 5, dtype=torch.float64)
    normed = block.norm(x)
    value, gate = functional.gelu(normed @ block.project_in.weight.T + block.project_in.bias).chunk(2, dim=-1)
    gate = torch.einsum("rs,bsw->brw", block.gate_weight, block.gate_norm(gate)) + block.gate_bias[:, None]
    q, k, v = (normed @ block.attention.qkv.weight.T).chunk(3, dim=-1)
    attended = ((q @ k.transpose(1, 2)) / 8).softmax(dim=-1) @ v
    gate = gate + attended @ block.attention.out.weight.T + block.attention.out.bias
    wanted = x + (torch.tanh(gate) * value) @ block.project_out.weight.T + block.project_out.bias
    torch.testing.assert_close(block(x), wanted)


def test_stem_gate_mixes_channels_of_the_second_branch() -> None:
    gate = StemGate(4, 6).double()
    a, b = torch.randn(2, 2, 4, 2, 3, dtype=torch.float64)
    mixed = torch.einsum("cd,bdn->bcn", gate.weight, functional.layer_norm(b.flatten(2), (6,))) + 1
    torch.testing.assert_close(gate(a, b), torch.tanh(mixed).reshape(a.shape) * a)


def test_gated_stem_needs_twice_the_height() -> None:
    with pytest.raises(UsageError, match="at least 4 x 4"):
        build({"stem": "gated"}, height=3, width=57)
