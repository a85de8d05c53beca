"""A model as a folder of two files: ``weights.safetensors`` and ``model.toml``. It loads without running code."""

import os
import platform
import shutil
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
from serenade.training.description import (
    DESCRIPTION_FILE,
    FORMAT,
    WEIGHTS_FILE,
    Calibration,
    calibration_of,
    read_description,
)

__all__ = ["Checkpoint", "read_checkpoint", "versions", "write_checkpoint"]


def versions() -> dict[str, str]:
    """Versions that a result depends on."""
    return {
        "serenade": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
    }


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
        write_bytes(temporary / WEIGHTS_FILE, save(weights))
        write_text(temporary / DESCRIPTION_FILE, dump_toml(description))
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
    description = read_description(folder)
    missing = [key for key in ("system", "labels", "settings") if key not in description]
    if missing:
        raise CheckpointError("the model's description is not complete", where=folder, found=f"no {missing[0]!r}")
    return Checkpoint(
        system=description["system"],
        settings=description["settings"],
        labels=LabelSet(tuple(description["labels"])),
        weights=_read_weights(folder / WEIGHTS_FILE),
        about=description.get("about", {}),
        versions=description.get("versions", {}),
        calibration=calibration_of(description, folder),
    )


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
