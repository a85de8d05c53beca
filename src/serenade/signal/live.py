"""Sound that is not a file: raw samples from a pipe, what FFmpeg opens (URLs, pipes, devices), and the microphone."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from serenade.core.errors import AudioError, MissingExtraError, UsageError
from serenade.core.wording import counted
from serenade.signal.decoding import RATES
from serenade.signal.media import decode_track

__all__ = ["LiveSound", "PcmFormat", "open_microphone", "open_pcm", "open_url"]

PcmFormat = Literal["s16le", "s32le", "f32le"]

_TYPES = {"s16le": ("<i2", 32768.0), "s32le": ("<i4", 2147483648.0), "f32le": ("<f4", 1.0)}
_CHUNK_S = 0.05  # what is handed on at a time: the least that the delay of a live row can be


@dataclass(frozen=True, slots=True)
class LiveSound:
    """Sound while it arrives.

    Args:
        sample_rate: in Hz.
        blocks: (n, C) float32 samples that follow each other, each handed on as soon as it is there.
    """

    sample_rate: int
    blocks: Iterator[NDArray[np.float32]]


def open_pcm(stream: BinaryIO, *, sample_rate: int, channels: int = 1, kind: PcmFormat = "s16le") -> LiveSound:
    """Raw samples from a pipe or a file, little-endian and interleaved.

    Args:
        stream: where they come from, such as ``sys.stdin.buffer``; it should not wait for more than there is.
        sample_rate: in Hz.
        channels: how many lie beside each other.
        kind: 16-bit or 32-bit integers, or 32-bit floats.

    Raises:
        UsageError: a rate or number of channels that cannot be.
    """
    if not RATES[0] <= sample_rate <= RATES[1] or channels < 1:
        raise UsageError("these raw samples cannot be", found=f"{sample_rate} Hz, {counted(channels, 'channel')}")
    return LiveSound(sample_rate, _pcm_blocks(stream, sample_rate, channels, kind))


def _pcm_blocks(stream: BinaryIO, sample_rate: int, channels: int, kind: PcmFormat) -> Iterator[NDArray[np.float32]]:
    code, full_scale = _TYPES[kind]
    frame = np.dtype(code).itemsize * channels
    most = max(1, round(_CHUNK_S * sample_rate)) * frame
    read = getattr(stream, "read1", stream.read)  # what is there, not a whole chunk
    rest = b""
    while data := read(most):
        held = rest + data
        whole = len(held) // frame * frame
        rest = held[whole:]
        if whole:
            samples = np.frombuffer(held[:whole], code).reshape(-1, channels)
            yield (samples / full_scale).astype(np.float32)


@contextmanager
def open_url(address: str, *, container: str | None = None) -> Iterator[LiveSound]:
    """The sound of anything FFmpeg opens: http(s), rtsp, rtmp, srt or udp addresses, pipes (``pipe:0``), files.

    Unlike the reading of recordings this follows addresses, playlists included: it is for what a user names.

    Args:
        address: what is opened.
        container: FFmpeg's name of the format or device where it cannot be guessed, such as "s16le", "alsa", "pulse".

    Raises:
        AudioError: it cannot be opened or holds no sound; also while the blocks are drawn.
        MissingExtraError: PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", extra="media", purpose=f"listening to {address}") from error
    try:
        opened = av.open(address, format=container, metadata_errors="ignore", timeout=(20.0, 20.0))
    except (av.FFmpegError, ValueError) as error:
        found = getattr(error, "strerror", None) or error
        raise AudioError("the sound cannot be opened", reason="undecodable", where=address, found=found) from error
    with opened:
        if not opened.streams.audio:
            raise AudioError("there is no sound in it", reason="undecodable", where=address)
        track = opened.streams.audio[0]
        rate = track.codec_context.sample_rate
        yield LiveSound(rate, decode_track(av, opened, track, rate, address))


@contextmanager
def open_microphone(device: str | int | None = None) -> Iterator[LiveSound]:
    """The microphone, by PortAudio.

    Args:
        device: its number or a part of its name; None for the default one.

    Raises:
        AudioError: there is no such device, or it refuses.
        MissingExtraError: sounddevice is not installed.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: PortAudio itself is missing
        raise MissingExtraError("sounddevice", extra="microphone", purpose="listening to the microphone") from error
    try:
        rate = int(sounddevice.query_devices(device, "input")["default_samplerate"])
        frames = round(_CHUNK_S * rate)
        stream = sounddevice.InputStream(rate, frames, device, channels=1, dtype="float32", latency="low")
    except (sounddevice.PortAudioError, ValueError) as error:
        raise AudioError("the microphone cannot be opened", reason="undecodable", where=device, found=error) from error
    with stream:
        yield LiveSound(rate, _recorded(stream, frames))


def _recorded(stream: Any, frames: int) -> Iterator[NDArray[np.float32]]:
    while True:
        samples, _ = stream.read(frames)
        yield np.asarray(samples, np.float32)
