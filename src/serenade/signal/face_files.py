"""Faces that were cut from a video before, in a file of their own."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from serenade.core.errors import VideoError
from serenade.core.files import write_bytes
from serenade.signal.faces import FaceCrops

__all__ = ["crops_from", "read_faces", "tensors_of", "write_faces"]


def tensors_of(crops: FaceCrops) -> dict[str, Tensor]:
    """The crops as named tensors, to be stored."""
    return {
        "pixels": crops.pixels,
        "times_s": crops.times_s,
        "boxes": crops.boxes,
        "pictures": torch.tensor([crops.pictures]),
    }


def crops_from(tensors: dict[str, Tensor]) -> FaceCrops:
    """The inverse of `tensors_of`."""
    return FaceCrops(tensors["pixels"], tensors["times_s"], tensors["boxes"], int(tensors["pictures"][0]))


def write_faces(path: Path, crops: FaceCrops) -> None:
    """Write the file whole or not at all.

    Raises:
        StorageError: the disk is full or refuses.
    """
    write_bytes(path, save(tensors_of(crops)))


def read_faces(path: Path) -> FaceCrops:
    """What `write_faces` wrote.

    Raises:
        VideoError: the file is not there or damaged.
    """
    try:
        return crops_from(load(path.read_bytes()))
    except FileNotFoundError as error:
        raise VideoError("the prepared faces are not there", reason="missing", where=path) from error
    except (OSError, SafetensorError, KeyError) as error:
        raise VideoError(
            "the prepared faces cannot be read",
            reason="undecodable",
            where=path,
            found=str(error),
            hint="Remove the file and run serenade corpus prepare again",
        ) from error
