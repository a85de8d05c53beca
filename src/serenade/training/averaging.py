"""Averages of weights: a moving one over the steps, and the plain mean of the best epochs."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from serenade.core.errors import CheckpointError
from serenade.core.files import write_bytes

__all__ = ["PUBLISHED_EPOCHS", "BestEpochs", "WeightAverage", "mean_of_states"]

PUBLISHED_EPOCHS = 5
"""How many of the best epochs the self-supervised experiments average (ICASSP 2022)."""


class WeightAverage:
    """An exponential moving average: steadier scores from epoch to epoch than the weights themselves.

    ``average <- decay * average + (1 - decay) * weights`` after every step, buffers of normalisation included.

    The decay of step t is ``min(decay, (1 + t) / (10 + t))``, so that the first steps do not hold the average back
    (Tarvainen and Valpola, 2017, use the same ramp). With decay 0 the average is the weights themselves.

    Args:
        network: whose weights are averaged.
        decay: share of the past, in [0, 1).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network, self.decay, self.steps = network, decay, 0
        self.tensors = _copies(network.state_dict()) if decay else {}

    def update(self) -> None:
        """Take in the weights after a step."""
        if not self.decay:
            return
        self.steps += 1
        share = min(self.decay, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for name, tensor in self.network.state_dict().items():
                if tensor.is_floating_point():
                    self.tensors[name].lerp_(tensor, 1 - share)
                else:
                    self.tensors[name].copy_(tensor)

    def restore(self, tensors: Mapping[str, Tensor], steps: int) -> None:
        """Go on from an interrupted run."""
        self.tensors, self.steps = dict(tensors), steps

    def weights(self) -> dict[str, Tensor]:
        """A copy of the average; of the weights where nothing is averaged."""
        return _copies(self.tensors if self.decay else self.network.state_dict())

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The network holds the average inside, its own weights again afterwards."""
        if not self.decay:
            yield
            return
        own = _copies(self.network.state_dict())
        self.network.load_state_dict(self.tensors)
        try:
            yield
        finally:
            self.network.load_state_dict(own)


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def mean_of_states(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The plain mean of state dictionaries, tensor by tensor, added in float64 and returned in each tensor's own type.

    Numbers that are not floating point, such as counts of batches, are those of the first state.

    Args:
        states: at least one, best first.

    Raises:
        CheckpointError: names or shapes differ.
    """
    first = states[0]
    for state in states[1:]:
        _require_like(first, state)
    return {name: _mean([state[name] for state in states]) for name in first}


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    first = tensors[0]
    if len(tensors) == 1 or not first.is_floating_point():
        return first.detach().clone()
    total = torch.zeros(first.shape, dtype=torch.float64, device=first.device)
    for tensor in tensors:
        total += tensor
    return (total / len(tensors)).to(first.dtype)


def _require_like(first: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    odd = sorted(set(first) ^ set(other))
    if odd:
        raise CheckpointError("weights of different networks cannot be averaged", found=f"{odd[0]} in one of them only")
    for name in first:
        if first[name].shape != other[name].shape:
            raise CheckpointError(
                "weights of different networks cannot be averaged",
                where=name,
                found=f"shapes {tuple(first[name].shape)} and {tuple(other[name].shape)}",
            )


class BestEpochs:
    """The weights of the best epochs so far: one file for each in a folder, or in memory.

    A file is written before the training state that needs it, and removed after the one that no longer does, so that a
    run killed at any moment finds what its state names.

    Args:
        count: how many are wanted; with 1 nothing is kept.
        folder: where the files are; None keeps the weights in memory.
        key: names the run, so that the files of another one are not taken up.
    """

    def __init__(self, count: int, folder: Path | None, key: str) -> None:
        self.count, self.folder, self.key = count, folder, key
        self._kept: dict[int, dict[str, Tensor]] = {}

    def keep(self, epoch: int, ranking: Sequence[int], weights: Mapping[str, Tensor]) -> None:
        """Keep an epoch's weights if it is among the best.

        Args:
            epoch: 1-based.
            ranking: all epochs so far, best first.
            weights: its state dictionary.

        Raises:
            StorageError: the disk is full or refuses.
        """
        if self.count == 1 or epoch not in ranking[: self.count]:
            return
        if self.folder is None:
            self._kept[epoch] = _copies(weights)
            return
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
        write_bytes(self._path(epoch), save(tensors, metadata={"key": self.key}))

    def forget(self, ranking: Sequence[int]) -> None:
        """Let go of what is no longer among the best."""
        for epoch in ranking[self.count :]:
            self._kept.pop(epoch, None)
            if self.folder is not None:
                self._path(epoch).unlink(missing_ok=True)

    def holds(self, ranking: Sequence[int]) -> bool:
        """Whether the weights of all epochs that are among the best are there."""
        return self.count == 1 or all(self._is_there(epoch) for epoch in ranking[: self.count])

    def mean(self, ranking: Sequence[int]) -> dict[str, Tensor]:
        """The mean of the best; of fewer where there were fewer epochs.

        Raises:
            CheckpointError: a file is damaged.
        """
        best = ranking[: self.count]
        if self.folder is None:
            return mean_of_states([self._kept[epoch] for epoch in best])
        return mean_of_states([_StoredWeights(self._path(epoch)) for epoch in best])

    def clear(self) -> None:
        """Remove all files."""
        self._kept = {}
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, epoch: int) -> Path:
        assert self.folder is not None
        return self.folder / f"epoch-{epoch:05}.safetensors"

    def _is_there(self, epoch: int) -> bool:
        if self.folder is None:
            return epoch in self._kept
        try:
            with safe_open(self._path(epoch), "pt") as file:
                return (file.metadata() or {}).get("key") == self.key
        except (FileNotFoundError, SafetensorError):
            return False


class _StoredWeights(Mapping[str, Tensor]):
    """A state dictionary in a file, read tensor by tensor: five of a large network need not fit in memory."""

    def __init__(self, path: Path) -> None:
        try:
            self._file: Any = safe_open(path, "pt")
        except (FileNotFoundError, SafetensorError) as error:
            raise CheckpointError("the weights of an epoch are missing or damaged", where=path) from error

    def __getitem__(self, name: str) -> Tensor:
        tensor: Tensor = self._file.get_tensor(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._file.keys())

    def __len__(self) -> int:
        return len(self._file.keys())
