"""What finds faces, by name."""

from typing import Literal

from serenade.core.devices import choose_device
from serenade.core.errors import MissingExtraError, MissingWeightsError, UsageError
from serenade.models.faces.mtcnn import mtcnn_weights, open_mtcnn
from serenade.signal.cascade import Cascade
from serenade.signal.faces import FaceDetector

__all__ = ["DetectorName", "open_detector"]

DetectorName = Literal["auto", "mtcnn", "cascade"]


def open_detector(name: DetectorName = "auto", device: str = "cpu") -> FaceDetector:
    """A face detector, ready to use.

    Args:
        name: mtcnn, the published one; cascade, quicker and weaker; auto: MTCNN where its weights are installed, else
            the cascade.
        device: auto, cpu, cuda or cuda:N; the cascade knows the processor only.

    Raises:
        UsageError: there is no such device, or the cascade is to run on a GPU.
        MissingWeightsError: the weights of MTCNN are not installed; with "auto" only if there is no cascade either.
        MissingExtraError: OpenCV is not installed and the cascade is asked for.
    """
    chosen = choose_device(device)
    if name == "cascade":
        if device not in ("auto", "cpu"):
            raise UsageError("the cascade finds faces on the processor only", found=device, expected="auto or cpu")
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
    return open_mtcnn().to(chosen)
