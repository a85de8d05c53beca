"""The state of a training run after an epoch, in one file that is replaced whole."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from serenade.core.files import write_bytes

__all__ = ["TrainingState", "optimiser_tensors", "read_state", "restore_optimiser", "write_state"]


@dataclass(frozen=True, slots=True)
class TrainingState:
    """All that the next epoch depends on.

    Args:
        key: names the run (system, settings, seed, data); a state of another run is ignored.
        epochs: history, one entry per finished epoch.
        chosen_epoch: best epoch so far, 1-based.
        weights: of the network after the last finished epoch.
        chosen_weights: of the best epoch so far.
        optimiser: tensors of the optimiser by parameter and name.
        average: moving average of the weights; empty where none is kept.
    """

    key: str
    epochs: tuple[Mapping[str, Any], ...]
    chosen_epoch: int
    weights: Mapping[str, Tensor]
    chosen_weights: Mapping[str, Tensor]
    optimiser: Mapping[str, Tensor]
    average: Mapping[str, Tensor]


def write_state(path: Path, state: TrainingState) -> None:
    """Replace the state file.

    Raises:
        StorageError: the disk is full or refuses.
    """
    groups = {
        "weights": state.weights,
        "chosen": state.chosen_weights,
        "optimiser": state.optimiser,
        "average": state.average,
    }
    tensors = {
        f"{group}/{name}": tensor.detach().cpu().contiguous()
        for group, entries in groups.items()
        for name, tensor in entries.items()
    }
    about = {"key": state.key, "epochs": list(state.epochs), "chosen_epoch": state.chosen_epoch}
    write_bytes(path, save(tensors, metadata={"state": json.dumps(about)}))


def read_state(path: Path, key: str) -> TrainingState | None:
    """The state of the run named by `key`; None where there is none, it is damaged, or it is of another run."""
    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["state"])
            if about["key"] != key:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (FileNotFoundError, SafetensorError, json.JSONDecodeError, KeyError, TypeError):
        return None
    groups: dict[str, dict[str, Tensor]] = {"weights": {}, "chosen": {}, "optimiser": {}, "average": {}}
    for name, tensor in tensors.items():
        group, _, rest = name.partition("/")
        groups[group][rest] = tensor
    return TrainingState(
        key=key,
        epochs=tuple(about["epochs"]),
        chosen_epoch=about["chosen_epoch"],
        weights=groups["weights"],
        chosen_weights=groups["chosen"],
        optimiser=groups["optimiser"],
        average=groups["average"],
    )


def optimiser_tensors(network: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's tensors, named by the parameter they belong to."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {
        f"{names[id(parameter)]}:{key}": value
        for parameter, entries in optimiser.state.items()
        for key, value in entries.items()
        if isinstance(value, Tensor)  # without momentum, SGD keeps None
    }


def restore_optimiser(network: nn.Module, optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimiser_tensors`."""
    parameters = dict(network.named_parameters())
    for name, tensor in tensors.items():
        owner, _, key = name.rpartition(":")
        parameter = parameters[owner]
        same_shape = tensor.shape == parameter.shape
        restored = torch.empty_like(parameter).copy_(tensor) if same_shape and tensor.dim() else tensor.clone()
        optimiser.state[parameter][key] = restored
