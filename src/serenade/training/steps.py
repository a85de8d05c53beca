"""Optimiser steps: one per batch, or several that take turns where a system has an adversary."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Generator, Tensor, device, nn

from serenade.training.settings import TrainingSettings
from serenade.training.state import optimiser_tensors, restore_optimiser
from serenade.training.system import AlternatingSystem, Batch, Phase, SteppingSystem, System

__all__ = ["Steps", "make_optimiser"]


class Steps:
    """The optimisers of a system and what they do with a batch.

    Args:
        system: on its device.
        settings: of the loop.
        where: the device.
    """

    def __init__(self, system: System, settings: TrainingSettings, where: device) -> None:
        self.system, self.settings, self.where = system, settings, where
        self.phases = _phases_of(system)
        self.reset()

    def reset(self) -> None:
        """Fresh optimisers: whatever they remember of earlier gradients is forgotten."""
        self.optimisers = [make_optimiser(phase.parameters, self.settings) for phase in self.phases]

    def set_learning_rate(self, rate: float) -> None:
        """The rate of all steps from now on."""
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate

    def step(self, batch: Batch, generator: Generator) -> dict[str, Tensor]:
        """All steps of a batch; its losses, each taken before the step that it belongs to."""
        found: dict[str, Tensor] = {}
        for phase, optimiser in zip(self.phases, self.optimisers, strict=True):
            self.system.network.zero_grad(set_to_none=True)
            with self._precision():
                losses = phase.losses(batch, generator)
            torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
            if self.settings.clip_norm is not None:
                nn.utils.clip_grad_norm_(phase.parameters, self.settings.clip_norm)
            optimiser.step()
            found |= {name: loss.detach() for name, loss in losses.items()}
        if isinstance(self.system, SteppingSystem):
            with torch.no_grad():
                self.system.after_step()
        return found

    def _precision(self) -> AbstractContextManager[object]:
        if self.settings.precision == "float32":
            return nullcontext()
        return torch.autocast(self.where.type, torch.bfloat16)

    def tensors(self) -> dict[str, Tensor]:
        """What the optimisers remember, by phase, parameter and name."""
        return {
            f"{phase.name}|{name}": tensor
            for phase, optimiser in zip(self.phases, self.optimisers, strict=True)
            for name, tensor in optimiser_tensors(self.system.network, optimiser).items()
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `tensors`."""
        for phase, optimiser in zip(self.phases, self.optimisers, strict=True):
            mark = f"{phase.name}|"
            own = {name.removeprefix(mark): tensor for name, tensor in tensors.items() if name.startswith(mark)}
            restore_optimiser(self.system.network, optimiser, own)


def _phases_of(system: System) -> list[Phase]:
    if isinstance(system, AlternatingSystem):
        return list(system.phases())
    return [Phase("", system.losses, list(system.network.parameters()))]


def make_optimiser(parameters: Iterable[nn.Parameter], settings: TrainingSettings) -> torch.optim.Optimizer:
    """Adam, or stochastic gradient descent with Nesterov's momentum, as the settings say."""
    if settings.optimiser == "adam":
        return torch.optim.Adam(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    return torch.optim.SGD(
        parameters,
        lr=settings.learning_rate,
        momentum=settings.momentum,
        nesterov=settings.momentum > 0,
        weight_decay=settings.weight_decay,
        fused=True,
    )
