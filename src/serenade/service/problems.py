"""What goes wrong, as clients are told: RFC 9457 problem details with a fixed set of kinds.

=====================  ======  ================================================================================
kind                   status  when
=====================  ======  ================================================================================
bad-request            400     a parameter or message is off
no-key                 401     a key is needed, or is not known
forbidden              403     a page of another origin, or a name the service is not reached by
not-found              404     no such address, model or format
method-not-allowed     405     the address does not take this method
too-slow               408     the upload did not arrive in time
too-large              413     more bytes than `max_upload_mb`
too-long               413     longer than `max_duration_s`
not-media              415     what was sent cannot be decoded as sound
nothing-to-hear        422     it decodes, but is empty, silent or too short
decoder-stopped        422     decoding took more memory or time than it may
too-many-requests      429     more than `requests_per_minute`; see Retry-After
internal               500     a bug; the log has more
overloaded             503     too many at once; see Retry-After
draining               503     the service is stopping
took-too-long          504     the answer took more than `request_s`
=====================  ======  ================================================================================
"""

from typing import Any, Literal

from serenade.core.errors import AudioError, MissingExtraError, SerenadeError, UnknownNameError, UsageError

__all__ = ["MEDIA_TYPE", "STATUS", "Problem", "ProblemKind", "problem_of"]

MEDIA_TYPE = "application/problem+json"

ProblemKind = Literal[
    "bad-request",
    "no-key",
    "forbidden",
    "not-found",
    "method-not-allowed",
    "too-slow",
    "too-large",
    "too-long",
    "not-media",
    "nothing-to-hear",
    "decoder-stopped",
    "too-many-requests",
    "internal",
    "overloaded",
    "draining",
    "took-too-long",
]

STATUS: dict[ProblemKind, tuple[int, str]] = {
    "bad-request": (400, "The request is not valid"),
    "no-key": (401, "An API key is needed"),
    "forbidden": (403, "Not from here"),
    "not-found": (404, "There is no such thing"),
    "method-not-allowed": (405, "Not with this method"),
    "too-slow": (408, "The upload did not arrive in time"),
    "too-large": (413, "The upload is too large"),
    "too-long": (413, "The recording is too long"),
    "not-media": (415, "This cannot be decoded as sound"),
    "nothing-to-hear": (422, "There is nothing to hear"),
    "decoder-stopped": (422, "The decoder was stopped"),
    "too-many-requests": (429, "Too many requests"),
    "internal": (500, "Something is wrong in the service"),
    "overloaded": (503, "Too much at once"),
    "draining": (503, "The service is stopping"),
    "took-too-long": (504, "The answer took too long"),
}
"""Status and title of every kind."""


class Problem(Exception):
    """Something a client is told.

    Args:
        kind: one of the table.
        detail: what was wrong this time, as sentences.
        retry_after_s: when to try again; None where that would not help.
    """

    def __init__(self, kind: ProblemKind, detail: str, *, retry_after_s: int | None = None) -> None:
        self.kind, self.detail, self.retry_after_s = kind, detail, retry_after_s
        super().__init__(kind, detail)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.kind][0]

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer."""
        headers = {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        return headers | ({"WWW-Authenticate": "Bearer"} if self.status == 401 else {})

    def to_json(self) -> dict[str, Any]:
        """The body of the answer; `type` is a relative reference, the kinds are in the documentation."""
        return {
            "type": f"/problems#{self.kind}",
            "title": STATUS[self.kind][1],
            "status": self.status,
            "kind": self.kind,
            "detail": self.detail,
        }


def problem_of(error: SerenadeError) -> Problem:
    """The problem that an error of ours stands for."""
    if isinstance(error, AudioError):
        return Problem("not-media" if error.reason == "undecodable" else "nothing-to-hear", str(error))
    if isinstance(error, UnknownNameError):
        return Problem("not-found", str(error))
    if isinstance(error, UsageError):
        return Problem("bad-request", str(error))
    if isinstance(error, MissingExtraError):
        return Problem("not-media", str(error))
    return Problem("internal", "The service failed; its log says more.")
