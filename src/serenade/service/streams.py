"""A live stream over a WebSocket: sound in, rows out as soon as they are known.

The client begins with a message of JSON (`Opening`), sends sound in binary messages, and ends with
``{"type": "stop"}``. The service answers with the lines of an upload: `start`, `row`s, and `end` or `problem`.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, MutableMapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from serenade.core.errors import SerenadeError
from serenade.core.records import Prediction
from serenade.inference.timeline import TimelineStream
from serenade.service.problems import Problem, problem_of
from serenade.service.recognition import Wishes, row_of, summaries_of
from serenade.service.sandbox import LiveDecoding
from serenade.signal.audio import SAMPLE_RATE

if TYPE_CHECKING:
    from fastapi import WebSocket

    from serenade.service.http import Service

__all__ = ["Opening", "follow"]

_log = logging.getLogger(__name__)

_SAMPLES: dict[str, np.dtype[Any]] = {"pcm_s16le": np.dtype("<i2"), "pcm_f32le": np.dtype("<f4")}
_FULL_SCALE = 32768.0
_CODES = {"draining": 1001, "internal": 1011, "overloaded": 1013, "too-large": 1009}
_REFUSED, _DONE = 1008, 1000


class Opening(Wishes):
    """The first message of a stream."""

    type: Literal["start"] = Field("start", description="always start")
    encoding: Literal["pcm_s16le", "pcm_f32le", "webm", "ogg"] = Field("pcm_s16le", description="what follows")
    sample_rate: int = Field(SAMPLE_RATE, ge=4000, le=192_000, description="of PCM, in Hz")
    channels: int = Field(1, ge=1, le=8, description="of PCM, interleaved")
    key: str | None = Field(None, max_length=200, description="API key, for browsers, which can send no header")
    division: Literal["turns", "windows"] = Field(  # there is no whole of what goes on
        "windows", description="turns: a row for every turn of speech; windows: for every window"
    )


async def follow(socket: "WebSocket", service: "Service") -> None:
    """Answer one stream, from the handshake to the end."""
    await socket.accept()
    try:
        opening = await _opening(socket, service)
        with service.gate.stream():
            await _Session(socket, service, opening).run()
        await socket.close(_DONE)
    except _Gone:
        _log.debug("a client left its stream")
    except (Problem, SerenadeError) as error:
        await _refuse(socket, service, error if isinstance(error, Problem) else problem_of(error))
    except Exception:  # a bug: the client is told, the server logs it
        await _refuse(socket, service, Problem("internal", "The service failed; its log says more."))
        raise


class _Gone(Exception):
    """The client left."""


async def _refuse(socket: "WebSocket", service: "Service", problem: Problem) -> None:
    service.metrics.problem(problem.kind)
    left: tuple[type[Exception], ...] = (_Gone, *_left())
    try:
        await _send(socket, {"kind": "problem", "problem": problem.to_json()})
        await socket.close(_CODES.get(problem.kind, _REFUSED), problem.kind)
    except left:
        _log.debug("a client left before it could be told: %s", problem)


def _left() -> tuple[type[Exception], ...]:
    """What sending raises where the client has left: at once, or once that is known."""
    from starlette.websockets import WebSocketDisconnect

    return WebSocketDisconnect, RuntimeError


async def _send(socket: "WebSocket", line: dict[str, Any]) -> None:
    """A line of JSON to the client.

    Raises:
        _Gone: it has left.
    """
    text = json.dumps(line, ensure_ascii=False)
    try:
        await socket.send_text(text)
    except _left() as error:
        raise _Gone from error


async def _opening(socket: "WebSocket", service: "Service") -> Opening:
    message = await _next(socket, service)
    if message is None:
        raise Problem("draining", "The service is stopping.")
    if not isinstance(message, dict):
        raise Problem("bad-request", "A stream begins with a message of JSON.")
    try:
        opening = Opening.model_validate(message)
    except ValidationError as error:
        words = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
        raise Problem("bad-request", words[:1000]) from error
    service.admit(socket, opening.key)
    return opening


async def _next(socket: "WebSocket", service: "Service") -> dict[str, Any] | bytes | None:
    """The next message; None when the service is stopping.

    Raises:
        Problem: nothing came for too long, or it is not JSON.
    """
    receiving = asyncio.ensure_future(socket.receive())
    draining = asyncio.ensure_future(service.gate.draining.wait())
    try:
        done, _ = await asyncio.wait(
            {receiving, draining}, timeout=service.settings.idle_s, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        draining.cancel()
        if not receiving.done():
            receiving.cancel()
    if receiving in done:
        return _read(receiving.result())
    if draining in done:
        return None
    raise Problem("too-slow", f"Nothing came for {service.settings.idle_s:g} s.")


def _read(message: MutableMapping[str, Any]) -> dict[str, Any] | bytes:
    if message["type"] == "websocket.disconnect":
        raise _Gone
    data: bytes | None = message.get("bytes")
    if data is not None:
        return data
    try:
        value = json.loads(message["text"])
    except ValueError as error:
        raise Problem("bad-request", "A message of text must be JSON.") from error
    if not isinstance(value, dict):
        raise Problem("bad-request", "A message of text must be a JSON object.")
    return value


class _Session:
    """One stream after its opening."""

    def __init__(self, socket: "WebSocket", service: "Service", opening: Opening) -> None:
        self._socket, self._service, self._opening = socket, service, opening
        self._model = service.models.find(opening.model)
        self._settings = opening.timeline
        live = opening.encoding not in _SAMPLES
        rate = SAMPLE_RATE if live else opening.sample_rate
        self._stream: TimelineStream = self._model.recognizer.stream(self._settings, sample_rate=rate)
        self._most_s = service.settings.max_duration_s

    async def run(self) -> None:
        about = self._model.recognizer.about(self._settings) | {"division": self._opening.division}
        await self._tell(
            {"kind": "start", "model": self._model.name, "labels": list(self._model.recognizer.labels)}
            | {"about": about}
        )
        try:
            if self._opening.encoding in _SAMPLES:
                await self._hear_samples()
            else:
                await self._hear_media()
            await self._rows(await asyncio.to_thread(self._stream.finish))
        finally:
            self._service.metrics.heard(self._stream.position_s)
        duration_s = round(self._stream.position_s, 3)
        await self._tell({"kind": "end", "duration_s": duration_s, "summaries": summaries_of(self._stream)})

    async def _messages(self) -> AsyncIterator[bytes]:
        """Sound, until the client stops or the service does."""
        while True:
            message = await _next(self._socket, self._service)
            if message is None:
                return
            if isinstance(message, bytes):
                yield message
            elif message.get("type") == "stop":
                return
            else:
                raise Problem("bad-request", 'A message of text must be {"type": "stop"} from here on.')

    async def _hear_samples(self) -> None:
        kind, channels = _SAMPLES[self._opening.encoding], self._opening.channels
        frame, rest = kind.itemsize * channels, b""
        async for data in self._messages():
            data = rest + data
            whole = len(data) // frame * frame
            rest = data[whole:]
            await self._add(_mono(data[:whole], kind, channels))

    async def _hear_media(self) -> None:
        live = self._service.sandbox.decode_live(self._opening.encoding)
        hearing = asyncio.ensure_future(asyncio.to_thread(self._draw, live, asyncio.get_running_loop()))
        try:
            async for data in self._messages():
                if hearing.done() or not await asyncio.to_thread(live.feed, data):
                    break  # it says why below
            live.finish()
            await hearing
        except Problem:
            if hearing.done():
                hearing.result()  # what went wrong first
            raise
        finally:
            live.close()
            await asyncio.gather(hearing, return_exceptions=True)  # the decoder ends before its stream does

    def _draw(self, live: LiveDecoding, loop: asyncio.AbstractEventLoop) -> None:
        """Hear what is decoded; from the first block to the last in one thread, which alone owns the decoder."""
        with closing(live.blocks()) as blocks:
            for block in blocks:
                asyncio.run_coroutine_threadsafe(self._add(block), loop).result()

    async def _add(self, samples: NDArray[np.float32]) -> None:
        if self._stream.position_s + len(samples) / self._stream.sample_rate > self._most_s:
            raise Problem("too-long", f"A stream may last {self._most_s:g} s.")
        await self._rows(await asyncio.to_thread(self._stream.add, samples))

    async def _rows(self, rows: list[Prediction]) -> None:
        for row in rows:
            await self._tell({"kind": "row", **row_of(row)})

    async def _tell(self, line: dict[str, Any]) -> None:
        await _send(self._socket, line)


def _mono(data: bytes, kind: np.dtype[Any], channels: int) -> NDArray[np.float32]:
    samples = np.frombuffer(data, kind).astype(np.float32)
    if kind.kind == "i":
        samples /= _FULL_SCALE
    mono: NDArray[np.float32] = samples.reshape(-1, channels).mean(axis=1, dtype=np.float32)
    return mono
