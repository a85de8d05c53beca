"""What every request passes on its way in and out: names and origins, headers, counting; plain ASGI."""

import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from serenade.service.metrics import Metrics
from serenade.service.problems import MEDIA_TYPE, Problem
from serenade.service.settings import ServiceSettings

__all__ = ["Guard", "POLICY"]

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
_App = Callable[[_Message, _Receive, _Send], Awaitable[None]]

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "worker-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""Content security policy of every answer: a page of the service can load and reach nothing but the service."""

_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "cache-control": "no-store",
}
_READING = ("GET", "HEAD", "OPTIONS")
_POLICY_VIOLATION = 1008


class Guard:
    """Wraps the application.

    A page of another origin must not use the service through its visitor's browser: requests that name another origin
    are refused, and so is a name the service is not known by (or a foreign name that was pointed at this machine would
    pass for its own).

    Args:
        app: what answers.
        settings: names and origins that are let in.
        metrics: told of every answer.
    """

    def __init__(self, app: _App, settings: ServiceSettings, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics
        self._hosts, self._any_host = settings.hosts, settings.host in ("0.0.0.0", "::")
        self._named = bool(settings.allowed_hosts)
        self._origins = frozenset(settings.allowed_origins)

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer a request of ASGI."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            if (problem := self._refusal(scope)) is None:
                await self._app(scope, receive, send)
            else:
                self._metrics.problem(problem.kind)
                await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": problem.detail})
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        start_s, status, begun = time.monotonic(), 500, False

        async def sending(message: _Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                there = {name.lower() for name, _ in message["headers"]}
                added = [(n.encode(), v.encode()) for n, v in _HEADERS.items() if n.encode() not in there]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        try:
            if (problem := self._refusal(scope)) is None:
                await self._app(scope, receive, sending)
            else:
                self._metrics.problem(problem.kind)
                await _answer(problem, sending)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.answered(route, status if begun else 500, time.monotonic() - start_s)

    def _refusal(self, scope: _Message) -> Problem | None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host", "")
        if not self._known(host):
            return Problem("forbidden", "The service is not reached by this name; see `allowed_hosts`.")
        origin = headers.get(b"origin")
        writes = scope["type"] == "websocket" or scope["method"] not in _READING
        if writes and origin is not None and origin not in self._origins and urlsplit(origin).netloc != host:
            return Problem("forbidden", "A page of another origin may not call; see `allowed_origins`.")
        return None

    def _known(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        # Behind 0.0.0.0 there is no one name; whoever binds it should say the names.
        return name in self._hosts or (self._any_host and not self._named and name is not None)


async def _answer(problem: Problem, send: _Send) -> None:
    body = json.dumps(problem.to_json()).encode()
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
