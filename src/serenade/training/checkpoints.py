"""A model as a folder of two files: ``weights.safetensors`` and ``model.toml``. It loads without running code."""

import os
import platform
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from serenade import __version__
from serenade.core.errors import CheckpointError
from serenade.core.files import storage_errors, write_bytes, write_text
from serenade.core.labels import LabelSet
from serenade.core.settings import dump_toml

__all__ = [
    "FORMAT",
    "Calibration",
    "Checkpoint",
    "read_calibration",
    "read_checkpoint",
    "read_system",
    "versions",
    "write_calibration",
    "write_checkpoint",
]

FORMAT = 1
_WEIGHTS_FILE, _DESCRIPTION_FILE = "weights.safetensors", "model.toml"


def versions() -> dict[str, str]:
    """Versions that a result depends on."""
    return {
        "serenade": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
    }


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


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a model folder holds.

    Args:
        system: name of the system.
        settings: its resolved settings as tables.
        labels: class names in index order.
        weights: state dictionary of the system's network.
        about: what the model was trained on and how, for people.
        versions: of the packages that wrote it.
        calibration: of its probabilities; None where it was not fitted.
    """

    system: str
    settings: Mapping[str, Any]
    labels: LabelSet
    weights: Mapping[str, torch.Tensor]
    about: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=versions)
    calibration: Calibration | None = None


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a model folder so that it is there whole or not at all; an older one at that place is replaced.

    Raises:
        StorageError: the disk is full or refuses.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    replaced = folder.with_name(f".{folder.name}.replaced.{os.getpid()}")
    description = {
        "format": FORMAT,
        "system": checkpoint.system,
        "labels": list(checkpoint.labels.names),
        "versions": dict(checkpoint.versions),
        "about": dict(checkpoint.about),
        "calibration": None if checkpoint.calibration is None else asdict(checkpoint.calibration),
        "settings": dict(checkpoint.settings),
    }
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.weights.items()}
    try:
        write_bytes(temporary / _WEIGHTS_FILE, save(weights))
        write_text(temporary / _DESCRIPTION_FILE, dump_toml(description))
        with storage_errors(folder):
            if folder.exists():  # set aside, not removed: killed here, the older model is still beside its place
                folder.rename(replaced)
            temporary.rename(folder)
            shutil.rmtree(replaced, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read a model folder.

    Raises:
        CheckpointError: it is missing, cut short, damaged, or of another format version.
    """
    description = _read_description(folder)
    missing = [key for key in ("system", "labels", "settings") if key not in description]
    if missing:
        raise CheckpointError("the model's description is not complete", where=folder, found=f"no {missing[0]!r}")
    return Checkpoint(
        system=description["system"],
        settings=description["settings"],
        labels=LabelSet(tuple(description["labels"])),
        weights=_read_weights(folder / _WEIGHTS_FILE),
        about=description.get("about", {}),
        versions=description.get("versions", {}),
        calibration=_calibration_of(description, folder),
    )


def read_calibration(folder: Path) -> Calibration | None:
    """The calibration of a model folder; None where it was not fitted.

    Raises:
        CheckpointError: as `read_checkpoint`.
    """
    return _calibration_of(_read_description(folder), folder)


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Store a calibration with a model that is there; an older one is replaced.

    Raises:
        CheckpointError: as `read_checkpoint`.
        StorageError: the disk is full or refuses.
    """
    description = _read_description(folder)
    settings = description.pop("settings", {})  # stays last: it is long
    changed = {**description, "calibration": asdict(calibration), "settings": settings}
    write_text(folder / _DESCRIPTION_FILE, dump_toml(changed))


def _calibration_of(description: Mapping[str, Any], folder: Path) -> Calibration | None:
    stated = description.get("calibration")
    if stated is None:
        return None
    try:
        return Calibration(**stated)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            "the calibration of the model is damaged", where=folder / _DESCRIPTION_FILE, found=str(error)
        ) from error


def read_system(folder: Path) -> str:
    """The name of the system of a model, without its weights; empty where it is not told.

    Raises:
        CheckpointError: there is no model, or its description is damaged.
    """
    return str(_read_description(folder).get("system", ""))


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / _DESCRIPTION_FILE
    if not path.is_file():
        raise CheckpointError(
            "there is no model in this folder",
            where=folder,
            expected=f"a folder with {_DESCRIPTION_FILE} and {_WEIGHTS_FILE}",
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


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise CheckpointError("the model's weights are missing", where=path) from error
    except SafetensorError as error:
        raise CheckpointError(
            "the model's weights are cut short or damaged",
            where=path,
            found=str(error),
            hint="Copy the model again, or train it again",
        ) from error
