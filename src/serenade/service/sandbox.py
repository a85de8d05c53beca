"""Decoding what strangers send, in a process of its own that the kernel holds down and that is killed when it is over.

The service never decodes an upload itself: it hands a descriptor to a child of `decoder` and reads sound at 16 kHz.
What the child says is believed no further than it must be: lengths, kinds and samples are checked.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from serenade.core.errors import AudioError, AudioErrorReason, UsageError
from serenade.service.decoder import FRAME, MOST_BYTES
from serenade.service.problems import Problem
from serenade.service.settings import ServiceSettings
from serenade.signal.audio import SAMPLE_RATE

__all__ = ["LIVE_CONTAINERS", "LiveDecoding", "Sandbox"]

_Samples = NDArray[np.float32]

LIVE_CONTAINERS = {"webm": "matroska", "ogg": "ogg"}
"""What a stream of media may be, and FFmpeg's name of it."""

_START_S = 60.0  # for the warm process on a busy machine
_REASONS = get_args(AudioErrorReason)


class Sandbox:
    """Starts decoders; safe to use from several threads.

    Args:
        settings: memory, time and length that a recording may take.

    Raises:
        UsageError: the system has no process descriptors, which Linux has.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        if not hasattr(os, "pidfd_open"):
            raise UsageError(
                "the service needs Linux, to keep decoders of foreign media within bounds", found=sys.platform
            )
        self._settings = settings
        self._lock = Lock()
        self._nursery: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    def open(self) -> None:
        """Start the warm process, so that the first request need not wait for it."""
        with self._lock:
            self._ensure()

    def close(self) -> None:
        """End the warm process; children that still decode are killed with it."""
        with self._lock:
            self._end()

    def decode(self, media: int) -> Iterator[_Samples]:
        """The sound of a recording.

        Args:
            media: descriptor of the file.

        Yields:
            (n,) float32 at 16 kHz.

        Raises:
            AudioError: it cannot be decoded.
            Problem: it is too long, or decoding took more than it may.
        """
        with self._child(media, live=None) as sound:
            yield from self._limited(_frames(sound, self._settings.decode_stall_s))

    def decode_live(self, container: str) -> "LiveDecoding":
        """Decode media that are still arriving.

        Args:
            container: a key of `LIVE_CONTAINERS`.
        """
        return LiveDecoding(self, LIVE_CONTAINERS[container])

    def _limited(self, blocks: Iterator[_Samples]) -> Iterator[_Samples]:
        most_s, samples = self._settings.max_duration_s, 0
        for block in blocks:
            samples += len(block)
            if samples > most_s * SAMPLE_RATE:
                raise Problem("too-long", f"The recording is longer than {most_s:g} s.")
            yield block

    @contextmanager
    def _child(self, media: int, *, live: str | None) -> Iterator[int]:
        """A child at work: the descriptor of its sound; it is killed when this is left."""
        sound, far_end = os.pipe()
        try:
            process = self._fork(media, far_end, live)
        except BaseException:
            os.close(sound)
            raise
        finally:
            os.close(far_end)
        try:
            yield sound
        finally:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(process, signal.SIGKILL)
            os.close(sound)
            os.close(process)

    def _fork(self, media: int, sound: int, live: str | None) -> int:
        limits = self._settings
        job = {"live": live, "memory_mb": limits.decode_memory_mb, "cpu_s": limits.decode_cpu_s}
        with self._lock:
            for _ in range(2):  # the warm process may have died since
                channel = self._ensure()
                try:
                    socket.send_fds(channel, [json.dumps(job).encode()], [media, sound])
                    answer, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
                except OSError:
                    answer, descriptors = b"", []
                if answer == b"s":
                    return descriptors[0]
                self._end()
        raise Problem("internal", "No decoder could be started.")

    def _ensure(self) -> socket.socket:
        if self._channel is not None:
            return self._channel
        ours, theirs = socket.socketpair()
        environment = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "LD_LIBRARY_PATH")}
        environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
        with theirs:
            self._nursery = subprocess.Popen(
                [sys.executable, "-m", "serenade.service.decoder", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        ours.settimeout(_START_S)
        self._channel = ours
        try:
            ready = ours.recv(1) == b"r"
        except OSError:  # too slow, or gone
            ready = False
        if not ready:
            self._end()
            raise Problem("internal", "The decoder did not start.")
        return ours

    def _end(self) -> None:
        if self._channel is not None:
            self._channel.close()
        if self._nursery is not None:
            self._nursery.kill()
            self._nursery.wait()
        self._channel = self._nursery = None


class LiveDecoding:
    """A decoder that is fed; a context, with `blocks` drawn in one thread and `feed` called from another.

    Args:
        sandbox: starts the child.
        container: FFmpeg's name.
    """

    def __init__(self, sandbox: Sandbox, container: str) -> None:
        self._sandbox, self._container = sandbox, container
        self._way_in, self._far_end = socket.socketpair()

    def feed(self, data: bytes) -> None:
        """Give more of the media; waits while the decoder is behind.

        Raises:
            Problem: the decoder takes nothing more.
        """
        try:
            self._way_in.sendall(data)
        except OSError as error:
            raise Problem("not-media", "The stream cannot be decoded any further.") from error

    def finish(self) -> None:
        """Nothing follows."""
        with suppress(OSError):
            self._way_in.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Give up; whoever draws blocks gets the end of them."""
        with suppress(OSError):
            self._way_in.shutdown(socket.SHUT_RDWR)
        self._way_in.close()
        self._far_end.close()

    def blocks(self) -> Iterator[_Samples]:
        """(n,) samples at 16 kHz as they can be decoded.

        Raises:
            AudioError: it cannot be decoded.
            Problem: it is too long, or decoding took more than it may.
        """
        with self._sandbox._child(self._far_end.fileno(), live=self._container) as sound:
            self._far_end.close()
            yield from self._sandbox._limited(_frames(sound, stall_s=None))


def _frames(sound: int, stall_s: float | None) -> Iterator[_Samples]:
    """What a child tells, until it is done."""
    while True:
        kind, length = FRAME.unpack(_exactly(sound, FRAME.size, stall_s))
        if length > MOST_BYTES or kind not in (b"p", b"e", b"d"):
            raise _stopped()
        data = _exactly(sound, length, stall_s)
        if kind == b"d":
            return
        if kind == b"e":
            raise _error_of(data)
        samples = np.frombuffer(data[: len(data) // 4 * 4], "<f4").astype(np.float32)
        if not np.isfinite(samples).all():
            raise _stopped()
        yield samples


def _exactly(sound: int, count: int, stall_s: float | None) -> bytes:
    parts = bytearray()
    end_s = None if stall_s is None else time.monotonic() + stall_s
    while len(parts) < count:
        left_s = None if end_s is None else max(0.0, end_s - time.monotonic())
        ready, _, _ = select.select([sound], [], [], left_s)
        data = os.read(sound, count - len(parts)) if ready else b""
        if not data:
            raise _stopped()
        parts += data
    return bytes(parts)


def _error_of(data: bytes) -> Exception:
    try:
        told: dict[str, Any] = json.loads(data)
        reason = told["reason"]
        if reason not in _REASONS:
            return _stopped()
        words = {name: told[name] for name in ("found", "expected", "hint")}
        return AudioError(str(told["what"]), reason=reason, **words)
    except (ValueError, KeyError, TypeError):
        return _stopped()


def _stopped() -> Problem:
    return Problem("decoder-stopped", "Decoding took more memory or time than it may, or the media broke the decoder.")
