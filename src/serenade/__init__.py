"""Serenade: emotion recognition from speech, with honest protocols."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serenade.inference.recognizer import Recognizer

__all__ = ["Recognizer", "__version__", "load"]

__version__ = "0.1.0"

# ONNX Runtime counts its users from its import on, if nobody objects; Serenade sends nothing that nobody asked for.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def load(model: str = "glam-emodb", *, device: str = "auto") -> "Recognizer":
    """A recogniser from a model folder or the name of a model that ships with the package.

    Args:
        model: path of a model folder, or a shipped name.
        device: "auto", "cpu", "cuda" or "cuda:N".

    Returns:
        A callable: give it a path, bytes, or an array with its sample rate; it returns a `Prediction`.

    Raises:
        CheckpointError: there is no such model, or it is damaged or of another version.
    """
    from serenade.inference.recognizer import Recognizer

    return Recognizer.load(model, device=device)


def __getattr__(name: str) -> Any:
    if name == "Recognizer":
        from serenade.inference.recognizer import Recognizer

        return Recognizer
    raise AttributeError(f"module 'serenade' has no attribute {name!r}")
