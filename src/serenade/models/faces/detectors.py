"""What finds faces, by name."""

from typing import Literal

from serenade.core.errors import MissingExtraError, MissingWeightsError
from serenade.models.faces.mtcnn import mtcnn_weights, open_mtcnn
from serenade.signal.cascade import Cascade
from serenade.signal.faces import FaceDetector

__all__ = ["DetectorName", "open_detector"]

DetectorName = Literal["auto", "mtcnn", "cascade"]


def open_detector(name: DetectorName = "auto") -> FaceDetector:
    """A face detector, ready to use.

    Args:
        name: mtcnn, the published one; cascade, quicker and weaker; auto: MTCNN where its weights are installed, else
            the cascade.

    Raises:
        MissingWeightsError: the weights of MTCNN are not installed; with "auto" only if there is no cascade either.
        MissingExtraError: OpenCV is not installed and the cascade is asked for.
    """
    if name == "cascade":
        return Cascade()
    if name == "auto" and mtcnn_weights() is None:
        try:
            return Cascade()
        except MissingExtraError as error:
            raise MissingWeightsError(
                "facenet-pytorch",
                purpose="finding faces",
                install='pip install --no-deps facenet-pytorch==2.6.0, or for a simpler detector "serenade[faces]"',
            ) from error
    return open_mtcnn()
