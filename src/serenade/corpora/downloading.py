"""One file over HTTP: continued where it broke off, verified, and under its name only when it is whole.

Beside the target lie, until it is whole, ``NAME.part`` (what has come) and ``NAME.part.json`` (from where, and the
server's mark of the version: ETag or Last-Modified). The next attempt, or the next run, asks for the rest with
``Range`` and ``If-Range`` (RFC 9110, sections 13.1.5 and 14.2). A server that does not continue, or whose file has
changed in between, sends the whole file; then what had come is thrown away, so that two versions never mix.
"""

import contextlib
import hashlib
import http.client
import json
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from serenade import __version__
from serenade.core.errors import FetchError, StorageError
from serenade.core.files import read_json, storage_errors
from serenade.core.wording import counted

__all__ = ["Digests", "Network", "Received", "digest_file", "download", "parts_of", "require_space", "size_in_words"]

Received = Callable[[int, int | None], None]
"""Called with the bytes that are there and the bytes in all, None where the server does not say."""

_BLOCK = 1 << 18
_TRY_AGAIN = frozenset((408, 425, 429, 500, 502, 503, 504))
_UNREACHED_ATTEMPTS = 3  # without any network nobody wants to wait for all attempts
_REFUSED = {
    401: "it asks for a login",
    403: "it does not permit the download",
    404: "there is no such file",
    410: "the file was taken down",
    451: "it may not give the file out",
}


def _silent(_: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Network:
    """How patient a download is.

    Args:
        attempts: attempts in a row that brought nothing new, before it gives up.
        pause_s: seconds before the second attempt; doubled from attempt to attempt.
        longest_pause_s: the longest pause, also where the server asks for a longer one.
        timeout_s: seconds without a byte after which a connection counts as broken.
        say: called with a sentence when something goes wrong that is tried again.
        pause: waits for so many seconds; may raise to end the download. None takes `time.sleep`.
    """

    attempts: int = 6
    pause_s: float = 1.0
    longest_pause_s: float = 60.0
    timeout_s: float = 60.0
    say: Callable[[str], None] = _silent
    pause: Callable[[float], object] | None = None


@dataclass(frozen=True, slots=True)
class Digests:
    """The size and the hashes of a file, in hexadecimal."""

    size: int
    md5: str
    sha256: str

    def value(self, algorithm: str) -> str:
        """The hash by its name: ``md5`` or ``sha256``."""
        return {"md5": self.md5, "sha256": self.sha256}[algorithm]


def size_in_words(size: int) -> str:
    """A number of bytes as people say it.

    >>> [size_in_words(n) for n in (900, 208_468_073, 6_387_309_499)]
    ['900 B', '208 MB', '6.4 GB']
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            value = size / factor
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{size} B"


def require_space(folder: Path, size: int) -> None:
    """Pass where a disk has room for so many bytes.

    Raises:
        StorageError: it has not.
    """
    free = shutil.disk_usage(folder).free
    if free < size:
        raise StorageError(
            "there is not enough room on the disk",
            where=folder,
            found=f"{size_in_words(free)} free",
            expected=f"{size_in_words(size)} more",
            hint="Free some space or choose another folder; what was finished before is kept",
        )


def digest_file(path: Path, received: Received | None = None) -> Digests:
    """Size and hashes of a file, read once; ``received`` is called with the bytes read and in all."""
    md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    total = path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            md5.update(block)
            sha256.update(block)
            size += len(block)
            if received is not None:
                received(size, total)
    return Digests(size, md5.hexdigest(), sha256.hexdigest())


def parts_of(target: Path) -> tuple[Path, Path]:
    """The part of a file that has come, and the note of where it comes from."""
    return target.with_name(target.name + ".part"), target.with_name(target.name + ".part.json")


def download(
    url: str,
    target: Path,
    *,
    size: int | None = None,
    checksum: str | None = None,
    network: Network | None = None,
    received: Received | None = None,
    verified: Received | None = None,
) -> Digests:
    """Fetch a file; one that lies there whole from an earlier run is verified only.

    Args:
        url: where it is; redirects are followed.
        target: where to put it; what has come stays beside it when the download is interrupted.
        size: bytes it must have; None where nobody says.
        checksum: ``md5:...`` or ``sha256:...`` as its home publishes it; None where it does not.
        network: how patient to be.
        received: called while it comes.
        verified: called while it is hashed.

    Returns:
        The size and hashes of what was fetched.

    Raises:
        FetchError: no network, the server refuses, or the file is not the one expected.
        StorageError: the disk is full or refuses.
    """
    network = Network() if network is None else network
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_file():
        digests = digest_file(target, verified)
        if _fault(digests, size, checksum) is None:
            return digests
        target.unlink()
    part = _Part(target, url, checked=checksum is not None)
    continued = _receive_all(part, size, network, received or (lambda *_: None))
    digests = digest_file(part.path, verified)
    if continued and _fault(digests, size, checksum) is not None:
        network.say("What had come before does not fit to the rest; beginning anew")
        part.discard()
        _receive_all(part, size, network, received or (lambda *_: None))
        digests = digest_file(part.path, verified)
    fault = _fault(digests, size, checksum)
    if fault is not None:
        part.discard()
        raise FetchError(
            "the file is not the one that its home published",
            where=url,
            found=fault[0],
            expected=fault[1],
            hint="It was thrown away. Try again later; if it stays so, the home has changed the file: please report it",
        )
    with storage_errors(target):
        part.path.replace(target)
    part.discard()
    return digests


def _fault(digests: Digests, size: int | None, checksum: str | None) -> tuple[str, str] | None:
    """What a file has and what it should have, where they differ."""
    if size is not None and digests.size != size:
        return counted(digests.size, "byte"), counted(size, "byte")
    if checksum is not None:
        algorithm, _, expected = checksum.partition(":")
        if digests.value(algorithm) != expected:
            return f"{algorithm} {digests.value(algorithm)}", f"{algorithm} {expected}"
    return None


class _Part:
    """What has come of a file, and whether a server can be asked for the rest.

    Args:
        target: the file's final place.
        url: where it comes from now.
        checked: whether the whole will be compared with a published checksum.
    """

    def __init__(self, target: Path, url: str, *, checked: bool) -> None:
        self.url, self.checked = url, checked
        self.path, self._note = parts_of(target)
        self.state: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            noted = read_json(self._note)
            self.state = noted if isinstance(noted, dict) else {}

    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def validator(self) -> str | None:
        """The mark of the version that has come in part, if the same server gave it and it is a strong one."""
        etag, modified = self.state.get("etag"), self.state.get("last_modified")
        if self.state.get("url") != self.url:
            return None
        return etag if etag and not etag.startswith("W/") else modified

    def start(self) -> int:
        """From which byte to ask: 0 unless a mark or a checksum keeps two versions from mixing."""
        return self.size() if self.state and (self.checked or self.validator() is not None) else 0

    def begin(self, response: http.client.HTTPResponse, total: int | None) -> None:
        """Throw away what has come and note which version comes now."""
        self.path.unlink(missing_ok=True)
        headers = response.headers
        self.state = {
            "url": self.url,
            "etag": headers.get("ETag"),
            "last_modified": headers.get("Last-Modified"),
            "total": total,
        }
        with storage_errors(self._note):  # half a note is as good as none, so nothing waits for the disk here
            self._note.write_text(json.dumps(self.state), encoding="utf-8")

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)
        self.state = {}


class _BrokenError(Exception):
    """An attempt that failed and may be tried again.

    Args:
        what: what happened, as a clause.
        reached: whether a server answered.
        pause_s: how long the server asks to wait.
    """

    def __init__(self, what: str, *, reached: bool = True, pause_s: float | None = None) -> None:
        self.what, self.reached, self.pause_s = what, reached, pause_s
        super().__init__(what)


def _receive_all(part: _Part, size: int | None, network: Network, received: Received) -> bool:
    """Ask until the file is whole; whether it was put together from several answers."""
    before = best = part.size()
    failures, reached, continued = 0, False, before > 0
    while True:
        try:
            _receive(part, size, network, received)
            return continued
        except _BrokenError as broken:
            failures = 1 if part.size() > best else failures + 1
            best, reached, continued = max(best, part.size()), reached or broken.reached, True
            if failures >= (network.attempts if reached else min(network.attempts, _UNREACHED_ATTEMPTS)):
                raise _gave_up(part, broken, reached) from broken
            pause = min(network.longest_pause_s, broken.pause_s or network.pause_s * 2 ** (failures - 1))
            kept = f", {size_in_words(part.start())} are kept" if part.start() else ""
            network.say(f"{broken.what[:1].upper()}{broken.what[1:]}; trying again in {pause:.0f} s{kept}")
            (network.pause or time.sleep)(pause)


def _gave_up(part: _Part, broken: _BrokenError, reached: bool) -> FetchError:
    kept = f"{size_in_words(part.start())} have come and are kept: run the same command again to go on"
    again = kept if part.start() else "Run the same command again later"
    offline = "Check the network connection (behind a proxy set https_proxy), or name a mirror with --from. "
    return FetchError(
        "the file cannot be fetched" if reached else "the server cannot be reached",
        where=part.url,
        found=broken.what,
        hint=again if reached else offline + again,
    )


def _receive(part: _Part, size: int | None, network: Network, received: Received) -> None:
    """One request, as far as it carries."""
    start = part.start()
    with _ask(part, start, network) as response:
        if response is None:  # the part is the whole file already
            return
        total = _begin_or_continue(part, response, start)
        if size is not None and total is not None and total != size:
            part.discard()
            raise FetchError(
                "the file is not the one that its home published",
                where=part.url,
                found=counted(total, "byte"),
                expected=counted(size, "byte"),
                hint="Try again later; if it stays so, the home has changed the file: please report it",
            )
        total = size if total is None else total
        there = part.size()
        if total is not None:
            require_space(part.path.parent, total - there)
        received(there, total)
        with storage_errors(part.path), part.path.open("ab") as file:
            for block in _blocks(response):
                file.write(block)
                there += len(block)
                received(there, total)
    if total is not None and there < total:
        raise _BrokenError(f"the connection broke off after {there} of {total} bytes")


@contextlib.contextmanager
def _ask(part: _Part, start: int, network: Network) -> Iterator[http.client.HTTPResponse | None]:
    """The server's answer to a request from a byte on; None where nothing is left to send."""
    headers = {"User-Agent": f"serenade/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        validator = part.validator()
        if validator is not None:
            headers["If-Range"] = validator
    response: http.client.HTTPResponse | None
    try:
        with _network_errors():
            response = urllib.request.urlopen(
                urllib.request.Request(part.url, headers=headers), timeout=network.timeout_s
            )
    except urllib.error.HTTPError as error:
        with error:
            _explain_status(error, part, start)
        yield None
        return
    with response:
        yield response


def _explain_status(error: urllib.error.HTTPError, part: _Part, start: int) -> None:
    """Return where the part is the whole file; raise for every other status that is no success."""
    if error.code == 416 and start:
        if error.headers.get("Content-Range", "").rpartition("/")[2] == str(start):
            return
        part.discard()
        raise _BrokenError("the server has another version of the file now")
    if error.code in _TRY_AGAIN:
        wait = _seconds(error.headers.get("Retry-After"))
        raise _BrokenError(f"the server answered {error.code} {error.reason}", pause_s=wait)
    raise FetchError(
        "the server does not give the file",
        where=part.url,
        found=f"{error.code} {error.reason}" + (f", {_REFUSED[error.code]}" if error.code in _REFUSED else ""),
        hint="Look at the corpus's homepage whether it has moved; a copy elsewhere is taken with --from URL",
    )


def _seconds(header: str | None) -> float | None:
    """The value of Retry-After: a number of seconds or a date."""
    if header is None:
        return None
    with contextlib.suppress(ValueError):
        return max(0.0, float(header))
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    return None


def _begin_or_continue(part: _Part, response: http.client.HTTPResponse, start: int) -> int | None:
    """Set the part to where the answer begins; the size of the whole file, if the server says it.

    Raises:
        _BrokenError: the answer continues something else.
        FetchError: the answer is a web page, not a file.
    """
    if response.headers.get_content_type() == "text/html" and part.path.suffixes[-2:-1] != [".html"]:
        raise FetchError(
            "the server answered with a web page instead of the file",
            where=response.url,
            hint="Its home may ask for a login or have moved: look at it in a browser",
        )
    if response.status == 206:
        total = _continued_total(part, response, start)
        if total is None:
            part.discard()
            raise _BrokenError("the server has another version of the file now")
        return total
    length = response.headers.get("Content-Length")
    total = int(length) if length is not None and length.isdigit() else None
    part.begin(response, total)
    return total


def _continued_total(part: _Part, response: http.client.HTTPResponse, start: int) -> int | None:
    """The size of the whole file that an answer continues; None where it does not fit to what has come."""
    span, _, whole = response.headers.get("Content-Range", "").partition(" ")[2].partition("/")
    if span.partition("-")[0] != str(start) or not whole.isdigit():
        return None
    total, etag = part.state.get("total"), part.state.get("etag")
    if part.state.get("url") == part.url and etag is not None and response.headers.get("ETag", etag) != etag:
        return None
    return int(whole) if total is None or total == int(whole) else None


def _blocks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        with _network_errors():
            block = response.read1(_BLOCK)  # what is there: a break loses nothing that has come
        if not block:
            return
        yield block


@contextlib.contextmanager
def _network_errors() -> Iterator[None]:
    """Turn what a connection can throw into `_BrokenError`; HTTP statuses pass, a bad certificate ends it."""
    try:
        yield
    except urllib.error.HTTPError:
        raise
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise FetchError(
                "the server's certificate is not valid",
                found=reason.verify_message,
                hint="The clock may be wrong, or a proxy reads along; nothing was fetched",
            ) from error
        raise _BrokenError(_in_words(reason), reached=not isinstance(error, urllib.error.URLError)) from error


def _in_words(reason: object) -> str:
    """Why a connection failed, as a clause."""
    if isinstance(reason, socket.gaierror):
        return "the name of the server cannot be resolved"
    if isinstance(reason, ConnectionRefusedError):
        return "the server refuses the connection"
    if isinstance(reason, TimeoutError):
        return "no answer came in time"
    if isinstance(reason, ConnectionError | http.client.IncompleteRead):
        return "the connection broke off"
    return str(reason) or type(reason).__name__
