"""The sound of what soundfile cannot read (m4a, webm, mp4, wma, amr, ...), decoded by PyAV (extra `media`)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from serenade.core.errors import AudioError, MissingExtraError

__all__ = ["Media", "container_of", "decode_track", "open_media"]

# offset, bytes, FFmpeg's name of the container. PyAV is asked only for what is listed: left to guess, FFmpeg would also
# open playlists, which name other files and addresses on the network.
_CONTAINERS = (
    (4, b"ftyp", "mov"),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (0, b"#!AMR", "amr"),
    (0, b"\xff\xf1", "aac"),
    (0, b"\xff\xf9", "aac"),
    (0, b"ID3", "mp3"),
    (0, b"OggS", "ogg"),
    (0, b"FLV", "flv"),
    (0, b"wvpk", "wv"),
    (0, b"MAC ", "ape"),
    (0, b"TTA1", "tta"),
    (0, b"\x00\x00\x01\xba", "mpeg"),
    (8, b"AVI ", "avi"),
    (8, b"WAVE", "wav"),
    (8, b"AIFC", "aiff"),
)
# Of a stream that is still arriving FFmpeg must not wait for seconds of it before it says what it is.
_AT_ONCE = {"probesize": "4096", "analyzeduration": "0"}


@dataclass(frozen=True, slots=True)
class Media:
    """An open sound track.

    Args:
        sample_rate: its rate in Hz.
        channels: its channels.
        duration_s: its length as the container gives it; None where it does not.
        blocks: (n, C) samples.
    """

    sample_rate: int
    channels: int
    duration_s: float | None
    blocks: Iterator[NDArray[np.float32]]


@contextmanager
def open_media(file: BinaryIO, where: str, problem: str, *, container: str | None = None) -> Iterator[Media]:
    """Open the first sound track of a file.

    Args:
        file: the bytes, at their beginning.
        where: what to call it in messages.
        problem: why soundfile could not read it.
        container: FFmpeg's name of what it is, for a stream that cannot go back; None finds out by the first bytes.

    Raises:
        AudioError: it is not media, has no sound, or is damaged (also while the blocks are drawn).
        MissingExtraError: PyAV is not installed.
    """
    container_format = container_of(file) if container is None else container
    if container_format is None:
        raise _undecodable(where, problem)
    options = {} if container is None else _AT_ONCE
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", extra="media", purpose=f"reading {where}") from error
    try:
        # old tags are in any encoding
        opened = av.open(file, format=container_format, metadata_errors="ignore", container_options=options)
    except av.FFmpegError as error:
        raise _undecodable(where, error.strerror) from error
    with opened:
        if not opened.streams.audio:
            raise AudioError("there is no sound in it", reason="undecodable", where=where)
        track = opened.streams.audio[0]
        rate = track.codec_context.sample_rate
        blocks = decode_track(av, opened, track, rate, where)
        yield Media(rate, track.channels, _duration_of(opened, track), blocks)


def _duration_of(container: Any, track: Any) -> float | None:
    """Seconds, by the track's own account or else the container's (in millionths); not every writer knows it."""
    if track.duration is not None and track.time_base is not None:
        return float(track.duration * track.time_base)
    return None if container.duration is None else container.duration / 1e6


def container_of(file: BinaryIO) -> str | None:
    """FFmpeg's name of the container that the first bytes of a file tell of; None where it is none that is read."""
    head = file.read(16)
    file.seek(0)
    matches = (name for offset, magic, name in _CONTAINERS if head[offset : offset + len(magic)] == magic)
    return next(matches, None)


def _undecodable(where: str, found: str | None) -> AudioError:
    return AudioError(
        "the file cannot be decoded as sound",
        reason="undecodable",
        where=where,
        found=found,
        expected="wav, flac, ogg, opus, mp3 or aiff, or with the extra `media` m4a, webm, mp4 and the like",
    )


def decode_track(av: Any, container: Any, track: Any, rate: int, where: str) -> Iterator[NDArray[np.float32]]:
    """(n, C) float32 blocks of a sound track that is open.

    Args:
        av: the package PyAV.
        container: what holds the track.
        track: the sound track.
        rate: of the blocks, in Hz.
        where: what to call it in messages.

    Raises:
        AudioError: it is damaged or broke off; while the blocks are drawn.
    """
    # The sample format changes; the rate only where a decoder finds another one than the header names (HE-AAC).
    resampler = av.AudioResampler(format="fltp", rate=rate)
    try:
        for frame in container.decode(track):
            for part in resampler.resample(frame):
                yield np.ascontiguousarray(part.to_ndarray().T)
        for part in resampler.resample(None):
            yield np.ascontiguousarray(part.to_ndarray().T)
    except (av.FFmpegError, ValueError) as error:  # PyAV's word for channels that change on the way is ValueError
        raise AudioError(
            "the recording is damaged or cut short",
            reason="undecodable",
            where=where,
            found=getattr(error, "strerror", None) or error,
            hint="Copy or download it again",
        ) from error
