"""uvicorn's HTTP/1.1, with a short way for the requests that matter: a prediction whose body is of known length.

For such a request uvicorn's ASGI machinery (scope, cycle, event, task) costs about 22 µs where parsing and
writing cost 9, and a small graph's whole answer 20. So its answer is asked for here without ASGI. Whatever is
unusual — chunked, pipelined, HTTP/1.0, too large, another path — goes uvicorn's way to the same functions.
"""

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from serving.exchange import Answer
from serving.hotlane import HotLane
from serving.targets import Target


class HotCycle:
    """A request on the short way and its answer, in the place of uvicorn's `RequestResponseCycle`.

    uvicorn's protocol reads and writes the attributes without an underscore.
    """

    __slots__ = (
        "_chunks",
        "_path",
        "_protocol",
        "_target",
        "disconnected",
        "keep_alive",
        "response_complete",
    )

    def __init__(self, protocol: "HotProtocol", target: Target, path: str) -> None:
        self._protocol, self._target, self._path = protocol, target, path
        self._chunks: list[bytes] = []
        self.disconnected = self.response_complete = False
        self.keep_alive = True

    @property
    def message_event(self) -> "HotCycle":
        """uvicorn sets it when the connection is lost; nobody waits for it here."""
        return self

    def set(self) -> None:
        """As an event: nothing to do."""

    def take(self, chunk: bytes) -> None:
        """A part of the body."""
        self._chunks.append(chunk)

    def start(self, lane: HotLane, headers: list[tuple[bytes, bytes]]) -> None:
        """The request is here whole."""
        chunks = self._chunks
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        lane.respond(self._target, self._path, dict(headers), body, self)

    def left(self) -> bool:
        """Whether the caller has closed the connection."""
        return self.disconnected

    def send(self, answer: Answer) -> None:
        """Write the answer and make way for the next request."""
        self.response_complete = True
        if not self.disconnected:
            self._protocol.write_answer(self, answer)


class HotProtocol(HttpToolsProtocol):
    """A connection. `lane` is set on the subclass that `protocol_of` makes."""

    lane: HotLane
    _hot: HotCycle | None = None
    _unwritten: HotCycle | None = None

    def on_message_begin(self) -> None:
        """httptools: a request begins; uvicorn's scope is made when it is known to be needed."""
        self.url = b""
        self.headers = []
        self._hot = None

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools: a header."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """httptools: choose the way."""
        target = self._hot_target()
        if target is not None:
            self._hot = HotCycle(self, target, self.url.decode("ascii"))
            self.cycle = cast("RequestResponseCycle", self._hot)
            return
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """httptools: a part of the body."""
        if self._hot is not None:
            self._hot.take(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """httptools: the request is here whole."""
        if self._hot is not None:
            self._hot.start(self.lane, self.headers)
        else:
            super().on_message_complete()

    def write_answer(self, cycle: HotCycle, answer: Answer) -> None:
        """One write for head and body; then the connection is free, or closed where it is not kept."""
        parts = [STATUS_LINE[answer.status]]
        for name, value in self.server_state.default_headers:
            parts += (name, b": ", value, b"\r\n")
        for name, value in answer.headers:
            parts += (name, b": ", value, b"\r\n")
            if name == b"connection":
                cycle.keep_alive = False
        if not cycle.keep_alive and answer.headers[-1][0] != b"connection":
            parts.append(b"connection: close\r\n")
        parts += (b"\r\n", answer.body)
        self.transport.write(b"".join(parts))
        if (
            self.flow.write_paused
        ):  # a caller who reads slower than it asks: no next request until it has read
            self.flow.pause_reading()
            cycle.response_complete = False
            self._unwritten = cycle
        else:
            self._written(cycle)

    def resume_writing(self) -> None:
        """asyncio: the caller has read what was waiting for it."""
        super().resume_writing()
        cycle, self._unwritten = self._unwritten, None
        if cycle is not None:
            cycle.response_complete = True
            self._written(cycle)

    def _written(self, cycle: HotCycle) -> None:
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _hot_target(self) -> Target | None:
        """What is asked for, if it may take the short way; no header is looked at for any other path."""
        if self.cycle is not None and not self.cycle.response_complete:
            return None  # pipelined: uvicorn keeps the order
        parser = self.parser
        if parser.get_method() != b"POST" or b"%" in self.url or b"?" in self.url or not self.url.isascii():
            return None
        target = self.lane.find(self.url.decode("ascii"))
        if target is None or not parser.should_keep_alive() or parser.get_http_version() != "1.1":
            return None
        return target if self.lane.takes(dict(self.headers)) else None


def protocol_of(lane: HotLane) -> type[asyncio.Protocol]:
    """The protocol class for `uvicorn.Config(http=…)` that takes the short way into `lane`."""
    attributes: dict[str, Any] = {"lane": lane}
    return type("HotProtocol", (HotProtocol,), attributes)
