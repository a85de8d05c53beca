"""Small videos made while the tests run."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

__all__ = ["grey", "grey_of", "write_clip"]

RATE = 16_000


def grey(level: int, height: int = 64, width: int = 96) -> NDArray[np.uint8]:
    """A picture of one grey."""
    return np.full((height, width, 3), level, dtype=np.uint8)


def grey_of(pixels: NDArray[np.uint8]) -> int:
    """The grey of a picture to the next ten, since codecs change it a little."""
    return round(float(pixels.mean()) / 10) * 10


def write_clip(
    path: Path,
    times_s: Sequence[float],
    pictures: Sequence[NDArray[np.uint8]],
    sound: NDArray[np.floating] | None = None,
    *,
    rotation: int | None = None,
    codec: str = "mpeg4",
) -> Path:
    """A video with pictures at given times and, where there is any, (T,) sound at 16 kHz."""
    with av.open(str(path), "w") as file:
        height, width = pictures[0].shape[:2] if pictures else (64, 96)
        track = file.add_stream(codec, rate=1000, width=width, height=height, pix_fmt="yuv420p")
        track.codec_context.time_base = Fraction(1, 1000)
        track.bit_rate = 2_000_000
        if rotation is not None:
            track.set_display_rotation(rotation)
        heard = None if sound is None else file.add_stream("aac", rate=RATE, layout="mono")
        file.start_encoding()
        for time_s, pixels in zip(times_s, pictures, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = round(1000 * time_s), Fraction(1, 1000)
            file.mux(track.encode(frame))
        file.mux(track.encode(None))
        if heard is not None:
            samples = np.ascontiguousarray(sound, dtype=np.float32)[None]
            for start in range(0, samples.shape[1], 1024):
                part = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(samples[:, start : start + 1024]), format="fltp", layout="mono"
                )
                part.sample_rate, part.pts = RATE, start
                file.mux(heard.encode(part))
            file.mux(heard.encode(None))
    return path
