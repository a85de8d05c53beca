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
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Lock
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
_LOOK_S = 0.25  # between two looks whether a decoder is still waited for
_BEHIND_S = 0.01  # between two tries to feed a decoder that is behind
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
        self._lock, self._closed = Lock(), False
        self._nursery: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    def open(self) -> None:
        """Start the warm process, so that the first request need not wait for it."""
        with self._lock:
            self._ensure()

    def close(self) -> None:
        """End the warm process; children that still decode are killed with it, and nobody gets another."""
        with self._lock:
            self._closed = True
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
            yield from self._limited(_frames(sound, lambda waited_s: waited_s < self._settings.decode_stall_s))

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
                except (ConnectionError, TimeoutError):
                    answer, descriptors = b"", []
                if descriptors:
                    return descriptors[0]
                if answer:  # there is no room for a descriptor more; the child sees that nobody listens
                    raise Problem("overloaded", "The service has too many files open.", retry_after_s=1)
                self._end()
        raise Problem("internal", "No decoder could be started.")

    def _ensure(self) -> socket.socket:
        if self._closed:
            raise Problem("draining", "The service is stopping.", retry_after_s=5)
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
    """A decoder that is fed from one thread while another draws `blocks`; `close` may come from a third at any time.

    Whoever feeds or draws then gets an end within a moment, also where the decoder hangs.

    Args:
        sandbox: starts the child.
        container: FFmpeg's name.
    """

    def __init__(self, sandbox: Sandbox, container: str) -> None:
        self._sandbox, self._container = sandbox, container
        self._way_in, far_end = socket.socketpair()
        self._far_end: socket.socket | None = far_end
        self._way_in.setblocking(False)
        self._lock = Lock()  # whoever uses a descriptor holds it, or owns the socket: its number may be another's soon
        self._closed, self._finished = Event(), Event()

    def feed(self, data: bytes) -> bool:
        """Give more of the media; waits while the decoder is behind. False where it takes nothing more, or hangs."""
        left, taken_s = memoryview(data), time.monotonic()
        while left:
            try:
                with self._lock:
                    left = left[self._way_in.send(left) :]
                taken_s = time.monotonic()
            except BlockingIOError:
                if time.monotonic() - taken_s > self._sandbox._settings.decode_stall_s:
                    return False
                self._closed.wait(_BEHIND_S)
            except OSError:
                return False
        return True

    def finish(self) -> None:
        """Nothing follows."""
        with self._lock, suppress(OSError):
            self._way_in.shutdown(socket.SHUT_WR)
        self._finished.set()

    def close(self) -> None:
        """Give up, if there is anything left to give up."""
        self._closed.set()
        with self._lock:
            with suppress(OSError):
                self._way_in.shutdown(socket.SHUT_RDWR)
            self._way_in.close()
        if (far_end := self._take_far_end()) is not None:
            far_end.close()

    def blocks(self) -> Generator[_Samples]:
        """(n,) samples at 16 kHz as they can be decoded; may be drawn once.

        Raises:
            AudioError: it cannot be decoded.
            Problem: it is too long, decoding took more than it may, or it was given up.
        """
        far_end = self._take_far_end()
        if far_end is None:
            raise _stopped()
        with far_end, self._sandbox._child(far_end.fileno(), live=self._container) as sound:
            far_end.close()
            yield from self._sandbox._limited(_frames(sound, self._is_awaited))

    def _take_far_end(self) -> socket.socket | None:
        with self._lock:
            far_end, self._far_end = self._far_end, None
        return far_end

    def _is_awaited(self, waited_s: float) -> bool:
        """Whether to wait on: for the client for as long as it likes, for the decoder only once it has everything."""
        if self._closed.is_set():
            return False
        return not self._finished.is_set() or waited_s < self._sandbox._settings.decode_stall_s


def _frames(sound: int, is_awaited: Callable[[float], bool]) -> Iterator[_Samples]:
    """What a child tells, until it is done or, told the seconds that it was waited for, `is_awaited` says no."""
    while True:
        kind, length = FRAME.unpack(_exactly(sound, FRAME.size, is_awaited))
        if length > MOST_BYTES or kind not in (b"p", b"e", b"d"):
            raise _stopped()
        data = _exactly(sound, length, is_awaited)
        if kind == b"d":
            return
        if kind == b"e":
            raise _error_of(data)
        samples = np.frombuffer(data[: len(data) // 4 * 4], "<f4").astype(np.float32)
        if not np.isfinite(samples).all():
            raise _stopped()
        yield samples


def _exactly(sound: int, count: int, is_awaited: Callable[[float], bool]) -> bytes:
    parts, begun_s = bytearray(), time.monotonic()
    readable = select.poll()  # unlike select() it takes any number of a descriptor
    readable.register(sound, select.POLLIN)
    while len(parts) < count:
        if readable.poll(_LOOK_S * 1000):
            data = os.read(sound, count - len(parts))
            if not data:
                raise _stopped()
            parts += data
        if len(parts) < count and not is_awaited(time.monotonic() - begun_s):
            raise _stopped()
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
