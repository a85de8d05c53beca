"""Optimiser steps: one per batch, or several that take turns where a system has an adversary."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Generator, Tensor, device, nn

from serenade.training.ranks import Ranks
from serenade.training.settings import TrainingSettings
from serenade.training.state import optimiser_tensors, restore_optimiser
from serenade.training.system import AlternatingSystem, Batch, Phase, RatedSystem, RateGroup, SteppingSystem, System

__all__ = ["Part", "Steps", "make_optimiser"]

Part = tuple[Batch, float]
"""What goes through the network at once, and its share of the step's items."""


class Steps:
    """The optimisers of a system and what they do with a batch.

    Args:
        system: on its device.
        settings: of the loop.
        where: the device.
        ranks: the processes that share every batch; this one alone if not given.
    """

    def __init__(self, system: System, settings: TrainingSettings, where: device, ranks: Ranks | None = None) -> None:
        self.system, self.settings, self.where = system, settings, where
        self.ranks = ranks if ranks is not None else Ranks()
        self.phases = _phases_of(system)
        self.groups = [_groups_of(system, phase) for phase in self.phases]
        self.reset()

    def reset(self) -> None:
        """Fresh optimisers: whatever they remember of earlier gradients is forgotten."""
        rate = self.settings.learning_rate
        self.optimisers = [
            make_optimiser(
                [{"params": list(g.parameters), "factor": g.factor, "lr": rate * g.factor} for g in groups],
                self.settings,
            )
            for groups in self.groups
        ]

    def set_learning_rate(self, rate: float) -> None:
        """The rate of all steps from now on."""
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate * group["factor"]

    def step(self, parts: Sequence[Part], generator: Generator) -> dict[str, Tensor]:
        """All steps of a batch; its losses, each taken before the step that it belongs to.

        Args:
            parts: the batch, whole or in parts whose gradients add up, weighted by their shares.
            generator: source of randomness.
        """
        found: dict[str, Tensor] = {}
        for phase, optimiser in zip(self.phases, self.optimisers, strict=True):
            self.system.network.zero_grad(set_to_none=True)
            for batch, share in parts:
                with self._precision():
                    losses = phase.losses(batch, generator)
                (share * torch.stack(list(losses.values())).sum()).backward()  # type: ignore[no-untyped-call]
                for name, loss in losses.items():
                    found[name] = found.get(name, torch.zeros_like(loss)) + share * loss.detach()
            self.ranks.add_gradients(phase.parameters)
            if self.settings.clip_norm is not None:
                nn.utils.clip_grad_norm_(phase.parameters, self.settings.clip_norm)
            optimiser.step()
        if isinstance(self.system, SteppingSystem):
            with torch.no_grad():
                self.system.after_step()
        self.ranks.average_buffers(self.system.network)
        return self.ranks.add_losses(found, self.where)

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


def _groups_of(system: System, phase: Phase) -> Sequence[RateGroup]:
    if isinstance(system, RatedSystem) and not isinstance(system, AlternatingSystem):
        return [group for group in system.rate_groups() if group.parameters]
    return [RateGroup(phase.parameters, 1.0)]


def make_optimiser(
    parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], settings: TrainingSettings
) -> torch.optim.Optimizer:
    """Adam, AdamW, or stochastic gradient descent with Nesterov's momentum, as the settings say."""
    if settings.optimiser != "sgd":
        cls = torch.optim.Adam if settings.optimiser == "adam" else torch.optim.AdamW
        return cls(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    return torch.optim.SGD(
        parameters,
        lr=settings.learning_rate,
        momentum=settings.momentum,
        nesterov=settings.momentum > 0,
        weight_decay=settings.weight_decay,
        fused=True,
    )
