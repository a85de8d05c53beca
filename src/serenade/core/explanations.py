"""What explains a prediction, as plain arrays: made where networks are known, drawn where they are not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from serenade.core.records import Prediction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Curve", "Explanation", "MapScale", "Overlay", "Picture"]

MapScale = Literal["share", "signed", "range"]
"""How numbers of a map are read: from 0 up; for and against; or only by their differences."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Sound as a picture: time to the right, the feature axis upwards.

    Args:
        title: what it shows.
        values: (F, L) float32, row 0 lowest; NaN where no segment reaches.
        span_s: time at the left edge of the first column and the right edge of the last one.
        axis: what the rows are, such as "Hz".
        ticks: row (counted from 0, may lie between two) to its name.
        each_row: whether every row has a range of its own, as MFCC do, and not all rows one.
    """

    title: str
    values: "NDArray[np.float32]"
    span_s: tuple[float, float]
    axis: str
    ticks: Mapping[float, str]
    each_row: bool = False


@dataclass(frozen=True, slots=True)
class Overlay:
    """A map laid over a picture, of its size.

    Args:
        name: short, fit for a file's name.
        title: what it shows.
        meaning: what a number of it says, as a sentence.
        values: (F, L) float32 as in the picture, or (1, L) where it knows time only; NaN where no segment reaches.
        scale: how the numbers are read.
    """

    name: str
    title: str
    meaning: str
    values: "NDArray[np.float32]"
    scale: MapScale = "share"


@dataclass(frozen=True, slots=True)
class Curve:
    """Probabilities over time.

    Args:
        spans_s: start and end of every stretch that was scored by itself.
        probabilities: (N, K) in label order.
    """

    spans_s: tuple[tuple[float, float], ...]
    probabilities: "NDArray[np.float64]"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a model says what it says of a recording.

    Args:
        prediction: what it says.
        labels: its classes in order.
        target: the class that is explained: the predicted one, or another that was asked for.
        method: how, such as "attention" or "integrated-gradients".
        span_s: the stretch of the recording that is shown.
        sound: a plain spectrogram, where the features are none; else None.
        features: what the network sees, averaged where segments overlap.
        overlays: the maps.
        curve: probabilities over time.
        samples: (T,) float32, the stretch at 16 kHz.
        notes: what a reader must know.
    """

    prediction: Prediction
    labels: tuple[str, ...]
    target: str
    method: str
    span_s: tuple[float, float]
    sound: Picture | None
    features: Picture
    overlays: tuple[Overlay, ...]
    curve: Curve
    samples: "NDArray[np.float32]"
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Everything but the pictures and maps, as plain values."""
        return {
            "prediction": self.prediction.to_json(),
            "target": self.target,
            "method": self.method,
            "start_s": self.span_s[0],
            "end_s": self.span_s[1],
            "maps": [{"name": o.name, "title": o.title, "meaning": o.meaning, "scale": o.scale} for o in self.overlays],
            "segments": [
                {"start_s": start, "end_s": end, "scores": dict(zip(self.labels, map(float, row), strict=True))}
                for (start, end), row in zip(self.curve.spans_s, self.curve.probabilities, strict=True)
            ],
            "notes": list(self.notes),
        }
