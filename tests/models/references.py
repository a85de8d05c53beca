"""Reading the authors' tensors into our networks."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

# our modules in the trunk shared by three networks, in the order of the reference's
TRUNK = {
    "trunk.tall_norm": "bn1a",
    "trunk.tall": "conv1a",
    "trunk.wide_norm": "bn1b",
    "trunk.wide": "conv1b",
    **{f"trunk.convolutions.{i}": f"conv{i + 2}" for i in range(4)},
    **{f"trunk.norms.{i}": f"bn{i + 2}" for i in range(4)},
}


def read(shared: Path, name: str) -> dict[str, Tensor]:
    return load_file(shared / "parity" / f"{name}.safetensors")


def renamed(name: str, names: Mapping[str, str]) -> str:
    """The reference's name of one of our weights."""
    for ours in sorted(names, key=len, reverse=True):
        if name == ours or name.startswith(f"{ours}."):
            return names[ours] + name[len(ours) :]
    raise KeyError(name)


def fill(network: nn.Module, fetch: Callable[[str], Tensor]) -> None:
    """Load every weight and buffer of a network from what `fetch` gives for its name."""
    own = network.state_dict()
    network.load_state_dict({name: fetch(name).reshape(own[name].shape) for name in own})


def check_evaluation(network: nn.Module, reference: Mapping[str, Tensor], tolerance: float) -> None:
    network.eval()
    dtype = next(network.parameters()).dtype
    with torch.inference_mode():
        logits = network(reference["x"].to(dtype))
    torch.testing.assert_close(logits.float(), reference["logits_eval"], rtol=tolerance, atol=tolerance)


def check_training(
    network: nn.Module, reference: Mapping[str, Tensor], gradient: Callable[[str], Tensor], tolerance: float
) -> None:
    """Logits, loss, gradient norms and running statistics of one pass in training mode.

    Args:
        network: ours, with the reference's weights and no dropout.
        reference: the tensors.
        gradient: our gradient of a weight by the reference's name, as left on the network.
        tolerance: relative and absolute.
    """
    network.train()
    logits = network(reference["x"])
    loss = functional.cross_entropy(logits, reference["y"])
    loss.backward()
    torch.testing.assert_close(logits, reference["logits_train"], rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(loss, reference["loss_train"], rtol=tolerance, atol=tolerance)
    for key, norm in reference.items():
        if key.startswith("grad_norm."):
            ours = gradient(key.removeprefix("grad_norm.")).norm()
            # a bias before batch normalisation has no gradient but rounding, of about 1e-5
            torch.testing.assert_close(ours, norm, rtol=1e-3, atol=1e-4, msg=lambda text, key=key: f"{key}: {text}")
