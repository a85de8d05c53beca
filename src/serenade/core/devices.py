"""Which device and how many threads a process uses."""

import os
from typing import TYPE_CHECKING

from serenade.core.errors import UsageError

if TYPE_CHECKING:
    import torch

__all__ = ["choose_device", "cpu_budget"]


def cpu_budget() -> int:
    """Processors this process may use (its affinity, not the machine's count), at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)
    return max(1, len(affinity(0)) if affinity else os.cpu_count() or 1)


def choose_device(name: str = "auto") -> "torch.device":
    """The device for a name: "auto" takes a CUDA device where there is one.

    Raises:
        UsageError: the device is not known or not there.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError("unknown device", found=repr(name), expected="auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError("no CUDA device was found", found=repr(name), hint="Use --device cpu")
    return device
