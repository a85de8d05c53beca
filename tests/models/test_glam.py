"""GLAM against the authors' tensors, its parameter counts, and its contract."""

import copy
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.models.plain_glam import plain_logits
from torch.nn import functional

from serenade.core.errors import UsageError
from serenade.models.glam import Glam, GlamNetworkSettings

# our modules in the order of the reference's
REFERENCE_NAMES = {
    "stem_a": "conv1a",
    "stem_a_norm": "bn1a",
    "stem_b": "conv1b",
    "stem_b_norm": "bn1b",
    "block1.norm": "conv2.bn",
    "block1": "conv2",
    "block2.norm": "conv3.bn",
    "block2": "conv3",
    "block3.norm": "conv4.bn",
    "block3": "conv4",
    "top_norm": "bn5",
    "top": "conv5",
    "fusion.norm": "gmlp.layers.0.fn.norm",
    "fusion.project_in": "gmlp.layers.0.fn.fn.fn.proj_in.0",
    "fusion.project_out": "gmlp.layers.0.fn.fn.fn.proj_out",
    "fusion.gate_norm": "gmlp.layers.0.fn.fn.fn.sgu.norm",
    "fusion.gate_weight": "gmlp.layers.0.fn.fn.fn.sgu.weight",
    "fusion.gate_bias": "gmlp.layers.0.fn.fn.fn.sgu.bias",
    "classifier": "fc",
}


def reference_name(name: str) -> str:
    for ours, theirs in REFERENCE_NAMES.items():
        if name == ours or name.startswith(ours + "."):
            return theirs + name[len(ours) :]
    raise KeyError(name)


@pytest.fixture
def reference(shared: Path) -> dict[str, torch.Tensor]:
    return load_file(shared / "parity" / "glam.safetensors")


@pytest.fixture
def network(reference: dict[str, torch.Tensor]) -> Glam:
    network = Glam(num_classes=4, height=26, width=57)
    own = network.state_dict()
    state = {name: reference[f"state.{reference_name(name)}"].reshape(own[name].shape) for name in own}
    network.load_state_dict(state)
    return network


def test_evaluation_logits_equal_the_authors(network: Glam, reference: dict[str, torch.Tensor]) -> None:
    with torch.inference_mode():
        logits = network.eval()(reference["x"])
    torch.testing.assert_close(logits, reference["logits_eval"], rtol=0, atol=1e-4)


def test_training_loss_gradients_and_statistics_equal_the_authors(
    network: Glam, reference: dict[str, torch.Tensor]
) -> None:
    logits = network.train()(reference["x"])
    loss = functional.cross_entropy(logits, reference["y"])
    loss.backward()
    torch.testing.assert_close(logits, reference["logits_train"], rtol=0, atol=1e-4)
    torch.testing.assert_close(loss, reference["loss_train"], rtol=0, atol=1e-4)
    largest = max(float(v) for k, v in reference.items() if k.startswith("grad_norm."))
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        expected = reference[f"grad_norm.{reference_name(name)}"]
        torch.testing.assert_close(parameter.grad.norm(), expected, rtol=1e-3, atol=1e-5 * largest, msg=name)
    for name, buffer in network.named_buffers():
        torch.testing.assert_close(
            buffer, reference[f"buffers_after.{reference_name(name)}"], rtol=1e-4, atol=1e-4, msg=name
        )


@pytest.mark.parametrize(("kernel", "width", "count"), [(3, 57, 904_078), (3, 63, 940_283), (5, 57, 904_142)])
def test_parameter_count_is_the_published_networks(kernel: int, width: int, count: int) -> None:
    network = Glam(4, 26, width, GlamNetworkSettings(stem_kernel=kernel))
    assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_gate_starts_at_tanh_of_one() -> None:
    network = Glam(4, 26, 57)
    assert torch.all(network.fusion.gate_bias == 1)
    assert float(network.fusion.gate_weight.detach().abs().max()) <= 1e-3 / 128


@pytest.mark.parametrize("change", [{"gate": "identity"}, {"multi_scale_relu": False}, {"fusion_relu": False}], ids=str)
def test_every_option_changes_the_output(change: dict[str, object]) -> None:
    torch.manual_seed(0)
    base = Glam(4, 26, 57).eval()
    other = Glam(4, 26, 57, GlamNetworkSettings.model_validate(change)).eval()
    other.load_state_dict(base.state_dict())
    x = torch.randn(2, 1, 26, 57, generator=torch.Generator().manual_seed(1))
    assert not torch.allclose(base(x), other(x))


def test_another_input_size_is_refused() -> None:
    with pytest.raises(UsageError, match=r"tied to its input size.*Expected: \(B, 1, 26, 57\)"):
        Glam(4, 26, 57)(torch.zeros(1, 1, 26, 63))


@pytest.mark.parametrize(("height", "width"), [(26, 57), (27, 63), (40, 200), (2, 4)])
def test_any_input_size_works(height: int, width: int) -> None:
    network = Glam(7, height, width).eval()
    assert network(torch.randn(2, 1, height, width)).shape == (2, 7)
    assert network.embed(torch.randn(2, 1, height, width)).shape == (2, network.embedding_dim)


def loss_and_gradients(network: Glam, logits: torch.Tensor) -> dict[str, torch.Tensor]:
    """The logits, the gradient of every parameter and the statistics kept, of one training step."""
    network.zero_grad()
    functional.cross_entropy(logits.double(), torch.arange(len(logits)) % logits.shape[1]).backward()
    gradients = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    return {"logits": logits.detach(), **gradients, **buffers}


def both_ways(
    network: Glam, x: torch.Tensor, *, autocast: bool = False
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """One training step of the network and one of the plain graph from the same state."""
    twin = copy.deepcopy(network)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        ours = network(x)
    return loss_and_gradients(network, ours), loss_and_gradients(twin, plain_logits(twin, x))


def relative_error(got: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], names: Iterable[str]) -> float:
    difference = torch.cat([(got[name].double() - expected[name].double()).flatten() for name in names])
    return float(difference.norm() / torch.cat([expected[name].double().flatten() for name in names]).norm())


def noise(batch: int, height: int = 26, width: int = 57) -> torch.Tensor:
    return torch.randn(batch, 1, height, width, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def network_at_start() -> Glam:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Glam(4, 26, 57)


@pytest.fixture
def drawn() -> Glam:
    """A network whose normalisations scale by both signs, as trained ones may."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Glam(4, 26, 57)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.normal_(module.weight)
                torch.nn.init.normal_(module.bias)
    return network


@pytest.mark.parametrize("channels_last", [False, True], ids=["channels_first", "channels_last"])
def test_training_step_equals_the_plain_graph_in_float64(drawn: Glam, channels_last: bool) -> None:
    network = drawn.double()
    if channels_last:
        network.to(memory_format=torch.channels_last)
    ours, plain = both_ways(network, noise(8).double())
    assert ours.keys() == plain.keys()
    for name, expected in plain.items():
        scale = float(expected.double().abs().max())
        torch.testing.assert_close(ours[name], expected, rtol=1e-9, atol=1e-10 * max(scale, 1e-3), msg=name)


@pytest.mark.parametrize("change", [{"gate": "identity"}, {"multi_scale_relu": False}, {"fusion_relu": False}], ids=str)
def test_training_step_equals_the_plain_graph_with_every_option(change: dict[str, object]) -> None:
    network = Glam(4, 26, 30, GlamNetworkSettings.model_validate(change)).double()
    ours, plain = both_ways(network, noise(2, 26, 30).double())
    assert relative_error(ours, plain, plain) < 1e-10


def test_training_step_is_near_the_plain_graph_in_float32(drawn: Glam) -> None:
    """The few gradients that go another way where two values tie within rounding decide the tolerance."""
    ours, plain = both_ways(drawn.to(memory_format=torch.channels_last), noise(8))
    torch.testing.assert_close(ours["logits"], plain["logits"], rtol=0, atol=1e-4)
    assert relative_error(ours, plain, dict(drawn.named_parameters())) < 5e-3


def test_training_step_is_near_the_plain_graph_in_bfloat16(network_at_start: Glam) -> None:
    ours, plain = both_ways(network_at_start.to(memory_format=torch.channels_last), noise(8), autocast=True)
    torch.testing.assert_close(ours["logits"].float(), plain["logits"], rtol=0, atol=0.05)
    assert relative_error(ours, plain, dict(network_at_start.named_parameters())) < 0.1


@pytest.mark.parametrize("batch", [1, 9])
def test_evaluation_equals_the_plain_graph(drawn: Glam, batch: int) -> None:
    network = drawn.eval()
    with torch.inference_mode():
        x = noise(batch)
        torch.testing.assert_close(network(x), plain_logits(network, x), rtol=0, atol=1e-5)


def test_statistics_without_momentum_are_the_average_over_batches(drawn: Glam) -> None:
    for module in drawn.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    network = drawn.double()
    twin = copy.deepcopy(network)
    for batch in (2, 3):
        network(noise(batch).double())
        plain_logits(twin, noise(batch).double())
    for (name, ours), plain in zip(network.named_buffers(), twin.buffers(), strict=True):
        torch.testing.assert_close(ours, plain, msg=name)
