"""Arrays as pictures: grey for sound, colours for maps laid over it, and PNG files of both without another package."""

import base64
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from serenade.core.explanations import MapScale, Overlay, Picture

if TYPE_CHECKING:
    Pixels = NDArray[np.uint8]

__all__ = ["colours", "data_uri", "extent", "overlay_pixels", "picture_pixels", "png"]

_MOST_COLUMNS = 1400  # a screen shows no more
_MOST_ROWS = 400
_STRONGEST = 0.82  # opacity of the highest values, so that the sound stays visible beneath
_CLIPPED = 0.5  # per cent of the values that may lie beyond the ends of a scale
_WARM = np.array([[255, 209, 70], [245, 140, 30], [214, 40, 40], [125, 5, 60]])  # low to high
_FOR = np.array([[250, 170, 130], [228, 87, 46], [165, 20, 20]])
_AGAINST = np.array([[150, 190, 240], [53, 89, 199], [25, 40, 120]])


def png(pixels: "Pixels") -> bytes:
    """A PNG file.

    Args:
        pixels: (H, W, 3) or (H, W, 4) uint8, top row first.
    """
    height, width, channels = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)  # filter 0 per row
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def data_uri(pixels: "Pixels") -> str:
    """Pixels as an address that holds them."""
    return f"data:image/png;base64,{base64.b64encode(png(pixels)).decode()}"


def picture_pixels(picture: Picture, ends: tuple[float, float] | None = None) -> "Pixels":
    """(H, W, 4): white for the lowest values, dark for the highest; what no segment reached is transparent.

    Args:
        picture: what is drawn.
        ends: the values that are white and darkest, for pictures to be compared; the picture's own if None.
    """
    values = _shrunk(picture.values)
    low, high = _range(values, axis=1 if picture.each_row else None) if ends is None else map(np.asarray, ends)
    share = np.clip((values - low) / np.where(high > low, high - low, 1.0), 0, 1)
    known = np.isfinite(share)
    tone = 255 - np.where(known, share, 0)[..., None] * np.array([235, 229, 216])  # to a blue black
    alpha = np.where(known, 255, 0)[..., None]
    return np.concatenate([tone, alpha], axis=2).round().astype(np.uint8)[::-1]


def overlay_pixels(overlay: Overlay) -> "Pixels":
    """(H, W, 4): the stronger the more opaque; what no segment reached is transparent."""
    return colours(_shrunk(overlay.values), overlay.scale, extent(overlay))[::-1]


def extent(overlay: Overlay) -> tuple[float, float]:
    """The values at the two ends of a map's colours: from 0 up, symmetric around 0, or from lowest to highest.

    A few values in a thousand lie beyond, so that a single one does not make the others pale.
    """
    known = overlay.values[np.isfinite(overlay.values)]
    if known.size == 0:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(known, [_CLIPPED, 100 - _CLIPPED]))
    if overlay.scale == "signed":
        reach = max(abs(low), abs(high))
        return -reach, reach
    return (0.0, high) if overlay.scale == "share" else (low, high)


def colours(values: "NDArray[np.floating]", scale: MapScale, ends: tuple[float, float]) -> "Pixels":
    """(..., 4) uint8 colours with opacity of values: warm; with signs red for, blue against."""
    low, high = ends
    span = high - low if high > low else 1.0
    known = np.isfinite(values)
    filled = np.where(known, values, low)
    if scale == "signed":
        signed = np.clip(filled / (high if high > 0 else 1.0), -1, 1)
        strength = np.abs(signed)
        tone = np.where((signed >= 0)[..., None], _ramp(_FOR, strength), _ramp(_AGAINST, strength))
    else:
        strength = np.clip((filled - low) / span, 0, 1)
        tone = _ramp(_WARM, strength)
    alpha = np.where(known, 255 * _STRONGEST * strength, 0)[..., None]
    return np.concatenate([tone, alpha], axis=-1).round().astype(np.uint8)


def _ramp(stops: "NDArray[np.int_]", share: "NDArray[np.floating]") -> "NDArray[np.float64]":
    places = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(share, places, stops[:, channel]) for channel in range(3)], axis=-1)


def _range(values: "NDArray[np.floating]", axis: int | None) -> tuple["NDArray[np.float64]", "NDArray[np.float64]"]:
    """Lowest and highest value but for the clipped ones, over all or over every row; 0 and 0 of nothing."""
    known = np.isfinite(values)
    if not known.any():
        return np.zeros(1), np.zeros(1)
    columns = known.any(axis=0)
    low, high = np.percentile(values[:, columns], [_CLIPPED, 100 - _CLIPPED], axis=axis, keepdims=axis is not None)
    return np.asarray(low), np.asarray(high)


def _shrunk(values: "NDArray[np.float32]") -> "NDArray[np.float64]":
    """Neighbours averaged where there are more than a screen shows."""
    rows, columns = (-(-size // most) for size, most in zip(values.shape, (_MOST_ROWS, _MOST_COLUMNS), strict=True))
    for axis, times in ((0, rows), (1, columns)):
        if times > 1:
            values = _averaged(values, axis, times)
    return values.astype(np.float64)


def _averaged(values: "NDArray[np.float32]", axis: int, times: int) -> "NDArray[np.float32]":
    starts = np.arange(0, values.shape[axis], times)
    sizes = np.diff(np.append(starts, values.shape[axis]))
    sums = np.add.reduceat(values, starts, axis=axis)
    shape = [-1 if place == axis else 1 for place in range(values.ndim)]
    return np.asarray(sums / sizes.reshape(shape), dtype=np.float32)
