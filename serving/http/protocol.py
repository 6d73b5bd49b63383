"""uvicorn's HTTP/1.1, with a fast path for the requests that matter: a prediction whose body is of known length.

For such a request uvicorn's ASGI machinery (scope, cycle, event, task) costs about 22 µs where parsing and
writing cost 9, and a small graph's whole answer 20. So its answer is asked for here without ASGI. Whatever is
unusual — chunked, pipelined, HTTP/1.0, too large, another path — goes uvicorn's way to the same functions.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from inference.errors import BatonError, InflightExceeded, InputTooLarge
from serving.codec.binary import JSON_LENGTH
from serving.engine.inflight import SMALL, Hold
from serving.engine.observers import RawHeaders
from serving.http.admission import address_of
from serving.http.answer import Answer, on_the_wire
from serving.http.big_body import (
    AT_ONCE,
    HEAVY_BYTES,
    JOINED_BYTES,
    LEAST_BYTES,
    BigBody,
    GrowingBody,
    LargeReads,
)
from serving.http.fast_path import FastPath
from serving.http.http1 import BoundedProtocol
from serving.http.matching import Route
from serving.http.refusal import Refused

_MAX_HEADS = 256
_MAX_HEAD_BYTES = 2048
_COPIED_BYTES = 64 * 1024
"""Of an answer's body: a larger one is written beside its head, and not copied behind it."""


class Head(NamedTuple):
    """A request's head that came before: a client that keeps its connection mostly sends the same one again."""

    route: Route
    headers: RawHeaders
    body_bytes: int
    binary: bool
    """Whether the body holds tensors as they are; then it is passed on where it lies."""

    @property
    def tensors_at(self) -> int:
        """Where in the body they begin, as far as it is told; no such place is refused when the body is read."""
        at = self.headers.get(JSON_LENGTH, b"") if self.binary else b""
        return int(at) if at.isdigit() else 0


class DefaultHeaders:
    """uvicorn's headers of every answer, as they were last written."""

    __slots__ = ("headers", "wire")

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.wire = b""


class FastCycle(Hold):
    """A request on the fast path and its answer, in the place of uvicorn's `RequestResponseCycle`.

    It is the hold of its own bytes: an object more would cost a small request more than counting them does. uvicorn's
    protocol reads and writes `disconnected`, `keep_alive` and `response_complete`, and ours
    `waiting_for_100_continue`, which no request on the fast path does.
    """

    __slots__ = (
        "_body", "_protocol", "disconnected", "headers", "keep_alive", "refused", "response_complete", "route",
        "unread", "waiting_for_100_continue",
    )  # fmt: skip

    def __init__(
        self, protocol: "FastProtocol", route: Route, headers: RawHeaders, refused: Answer | None
    ) -> None:
        """`refused`: the answer, where the body is to go by unread."""
        # Not by way of Hold's own, which would be a call for each request.
        self.inflight, self.size = protocol.inflight, 0
        self._protocol, self.route, self.headers, self.refused = protocol, route, headers, refused
        self._body: bytes | list[bytes] | GrowingBody = b""
        self.disconnected = self.response_complete = False
        self.keep_alive = True
        self.unread: Sequence[bytes | memoryview] = ()

    @property
    def address(self) -> str:
        """The client's."""
        return self._protocol.address

    @property
    def message_event(self) -> "FastCycle":
        """uvicorn sets it when the connection is lost; nobody waits for it here."""
        return self

    @property
    def hold(self) -> Hold:
        """The bytes that are held for it."""
        return self

    def set(self) -> None:
        """As an event: nothing to do."""

    def drop(self) -> None:
        """Forget the body as far as it came, and give its bytes back."""
        self._body = b""
        self.release()

    def take(self, chunk: bytes) -> None:
        """A part of the body; most come in one, so that nothing is copied."""
        if self.refused is not None:
            return
        if not self._body:
            self._body = chunk
        elif isinstance(self._body, list | GrowingBody):
            self._body.append(chunk)
        elif (size := int(self.headers.get(b"content-length", 0))) > JOINED_BYTES:
            self._body = GrowingBody(size, (self._body, chunk))
        else:
            self._body = [self._body, chunk]

    def start(self) -> None:
        """The request is here whole."""
        body, self._body = self._body, b""
        if isinstance(body, GrowingBody):
            self.answer(body.whole())
        else:
            self.answer(b"".join(body) if isinstance(body, list) else body)

    def answer(self, body: bytes | memoryview) -> None:
        """Have the request answered."""
        if self.refused is not None:
            self.send(self.refused)
            return
        inflight, size, fast_path = self.inflight, len(body), self._protocol.fast_path
        used = inflight.used + size
        if used <= inflight.brisk and size <= SMALL and not self.size:  # as `settle` has it, without a call
            inflight.used, self.size = used, size
        else:
            try:
                self.settle(size, "body")
            except (InflightExceeded, InputTooLarge) as error:
                self.send(fast_path.refuse(self.route, self.headers, error))
                return
        fast_path.respond(self.route, self.headers, body, self)

    def send(self, answer: Answer) -> None:
        """Write the answer, head and body in one, and make way for the next request."""
        self.response_complete = True
        if self.size <= SMALL:  # as `release` has it, without a call
            self.inflight.used -= self.size
            self.size = 0
        else:
            self.release()
        if self.disconnected:
            return
        if not answer.wire:
            headers = answer.headers
            if headers[-1][0] == b"connection":  # a server that drains puts it there, last
                self.keep_alive = False
            elif not self.keep_alive:
                headers.append((b"connection", b"close"))
        protocol = self._protocol
        now, defaults = protocol.server_state.default_headers, protocol.defaults
        if defaults.headers is not now:  # uvicorn makes a list with each date
            defaults.headers, defaults.wire = now, b"".join([b"%b: %b\r\n" % header for header in now])
        if len(answer.body) < _COPIED_BYTES and not answer.rest:
            rest = answer.wire or on_the_wire(answer)
            protocol.transport.write(b"".join((STATUS_LINE[answer.status], defaults.wire, rest)))
        else:
            head = on_the_wire(answer._replace(body=b""))
            first = b"".join((STATUS_LINE[answer.status], defaults.wire, head))
            protocol.transport.writelines((first, answer.body, *answer.rest))
        if (
            protocol.flow.write_paused
        ):  # the client reads slower than it asks: no next request until it has read
            protocol.flow.pause_reading()
            self.response_complete = False
            protocol.unwritten, self.unread = self, answer.rest
            protocol.keep_unread(answer.size)
            return
        if not self.keep_alive:
            protocol.transport.close()
        protocol.on_response_complete()


class FastProtocol(BoundedProtocol):
    """A connection. `fast_path` is set on the subclass that `protocol_of` makes."""

    fast_path: FastPath
    address = ""
    heads: dict[bytes, Head]
    defaults: DefaultHeaders
    _hot: FastCycle | None = None
    _big: BigBody | None = None
    _plain = True  # not TLS, whose transport reads into buffers of its own
    unwritten: FastCycle | None = None  # its answer waits for the client to read

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes of a request; parsed, unless it is whole and its head was parsed before.

        Finding the head in a table takes some 0.3 µs, parsing it again 4. Its end is looked for in the first bytes
        only: a search through a body of megabytes would take longer than all else.
        """
        end = data.find(b"\r\n\r\n", 0, _MAX_HEAD_BYTES) + 4 if self._awaits_request else 0
        whole = end >= 4
        if whole and (self.cycle is None or self.cycle.response_complete):
            head = self.heads.get(data[:end])
            missing = 0 if head is None else head.body_bytes - (len(data) - end)
            if head is not None and missing == 0:
                body = memoryview(data)[end:] if head.binary else data[end:]
                self._begin(head.route, head.headers).answer(body)
                return
            if head is not None and missing >= LEAST_BYTES and self._plain:
                self._receive(head, memoryview(data)[end:])
                return
        heads, flow = self._heads_parsed, self.flow
        super().data_received(data)
        if len(data) >= AT_ONCE and not (
            flow.read_paused or self._big or self._ignores_input or self.transport.is_closing()
        ):
            heavy = self._received_bytes >= HEAVY_BYTES or self._hot is None
            self.reads.wait(self.transport, self, len(data), heavy=heavy, is_paused=lambda: flow.read_paused)
        if whole and self._hot is not None and self._heads_parsed == heads + 1:
            self._remember(data, self._hot)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """asyncio: somebody has connected."""
        super().connection_made(transport)
        self._plain = transport.get_extra_info("sslcontext") is None
        self.address = address_of(self.client)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: it is closed, perhaps before its request was here whole."""
        self._abandon()
        self._let_go_unwritten()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """httptools: a request begins."""
        super().on_message_begin()
        self._hot = None

    def choose_way(self) -> None:
        """The short one, where it may be gone."""
        route = self._fast_route()
        if route is not None:
            headers = dict(self.headers)
            if self.fast_path.takes(headers):
                self._coming = self._begin(route, headers)
                return
        super().choose_way()

    def on_body(self, body: bytes) -> None:
        """httptools: a part of the body."""
        if self._hot is not None:
            self._chunks_parsed += 1
            self._hot.take(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """httptools: the request is here whole."""
        if self._hot is not None:
            self._awaits_request, self._coming = True, None
            self._hot.start()
        else:
            super().on_message_complete()

    def received(self) -> int:
        """Bytes of the request that is coming."""
        return self._received_bytes if self._big is None else self._big.got

    def refuse(self, refused: Refused) -> None:
        """Answer the request that is coming when those before it are answered, and read no more."""
        self._abandon(refused.error)
        self._hot = None
        if self._big is not None:
            self._big.give_back()
            self._big = None
        super().refuse(refused)

    def resume_writing(self) -> None:
        """asyncio: the client has read the answers that were waiting for it."""
        super().resume_writing()
        cycle = self._let_go_unwritten()
        if cycle is not None:
            cycle.response_complete = True
            if not cycle.keep_alive:
                self.transport.close()
            self.on_response_complete()

    def on_response_complete(self) -> None:
        """An answer is written: start the request that was pipelined behind it, or wait for the next."""
        if self.pipeline or self._ignores_input or self.flow.read_paused or self.transport.is_closing():
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        self._idle_since = self.loop.time()

    def _let_go_unwritten(self) -> FastCycle | None:
        """The request whose answer waited for its client, without that answer."""
        cycle, self.unwritten = self.unwritten, None
        if cycle is not None and cycle.unread:
            self.fast_path.let_go(list(cycle.unread))
            cycle.unread = ()
        return cycle

    def _begin(self, route: Route, headers: RawHeaders) -> FastCycle:
        refused = self.fast_path.turn_away(route, headers, self.address)
        self._hot = cycle = FastCycle(self, route, headers, refused)
        self.cycle = cast("RequestResponseCycle", cycle)
        return cycle

    def _receive(self, head: Head, begun: memoryview) -> None:
        """Read a body that has only begun to come into memory of its own, past the parser."""
        cycle = self._begin(head.route, head.headers)
        self._awaits_request = False
        self._begin_to_receive()

        def use(body: memoryview) -> None:
            self._awaits_request, self._big = True, None
            cycle.answer(body if head.binary or len(body) > JOINED_BYTES else bytes(body))

        def came(size: int) -> bool:
            try:
                cycle.wait(size, "body", self.make_way)
            except (InflightExceeded, InputTooLarge) as error:
                self.make_way(error)
            return self._big is not None

        tensors_at = None if cycle.refused is not None else head.tensors_at
        self._big = BigBody(self, self.transport, begun, head.body_bytes, tensors_at, came, use, self.reads)

    def _take(self, size: int, part: str) -> None:
        if self._hot is None or self._hot.refused is None:  # else it goes by
            super()._take(size, part)

    def _abandon(self, error: BatonError | None = None) -> None:
        """Have it counted if the request that was coming is none: its client has left, or is too slow.

        `error`: where that is the reason.
        """
        if self._hot is not None and not self._awaits_request and self._hot.refused is None:
            self._hot.drop()
            self.fast_path.abandoned(self._hot.route, error)

    def _remember(self, data: bytes, cycle: FastCycle) -> None:
        """Keep the head of `data`, which was one request, or the beginning of one, and nothing else.

        Its end is where the parser found it: it lets nothing else than an empty line, with both CR and LF, be one.
        """
        data = data.lstrip(b"\r\n")  # as the parser does: RFC 9112, section 2.2
        end = data.find(b"\r\n\r\n", 0, _MAX_HEAD_BYTES) + 4
        body_bytes = int(cycle.headers[b"content-length"])
        if end >= 4 and end + body_bytes >= len(data) and cycle.route.known:
            if len(self.heads) >= _MAX_HEADS:
                self.heads.clear()
            self.heads[data[:end]] = Head(cycle.route, cycle.headers, body_bytes, _is_binary(cycle))

    def _fast_route(self) -> Route | None:
        """The route, if the request may take the fast path as far as that does not depend on the headers."""
        if self.cycle is not None and not self.cycle.response_complete:
            return None  # pipelined: uvicorn keeps the order
        route, parser = self.fast_path.routes.find_url(self.url), self.parser
        if (
            route is None
            or parser.get_method() != b"POST"
            or not parser.should_keep_alive()
            or parser.get_http_version() != "1.1"
        ):
            return None
        return route


def _is_binary(cycle: FastCycle) -> bool:
    """Whether the request goes to `infer` with a binary part, which is not compressed."""
    named = JSON_LENGTH in cycle.headers
    return named and cycle.route.verb == "infer" and b"content-encoding" not in cycle.headers


def protocol_of(fast_path: FastPath, keep_alive_s: float, receive_timeout_s: float) -> type[asyncio.Protocol]:
    """The protocol class for `uvicorn.Config(http=…)` that takes the fast path into `fast_path`."""
    attributes: dict[str, Any] = {
        "fast_path": fast_path,
        "inflight": fast_path.inflight,
        "lifecycle": fast_path.lifecycle,
        "reads": LargeReads(),
        "heads": {},
        "defaults": DefaultHeaders(),
        "keep_alive_s": keep_alive_s,
        "receive_timeout_s": receive_timeout_s,
    }
    return type("FastProtocol", (FastProtocol,), attributes)
