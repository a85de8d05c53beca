"""What an answer rests on, for the page: pictures and maps as bytes."""

import base64
from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from serenade.core.errors import UsageError
from serenade.core.explanations import Explanation, Overlay, Picture
from serenade.core.timelines import Attended
from serenade.service.recognition import Model
from serenade.signal.audio import SAMPLE_RATE

if TYPE_CHECKING:
    from serenade.inference.explanation import Explainer

__all__ = ["Explainers"]

_STEPS = 254  # a byte is 0 where there is nothing, else 1 to 255


class Explainers:
    """One explainer for each model, made when it is first asked for; one answers at a time.

    Args:
        device: where networks run.
    """

    def __init__(self, device: str) -> None:
        self._device, self._lock = device, Lock()
        self._made: dict[str, Explainer] = {}

    def explain(
        self, model: Model, samples: NDArray[np.float32], start_s: float, target: str | None, method: str
    ) -> dict[str, Any]:
        """Why a model says what it says of a stretch, as if it were a recording of its own.

        Args:
            model: whose answer.
            samples: (T,) the stretch at 16 kHz.
            start_s: where the stretch begins, which is added to all times.
            target: the class; None for the predicted one.
            method: of `serenade.inference.METHODS`, or auto.

        Raises:
            AudioError: there is nothing to hear.
            UsageError: the stretch is empty, the model has no such class, or the method is not for it.
        """
        if len(samples) == 0:
            raise UsageError("the stretch begins behind the end of the recording", found=f"{start_s:g} s")
        with self._lock:
            found = self._explainer(model)(samples, SAMPLE_RATE, target=target, method=method)
        return _plain(found, start_s)

    def attended(self, model: Model, parts: Iterable[tuple[float, NDArray[np.float32]]]) -> list[Attended]:
        """What a model attends to in parts of a recording; nothing where it has no attention.

        Args:
            model: whose attention.
            parts: where each begins, in seconds, and its (T,) samples at 16 kHz.
        """
        from serenade.inference.attended import attended_in

        if Path(model.source).suffix == ".onnx":  # an export tells scores only
            return []
        with self._lock:
            return attended_in(self._explainer(model), parts)

    def _explainer(self, model: Model) -> "Explainer":
        from serenade.inference.explanation import Explainer

        if model.name not in self._made:
            self._made[model.name] = Explainer.load(model.source, device=self._device)
        return self._made[model.name]


def _plain(found: Explanation, start_s: float) -> dict[str, Any]:
    prediction = found.prediction
    return {
        "label": prediction.label,
        "score": prediction.score,
        "scores": dict(prediction.scores),
        "target": found.target,
        "method": found.method,
        "start_s": start_s + found.span_s[0],
        "end_s": start_s + found.span_s[1],
        "sound": None if found.sound is None else _picture(found.sound, start_s),
        "features": _picture(found.features, start_s),
        "overlays": [_overlay(overlay) for overlay in found.overlays],
        "notes": list(found.notes),
    }


def _picture(picture: Picture, start_s: float) -> dict[str, Any]:
    values = picture.values
    if picture.each_row:  # every row has its own range
        low, high = (reduce(values, axis=1, keepdims=True) for reduce in (np.nanmin, np.nanmax))
        values = ((values - low) / np.maximum(high - low, 1e-9)).astype(np.float32)
    return {
        "title": picture.title,
        "axis": picture.axis,
        "ticks": [[row, name] for row, name in picture.ticks.items()],
        "start_s": start_s + picture.span_s[0],
        "end_s": start_s + picture.span_s[1],
        **_bytes(values),
    }


def _overlay(overlay: Overlay) -> dict[str, Any]:
    return {
        "name": overlay.name,
        "title": overlay.title,
        "meaning": overlay.meaning,
        "scale": overlay.scale,
        **_bytes(overlay.values),
    }


def _bytes(values: NDArray[np.float32]) -> dict[str, Any]:
    """(F, L) values as bytes, row 0 lowest, in steps between the least and the greatest."""
    there = np.isfinite(values)
    low, high = (float(values[there].min()), float(values[there].max())) if there.any() else (0.0, 0.0)
    steps = np.where(there, 1 + np.round((values - low) / max(high - low, 1e-12) * _STEPS), 0)
    data = base64.b64encode(np.nan_to_num(steps).astype(np.uint8).tobytes()).decode()
    return {"rows": len(values), "columns": values.shape[1], "low": low, "high": high, "data": data}
