"""Taking a recording in: one file of a form, or the whole body, into a file that has no name.

The file is removed from its folder before the first byte is written, so nothing is left behind whatever happens.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from typing import IO, TYPE_CHECKING

from serenade.service.problems import Problem

if TYPE_CHECKING:
    from fastapi import Request

    from serenade.service.settings import ServiceSettings

__all__ = ["FIELD", "SPEAKERS", "receive_upload"]

FIELD = "file"
"""The name of the form's field with the recording."""
SPEAKERS = "speakers"
"""The name of the one with who talks when."""

_MOST_TEXT = 1 << 20  # bytes of it

_FORM = "multipart/form-data"


async def receive_upload(
    request: "Request", settings: "ServiceSettings", speakers: bytearray | None = None
) -> IO[bytes]:
    """The recording that a request brings, at its beginning, in a file without a name; close it.

    Args:
        request: a form, or the recording as its body.
        settings: how large it may be and how long it may take.
        speakers: takes what the form's field `SPEAKERS` holds; None where there may be none.

    Raises:
        Problem: there is none, it is too large or takes too long to arrive, or the form is off.
    """
    most = settings.max_upload_bytes
    beside = 10_000 + (_MOST_TEXT if speakers is not None else 0)  # the form's own words, and the other field
    if int(request.headers.get("content-length", "0") or 0) > most + beside:
        raise _too_large(settings)
    file = tempfile.TemporaryFile()  # noqa: SIM115 - it is the caller's
    try:
        async with asyncio.timeout(settings.upload_s):
            received = 0
            async for data in _parts(request, speakers):
                received += len(data)
                if received > most:
                    raise _too_large(settings)
                file.write(data)
        if received == 0:
            raise Problem(
                "bad-request", f"There is no recording: send it as the form's field {FIELD!r}, or as the body."
            )
        file.flush()
        file.seek(0)
    except TimeoutError as error:
        file.close()
        raise Problem("too-slow", f"The upload did not arrive within {settings.upload_s:g} s.") from error
    except BaseException:
        file.close()
        raise
    return file


def _too_large(settings: "ServiceSettings") -> Problem:
    return Problem("too-large", f"An upload may have {settings.max_upload_mb:g} MB at most.")


async def _parts(request: "Request", speakers: bytearray | None) -> AsyncIterator[bytes]:
    """The bytes of the recording as they come."""
    from python_multipart.multipart import parse_options_header

    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != _FORM.encode():
        async for data in request.stream():
            yield data
        return
    boundary = options.get(b"boundary")
    if not boundary:
        raise Problem("bad-request", "The form has no boundary.")
    form = _Form(boundary, speakers)
    async for data in request.stream():
        for part in form.add(data):
            yield part
    form.check()


class _Form:
    """Reads a form that is still arriving; everything but the fields that there are is refused.

    Args:
        boundary: what stands between the parts.
        speakers: takes what stands in that field; None where there may be none.
    """

    def __init__(self, boundary: bytes, speakers: bytearray | None) -> None:
        from python_multipart.exceptions import FormParserError
        from python_multipart.multipart import MultipartParser

        self._error: type[Exception] = FormParserError
        self._found: list[bytes] = []
        self._header, self._value, self._name = b"", b"", b""
        self._speakers, self._ended = speakers, False
        self._left = [FIELD, *([] if speakers is None else [SPEAKERS])]
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_begin": self._on_part_begin,
                    "on_end": self._on_end,
                },
            )
        except FormParserError as error:
            raise Problem("bad-request", "The form cannot be read.") from error

    def add(self, data: bytes) -> list[bytes]:
        """What of the file came with the next bytes of the form."""
        self._found = []
        try:
            self._parser.write(data)
        except self._error as error:
            raise Problem("bad-request", "The form cannot be read.") from error
        return self._found

    def check(self) -> None:
        """Refuse a form that ended before its end."""
        if not self._ended:
            raise Problem("bad-request", "The form is cut short.")

    def _expected(self) -> str:
        beside = "" if self._speakers is None else f" and one {SPEAKERS!r} with who talks when (RTTM)"
        return f"The form may have one field, {FIELD!r}, with one file in it{beside}."

    def _on_part_begin(self) -> None:
        self._name = b""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        from python_multipart.multipart import parse_options_header

        if self._header.lower() == b"content-disposition":
            self._name = parse_options_header(self._value)[1].get(b"name", b"")
        self._header = self._value = b""

    def _on_headers_finished(self) -> None:
        name = self._name.decode(errors="replace")
        if name not in self._left:
            raise Problem("bad-request", self._expected())
        self._left.remove(name)

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._name == FIELD.encode():
            self._found.append(data[start:end])
        elif self._speakers is not None:
            self._speakers += data[start:end]
            if len(self._speakers) > _MOST_TEXT:
                raise Problem("too-large", f"Who talks when may have {_MOST_TEXT >> 20} MB at most.")

    def _on_end(self) -> None:
        self._ended = True
