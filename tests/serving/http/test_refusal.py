"""What is no HTTP/1.1 for this server, as the parser finds it, and the bytes that answer it."""

import json

import httptools
import pytest

from inference.errors import InflightExceeded
from serving.http.refusal import Refused, on_the_wire, refusal_of


class Callbacks:
    """A parser's callbacks, of which one refuses a header."""

    def on_header(self, name: bytes, value: bytes) -> None:
        if name == b"X-Refused":
            raise Refused(431, f"head: got {value.decode()}")


def parser_error(data: bytes) -> httptools.HttpParserError:
    with pytest.raises(httptools.HttpParserError) as caught:
        httptools.HttpRequestParser(Callbacks()).feed_data(data)
    return caught.value


@pytest.mark.parametrize(
    ("data", "status", "message"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", 400,
         "request: got a TLS handshake, expected HTTP: there is no TLS on this port"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "request: got HTTP/2, expected HTTP/1.1"),
        (b"GET / HTTP/1.1\r\nX-Refused: me\r\n\r\n", 431, "head: got me"),
    ],
    ids=["tls", "http2", "callback"],
)  # fmt: skip
def test_other_protocols_and_refused_headers_have_their_own_answer(
    data: bytes, status: int, message: str
) -> None:
    refused = refusal_of(parser_error(data), data, "head")
    assert (refused.status, str(refused)) == (status, message)


def test_other_bytes_are_told_with_their_part_and_the_parsers_reason() -> None:
    refused = refusal_of(parser_error(b"NONSENSE\r\n\r\n"), b"NONSENSE\r\n\r\n", "body")
    assert refused.status == 400
    assert str(refused).startswith("body: got bytes that are no HTTP (")
    assert str(refused).endswith("), expected HTTP/1.1")


def test_a_refusal_is_one_whole_answer_that_closes() -> None:
    head, _, body = on_the_wire(Refused(431, "head: got ü"), [(b"server", b"baton")]).partition(b"\r\n\r\n")
    status, *headers = head.split(b"\r\n")
    assert status == b"HTTP/1.1 431 Request Header Fields Too Large"
    assert headers[0] == b"server: baton"
    assert {b"connection: close", b"content-type: application/json", b"content-length: %d" % len(body)} < {
        *headers
    }
    assert json.loads(body) == {"error": "head: got ü"}


def test_an_error_of_ours_keeps_its_status_and_its_headers() -> None:
    refused = Refused.by(InflightExceeded("body", 70, 60, 100))
    assert (refused.status, "60 of 100 bytes" in str(refused)) == (429, True)
    assert b"\r\nretry-after: 1\r\n" in on_the_wire(refused, [])
