"""uvicorn's HTTP/1.1 with bounds: of the size of heads, of the time that requests take to come, and of upgrades.

Whatever is refused here is answered in its turn, with the one body that every error has, and the connection is closed
when the client has had time to read why.
"""

import asyncio
import logging

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serving.http.errors import error_body

log = logging.getLogger("baton.http")

MAX_HEAD_BYTES = 64 * 1024
"""Of a request line with its headers, and of what a chunked body may hold beside its data (trailers, extensions)."""

LEAST_BYTES_A_SECOND = 4096
"""What a body has to come with, on average, once the time for a request is over: 2G does it."""

SWEEP_S = 1.0
"""Between two looks at the connections: how exactly their limits are kept."""

_PARTING_S = 1.0
"""For reading a refusal: what a client still sends is thrown away so long, since closing on it loses the answer."""

_UNSEEN = (
    -LEAST_BYTES_A_SECOND
)  # of bytes seen at the last look: the next one is the first, which finds no fault
_TLS_HELLO = b"\x16\x03"
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n"


class Refused(Exception):
    """Raised in a callback of the parser: the request is answered with this, and the connection ends."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class BoundedProtocol(HttpToolsProtocol):
    """A connection that nobody keeps by sending slowly, or nothing; `sweep` has to be called every `SWEEP_S`."""

    keep_alive_s = 75.0
    receive_timeout_s = 30.0

    _between = True  # two requests, as far as is known
    _in_head = False  # the parser has begun one
    _deaf = False  # what comes is thrown away
    _leaving = False  # the server is
    _heads = 0  # that the parser has seen whole
    _parts = 0  # of bodies that it has given
    _head_bytes = 0  # of the head that is coming, at least
    _head_bytes_at_most = 0
    _received = 0  # bytes of the request that is coming
    _swept = 0  # of those, when `sweep` looked last
    _without_data = 0  # of those, since the last part of its body
    _since = 0.0  # when it began to come
    _free_since = 0.0  # when the connection became so
    _unread = -1  # bytes of answers, where the client does not read them
    _unread_since = 0.0
    _refusal: bytes | None = None  # to be written when its turn has come

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """asyncio: somebody has connected."""
        super().connection_made(transport)
        self._held = bytearray()
        self._free_since = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes of a request. Pieces of a head are gathered, so that its cost grows with its length alone.

        The parser copies what it has of a header for every piece that it is given, so it is given what ends a line, or
        doubles what it has of the head. No header goes on in the next line: the parser refuses that.
        """
        if self._deaf:
            return
        if self._between:
            self._head_bytes = 0
        elif self._in_head:
            self._held += data
            if b"\n" not in data and len(self._held) < self._head_bytes:
                self._check_head(self._head_bytes + len(self._held))
                return
            data = bytes(self._held)
            self._held.clear()
        self._parse(data)

    def on_message_begin(self) -> None:
        """httptools: a request begins; uvicorn's scope is made when it is known to be needed."""
        self.url = b""
        self.headers = []
        self._in_head, self._between = True, False
        self._begin_to_receive()

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools: a header; or a trailer, which nobody reads."""
        if self._in_head:
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """httptools: the head is here."""
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise Refused(501, "method: got CONNECT, expected another: this server is no proxy")
            return  # it comes again, without its upgrade
        if self._head_bytes_at_most > MAX_HEAD_BYTES:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > MAX_HEAD_BYTES:
                raise _too_large_head(size)
        self.choose_way()
        self._heads += 1
        self._in_head = False

    def choose_way(self) -> None:
        """Have the request answered whose head is here: uvicorn's way."""
        url, fields = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in fields:
            super().on_header(name, value)
        super().on_headers_complete()
        if self._leaving:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """httptools: a part of the body."""
        self._parts += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        """httptools: the request is here whole; or its head, which asked for an upgrade, and comes again."""
        if not self._in_head:
            self._between = True
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is written: start what was pipelined behind it, or wait for the next request.

        uvicorn sets a timer for every answer and cancels it for every request; here `sweep` looks.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self._free_since = self.loop.time()
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._refusal is not None:
            self._part()

    def shutdown(self) -> None:
        """uvicorn: the server leaves; a request that has begun to come is waited for, as long as `sweep` allows."""
        self._leaving = True
        self._swept = _UNSEEN
        coming = not self._between and not self._deaf
        if not coming or (self.cycle is not None and not self.cycle.response_complete):
            super().shutdown()

    def sweep(self, now: float) -> None:
        """Close the connection if its time is over; `now` is the loop's."""
        if self.transport.is_closing() or self.flow.write_paused:
            self._check_reader(now)
            return
        self._unread = -1
        if self._between:
            if self._is_free() and now - self._free_since >= self.keep_alive_s:
                self.transport.close()
        elif self.flow.read_paused:  # the client waits for the server, and not the other way round
            self._since = now
        elif not self._deaf:
            self._check_pace(now)

    def received(self) -> int:
        """Bytes of the request that is coming."""
        return self._received

    def refuse(self, status: int, message: str) -> None:
        """Answer the request that is coming when those before it are answered, and read no more."""
        log.info("refused with %d: %s", status, message)
        head_is_here = not self._in_head and not self._between
        self._deaf, self._between = True, False
        self._held.clear()
        self.flow.resume_reading()
        if self.cycle is None or self.cycle.response_complete:
            if not head_is_here:  # else it was answered before it was here
                self._refusal = self._written_error(status, message)
            self._part()
        elif not head_is_here:
            self._refusal = self._written_error(status, message)
        elif getattr(self.cycle, "response_started", False):
            self.cycle.keep_alive = False
        else:
            self._refusal = self._written_error(status, message)
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.pipeline:  # at the left is the one that came last
                self.pipeline.popleft()
            else:
                self._part()

    def _begin_to_receive(self) -> None:
        self._since = self.loop.time()
        self._received = self._without_data = 0
        self._swept = _UNSEEN

    def _parse(self, data: bytes) -> None:
        self._head_bytes_at_most = len(data) + (self._head_bytes_at_most if self._in_head else 0)
        heads, parts = self._heads, self._parts
        coming: list[bytes | memoryview] = [data]
        try:
            while coming:
                part = coming.pop()
                try:
                    self.parser.feed_data(part)
                except httptools.HttpParserUpgrade as upgrade:
                    coming += [memoryview(part)[upgrade.args[0] :], self._without_upgrade()]
        except httptools.HttpParserError as error:
            self._refuse_error(error, data)
            return
        self._received += len(data)
        if self._in_head:
            # Where a head begins in data is known only if it begins with it.
            self._head_bytes = self._head_bytes + len(data) if heads == self._heads else 0
            self._check_head(self._head_bytes)
        elif not self._between:
            same = heads == self._heads and parts == self._parts
            self._without_data = self._without_data + len(data) if same else 0
            if self._without_data > MAX_HEAD_BYTES:
                seen = f"{self._without_data} bytes of chunk extensions or trailers"
                self.refuse(431, f"body: got {seen}, expected at most {MAX_HEAD_BYTES} bytes")

    def _without_upgrade(self) -> bytes:
        """The head again, for a new parser: one that has met an upgrade takes nothing more for HTTP.

        Java's client and `curl --http2` ask for HTTP/2 with the first request of a cleartext connection, and take an
        answer in HTTP/1.1 for a no (RFC 9110, section 7.8).
        """
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn has it
        lines = [b"%b %b HTTP/%b" % (method, self.url, version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join((*lines, b"", b""))

    def _check_pace(self, now: float) -> None:
        got = self.received()
        stalled = self._leaving and got - self._swept < LEAST_BYTES_A_SECOND * SWEEP_S
        self._swept = got
        seconds = now - self._since
        if stalled or seconds > self.receive_timeout_s + got / LEAST_BYTES_A_SECOND:
            part = "head" if self._in_head else "body"
            expected = (
                f"it whole in {self.receive_timeout_s:g} s and one more for each {LEAST_BYTES_A_SECOND} bytes"
            )
            if stalled:
                expected = f"{LEAST_BYTES_A_SECOND} bytes a second: the server stops"
            self.refuse(
                408, f"{part}: got {got} bytes of the request in {seconds:.0f} s, expected {expected}"
            )

    def _check_reader(self, now: float) -> None:
        """Leave a client that reads nothing of what it asked for."""
        unread = self.transport.get_write_buffer_size()
        if unread != self._unread:
            self._unread, self._unread_since = unread, now
        elif now - self._unread_since > (_PARTING_S if self._leaving else self.receive_timeout_s):
            self.transport.abort()

    def _check_head(self, size: int) -> None:
        if size > MAX_HEAD_BYTES:
            refused = _too_large_head(size)
            self.refuse(refused.status, str(refused))

    def _refuse_error(self, error: httptools.HttpParserError, data: bytes) -> None:
        cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else error
        if isinstance(cause, Refused):
            self.refuse(cause.status, str(cause))
        elif data.startswith(_TLS_HELLO):
            self.refuse(400, "request: got a TLS handshake, expected HTTP: there is no TLS on this port")
        elif data.startswith(_HTTP2_PREFACE):
            self.refuse(505, "request: got HTTP/2, expected HTTP/1.1")
        else:
            part = "head" if self._in_head else "body"
            self.refuse(400, f"{part}: got bytes that are no HTTP ({cause}), expected HTTP/1.1")

    def _is_free(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _written_error(self, status: int, message: str) -> bytes:
        body = error_body(message)
        headers = (
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        )
        lines = (b"%b: %b\r\n" % header for header in headers)
        return b"".join((STATUS_LINE[status], *lines, b"\r\n", body))

    def _part(self) -> None:
        """Write what was refused, if it is to be told, and close when the client has had time to read."""
        refusal, self._refusal = self._refusal, None
        if self.transport.is_closing():
            return
        if refusal is not None:
            self.transport.write(refusal)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_PARTING_S, self.transport.close)


def _too_large_head(size: int) -> Refused:
    return Refused(431, f"head: got {size} bytes or more, expected at most {MAX_HEAD_BYTES} bytes")
