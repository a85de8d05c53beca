"""What every augmentation of a waveform is: settings, a drawing of parameters, and a pure function of them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import torch
from pydantic import Field
from torch import Generator, Tensor

from serenade.core.settings import Settings
from serenade.signal.mixing import NoiseBank
from serenade.signal.responses import ResponseBank

__all__ = ["Parameters", "Place", "Sources", "Step", "StepSettings", "fitted"]

Parameters = Mapping[str, Any]
"""Plain values. What was drawn for one waveform; with them a step does the same again."""

S = TypeVar("S", bound="StepSettings")


class StepSettings(Settings):
    """What all steps have in common."""

    kind: str
    probability: float = Field(default=1.0, ge=0, le=1, description="share of the waveforms that are changed")


@dataclass(frozen=True, slots=True)
class Sources:
    """Recordings that steps draw from.

    Args:
        noise: for the step "noise"; None where there are none.
        responses: for the step "reverb"; None where there are none.
    """

    noise: NoiseBank | None = None
    responses: ResponseBank | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Which waveform parameters are drawn for.

    Args:
        length: its samples as the steps before left it.
        index: its row in the batch.
        count: rows of the batch.
    """

    length: int
    index: int = 0
    count: int = 1


class Step(ABC, Generic[S]):
    """One change to a waveform.

    Args:
        settings: what to draw from.
        sources: recordings to draw from.
    """

    settings_class: ClassVar[type[StepSettings]]
    mixes_targets: ClassVar[bool] = False
    """Whether the result has a share of another waveform's label."""
    needs_sound: ClassVar[bool] = False
    """Whether the step cannot be applied to silence."""

    def __init__(self, settings: S, sources: Sources) -> None:
        self.settings, self.sources = settings, sources

    @abstractmethod
    def draw(self, place: Place, generator: Generator) -> Parameters:
        """What to do to one waveform."""

    @abstractmethod
    def apply(self, waveform: Tensor, parameters: Parameters, batch: Sequence[Tensor]) -> Tensor:
        """The changed waveform; a pure function.

        Args:
            waveform: (T,) float32 at 16 kHz, T at least 1.
            parameters: from `draw`.
            batch: all waveforms as they were before any step.

        Returns:
            (T,), but for the steps that say otherwise.
        """


def fitted(waveform: Tensor, length: int) -> Tensor:
    """Cut, or filled with zeros, to a length."""
    return torch.nn.functional.pad(waveform[:length], (0, max(0, length - len(waveform))))
