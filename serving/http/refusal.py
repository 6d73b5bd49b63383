"""Requests that are no HTTP/1.1 for this server: which status and message each gets, and the bytes of that answer."""

from collections.abc import Iterable

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from serving.http.errors import error_body

_TLS_HELLO = b"\x16\x03"
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n"


class Refused(Exception):
    """Raised in a callback of the parser: the request is answered with this, and the connection ends."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def refusal_of(error: httptools.HttpParserError, data: bytes, part: str) -> Refused:
    """The refusal of `data`, on which the parser failed in a request's `part`, head or body."""
    cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else error
    if isinstance(cause, Refused):
        return cause
    if data.startswith(_TLS_HELLO):
        return Refused(400, "request: got a TLS handshake, expected HTTP: there is no TLS on this port")
    if data.startswith(_HTTP2_PREFACE):
        return Refused(505, "request: got HTTP/2, expected HTTP/1.1")
    return Refused(400, f"{part}: got bytes that are no HTTP ({cause}), expected HTTP/1.1")


def on_the_wire(status: int, message: str, default_headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The whole answer, after which the connection is closed."""
    body = error_body(message)
    headers = (
        *default_headers,
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    )
    lines = (b"%b: %b\r\n" % header for header in headers)
    return b"".join((STATUS_LINE[status], *lines, b"\r\n", body))
