"""Numbers that a setting fixes or says how to draw."""

from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from pydantic import AfterValidator, model_validator
from torch import Generator

from serenade.core.settings import Settings

__all__ = ["Drawn", "draw_index", "draw_seed", "within"]


class Drawn(Settings):
    """A number, one of several, or one from a range; as text ``0.9``, ``0.9|1.1`` or ``0.9..1.1``.

    In TOML also a number, a list of numbers, or a table with `low` and `high`.
    """

    low: float
    high: float
    choices: tuple[float, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = _read_text(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return {"low": value, "high": value}
        if isinstance(value, list | tuple) and value:
            return {"low": min(value), "high": max(value), "choices": tuple(value)}
        if isinstance(value, Mapping | Drawn):
            return value
        raise ValueError("expected a number such as 0.9, several as 0.9|1.1, or a range as 0.9..1.1")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"the range goes from {self.low:g} down to {self.high:g}")
        return self

    def draw(self, generator: Generator) -> float:
        """One of the choices, or evenly from the range; a fixed number draws nothing."""
        if self.choices:
            return self.choices[draw_index(len(self.choices), generator)]
        if self.low == self.high:
            return self.low
        return self.low + (self.high - self.low) * float(torch.rand((), dtype=torch.float64, generator=generator))


def _read_text(text: str) -> float | tuple[float, ...] | dict[str, float] | None:
    try:
        if ".." in text:
            low, _, high = text.partition("..")
            return {"low": float(low), "high": float(high)}
        numbers = tuple(float(part) for part in text.split("|"))
        return numbers if len(numbers) > 1 else numbers[0]
    except ValueError:
        return None


def within(low: float, high: float) -> AfterValidator:
    """For `Annotated`: every number that can be drawn lies between two bounds."""

    def check(drawn: Drawn) -> Drawn:
        if not low <= drawn.low <= drawn.high <= high:
            raise ValueError(f"must lie between {low:g} and {high:g}")
        return drawn

    checked: Callable[[Drawn], Drawn] = check
    return AfterValidator(checked)


def draw_index(count: int, generator: Generator) -> int:
    """A whole number from 0 to count - 1."""
    return int(torch.randint(count, (), generator=generator))


def draw_seed(generator: Generator) -> int:
    """A seed for what has too many numbers to record them, such as a noise."""
    return draw_index(2**31, generator)
