"""A local home of files whose connection breaks, whose files change, and that answers as it is told to."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


@dataclass
class Home:
    """What the server gives out and how; every request is noted.

    Args:
        files: path to content.
        break_after: bytes after which it hangs up, one per answer; the answers after those are whole.
        statuses: statuses that the next answers have instead of success; 0 is success.
        troubled: paths that it never answers but with 503.
        ranges: whether it continues files.
        validators: whether it marks versions with an ETag.
        lengths: whether it says how long an answer is.
        redirects: path to the place it has moved to.
        content_type: of all answers.
        retry_after: seconds that a refused client is asked to wait.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    break_after: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    troubled: set[str] = field(default_factory=set)
    ranges: bool = True
    validators: bool = True
    lengths: bool = True
    redirects: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/octet-stream"
    retry_after: str | None = None
    url: str = ""
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    sent: int = 0

    def ranges_asked(self) -> list[str | None]:
        return [asked for _, asked in self.requests]


class _Handler(BaseHTTPRequestHandler):
    home: Home

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        home, path = self.home, unquote(urlsplit(self.path).path)
        home.requests.append((path, self.headers.get("Range")))
        status = home.statuses.pop(0) if home.statuses else 0
        if path in home.redirects:
            self.send_response(302)
            self.send_header("Location", home.redirects[path])
            self.end_headers()
        elif path in home.troubled:
            self.refuse(503)
        elif status or path not in home.files:
            self.refuse(status or 404)
        else:
            self.give(home.files[path])

    def refuse(self, status: int) -> None:
        self.send_response(status)
        if self.home.retry_after is not None:
            self.send_header("Retry-After", self.home.retry_after)
        self.end_headers()

    def give(self, content: bytes) -> None:
        home = self.home
        etag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
        start = self.start_of(etag)
        if start >= len(content) > 0:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if home.validators:
            self.send_header("ETag", etag)
        if home.lengths:
            self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Content-Type", home.content_type)
        self.end_headers()
        body = content[start:]
        if home.break_after:
            body = body[: home.break_after.pop(0)]
        home.sent += len(body)  # before the client can have them all and look
        self.wfile.write(body)

    def start_of(self, etag: str) -> int:
        """Where to begin: 0 if the client does not ask, or asks for a version that is no more."""
        asked, mark = self.headers.get("Range"), self.headers.get("If-Range")
        if not self.home.ranges or asked is None or (mark is not None and mark != etag):
            return 0
        return int(asked.removeprefix("bytes=").rstrip("-"))


@contextmanager
def serve(home: Home) -> Iterator[Home]:
    """The home on a port of its own, while the block runs."""
    handler = type("Handler", (_Handler,), {"home": home})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        home.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield home
        finally:
            server.shutdown()
            thread.join()
