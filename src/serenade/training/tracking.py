"""Sending the figures of each epoch to a tracker that people already have open."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from serenade.core.errors import MissingExtraError

__all__ = ["TensorBoardTracker", "scalars"]


def scalars(entry: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of an epoch's entry with names such as ``selection/ua``."""
    for key, value in entry.items():
        if isinstance(value, Mapping):
            yield from scalars(value, f"{prefix}{key}/")
        elif isinstance(value, int | float):
            yield f"{prefix}{key}", float(value)


class TensorBoardTracker:
    """Writes one point per epoch and figure; used as a context.

    Args:
        folder: where TensorBoard finds it.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtraError("tensorboard", extra="track", purpose="writing TensorBoard logs") from error
        self._writer = SummaryWriter(str(folder))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def __call__(self, entry: Mapping[str, Any]) -> None:
        """Write one epoch."""
        for name, value in scalars(entry):
            if name != "epoch":
                self._writer.add_scalar(name, value, entry["epoch"])
