"""What a model folder says of itself, its description and calibration; to read them takes no torch."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from serenade import __version__
from serenade.core.errors import CheckpointError
from serenade.core.files import write_text

__all__ = [
    "DESCRIPTION_FILE",
    "FORMAT",
    "WEIGHTS_FILE",
    "Calibration",
    "calibration_of",
    "read_calibration",
    "read_description",
    "read_system",
    "write_calibration",
]

FORMAT = 1
WEIGHTS_FILE, DESCRIPTION_FILE = "weights.safetensors", "model.toml"


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a model's probabilities are made to mean what they say.

    Args:
        temperature: scores are divided by it before the softmax.
        fitted_on: what it was fitted on, in words.
        predictions: how many predictions those were.
        uncertain_below: the highest probability from which the model's class is more likely right than wrong.
    """

    temperature: float
    fitted_on: str
    predictions: int
    uncertain_below: float = 0.5

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"a temperature must be positive, not {self.temperature}")
        if not 0 <= self.uncertain_below <= 1:
            raise ValueError(f"a probability lies from 0 to 1, not at {self.uncertain_below}")


def read_calibration(folder: Path) -> Calibration | None:
    """The calibration of a model folder; None where it was not fitted.

    Raises:
        CheckpointError: as `read_checkpoint`.
    """
    return calibration_of(read_description(folder), folder)


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Store a calibration with a model that is there; an older one is replaced.

    Raises:
        CheckpointError: as `read_checkpoint`.
        StorageError: the disk is full or refuses.
    """
    from serenade.core.settings import dump_toml

    description = read_description(folder)
    settings = description.pop("settings", {})  # stays last: it is long
    changed = {**description, "calibration": asdict(calibration), "settings": settings}
    write_text(folder / DESCRIPTION_FILE, dump_toml(changed))


def calibration_of(description: Mapping[str, Any], folder: Path) -> Calibration | None:
    """The calibration in a description; None where it was not fitted.

    Args:
        description: of `read_description`.
        folder: of the model, for messages.

    Raises:
        CheckpointError: it is damaged.
    """
    stated = description.get("calibration")
    if stated is None:
        return None
    try:
        return Calibration(**stated)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            "the calibration of the model is damaged", where=folder / DESCRIPTION_FILE, found=str(error)
        ) from error


def read_system(folder: Path) -> str:
    """The name of the system of a model, without its weights; empty where it is not told.

    Raises:
        CheckpointError: there is no model, or its description is damaged.
    """
    return str(read_description(folder).get("system", ""))


def read_description(folder: Path) -> dict[str, Any]:
    """What ``model.toml`` holds.

    Raises:
        CheckpointError: it is missing, damaged, or of another format version.
    """
    path = folder / DESCRIPTION_FILE
    if not path.is_file():
        raise CheckpointError(
            "there is no model in this folder",
            where=folder,
            expected=f"a folder with {DESCRIPTION_FILE} and {WEIGHTS_FILE}",
        )
    try:
        description = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError("the model's description is damaged", where=path, found=str(error)) from error
    if description.get("format") != FORMAT:
        raise CheckpointError(
            "the model was written in another format",
            where=folder,
            found=f"format {description.get('format')!r}, written by serenade "
            f"{description.get('versions', {}).get('serenade', 'unknown')}",
            expected=f"format {FORMAT} (serenade {__version__})",
            hint="Use the serenade version that wrote it, or train it again",
        )
    return description
