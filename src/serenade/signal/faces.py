"""From pictures to faces: what a detector gives, which face is meant, and the crop that a network sees.

A detector is anything that finds boxes (`FaceDetector`): the networks of `serenade.models.faces.mtcnn`, the cascade of
`serenade.signal.cascade`, or one of your own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from serenade.core.settings import Settings
from serenade.signal.video import Picture, Pixels, centre_square

__all__ = [
    "FACE_MEAN",
    "FACE_STD",
    "FaceBox",
    "FaceCrops",
    "FaceDetector",
    "FaceSettings",
    "MiddleOfPicture",
    "crop_face",
    "crop_faces",
    "fallback_crop",
    "follow_face",
    "largest_face",
    "no_faces",
    "normalise_faces",
    "overlap",
    "resize_by_area",
]

FACE_MEAN = (159.0, 111.0, 102.0)
"""Of red, green and blue of a face on the scale 0 to 255, as published."""
FACE_STD = (37.0, 33.0, 32.0)
"""Standard deviations of the same."""

_NO_BOX = [float("nan")] * 5
_SAME_FACE = 0.2  # intersection over union of a face half a second later; heads move by less than their size


@dataclass(frozen=True, slots=True)
class FaceBox:
    """Where a face is.

    Args:
        left: in pixels from the left border; may lie outside the picture, as the others.
        top: from the upper border.
        right: more than left.
        bottom: more than top.
        probability: how sure the detector is, 0 to 1; 1 where it does not say.
    """

    left: float
    top: float
    right: float
    bottom: float
    probability: float = 1.0

    @property
    def area(self) -> float:
        """In pixels."""
        return (self.right - self.left) * (self.bottom - self.top)


class FaceDetector(Protocol):
    """Finds faces in one picture. `name` tells apart detectors, weights and thresholds: crops are cached under it."""

    @property
    def name(self) -> str:
        """Of the detector with all that its boxes depend on."""

    def find(self, pixels: Pixels) -> list[FaceBox]:
        """The faces in a picture (H, W, 3), in any order; none is an answer too."""


class MiddleOfPicture:
    """A detector that seeks no face, so that of every picture the middle is taken."""

    name = "middle"

    def find(self, pixels: Pixels) -> list[FaceBox]:
        """None."""
        return []


class FaceSettings(Settings):
    """Which face is meant and how it is cut; the defaults are the published ones."""

    size: int = Field(48, ge=16, description="width and height of a crop in pixels")
    margin: int = Field(2, ge=0, description="pixels of the crop that are put around the box, on both sides together")
    which: Literal["largest", "tracked"] = Field(
        "largest", description="largest: of each picture; tracked: the one person who fills most of the clip"
    )
    without_face: Literal["centre", "leave_out"] = Field(
        "centre", description="a picture without a face: the middle of the picture instead, as published, or nothing"
    )
    released_crop: bool = Field(False, description="put the middle 24 pixels too far left, as the released code does")


@dataclass(frozen=True, slots=True)
class FaceCrops:
    """The faces of an utterance.

    Args:
        pixels: (M, 3, size, size) uint8, red, green, blue.
        times_s: (M,) float64 times of the pictures from the beginning of the utterance.
        boxes: (M, 5) float64 left, top, right, bottom and probability; NaN where no face was found.
        pictures: how many pictures were looked at, M or more.
    """

    pixels: Tensor
    times_s: Tensor
    boxes: Tensor
    pictures: int

    @property
    def found(self) -> Tensor:
        """(M,) bool: whether the crop is of a face and not of the middle of the picture."""
        return ~self.boxes[:, 0].isnan()


def normalise_faces(pixels: Tensor) -> Tensor:
    """Crops as the network wants them.

    Args:
        pixels: (M, 3, H, W) on the scale 0 to 255.

    Returns:
        (M, 3, H, W) float32, each channel less `FACE_MEAN` over `FACE_STD`.
    """
    mean, std = (torch.tensor(values, device=pixels.device)[:, None, None] for values in (FACE_MEAN, FACE_STD))
    return (pixels.float() - mean) / std


def crop_faces(pictures: Iterable[Picture], detector: FaceDetector, settings: FaceSettings | None = None) -> FaceCrops:
    """The face in each picture of an utterance; of a picture only its crops are kept.

    Args:
        pictures: in their order.
        detector: finds the boxes.
        settings: the published ones if not given.
    """
    settings = settings if settings is not None else FaceSettings()
    times, found, crops = [], [], []
    for picture in pictures:
        boxes = [box for box in detector.find(picture.pixels) if _is_inside(box, picture.pixels)]
        times.append(picture.time_s)
        found.append(boxes)
        cut = [crop_face(picture.pixels, box, settings) for box in boxes]
        crops.append([*cut, fallback_crop(picture.pixels, settings)])
    chosen = follow_face(found) if settings.which == "tracked" else [largest_face(boxes) for boxes in found]
    kept = [n for n, choice in enumerate(chosen) if choice is not None or settings.without_face == "centre"]
    pixels = [crops[n][-1 if (choice := chosen[n]) is None else choice] for n in kept]
    numbers = [_NO_BOX if (choice := chosen[n]) is None else _numbers(found[n][choice]) for n in kept]
    return FaceCrops(
        pixels=torch.stack(pixels) if pixels else no_faces(settings).pixels,
        times_s=torch.tensor([times[n] for n in kept], dtype=torch.float64),
        boxes=torch.tensor(numbers, dtype=torch.float64).reshape(-1, len(_NO_BOX)),
        pictures=len(times),
    )


def no_faces(settings: FaceSettings) -> FaceCrops:
    """The faces of an utterance that has no picture."""
    pixels = torch.zeros(0, 3, settings.size, settings.size, dtype=torch.uint8)
    empty = torch.zeros(0, dtype=torch.float64)
    return FaceCrops(pixels, empty, empty.reshape(0, len(_NO_BOX)), pictures=0)


def _numbers(box: FaceBox) -> list[float]:
    return [box.left, box.top, box.right, box.bottom, box.probability]


def _is_inside(box: FaceBox, pixels: Pixels) -> bool:
    """Whether at least one whole pixel of the picture is in the box."""
    height, width = pixels.shape[:2]
    seen_width, seen_height = min(box.right, width) - max(box.left, 0), min(box.bottom, height) - max(box.top, 0)
    return bool(seen_width >= 1 and seen_height >= 1)


def largest_face(boxes: Sequence[FaceBox]) -> int | None:
    """The number of the box with the largest area; None where there is none."""
    return max(range(len(boxes)), key=lambda n: boxes[n].area) if boxes else None


def follow_face(found: Sequence[Sequence[FaceBox]]) -> list[int | None]:
    """The number of the box of one person in each picture: of the one whose faces are largest in sum.

    Boxes of pictures that follow each other are one person where they overlap; each box goes on the track that ends in
    the box it overlaps most. A track may miss pictures.

    Args:
        found: boxes of each picture.

    Returns:
        A number per picture; None where this person is not seen.
    """
    tracks: list[dict[int, int]] = []  # picture to box
    for picture, boxes in enumerate(found):
        free = list(range(len(boxes)))
        for track in sorted(tracks, key=lambda track: -_area_of(track, found)):
            last = max(track)
            best = max(free, key=lambda n: overlap(found[last][track[last]], boxes[n]), default=None)
            if best is not None and overlap(found[last][track[last]], boxes[best]) >= _SAME_FACE:
                track[picture] = best
                free.remove(best)
        tracks += [{picture: number} for number in free]
    main = max(tracks, key=lambda track: _area_of(track, found), default={})
    return [main.get(picture) for picture in range(len(found))]


def _area_of(track: dict[int, int], found: Sequence[Sequence[FaceBox]]) -> float:
    return sum(found[picture][number].area for picture, number in track.items())


def overlap(first: FaceBox, second: FaceBox) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    width = min(first.right, second.right) - max(first.left, second.left)
    height = min(first.bottom, second.bottom) - max(first.top, second.top)
    shared = max(0.0, width) * max(0.0, height)
    return shared / (first.area + second.area - shared) if shared > 0 else 0.0


def crop_face(pixels: Pixels, box: FaceBox, settings: FaceSettings) -> Tensor:
    """(3, size, size) uint8: the box with its margin, cut at the picture's borders and reduced by areas.

    The box grows by ``margin * extent / (size - margin)`` per axis, half on each side; corners are truncated to whole
    pixels, as in facenet-pytorch.
    """
    size, margin = settings.size, settings.margin
    height, width = pixels.shape[:2]
    more_x, more_y = (margin * extent / (size - margin) for extent in (box.right - box.left, box.bottom - box.top))
    left, top = int(max(0.0, box.left - more_x / 2)), int(max(0.0, box.top - more_y / 2))
    right = max(left + 1, int(min(width, box.right + more_x / 2)))
    bottom = max(top + 1, int(min(height, box.bottom + more_y / 2)))
    cut = resize_by_area(_channels_first(pixels[top:bottom, left:right]).float(), (size, size))
    return (cut + 0.5).clamp(0, 255).to(torch.uint8)


def fallback_crop(pixels: Pixels, settings: FaceSettings) -> Tensor:
    """(3, size, size) uint8: so many pixels of the picture's middle, unscaled; black where the picture is smaller.

    With `released_crop` as in the released code: the row where the middle begins is also taken for the middle column.
    """
    size = settings.size
    if not settings.released_crop:
        return _channels_first(centre_square(pixels, size))
    offset = max(0, (pixels.shape[0] - size) // 2)
    left = max(0, offset - size // 2)
    return _channels_first(centre_square(pixels[offset : offset + size, left : left + size], size))


def _channels_first(pixels: Pixels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)


def resize_by_area(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images at another size, each new pixel the mean of the old ones it covers.

    Args:
        images: (..., C, H, W) floats.
        size: height and width.

    Returns:
        (..., C, *size).
    """
    return functional.adaptive_avg_pool2d(images, size)
