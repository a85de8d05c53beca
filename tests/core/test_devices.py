"""Which device and how many processors."""

import os
from pathlib import Path

import pytest
import torch

from serenade.core import devices
from serenade.core.devices import choose_device, cpu_budget
from serenade.core.errors import UsageError


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("no_gpu")
def test_auto_is_the_cpu_where_there_is_no_gpu() -> None:
    assert choose_device() == choose_device("cpu") == torch.device("cpu")


@pytest.mark.usefixtures("two_gpus")
def test_auto_is_the_gpu_where_there_is_one() -> None:
    assert choose_device() == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("name", ["cuda", "cuda:0"])
def test_absent_gpu_is_an_error_with_a_way_out(name: str) -> None:
    with pytest.raises(UsageError, match=rf"no CUDA device was found\. Found: '{name}'\. Use --device cpu"):
        choose_device(name)


@pytest.mark.usefixtures("two_gpus")
def test_gpu_beyond_the_last_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"no such CUDA device\. Found: 'cuda:2'\. Expected: cuda:N with N below 2"):
        choose_device("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "", "mps", "meta", "cpu:0", "cuda:x", "cuda:-1", "CPU"])
def test_unknown_device_is_an_error(name: str) -> None:
    with pytest.raises(UsageError, match=r"unknown device\. Found: .*\. Expected: auto, cpu, cuda or cuda:N"):
        choose_device(name)


@pytest.mark.parametrize(
    ("affinity", "limit", "expected"),
    [
        (64, None, 64),
        (64, "max 100000", 64),
        (64, "200000 100000", 2),
        (64, "150000 100000", 2),
        (64, "5000 100000", 1),
        (2, "800000 100000", 2),
        (3, "nonsense", 3),
    ],
)
def test_budget_is_the_smaller_of_affinity_and_container(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, affinity: int, limit: str | None, expected: int
) -> None:
    file = tmp_path / "cpu.max"
    if limit is not None:
        file.write_text(limit + "\n")
    monkeypatch.setattr(devices, "_CONTAINER_LIMIT", file)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(affinity)), raising=False)
    assert cpu_budget() == expected
