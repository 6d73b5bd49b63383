"""Streams of HTTP/1.1 as clients send them, as they should not, and as nobody would: made from a seed by a grammar.

A stream is requests one after the other, cut into pieces. What a piece of it is good for stands beside it; nothing
here knows the server.
"""

import gzip
import json
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Stream:
    """The bytes of a connection, where they are cut, and how their client and the server are at that time."""

    data: bytes
    cuts: tuple[int, ...] = ()
    hasty: bool = False
    """The next piece comes at the loop's next turn, and not when the server has done all that it can do."""
    slow: bool = False
    """The client reads its answers late."""
    draining: bool = False
    """The server has been told to stop."""

    def pieces(self) -> list[bytes]:
        """The bytes as they come."""
        places = sorted({0, len(self.data), *(cut for cut in self.cuts if 0 < cut < len(self.data))})
        return [self.data[begin:end] for begin, end in pairwise(places)]

    def without(self, begin: int, end: int) -> "Stream":
        """The stream without these bytes, cut where it was."""
        cuts = [cut if cut <= begin else max(begin, cut - (end - begin)) for cut in self.cuts]
        return replace(self, data=self.data[:begin] + self.data[end:], cuts=tuple(cuts))


class Ask(NamedTuple):
    """A request that is right: the model it is for, and what it sends."""

    path: str
    body: bytes
    headers: tuple[str, ...] = ()


def _tensor(values: Sequence[float], **more: object) -> bytes:
    x = {"name": "x", "datatype": "FP32", "shape": [1, len(values)], "data": list(values)}
    return json.dumps({"inputs": [x], **more}).encode()


def _binary(values: Sequence[float]) -> tuple[bytes, tuple[str, ...]]:
    blob = struct.pack(f"<{len(values)}f", *values)
    x = {
        "name": "x",
        "datatype": "FP32",
        "shape": [1, len(values)],
        "parameters": {"binary_data_size": len(blob)},
    }
    text = json.dumps({"inputs": [x], "parameters": {"binary_data_output": True}}).encode()
    return text + blob, (f"Inference-Header-Content-Length: {len(text)}",)


_JSON = ("Content-Type: application/json",)
_TWO = _tensor((1, 2))
_FLEX, _FLEX_HEADERS = _binary((0.0, 1.5, -2.0, 13.0, 10.0))
_LONG, _LONG_HEADERS = _binary([float(n) for n in range(400)])  # whose answer is worth a compression
_RAW = struct.pack("<6f", *range(6))
_INFER, _FLEXES = "/v2/models/tiny/infer", "/v2/models/flex/infer"
_TEXTS = json.dumps({"instances": ["a good book", "a bad one"]}).encode()
_FORM = (
    b'--b\r\nContent-Disposition: form-data; name="t"\r\nContent-Type: text/plain\r\n\r\nfine\r\n--b--\r\n'
)

GOOD = (
    Ask(_INFER, _TWO),
    Ask(_INFER, _TWO, _JSON),
    Ask(_INFER, _tensor((3, 4))),
    Ask("/v2/models/tiny/versions/1/infer", _TWO),
    Ask("/v2/models/tiny/versions/01/infer", _TWO),
    Ask(_INFER, _tensor((5, 6), id="a", parameters={"timeout": 60_000_000})),
    Ask(_FLEXES, _FLEX, _FLEX_HEADERS),
    Ask(_FLEXES, _LONG, _LONG_HEADERS),
    Ask(_FLEXES, _LONG, (*_LONG_HEADERS, "Accept-Encoding: gzip, deflate;q=0.5")),
    Ask(_FLEXES, _RAW, ("Inference-Header-Content-Length: 0",)),
    Ask(_FLEXES, gzip.compress(_FLEX, mtime=0), (*_FLEX_HEADERS, "Content-Encoding: gzip")),
    Ask(_INFER, zlib.compress(_TWO), ("Content-Encoding: deflate",)),
    Ask("/v1/models/reviews:predict", _TEXTS, _JSON),
    Ask("/v1/models/reviews:predict", b"a fine film", ("Content-Type: text/plain",)),
    Ask("/v1/models/reviews:predict", _FORM, ("Content-Type: multipart/form-data; boundary=b",)),
    Ask("/v1/models/reviews/versions/2:predict", _TEXTS, _JSON),
    Ask("/v1/models/reviews:explain", json.dumps({"instances": ["a good book"]}).encode(), _JSON),
)
"""Requests that come again and again, byte for byte, so that their heads are known."""

WRONG = (
    Ask("/v2/models/none/infer", _TWO),
    Ask("/v2/models/full/infer", _TWO),
    Ask("/v2/models/full/infer", _TWO, ("X-Request-Id: 7",)),
    Ask("/v2/models/broken/infer", _TWO),
    Ask("/v2/models/tiny/versions/9/infer", _TWO),
    Ask("/v2/models/tiny/versions/0/infer", _TWO),
    Ask("/v2/models/tiny/versions/x/infer", _TWO),
    Ask("/v2/models/flex/infer", _FLEX, ("Inference-Header-Content-Length: 99999",)),
    Ask("/v2/models/flex/infer", _FLEX, ("Inference-Header-Content-Length: +1",)),
    Ask(_INFER, _TWO, ("Inference-Header-Content-Length: 0",)),
    Ask(_INFER, b"{", _JSON),
    Ask(_INFER, b""),
    Ask(_INFER, _TWO, ("X-Request-Timeout-Ms: 0.0001",)),
    Ask(_INFER, _TWO, ("X-Request-Timeout-Ms: nan",)),
    Ask(_INFER, _TWO, ("Content-Encoding: br",)),
    Ask(_INFER, _TWO, ("Content-Encoding: gzip",)),
    Ask("/v1/models/tiny:predict", _TEXTS, _JSON),
    Ask("/v1/models/tiny:explain", _TEXTS, _JSON),
    Ask("/v1/models/reviews:classify", _TEXTS, _JSON),
    Ask("/v1/models/reviews:predict", json.dumps({"instances": ["x"] * 5}).encode(), _JSON),
    Ask("/v1/models/reviews:predict", b"\x89PNG", ("Content-Type: image/png",)),
    Ask("/v1/models/reviews:predict", _FORM, ("Content-Type: multipart/form-data",)),
    Ask("/v2/repository/index", b"{}"),
    Ask("/v2/repository/models/tiny/load", b"{}"),
    Ask("/v2/logging", b'{"log_info": 3}'),
)

GETS = (
    "/v2/health/live", "/v2/health/ready", "/v2", "/v2/", "/v2/models/tiny", "/v2/models/none",
    "/v2/models/tiny/config", "/v1/models", "/v1/models/reviews", "/nowhere", "/", "/openapi.json/x", "*",
    "/v2/models/tiny/ready",
)  # fmt: skip

HEADERS = (
    "Connection: close", "Connection: keep-alive", "Connection: Keep-Alive, Close", "Connection: upgrade",
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==",
    "Upgrade: h2c", "Proxy-Connection: close", "Keep-Alive: timeout=5", "TE: trailers",
    "Expect: 100-continue", "Expect: 100-Continue", "expect: other", "Accept-Encoding: gzip",
    "Accept-Encoding: *;q=0", "Accept-Encoding: deflate, gzip;q=0.1", "accept-encoding: identity",
    "Content-Encoding: identity", "Content-Encoding: ", "X-Request-Id: abc", "X-Request-Id: \xfc",
    "X-Request-Id: a\tb", "X-Request-Id: one\r\nX-Request-Id: two", "X-Request-Timeout-Ms: 60000",
    "X-Request-Timeout-Ms: 0", "X-Request-Timeout-Ms: -1", "X-Request-Timeout-Ms: 1e999",
    "Content-Type: text/plain; charset=latin-1", "Content-Type: application/octet-stream", "Content-Type: ",
    "Content-Type: a/b\r\nContent-Type: application/json", "Host: other", "Host: ", "Origin: http://else",
    "Cookie: a=b; c", "Authorization: Bearer x", "Accept: text/html", "Inference-Header-Content-Length: 3",
    "Inference-Header-Content-Length: 0", "traceparent: 00-1-2-3", "X-Long: " + "x" * 3000,
    "X-" + "n" * 200 + ": v", "X: " + "; " * 50, "No-Blank:v", "Tab:\tv\t", "Empty:",
)  # fmt: skip

ILL_HEADERS = (
    "Folded: a\r\n b", "Folded: a\r\n\tb", "Blank : v", " Leading: v", ": nameless", "nothing at all", "Nul: a\0b",
    "Bare: a\rb", "Feed: a\nB: c", "Bell: \x07", "N\xe4me: v", "Bracket[: v", "X: \x7f", "\x00: v",
)  # fmt: skip
"""No header of HTTP, or of nobody who speaks it: each is refused, or taken by both ways for the same."""

FRAMES = (
    "Content-Length: {n}\r\nContent-Length: {n}", "Content-Length: {n}\r\nContent-Length: {m}",
    "Content-Length: +{n}", "Content-Length: {n}, {n}", "Content-Length: 00{n}", "Content-Length:  {n} ",
    "Content-Length:\t{n}\t", "Content-Length: -1", "Content-Length: ", "Content-Length: {n}x",
    "Content-Length: 0x{n}", "Content-Length: 99999999999999999999999999", "Content-Length: 30000",
    "Content-Length: {m}", "Content-Length: 0", "", "content-length: {n}", "CONTENT-LENGTH: {n}",
    "Content-Length: {n}\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: {n}",
    "Transfer-Encoding: identity", "Transfer-Encoding: identity\r\nContent-Length: {n}",
    "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked, gzip",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunked;q=1", "Transfer-Encoding:", "Transfer-Encoding: CHUNKED",
    "Transfer-Encoding : chunked", "Transfer-Encoding: chunked\r\nConnection: close",
    "Transfer-Encoding:\tchunked ",
)  # fmt: skip
"""How long a body is said to be: {n} bytes as it is, {m} otherwise."""

METHODS = (
    "GET",
    "HEAD",
    "OPTIONS",
    "PUT",
    "DELETE",
    "PATCH",
    "CONNECT",
    "TRACE",
    "PRI",
    "post",
    "M-SEARCH",
    "",
    "P OST",
)
VERSIONS = (
    "HTTP/1.0",
    "HTTP/1.0",
    "HTTP/1.2",
    "HTTP/0.9",
    "HTTP/2.0",
    "HTTP/11",
    "http/1.1",
    "HTTP/1.1 ",
    "",
    "HTTP/1.",
)
EMPTY_LINES = (*[b"\r\n\r\n"] * 5, b"\r\n", b"\n", b"\r", b"\n\r", b"\r\n\n\n\r\n", b"\r\r\n", b" \r\n")
GARBAGE = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"NONSENSE\r\n\r\n", b"\0" * 9, b"\xff\xfe\r\n\r\n", b"GET",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"0\r\n\r\n", b"PROXY TCP4 1 2 3 4\r\n",
)  # fmt: skip
_BYTES = (b"\r", b"\n", b"\0", b" ", b":", b"\t", b"\x80", b"A", b"0", b"%", b"\r\n", b"\r\n\r\n", b"")


def _whole(ask: Ask) -> bytes:
    lines = (f"POST {ask.path} HTTP/1.1", "Host: here", *ask.headers, f"Content-Length: {len(ask.body)}")
    return "\r\n".join((*lines, "", "")).encode("latin-1") + ask.body


_GOOD = tuple(map(_whole, (*GOOD[:7] * 4, *GOOD[7:-1] * 2, GOOD[-1])))  # those that cost least come oftenest
_WRONG = tuple(map(_whole, WRONG))


def make_stream(random: Random) -> Stream:
    """A stream of one to five requests; of those that are right many come again in other streams."""
    data, ends = bytearray(), []
    if random.random() < 0.15:
        data += random.choice(EMPTY_LINES)
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 5))):
        data += _request(random)
        ends.append(len(data))
        if random.random() < 0.08:
            data += random.choice(EMPTY_LINES)
    if random.random() < 0.04:
        data += random.choice(GARBAGE)
    if random.random() < 0.08:
        for _ in range(random.choice((1, 1, 2, 4))):
            at = random.randrange(len(data) + 1)
            data[at : at + random.choice((0, 1, 1))] = random.choice(_BYTES)
    if random.random() < 0.06:  # the client leaves in the middle
        del data[random.randrange(len(data) + 1) :]
    whole = bytes(data)
    chance = random.random
    return Stream(
        whole,
        _cuts(random, whole, ends),
        hasty=chance() < 0.3,
        slow=chance() < 0.08,
        draining=chance() < 0.02,
    )


def _cuts(random: Random, data: bytes, ends: Sequence[int]) -> tuple[int, ...]:
    match random.randrange(32):
        case 0 if len(data) < 400:
            return tuple(range(1, len(data)))
        case 1 | 2 | 3:
            return ()
        case way if way < 12:
            cuts = [random.randrange(len(data) + 1) for _ in range(random.randint(1, 6))]
            return tuple(cuts)
    marks = [*ends]
    at = data.find(b"\r\n\r\n")
    while at >= 0:
        marks.append(at + 4)
        at = data.find(b"\r\n\r\n", at + 4)
    return tuple(mark + random.choice((-3, -2, -1, 0, 0, 0, 1, 2)) for mark in marks if random.random() < 0.7)


def _request(random: Random) -> bytes:
    kind = random.random()
    if kind < 0.45:
        return random.choice(_GOOD)
    if kind < 0.53:
        return random.choice(_WRONG)
    if kind < 0.58:
        return _get(random)
    return _odd(random)


def _get(random: Random) -> bytes:
    lines = [
        f"{random.choice(('GET', 'GET', 'HEAD', 'OPTIONS'))} {random.choice(GETS)} HTTP/1.1",
        "Host: here",
    ]
    if random.random() < 0.3:
        lines.append(random.choice(HEADERS))
    return "\r\n".join((*lines, "", "")).encode("latin-1")


def _odd(random: Random) -> bytes:
    """A request with one or more things about it that most have not."""
    ask = random.choice(GOOD[:-1] if random.random() < 0.75 else WRONG)
    chance = random.random
    method = "POST" if chance() < 0.93 else random.choice(METHODS)
    version = "HTTP/1.1" if chance() < 0.93 else random.choice(VERSIONS)
    path = ask.path if chance() < 0.8 else _path(random, ask.path)
    body = ask.body if chance() < 0.85 else _body(random, ask.body)
    headers = ["Host: here", *ask.headers]
    while chance() < 0.45:
        headers.insert(random.randrange(len(headers) + 1), random.choice(HEADERS))
    if chance() < 0.06:
        headers.insert(random.randrange(len(headers) + 1), random.choice(ILL_HEADERS))
    framing = chance()
    if framing < 0.6:
        headers.insert(random.randrange(len(headers) + 1), f"Content-Length: {len(body)}")
    elif framing < 0.8:
        headers.append("Transfer-Encoding: chunked")
        body = _chunked(random, body)
    else:
        frame = random.choice(FRAMES)
        if "chunked" in frame.lower() and chance() < 0.7:
            body = _chunked(random, body)
        other = len(body) + random.choice((-5, -1, 1, 7))
        headers.append(frame.format(n=len(body), m=max(0, other)))
    if chance() < 0.1:
        headers = [header.swapcase() if chance() < 0.5 else header for header in headers]
    end = "\r\n" if chance() < 0.96 else random.choice(("\n", "\r", "\r\r\n", " \r\n"))
    first = f"{method} {path} {version}"
    if chance() < 0.03:
        first = first.replace(" ", random.choice(("  ", "\t", " \t")), 1)
    return end.join((first, *headers, "", "")).encode("latin-1") + body


def _path(random: Random, path: str) -> str:
    name = path[4:]
    return random.choice(
        (
            f"http://here{path}", f"https://here:99{path}", f"HTTP://u@h{path}", f"{path}?x=1", f"{path}?",
            f"{path}#f", f"{path}/", f"/{path}", path.replace("models", "%6dodels"),
            path.replace("n", "%6e"), f"{path}%00", f"{path}%", f"{path}%zz", path.upper(), path[1:],
            f"{path}\xfc", f"{path}%C3%BC", f"/./{path}", f"/v1/../v1{name}", path.replace("/", "%2f"),
            path.replace("/", "\\"), f"{path};v=1", f"{path} x", f"{path}?a b", f"{path}?%ff", "http://",
            "//here", "", "here:99", f"/baton{path}", f"{path}?{'y' * 3000}", path.replace("/infer", ""),
            f"{path}\x01", path.replace(":", "%3A"),
        )
    )  # fmt: skip


def _body(random: Random, body: bytes) -> bytes:
    match random.randrange(7):
        case 0:
            return b""
        case 1:
            return body[: random.randrange(len(body) + 1)]
        case 2:
            return body + random.choice((b" ", b"\r\n", b"\0", b"x"))
        case 3:
            return random.randbytes(random.randrange(200))
        case 4:
            return b"\r\n\r\n" + body
        case 5:  # a request within a body
            return body + _GOOD[0]
    at = random.randrange(len(body) + 1)
    return body[:at] + random.choice(_BYTES) + body[at + 1 :]


def _chunked(random: Random, body: bytes) -> bytes:
    """The body in chunks, mostly as they should be."""
    parts = bytearray()
    rest = body
    while rest:
        size = random.choice((1, 7, 50, 1000, len(rest)))
        chunk, rest = rest[:size], rest[size:]
        said = random.choice((f"{len(chunk):x}", f"{len(chunk):X}", f"00{len(chunk):x}"))
        if random.random() < 0.1:
            said += random.choice((";a=b", ';a="b;c"', " ", "\t;x", ";", ";\xfc"))
        if random.random() < 0.02:
            said = random.choice(("-1", "g", "", "0x5", "fffffffffffffffff", f"{len(chunk) + 1:x}"))
        line = "\r\n" if random.random() < 0.98 else random.choice(("\n", "\r", ""))
        parts += f"{said}{line}".encode("latin-1") + chunk + b"\r\n"
    last = (
        b"0\r\n\r\n",
        b"0\r\n\r\n",
        b"0\r\n\r\n",
        b"000\r\n\r\n",
        b"0;e\r\n\r\n",
        b"0\r\nTrailer: t\r\n\r\n",
    )
    odd = (b"0\r\nContent-Length: 5\r\n\r\n", b"0\r\n", b"0\n\n", b"0\r\nbad trailer\r\n\r\n", b"")
    parts += random.choice(last if random.random() < 0.95 else odd)
    return bytes(parts)
