"""Requests that are no HTTP/1.1 for this server: which status and message each gets, and the bytes of that answer."""

from collections.abc import Iterable

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from inference.errors import BatonError
from serving.http.errors import error_body, error_headers, status_of

_TLS_HELLO = b"\x16\x03"
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n"


class Refused(Exception):
    """Raised in a callback of the parser: the request is answered with this, and the connection ends."""

    def __init__(self, status: int, message: str, error: BatonError | None = None) -> None:
        """`error`: the one of ours behind it, which is counted, and whose headers the answer has."""
        super().__init__(message)
        self.status, self.error = status, error

    @classmethod
    def by(cls, error: BatonError) -> "Refused":
        """The refusal that an error of ours stands for."""
        return cls(status_of(error), str(error), error)


def refusal_of(error: httptools.HttpParserError, data: bytes, part: str) -> Refused:
    """The refusal of `data`, on which the parser failed in a request's `part`, head or body."""
    cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else error
    if isinstance(cause, Refused):
        return cause
    if isinstance(cause, BatonError):
        return Refused.by(cause)
    if data.startswith(_TLS_HELLO):
        return Refused(400, "request: got a TLS handshake, expected HTTP: there is no TLS on this port")
    if data.startswith(_HTTP2_PREFACE):
        return Refused(505, "request: got HTTP/2, expected HTTP/1.1")
    return Refused(400, f"{part}: got bytes that are no HTTP ({cause}), expected HTTP/1.1")


def on_the_wire(refused: Refused, default_headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The whole answer, after which the connection is closed."""
    body = error_body(str(refused))
    headers = (
        *default_headers,
        *(() if refused.error is None else error_headers(refused.error)),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    )
    lines = (b"%b: %b\r\n" % header for header in headers)
    return b"".join((STATUS_LINE[refused.status], *lines, b"\r\n", body))
