"""Pictures of a video at given times, decoded by PyAV (extra `media`), one at a time so that memory stays small.

Time is what the file's time stamps say, so a variable frame rate, 29.97 frames a second and a lost frame do no harm.
The picture of a time is the one on screen then: the last that was shown at or before it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from serenade.core.errors import AudioError, MissingExtraError, VideoError, VideoErrorReason
from serenade.core.records import Video
from serenade.core.settings import Settings
from serenade.signal.decoding import open_file
from serenade.signal.media import container_of

__all__ = ["SPAN_TOLERANCE_S", "FrameSettings", "Picture", "Pixels", "centre_square", "sample_frames", "video_duration"]

Pixels = NDArray[np.uint8]
"""(H, W, 3) red, green, blue, upright."""

_SEEK_FROM_S = 2.0  # to begin nearer to the start than that, decoding from the start is as quick
_LATE_S = 1e-4  # time stamps are rounded to the file's time base
_MOST_PIXELS = 2**26  # twice what 8K has; what is beyond is a damaged header
SPAN_TOLERANCE_S = 0.5
"""How far a span may end behind the last picture, or the sound: the one is often a little longer than the other."""


class FrameSettings(Settings):
    """Which pictures of a video are looked at."""

    interval_ms: int = Field(500, ge=10, description="from one picture to the next, by time stamp")
    longest_s: float = Field(280.0, gt=0, description="an utterance is looked at no longer than that, as published")
    halve_above: int | None = Field(None, ge=1, description="halve pictures higher than that: 360 for CMU-MOSEI")
    longest_side: int = Field(1280, ge=64, description="larger pictures are reduced to this width or height")
    centre_crop: int | None = Field(
        None,
        ge=16,
        description="square cut from the middle before faces are sought: 224 for IEMOCAP, 360 for CMU-MOSEI",
    )
    released_double_sampling: bool = Field(
        False, description="keep every 15th of these pictures only, as the released loader does for CMU-MOSEI"
    )


@dataclass(frozen=True, slots=True)
class Picture:
    """What is on screen at a time.

    Args:
        time_s: the time asked for, from the beginning of the span.
        pixels: (H, W, 3) upright.
    """

    time_s: float
    pixels: Pixels


def sample_frames(video: Video, settings: FrameSettings | None = None) -> Iterator[Picture]:
    """The pictures of a span of a video, one every `interval_ms`, the first at its beginning.

    Args:
        video: file, span and side of the picture.
        settings: the published ones if not given.

    Raises:
        VideoError: it is not there, is no video, is damaged, shows nothing, or the span does not lie within it; also
            while the pictures are drawn.
        MissingExtraError: PyAV is not installed.
    """
    settings = settings if settings is not None else FrameSettings()
    every = 15 if settings.released_double_sampling else 1
    number = -1
    for number, (time_s, frame) in enumerate(_on_screen(video, settings)):
        if number % every == 0:
            yield Picture(time_s, _prepared(frame, video, settings))
    if number < 0:
        raise VideoError(
            "the video shows no picture", reason="empty", where=video.path, found="a track without pictures"
        )


def video_duration(path: Path) -> float | None:
    """Length of a video's picture track in seconds by its header; None where that does not say.

    Raises:
        VideoError: it is not there or is no video.
        MissingExtraError: PyAV is not installed.
    """
    with _open(path) as (container, track):
        if track.duration is not None and track.time_base is not None:
            return float(track.duration * track.time_base)
        return None if container.duration is None else float(container.duration / 1e6)


@contextmanager
def _open(path: Path) -> Iterator[tuple[Any, Any]]:
    """The open container and its picture track."""
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", extra="media", purpose=f"reading {path}") from error
    try:
        with open_file(path) as file:
            name = container_of(file)
            if name is None:
                raise _no_video(path, "its first bytes are those of no video")
            with av.open(file, format=name, metadata_errors="ignore") as container:
                tracks = [track for track in container.streams.video if not _is_cover(track)]
                if not tracks:
                    raise _no_video(path, "no track of pictures")
                tracks[0].codec_context.thread_count = 1  # bounded memory; several files are read side by side
                _check_size(tracks[0], path)
                yield container, tracks[0]
    except AudioError as error:  # what is said of any file that cannot be opened
        raise _as_video_error(error, path) from error
    except av.FFmpegError as error:
        raise VideoError(
            "the video is damaged or cut short",
            reason="undecodable",
            where=path,
            found=error.strerror or type(error).__name__,
            hint="Copy or download it again",
        ) from error


def _as_video_error(error: AudioError, path: Path) -> VideoError:
    reason: VideoErrorReason = (
        "empty" if error.reason == "empty" else "missing" if error.reason == "missing" else "undecodable"
    )
    return VideoError(error.what.replace("recording", "video"), reason=reason, where=path, found=error.found)


def _is_cover(track: Any) -> bool:
    """Whether the track is the cover of a piece of music."""
    return "attached_pic" in str(track.disposition).lower()


def _check_size(track: Any, path: Path) -> None:
    if not 0 < track.width * track.height <= _MOST_PIXELS:
        found = f"pictures of {track.width} x {track.height}"
        raise VideoError("the size in the header cannot be right", reason="undecodable", where=path, found=found)


def _no_video(path: Path, found: str) -> VideoError:
    return VideoError(
        "there is no video in it", reason="undecodable", where=path, found=found, expected="mp4, mkv, webm, avi or flv"
    )


def _on_screen(video: Video, settings: FrameSettings) -> Iterator[tuple[float, Any]]:
    """Times and PyAV's frames; a frame may be given for several times."""
    _check_span(video)
    with _open(video.path) as (container, track):
        begin_s = 0.0 if container.start_time is None else container.start_time / 1e6
        yield from _drawn(_decoded(container, track, begin_s, video.start_s), video, settings)


def _check_span(video: Video) -> None:
    end_s = video.end_s
    if not 0 <= video.start_s < float("inf") or (end_s is not None and not video.start_s < end_s < float("inf")):
        raise _bad_span(video, "0 <= start < end")


def _bad_span(video: Video, expected: str) -> VideoError:
    end = "the end" if video.end_s is None else f"{video.end_s:g} s"
    found = f"{video.start_s:g} s to {end}"
    return VideoError(
        "the span does not lie in the video", reason="bad span", where=video.path, found=found, expected=expected
    )


def _decoded(container: Any, track: Any, begin_s: float, start_s: float) -> Iterator[tuple[float, Any]]:
    """Times and frames from the last key frame before a time on, or from the beginning where the file has no index."""
    if start_s > _SEEK_FROM_S and _goes_to(container, start_s + begin_s):
        frames = _timed(container, track, begin_s)
        first = next(frames, None)
        if first is not None and first[0] <= start_s + _LATE_S:
            yield first
            yield from frames
            return
        container.seek(0, backward=True)
    yield from _timed(container, track, begin_s)


def _goes_to(container: Any, time_s: float) -> bool:
    """Whether the file could be entered at a time; some containers are read from their beginning only."""
    import av

    try:
        container.seek(round(time_s * 1e6), backward=True)
    except av.FFmpegError:
        return False
    return True


def _timed(container: Any, track: Any, begin_s: float) -> Iterator[tuple[float, Any]]:
    last_s, step_s = None, 1 / float(track.average_rate or 25)
    for frame in container.decode(track):
        next_s = 0.0 if last_s is None else last_s + step_s
        last_s = next_s if frame.time is None else frame.time - begin_s  # a few formats have no time stamps
        yield last_s, frame


def _drawn(frames: Iterator[tuple[float, Any]], video: Video, settings: FrameSettings) -> Iterator[tuple[float, Any]]:
    """At each time the last frame that began by then; the first frame also for what is before it."""
    step_s = settings.interval_ms / 1000
    limit_s = video.start_s + settings.longest_s
    end_s = limit_s if video.end_s is None else min(video.end_s, limit_s)
    number, shown, shown_s, length_s = 0, None, 0.0, 0.0
    for time_s, frame in frames:
        if shown is not None:
            length_s = time_s - shown_s
        while shown is not None and video.start_s + number * step_s < min(time_s - _LATE_S, end_s):
            yield number * step_s, shown
            number += 1
        if time_s >= end_s:
            return
        shown, shown_s = frame, time_s
    if shown is None:
        return
    if shown.duration and shown.time_base:
        length_s = max(length_s, float(shown.duration * shown.time_base))
    last_s = shown_s + max(length_s, _LATE_S)  # without a length of its own it stays as long as the one before
    if last_s <= video.start_s or (end_s < limit_s and end_s - last_s > SPAN_TOLERANCE_S):
        raise _bad_span(video, f"within 0 and {last_s:.3f} s")
    while number == 0 or video.start_s + number * step_s < min(last_s, end_s):
        yield number * step_s, shown
        number += 1


def _prepared(frame: Any, video: Video, settings: FrameSettings) -> Pixels:
    """The pixels upright, of the right half, reduced and cut as the settings say."""
    share = min(1.0, settings.longest_side / max(frame.width, frame.height))
    width, height = (max(1, round(size * share)) for size in (frame.width, frame.height))
    pixels: Pixels = frame.reformat(width, height, format="rgb24", interpolation="AREA").to_ndarray()
    turns = round(frame.rotation / 90) % 4  # counter-clockwise, from the display matrix of phones
    if turns:
        pixels = np.rot90(pixels, turns)
    if video.side is not None:
        middle = pixels.shape[1] // 2
        pixels = pixels[:, :middle] if video.side == "left" else pixels[:, middle : 2 * middle]
    if settings.halve_above is not None and pixels.shape[0] > settings.halve_above:
        pixels = _halved(pixels)
    if settings.centre_crop is not None:
        pixels = centre_square(pixels, settings.centre_crop)
    return np.ascontiguousarray(pixels)


def _halved(pixels: Pixels) -> Pixels:
    """Means of two by two pixels."""
    height, width = (size // 2 * 2 for size in pixels.shape[:2])
    blocks = pixels[:height, :width].reshape(height // 2, 2, width // 2, 2, 3)
    means: Pixels = (blocks.mean(axis=(1, 3)) + 0.5).astype(np.uint8)
    return means


def centre_square(pixels: Pixels, size: int) -> Pixels:
    """(size, size, 3) from the middle of a picture, with black where it is smaller."""
    out = np.zeros((size, size, 3), dtype=np.uint8)
    (top, y), (left, x) = (_middle(extent, size) for extent in pixels.shape[:2])
    height, width = (min(extent, size) for extent in pixels.shape[:2])
    out[y : y + height, x : x + width] = pixels[top : top + height, left : left + width]
    return out


def _middle(extent: int, size: int) -> tuple[int, int]:
    """Where the middle begins in the picture, and where the picture begins in the square."""
    return max(0, (extent - size) // 2), max(0, (size - extent) // 2)
