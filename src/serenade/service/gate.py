"""Who may come in, how often and how many at a time: keys, rate, room, and the door closed at the end."""

import asyncio
import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from serenade.core.errors import SettingsError
from serenade.service.problems import Problem
from serenade.service.settings import ServiceSettings

__all__ = ["Gate", "Keys", "RateLimit", "new_key"]

_MOST_CLIENTS = 10_000  # remembered; the one not seen for longest is forgotten first
_LINE = re.compile(r"([\w.-]+)\s+([0-9a-f]{64})")


def new_key(name: str) -> tuple[str, str]:
    """A fresh API key, and the line of the key file that lets it in."""
    key = secrets.token_urlsafe(32)
    return key, f"{name} {_digest(key)}"


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


class Keys:
    """The API keys that are let in, kept as hashes.

    Args:
        path: a line `name sha256` for each; empty lines and lines that begin with # are passed over. None lets
            everyone in.

    Raises:
        SettingsError: the file cannot be read, or a line is off.
    """

    def __init__(self, path: Path | None) -> None:
        self._names = None if path is None else _read_keys(path)

    @property
    def asked(self) -> bool:
        """Whether a key is needed."""
        return self._names is not None

    def client(self, given: str | None, address: str) -> str:
        """Who it is: the name of the key, or the address where no key is asked for.

        Raises:
            Problem: the key is missing or not known.
        """
        if self._names is None:
            return address
        digest = _digest("" if given is None else given)
        for known, name in self._names.items():
            if hmac.compare_digest(known, digest):
                return name
        raise Problem("no-key", "Send the key as `Authorization: Bearer KEY`.")


def _read_keys(path: Path) -> dict[str, str]:
    """Hash to name."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError("the file of API keys cannot be read", where=path, found=str(error)) from error
    names = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise SettingsError(
                "a line of the API keys is off",
                where=f"{path}, line {number}",
                expected="a name and 64 hexadecimal digits",
                hint="Make one with: serenade serve --new-key NAME",
            )
        names[match[2]] = match[1]
    if not names:
        raise SettingsError("the file of API keys holds none", where=path)
    return names


class RateLimit:
    """So many requests a minute for each client, in bursts of at most a tenth of that.

    Args:
        per_minute: 0 for any number.
        clock: seconds.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._clock = per_minute / 60, clock
        self._burst = max(1.0, per_minute / 10)
        self._clients: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens left, when

    def take(self, client: str) -> None:
        """Count a request.

        Raises:
            Problem: it is one too many.
        """
        if self._per_s == 0:
            return
        now = self._clock()
        tokens, before = self._clients.pop(client, (self._burst, now))
        tokens = min(self._burst, tokens + (now - before) * self._per_s)
        self._clients[client] = (tokens - 1 if tokens >= 1 else tokens, now)
        if len(self._clients) > _MOST_CLIENTS:
            self._clients.popitem(last=False)
        if tokens < 1:
            wait_s = max(1, round((1 - tokens) / self._per_s + 0.5))
            raise Problem("too-many-requests", f"At most {self._per_s * 60:g} a minute.", retry_after_s=wait_s)


class Gate:
    """Room for requests and streams; lives in one event loop.

    Args:
        settings: how much room there is.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self.requests = self.streams = 0
        self.work = asyncio.Semaphore(settings.concurrent_requests)
        self.draining = asyncio.Event()
        self._most_requests = settings.concurrent_requests + settings.waiting_requests
        self._most_streams = settings.concurrent_streams

    @contextmanager
    def request(self) -> Iterator[None]:
        """A place for an upload, held until its answer is out.

        Raises:
            Problem: there is none, or the service is stopping.
        """
        self._check(self.requests, self._most_requests, "recordings wait for their turn")
        self.requests += 1
        try:
            yield
        finally:
            self.requests -= 1

    @contextmanager
    def stream(self) -> Iterator[None]:
        """A place for a live stream.

        Raises:
            Problem: there is none, or the service is stopping.
        """
        self._check(self.streams, self._most_streams, "streams are open")
        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1

    def _check(self, there: int, most: int, what: str) -> None:
        if self.draining.is_set():
            raise Problem("draining", "Ask another instance, or this one when it is back.", retry_after_s=5)
        if there >= most:
            raise Problem("overloaded", f"{there} {what}, which is all there is room for.", retry_after_s=1)

    async def drain(self, most_s: float) -> None:
        """Let nobody in any more, and wait until those inside are done."""
        self.draining.set()
        end_s = time.monotonic() + most_s
        while (self.requests or self.streams) and time.monotonic() < end_s:
            await asyncio.sleep(0.02)
