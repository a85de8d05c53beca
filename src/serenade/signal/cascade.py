"""A light face detector: the frontal Haar cascade that OpenCV's wheel carries (extra `faces`).

It finds faces that look into the camera, several times quicker than MTCNN, misses turned and dim ones, and takes some
patterns for faces. OpenCV 5 has no cascades any more, so the extra asks for version 4.

P. Viola, M. Jones, "Rapid Object Detection using a Boosted Cascade of Simple Features", CVPR 2001.
"""

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from serenade.core.errors import MissingExtraError
from serenade.core.settings import Settings
from serenade.signal.faces import FaceBox
from serenade.signal.video import Pixels

__all__ = ["Cascade", "CascadeSettings"]

_FILE = "haarcascade_frontalface_default.xml"
_LUMA = np.array([0.299, 0.587, 0.114])  # of red, green and blue in a grey value


class CascadeSettings(Settings):
    """How eager the cascade is."""

    least_share: float = Field(0.1, gt=0, le=1, description="height of the smallest face as a share of the picture's")
    factor: float = Field(1.1, gt=1, le=2, description="from one size of face to the next")
    least_neighbours: int = Field(6, ge=0, description="finds that must agree on a face")


class Cascade:
    """A `FaceDetector` of `serenade.signal.faces`.

    Args:
        settings: how eager it is.

    Raises:
        MissingExtraError: OpenCV is not installed, or is one without cascades.
    """

    def __init__(self, settings: CascadeSettings | None = None) -> None:
        self.settings = settings if settings is not None else CascadeSettings()
        self._finder = _open()

    @property
    def name(self) -> str:
        """Of the detector with its settings: crops are cached under it."""
        return f"cascade {_FILE} {self.settings.model_dump_json()}"

    def find(self, pixels: Pixels) -> list[FaceBox]:
        """The faces in a picture (H, W, 3)."""
        grey = (pixels @ _LUMA + 0.5).astype(np.uint8)
        least = max(20, round(self.settings.least_share * grey.shape[0]))
        found = self._finder.detectMultiScale(
            grey,
            scaleFactor=self.settings.factor,
            minNeighbors=self.settings.least_neighbours,
            minSize=(least, least),
        )
        return [FaceBox(float(x), float(y), float(x + width), float(y + height)) for x, y, width, height in found]


def _open() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError("cv2", extra="faces", purpose="finding faces with a cascade") from error
    path = Path(cv2.__file__).parent / "data" / _FILE
    if not path.is_file():
        raise MissingExtraError("opencv-python-headless<5", extra="faces", purpose="finding faces with a cascade")
    return cv2.CascadeClassifier(str(path))
