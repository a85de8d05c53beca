"""The process that decodes what strangers send: it forks a child for every recording, and the child can do little.

Run as ``python -m serenade.service.decoder FD``; `sandbox` is its only caller. FD is a stream socket; on it comes a
line of JSON with two descriptors (the media and where the sound goes), and back goes a descriptor of the child's
process. A child is forked from a warm process, so it starts in milliseconds, hears one recording and ends.

What a child may do is bounded by the kernel: memory, processor time, no file written, no core dump, no new privileges,
and one descriptor more than it holds, which its input takes: no file and no connection can be opened while media are
decoded, whatever they talk the decoder into.

Frames to the service: a byte (p sound, e error, d done), the length (uint32, little endian), then float32 samples at
16 kHz or JSON.
"""

import ctypes
import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from serenade.core.errors import AudioError, MissingExtraError, SerenadeError
from serenade.signal.audio import Resampler, stream_samples
from serenade.signal.media import open_media

__all__ = ["FRAME", "MOST_BYTES", "main"]

FRAME = struct.Struct("<cI")
"""Kind and length of what follows."""
MOST_BYTES = 1 << 20
"""The longest frame."""

_BLOCK_S = 1.0
_MEDIA, _SOUND = 3, 4  # descriptors of a child
_MEBIBYTE = 1 << 20
_NO_NEW_PRIVS, _PARENT_DEATH = 38, 1  # of prctl(2)
_TEXT_MOST = 500  # characters of a message that came from inside a file


def main(control: int) -> None:
    """Fork children until the service is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children need no burial
    _warm_up()
    nursery = os.getpid()
    with socket.socket(fileno=control) as channel:
        channel.sendall(b"r")
        while True:
            message, descriptors, _, _ = socket.recv_fds(channel, 4096, 2)
            if not message:
                return
            begun, begin = os.pipe()
            child = os.fork()
            if child == 0:
                _die_with(nursery)
                os.read(begun, 1)  # one that ended at once would leave nothing that a descriptor can be had of
                channel.close()
                _be_child(json.loads(message), *descriptors)
            process = os.pidfd_open(child)
            os.write(begin, b"b")
            socket.send_fds(channel, [b"s"], [process])
            for descriptor in (*descriptors, begun, begin, process):
                os.close(descriptor)


def _warm_up() -> None:
    """Load what decoding needs by decoding a little, in both ways; a child could open no module any more."""
    from io import BytesIO

    import soundfile

    file = BytesIO()
    soundfile.write(file, np.zeros(1600, np.float32), 8000, format="WAV")
    list(stream_samples(file.getvalue()))
    for name in ("fcntl", "resource"):
        import_module(name)
    file.seek(0)
    with suppress(MissingExtraError), open_media(file, "the first breath", "") as media:
        list(media.blocks)


def _die_with(parent: int) -> None:
    """Be killed when the parent is, which may have been just now."""
    ctypes.CDLL(None).prctl(_PARENT_DEATH, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _be_child(job: dict[str, Any], media: int, sound: int) -> None:
    """Decode one recording and end; never returns."""
    code = 1
    try:
        _take_places(media, sound)
        _give_up_rights(int(job["memory_mb"]), int(job["cpu_s"]))
        with open(_SOUND, "wb", buffering=0) as out:
            _tell(
                out, _live(job["live"]) if job["live"] else stream_samples(Path(f"/dev/fd/{_MEDIA}"), block_s=_BLOCK_S)
            )
        code = 0
    finally:
        os._exit(code)


def _take_places(media: int, sound: int) -> None:
    """Nothing is open but nowhere, the media and the way out."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    held = [os.dup(media), os.dup(sound)]
    for place in (0, 1, 2):
        os.dup2(nowhere, place)
    held = [_above(descriptor) for descriptor in held]
    os.dup2(held[0], _MEDIA)
    os.dup2(held[1], _SOUND)
    os.closerange(_SOUND + 1, 4096)


def _above(descriptor: int) -> int:
    """The same, where neither of the two places is."""
    import fcntl

    return fcntl.fcntl(descriptor, fcntl.F_DUPFD, _SOUND + 1)


def _give_up_rights(memory_mb: int, cpu_s: int) -> None:
    import resource  # here, so that other systems can load this file and be told that it is Linux that is needed

    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    here = pages * resource.getpagesize()
    for what, most in (
        (resource.RLIMIT_AS, here + memory_mb * _MEBIBYTE),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _SOUND + 2),
    ):
        resource.setrlimit(what, (most, most))
    ctypes.CDLL(None).prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)


def _live(container: str) -> Iterator[NDArray[np.float32]]:
    """Sound of media that are still arriving."""
    with open(_MEDIA, "rb", buffering=0) as file:
        yield from _live_blocks(file, container)


def _live_blocks(file: BinaryIO, container: str) -> Iterator[NDArray[np.float32]]:
    with open_media(file, "the stream", "", container=container) as media:
        resampler = Resampler(media.sample_rate)
        for block in media.blocks:
            yield resampler.add(block.mean(axis=1, dtype=np.float32))
        yield resampler.finish()


def _tell(out: Any, blocks: Iterator[NDArray[np.float32]]) -> None:
    try:
        for block in blocks:
            if len(block):
                _send(out, b"p", block.astype("<f4").tobytes())
        _send(out, b"d", b"")
    except SerenadeError as error:
        reason = error.reason if isinstance(error, AudioError) else "undecodable"
        words = {name: _plain(getattr(error, name)) for name in ("what", "found", "expected", "hint")}
        _send(out, b"e", json.dumps({"reason": reason, **words}).encode())
    except MemoryError:
        _send(out, b"e", json.dumps({"reason": "memory"}).encode())


def _plain(value: object) -> str | None:
    return None if value is None else str(value)[:_TEXT_MOST]


def _send(out: Any, kind: bytes, data: bytes) -> None:
    message = memoryview(FRAME.pack(kind, len(data)) + data)
    while message:
        message = message[out.write(message) :]


if __name__ == "__main__":
    main(int(sys.argv[1]))
