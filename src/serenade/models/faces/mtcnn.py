"""MTCNN: three small networks that find faces, each looking closer at what the one before it let through.

K. Zhang, Z. Zhang, Z. Li, Y. Qiao, "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional
Networks", IEEE Signal Processing Letters 23(10), 2016, pages 1499-1503. Networks, thresholds and the arithmetic of
boxes are those of facenet-pytorch (MIT), whose wheel carries trained weights. The wheel asks for another torch, so it
is installed without its dependencies and never imported: its files are looked up and read::

    pip install --no-deps facenet-pytorch==2.6.0

The proposal network runs over the picture at all sizes (a pyramid); the other two look at what it found.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from serenade.core.errors import CheckpointError, MissingWeightsError
from serenade.core.settings import Settings
from serenade.signal.faces import FaceBox, resize_by_area
from serenade.signal.video import Pixels

__all__ = ["Mtcnn", "MtcnnSettings", "mtcnn_weights", "open_mtcnn"]

_PACKAGE = "facenet_pytorch"
_INSTALL = "pip install --no-deps facenet-pytorch==2.6.0"  # it would bring another torch
_FILES = {"proposal": "pnet.pt", "refinement": "rnet.pt", "output": "onet.pt"}
_CELL, _STRIDE = 12, 2  # pixels that the proposal network sees at once, and from one cell to the next
_REFINED, _FINAL = 24, 48  # pixels of what the other two look at
_AT_ONCE = 256  # crops in one pass, so that memory does not grow with what was proposed

_Boxes = NDArray[np.float64]
"""(N, 5): left, top, right, bottom, probability."""


class MtcnnSettings(Settings):
    """The published values."""

    least_face: int = Field(20, ge=12, description="pixels of the smallest face")
    factor: float = Field(0.709, gt=0.1, lt=1, description="from one size of the picture to the next")
    thresholds: tuple[float, float, float] = Field(
        (0.6, 0.7, 0.7), description="least probability in the proposal, refinement and output network"
    )


class _Proposal(nn.Module):
    """A probability and four offsets for each cell of a picture of any size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.pool1 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.conv4_1, self.conv4_2 = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, h, w) probabilities and (N, 4, h, w) offsets of (N, 3, H, W)."""
        maps = self.pool1(self.prelu1(self.conv1(images)))
        maps = self.prelu3(self.conv3(self.prelu2(self.conv2(maps))))
        return self.conv4_1(maps).softmax(dim=1)[:, 1], self.conv4_2(maps)


class _Refinement(nn.Module):
    """A probability and four offsets for each crop of 24 x 24 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 28, 3), nn.PReLU(28)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2, self.prelu2 = nn.Conv2d(28, 48, 3), nn.PReLU(48)
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.dense4, self.prelu4 = nn.Linear(576, 128), nn.PReLU(128)
        self.dense5_1, self.dense5_2 = nn.Linear(128, 2), nn.Linear(128, 4)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N,) probabilities and (N, 4) offsets of (N, 3, 24, 24)."""
        maps = self.pool1(self.prelu1(self.conv1(images)))
        maps = self.pool2(self.prelu2(self.conv2(maps)))
        hidden = self.prelu4(self.dense4(_flat(self.prelu3(self.conv3(maps)))))
        return self.dense5_1(hidden).softmax(dim=1)[:, 1], self.dense5_2(hidden)


class _Output(nn.Module):
    """A probability and four offsets for each crop of 48 x 48 pixels; its landmarks are not used."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 32, 3), nn.PReLU(32)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2, self.prelu2 = nn.Conv2d(32, 64, 3), nn.PReLU(64)
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv3, self.prelu3 = nn.Conv2d(64, 64, 3), nn.PReLU(64)
        self.pool3 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.conv4, self.prelu4 = nn.Conv2d(64, 128, 2), nn.PReLU(128)
        self.dense5, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.dense6_1, self.dense6_2, self.dense6_3 = nn.Linear(256, 2), nn.Linear(256, 4), nn.Linear(256, 10)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N,) probabilities and (N, 4) offsets of (N, 3, 48, 48)."""
        maps = self.pool1(self.prelu1(self.conv1(images)))
        maps = self.pool2(self.prelu2(self.conv2(maps)))
        maps = self.pool3(self.prelu3(self.conv3(maps)))
        hidden = self.prelu5(self.dense5(_flat(self.prelu4(self.conv4(maps)))))
        return self.dense6_1(hidden).softmax(dim=1)[:, 1], self.dense6_2(hidden)


def _channels_last(images: Tensor) -> Tensor:
    """The same images laid out so that the small convolutions take a fifth less time on a CPU."""
    return images.contiguous(memory_format=torch.channels_last)


def _flat(maps: Tensor) -> Tensor:
    """(N, C, H, W) to (N, W H C): the weights come from a program that counts columns first."""
    return maps.permute(0, 3, 2, 1).flatten(1)


class Mtcnn(nn.Module):
    """The three networks and the way from one to the next; a `FaceDetector` of `serenade.signal.faces`.

    Args:
        settings: the published ones if not given.
    """

    def __init__(self, settings: MtcnnSettings | None = None) -> None:
        super().__init__()
        self.settings = settings if settings is not None else MtcnnSettings()
        self.proposal, self.refinement, self.output = _Proposal(), _Refinement(), _Output()
        self.eval()

    @property
    def name(self) -> str:
        """Of the detector with its settings: crops are cached under it."""
        return f"mtcnn {self.settings.model_dump_json()}"

    @torch.inference_mode()
    def find(self, pixels: Pixels) -> list[FaceBox]:
        """The faces in a picture (H, W, 3), the surest first."""
        picture = torch.from_numpy(np.ascontiguousarray(pixels)).to(self.proposal.conv1.weight.device)
        picture = (picture.permute(2, 0, 1).float().contiguous() - 127.5) / 128  # means commute with it
        boxes = self._proposed(picture)
        boxes = self._looked_at(picture, boxes, self.refinement, _REFINED, self.settings.thresholds[1])
        boxes = self._looked_at(picture, boxes, self.output, _FINAL, self.settings.thresholds[2])
        return [FaceBox(*map(float, box)) for box in boxes]

    def _proposed(self, picture: Tensor) -> _Boxes:
        """Squares around what the proposal network takes for a face, at any size."""
        height, width = picture.shape[1:]
        scale, found = _CELL / self.settings.least_face, [np.zeros((0, 9))]
        while min(height, width) * scale >= _CELL:
            small = resize_by_area(picture, (int(height * scale + 1), int(width * scale + 1)))
            probabilities, offsets = self.proposal(_channels_last(small[None]))
            cells = _cells(probabilities, offsets, scale, self.settings.thresholds[0])
            found.append(cells[_suppressed(cells, 0.5)])
            scale *= self.settings.factor
        cells = np.concatenate(found)
        cells = cells[_suppressed(cells, 0.7)]
        return _squares(_moved(cells[:, :5], cells[:, 5:], more=0))

    def _looked_at(self, picture: Tensor, boxes: _Boxes, network: nn.Module, size: int, threshold: float) -> _Boxes:
        """What a network still takes for a face, with its corners moved."""
        places = [_inside(picture, box) for box in boxes]
        boxes = boxes[[place is not None for place in places]]
        crops = [resize_by_area(picture[:, y:b, x:r], (size, size)) for x, y, r, b in filter(None, places)]
        if not crops:
            return np.zeros((0, 5))
        answers = [
            network(_channels_last(torch.stack(crops[n : n + _AT_ONCE]))) for n in range(0, len(crops), _AT_ONCE)
        ]
        probabilities, offsets = (torch.cat(parts).double().cpu().numpy() for parts in zip(*answers, strict=True))
        passed = probabilities > threshold
        boxes, offsets = np.column_stack([boxes[passed, :4], probabilities[passed]]), offsets[passed]
        if size == _FINAL:
            moved = _moved(boxes, offsets, more=1)
            return moved[_suppressed(moved, 0.7, of_smaller=True)]
        kept = _suppressed(boxes, 0.7)
        return _squares(_moved(boxes[kept], offsets[kept], more=1))


def _cells(probabilities: Tensor, offsets: Tensor, scale: float, threshold: float) -> _Boxes:
    """(N, 9): box, probability and offsets of the cells of one picture that pass."""
    passed = probabilities[0] >= threshold
    rows, columns = passed.nonzero(as_tuple=True)
    corner = torch.stack([columns, rows], dim=1).double().cpu().numpy() * _STRIDE
    upper, lower = np.floor((corner + 1) / scale), np.floor((corner + _CELL) / scale)
    sure, moves = (part.double().cpu().numpy() for part in (probabilities[0][passed], offsets[0][:, passed].T))
    return np.column_stack([upper, lower, sure, moves])


def _moved(boxes: _Boxes, offsets: NDArray[np.float64], *, more: int) -> _Boxes:
    """Corners moved by offsets in shares of the box's size plus `more`."""
    size = np.tile(boxes[:, 2:4] - boxes[:, :2] + more, 2)
    return np.column_stack([boxes[:, :4] + offsets * size, boxes[:, 4]])


def _squares(boxes: _Boxes) -> _Boxes:
    """Squares of the longer side around the same middles."""
    size = boxes[:, 2:4] - boxes[:, :2]
    side = size.max(axis=1, keepdims=True) if len(boxes) else np.zeros((0, 1))
    corner = boxes[:, :2] + (size - side) / 2
    return np.column_stack([corner, corner + side, boxes[:, 4]])


def _inside(picture: Tensor, box: NDArray[np.float64]) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of what of a box lies in a picture (3, H, W); None where nothing does.

    The corners are whole pixels counted from one, as in the program that the weights come from.
    """
    left, top, right, bottom = (int(value) for value in np.trunc(box[:4]))
    left, top, right, bottom = (
        max(left, 1) - 1,
        max(top, 1) - 1,
        min(right, picture.shape[2]),
        min(bottom, picture.shape[1]),
    )
    return (left, top, right, bottom) if right > left and bottom > top else None


def _suppressed(boxes: _Boxes, most: float, *, of_smaller: bool = False) -> NDArray[np.int64]:
    """Numbers of the boxes that stay, the surest first: none overlaps a surer one by more than `most`.

    Overlap is intersection over union; `of_smaller` over the smaller box, with both borders counted in.
    """
    border = 1 if of_smaller else 0
    order = np.argsort(-boxes[:, 4], kind="stable")
    areas = np.prod(boxes[:, 2:4] - boxes[:, :2] + border, axis=1)
    kept = []
    while len(order):
        first, rest = order[0], order[1:]
        kept.append(first)
        upper = np.maximum(boxes[first, :2], boxes[rest, :2])
        lower = np.minimum(boxes[first, 2:4], boxes[rest, 2:4])
        shared = np.prod(np.clip(lower - upper + border, 0, None), axis=1)
        whole = np.minimum(areas[first], areas[rest]) if of_smaller else areas[first] + areas[rest] - shared
        order = rest[shared <= most * whole]
    return np.array(kept, dtype=np.int64)


def mtcnn_weights() -> Path | None:
    """The folder of the weights in the installed wheel, found without importing it; None where it is not installed."""
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "data"
    return folder if folder.is_dir() else None


def open_mtcnn(folder: Path | None = None, settings: MtcnnSettings | None = None) -> Mtcnn:
    """The networks with their trained weights.

    Args:
        folder: with pnet.pt, rnet.pt and onet.pt; the wheel's if not given.
        settings: the published ones if not given.

    Raises:
        MissingWeightsError: no folder is given and the wheel is not installed.
        CheckpointError: a file is missing, damaged or of another network.
    """
    folder = folder if folder is not None else mtcnn_weights()
    if folder is None:
        raise MissingWeightsError("facenet-pytorch", purpose="finding faces with MTCNN", install=_INSTALL)
    networks = Mtcnn(settings)
    for part, name in _FILES.items():
        _load(networks.get_submodule(part), folder / name)
    return networks


def _load(network: nn.Module, path: Path) -> None:
    try:
        weights: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(weights)
    except (OSError, UnpicklingError, RuntimeError, EOFError, TypeError, AttributeError) as error:
        raise CheckpointError(
            "the weights of the face detector cannot be read",
            where=path,
            found=str(error).splitlines()[0] if str(error) else type(error).__name__,
            hint=f"Install them anew: {_INSTALL} --force-reinstall",
        ) from error
