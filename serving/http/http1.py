"""uvicorn's HTTP/1.1 with bounds: of the size of heads, of the time that requests take to come, and of upgrades.

A request that is refused here is answered in its turn, with the one body that every error has. The connection is
closed when the client has had time to read the answer.
"""

import asyncio
import logging
from functools import partial
from typing import cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from inference.errors import InflightExceeded, InputTooLarge, counted
from serving.engine.inflight import Hold, InflightBytes
from serving.http.asgi import Scope
from serving.http.big_body import LEAST_BYTES, LargeReads
from serving.http.bounds import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    HeadBuffer,
    RequestPace,
    UnreadAnswers,
    check_head,
    check_head_bytes,
    unread_bytes,
)
from serving.http.holding import HOLD
from serving.http.refusal import Refused, on_the_wire, refusal_of
from serving.lifecycle import Lifecycle

log = logging.getLogger("baton.http")

_CLOSE_DELAY_S = 1.0
"""Between a refusal, or the last bytes behind it, and the close: closing on bytes that come loses the answer."""

_MAX_CLOSE_DELAY_S = 10.0
"""Of a client that goes on sending."""

_PIPELINED_BYTES = 8192
"""Of uvicorn's objects for a request that is queued behind another on its connection."""


class BoundedProtocol(HttpToolsProtocol):
    """A connection that no client keeps by sending slowly, or nothing; `sweep` has to be called every `SWEEP_S`."""

    inflight: InflightBytes
    lifecycle: Lifecycle
    reads: LargeReads
    keep_alive_s = 75.0
    receive_timeout_s = 30.0

    _awaits_request = True  # no byte of the next request has been parsed
    _in_head = False  # the parser has begun one
    _ignores_input = False  # after a refusal
    _ignored_at = 0.0  # the last bytes behind a refusal, in the loop's time
    _server_stops = False
    _heads_parsed = 0
    _chunks_parsed = 0  # parts of bodies, as the parser gives them
    _received_bytes = 0  # of the request that is coming
    _overhead_bytes = 0  # of those, since the last part of its body
    _idle_since = 0.0  # the last answer's end, in the loop's time
    _refusal: bytes | None = None  # to be written when the answers before it are
    _coming: Hold | None = None  # the bytes of the head or body that is coming
    _pipelined: Hold | None = None  # those of whole requests behind it
    _unread_answer: Hold | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """asyncio: a client has connected."""
        super().connection_made(transport)
        self._head, self._pace, self._unread = HeadBuffer(), RequestPace(), UnreadAnswers()
        self._idle_since = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: it is closed; what was held for it is given back."""
        self._give_back()
        self._drop_pipelined()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes of a request. Pieces of a head are gathered before they are parsed."""
        if self._ignores_input:
            self._ignored_at = self.loop.time()
            if len(data) >= LEAST_BYTES and not self.transport.is_closing():
                self.reads.wait(self.transport, self, len(data), heavy=True)
            return
        if self._awaits_request:
            self._head.parsed_bytes = 0
        elif self._in_head:
            try:
                size, data = len(data), self._head.take(data)
                if not data:
                    self._take(size, "head")
                    return
            except Refused as refused:
                self.refuse(refused)
                return
            except (InflightExceeded, InputTooLarge) as error:
                self.make_way(error)
                return
        self._parse(data)

    def on_message_begin(self) -> None:
        """httptools: a request begins; uvicorn's scope is made when it is known to be needed."""
        self.url = b""
        self.headers = []
        self._in_head, self._awaits_request = True, False
        self._begin_to_receive()

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools: a header; or a trailer, which is not used."""
        if self._in_head:
            if len(self.headers) >= MAX_HEADERS:
                raise Refused(
                    431, f"head: got more than {MAX_HEADERS} headers, expected at most {MAX_HEADERS} headers"
                )
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """httptools: the head is here."""
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise Refused(501, "method: got CONNECT, expected another: this server is no proxy")
            return  # it comes again, without its upgrade
        if self._head.max_bytes > MAX_HEAD_BYTES:
            check_head(self.url, self.headers)
        if self._coming is not None:  # pieces of the head
            self._coming.release()
            self._coming = None
        if not self.transport.is_closing():  # or the answer before it was the last
            self.choose_way()
        self._heads_parsed += 1
        self._in_head = False

    def choose_way(self) -> None:
        """Have the request answered whose head is here: uvicorn's way."""
        url, fields = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in fields:
            super().on_header(name, value)
        super().on_headers_complete()
        if self._server_stops or self.lifecycle.draining:
            self.cycle.keep_alive = False  # and it is told so with the answer
        self._coming = hold = Hold(self.inflight)
        cast("Scope", self.scope)[HOLD] = hold
        self.cycle.on_response = partial(self._respond_complete, hold)
        if self.pipeline:
            self._queue_up(_PIPELINED_BYTES)

    def on_body(self, body: bytes) -> None:
        """httptools: a part of the body."""
        self._chunks_parsed += 1
        super().on_body(body)
        if self.pipeline:
            self._queue_up(len(body))

    def on_message_complete(self) -> None:
        """httptools: the request is here whole; or its head, which asked for an upgrade, and comes again."""
        if not self._in_head:
            coming, self._coming = self._coming, None
            if coming is not None:
                coming.go_on("body")
            self._awaits_request = True
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer is written: start what was pipelined behind it, or wait for the next request.

        uvicorn sets a timer for every answer and cancels it for every request; here `sweep` keeps the time.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self._idle_since = self.loop.time()
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            if self._pipelined is not None and not self.pipeline:
                self._pipelined.release()
        elif self._refusal is not None:
            self._close_after_refusal()

    def shutdown(self) -> None:
        """uvicorn: the server stops; a request that has begun to come is waited for, as long as `sweep` allows."""
        self._server_stops = True
        self._pace.expect_more()
        coming = not self._awaits_request and not self._ignores_input
        if not coming or (self.cycle is not None and not self.cycle.response_complete):
            super().shutdown()

    def sweep(self, now: float) -> None:
        """Close the connection if its time is over; `now` is the loop's."""
        if self.transport.is_closing() or self.flow.write_paused:
            limit_s = _CLOSE_DELAY_S if self._server_stops else self.receive_timeout_s
            if self._unread.is_stuck(unread_bytes(self.transport), now, limit_s):
                self.transport.abort()
            return
        self._unread.clear()
        if self._awaits_request:
            if self._is_answered() and now - self._idle_since >= self.keep_alive_s:
                self.transport.close()
        elif self.flow.read_paused:
            self._pace.hold(now)
        elif not self._ignores_input:
            fault = self._pace.fault(
                self.received(), now, self.receive_timeout_s, stopping=self._server_stops
            )
            if fault is not None:
                self.refuse(Refused(408, f"{self._part()}: {fault}"))

    def received(self) -> int:
        """Bytes of the request that is coming."""
        return self._received_bytes

    def make_way(self, error: InflightExceeded | InputTooLarge) -> None:
        """Refuse the request that is coming: there is no room for it, or others need its room more.

        Those that wait behind the one that is being answered go too.
        """
        if self._in_head or self._awaits_request:
            self._drop_pipelined()
        self.refuse(Refused.by(error))

    def keep_unread(self, size: int) -> None:
        """Count an answer of `size` bytes that the client has yet to read; it is left where others need the room."""
        if self._unread_answer is None:  # else an answer before it is not read either
            self._unread_answer = Hold(self.inflight)
        try:
            self._unread_answer.wait(size, "answer", self._leave)
        except (InflightExceeded, InputTooLarge) as error:
            self._leave(error)

    def resume_writing(self) -> None:
        """asyncio: the client has read the answers that were waiting for it."""
        super().resume_writing()
        if self._unread_answer is not None:
            self._unread_answer.release()

    def refuse(self, refused: Refused) -> None:
        """Answer the request that is coming when those before it are answered, and read no more."""
        log.info("refused with %d: %s", refused.status, refused)
        if self._coming is not None:
            self._coming.release()
            self._coming = None
        head_is_here = not self._in_head and not self._awaits_request
        self._ignores_input, self._awaits_request = True, False
        self._head.clear()
        self.flow.resume_reading()
        answer = on_the_wire(refused, self.server_state.default_headers)
        if self._is_answered():
            # With its head here, the request itself was answered before it was here whole.
            self._refusal = None if head_is_here else answer
            self._close_after_refusal()
        elif not head_is_here:
            self._refusal = answer
        elif getattr(self.cycle, "response_started", False):
            self.cycle.keep_alive = False
        else:
            self._refusal = answer
            self.cycle.disconnected = True
            self.cycle.waiting_for_100_continue = False  # nothing may be written behind the refusal
            self.cycle.message_event.set()
            if self.pipeline:  # at the left is the one that came last
                self.pipeline.popleft()
            else:
                self._close_after_refusal()

    def _begin_to_receive(self) -> None:
        self._received_bytes = self._overhead_bytes = 0
        self._pace.begin(self.loop.time())

    def _parse(self, data: bytes) -> None:
        head = self._head
        head.max_bytes = len(data) + (head.max_bytes if self._in_head else 0)
        heads, chunks = self._heads_parsed, self._chunks_parsed
        try:
            self._feed(data)
            self._received_bytes += len(data)
            if self._in_head:
                # Where a head begins in data is known only if it begins with it.
                head.parsed_bytes = head.parsed_bytes + len(data) if heads == self._heads_parsed else 0
                check_head_bytes(head.parsed_bytes)
                self._take(len(data), "head")
            elif not self._awaits_request:
                same = heads == self._heads_parsed and chunks == self._chunks_parsed
                self._overhead_bytes = self._overhead_bytes + len(data) if same else 0
                _check_overhead(self._overhead_bytes)
                if not self._is_answered():  # else it goes by, and its hold is given back already
                    self._take(len(data), "body")
        except httptools.HttpParserError as error:
            told = refusal_of(error, data, self._part())
            if isinstance(told.error, InflightExceeded | InputTooLarge):
                self.make_way(told.error)
            else:
                self.refuse(told)
        except Refused as refused:
            self.refuse(refused)
        except (InflightExceeded, InputTooLarge) as error:
            self.make_way(error)

    def _take(self, size: int, part: str) -> None:
        """Count bytes of the request that is coming: it waits for its client."""
        if self._coming is None:
            self._coming = Hold(self.inflight)
        self._coming.wait(size, part, self.make_way)

    def _queue_up(self, size: int) -> None:
        """Count bytes of requests that were sent before the answer to the one before them was there."""
        if self._pipelined is None:
            self._pipelined = Hold(self.inflight)
        self._pipelined.wait(size, "pipelined requests", self.make_way)

    def _respond_complete(self, hold: Hold) -> None:
        """An answer went uvicorn's way and is written, as far as its client has read."""
        if self.flow.write_paused:
            self.keep_unread(hold.size)
        self.on_response_complete()

    def _leave(self, error: InflightExceeded | InputTooLarge) -> None:
        """Close without another word: the client reads nothing."""
        log.info("a client that does not read is left: %s", error)
        self.transport.abort()

    def _drop_pipelined(self) -> None:
        for cycle, _ in self.pipeline:
            cast("Scope", cycle.scope)[HOLD].release()
        self.pipeline.clear()

    def _give_back(self) -> None:
        for hold in (self._coming, self._pipelined, self._unread_answer):
            if hold is not None:
                hold.release()
        self._coming = self._pipelined = self._unread_answer = None

    def _feed(self, data: bytes) -> None:
        """Have `data` parsed, each head that asks for an upgrade again without it."""
        coming: list[bytes | memoryview] = [data]
        while coming:
            piece = coming.pop()
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as upgrade:
                coming += [memoryview(piece)[upgrade.args[0] :], self._without_upgrade()]

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

    def _part(self) -> str:
        return "head" if self._in_head else "body"

    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _close_after_refusal(self) -> None:
        """Write the refusal, if there is one to write, and close when the client has had time to read."""
        refusal, self._refusal = self._refusal, None
        if self.transport.is_closing():
            return
        if refusal is not None:
            self.transport.write(refusal)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._ignored_at = self.loop.time()
        self._close_when_silent(self._ignored_at + _MAX_CLOSE_DELAY_S)

    def _close_when_silent(self, until: float) -> None:
        """Close when nothing has come for a while, at `until` in any case."""
        now = self.loop.time()
        due = min(self._ignored_at + _CLOSE_DELAY_S, until)
        if now >= due:
            self.transport.close()
        else:
            self.loop.call_later(due - now, self._close_when_silent, until)


def bounded_protocol(
    inflight: InflightBytes, lifecycle: Lifecycle, keep_alive_s: float, receive_timeout_s: float
) -> type[asyncio.Protocol]:
    """The protocol class for `uvicorn.Config(http=…)` of a listener without the fast path."""
    attributes = {
        "inflight": inflight,
        "lifecycle": lifecycle,
        "reads": LargeReads(),
        "keep_alive_s": keep_alive_s,
        "receive_timeout_s": receive_timeout_s,
    }
    return type("BoundedProtocol", (BoundedProtocol,), attributes)


def _check_overhead(size: int) -> None:
    if size > MAX_HEAD_BYTES:
        raise Refused(
            431,
            f"body: got {counted(size, 'byte')} of chunk extensions or trailers, "
            f"expected at most {MAX_HEAD_BYTES} bytes",
        )
