"""One network trained by several processes: each takes a part of every batch, and all take the same step.

The gradients of the parts are added up as those of ``training.micro_batch_size`` are, weighted by their share of the
batch, so that any number of processes has the loss curve of one whose batch goes through the network in as many parts.
What differs between parts is what only a whole batch has: statistics of batch normalisation (averaged after each
step), and what is mixed with what.

Raw sums over `torch.distributed` (NCCL on GPUs, gloo elsewhere) stand here instead of `DistributedDataParallel`, which
would see one module's forward pass; the losses of our systems call the parts of a network as they like.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

__all__ = ["Ranks", "join", "leave"]

T = TypeVar("T")


class Ranks:
    """The processes that train together, seen from one of them; a process by itself is the only one of one."""

    def __init__(self) -> None:
        together = distributed.is_available() and distributed.is_initialized()
        self.size = distributed.get_world_size() if together else 1
        self.rank = distributed.get_rank() if together else 0

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    @property
    def mark(self) -> tuple[int, ...]:
        """What joins the seeds of this process's own draws; nothing in the one that leads."""
        return (self.rank,) if self.rank else ()

    def own(self, items: Sequence[T]) -> Sequence[T]:
        """This process's part of a batch; it may be empty."""
        return items if self.size == 1 else items[self.rank :: self.size]

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum the gradients of all processes, in place; a process without items counts as zero."""
        if self.size == 1:
            return
        trained = [parameter for parameter in parameters if parameter.requires_grad]
        for parameter in trained:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self._reduce([parameter.grad for parameter in trained if parameter.grad is not None], 1.0)

    def average_buffers(self, network: nn.Module) -> None:
        """The mean of what batch normalisation saw in all processes."""
        if self.size > 1:
            self._reduce([buffer for buffer in network.buffers() if buffer.is_floating_point()], 1 / self.size)

    def _reduce(self, tensors: Sequence[Tensor], factor: float) -> None:
        """Sum over all processes times a factor, in one message for each type of number."""
        for kind in sorted({tensor.dtype for tensor in tensors}, key=str):
            same = [tensor for tensor in tensors if tensor.dtype == kind]
            flat = torch.cat([tensor.flatten() for tensor in same])
            distributed.all_reduce(flat)
            parts = torch.split(flat * factor, [tensor.numel() for tensor in same])
            for tensor, part in zip(same, parts, strict=True):
                tensor.copy_(part.view(tensor.shape))

    def add_losses(self, losses: Mapping[str, Tensor], where: torch.device) -> dict[str, Tensor]:
        """Named scalars summed over all processes; one that a process has no items for counts as zero there."""
        if self.size == 1:
            return dict(losses)
        names = sorted(set().union(*self._gathered(sorted(losses))))
        flat = torch.stack([losses.get(name, torch.zeros(())).float().to(where) for name in names])
        distributed.all_reduce(flat)
        return dict(zip(names, flat, strict=True))

    def _gathered(self, value: list[str]) -> list[list[str]]:
        gathered: list[Any] = [None] * self.size
        distributed.all_gather_object(gathered, value)
        return gathered

    def told_by_leader(self, value: T) -> T:
        """What the leading process holds."""
        if self.size == 1:
            return value
        told: list[Any] = [value]
        distributed.broadcast_object_list(told)
        found: T = told[0]
        return found

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            distributed.barrier()


def join(meeting: Path, rank: int, size: int, where: torch.device) -> None:
    """Meet the other processes of a training.

    Args:
        meeting: a file that does not exist yet, in a folder that all of them see.
        rank: of this process, from 0.
        size: how many there are.
        where: the device that this process trains on.
    """
    backend = "nccl" if where.type == "cuda" else "gloo"
    if where.type == "cuda":
        torch.cuda.set_device(where)
    distributed.init_process_group(backend, init_method=meeting.absolute().as_uri(), rank=rank, world_size=size)


def leave() -> None:
    """The inverse of `join`."""
    distributed.destroy_process_group()
