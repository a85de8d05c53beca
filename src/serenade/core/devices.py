"""Which device and how many threads a process uses."""

import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from serenade.core.errors import UsageError

if TYPE_CHECKING:
    import torch

__all__ = ["choose_device", "cpu_budget"]


_CONTAINER_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def cpu_budget() -> int:
    """Processors this process may use, at least 1: its affinity and its container's limit, not the machine's count."""
    affinity = getattr(os, "sched_getaffinity", None)
    allowed = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, int(min(allowed, _container_limit())))


def _container_limit() -> float:
    """The processors that a container's quota amounts to, rounded up; infinity where there is no quota."""
    try:
        quota, period = _CONTAINER_LIMIT.read_text().split()
        return math.inf if quota == "max" else math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # no control groups here, or of the older kind
        return math.inf


def choose_device(name: str = "auto") -> "torch.device":
    """The device for a name: "auto" takes a CUDA device where there is one.

    Raises:
        UsageError: the device is not known or not there.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", name):
        raise UsageError("unknown device", found=repr(name), expected="auto, cpu, cuda or cuda:N")
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError("no CUDA device was found", found=repr(name), hint="Use --device cpu")
    count = torch.cuda.device_count()
    if device.index is not None and device.index >= count:
        raise UsageError("there is no such CUDA device", found=repr(name), expected=f"cuda:N with N below {count}")
    return device
