"""One keep-alive connection with one request at a time: the least that HTTP/1.1 needs."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol, cast
from urllib.parse import SplitResult

import httptools

from serving.bench.values import DISCONNECTED, TIMEOUT, BenchError, clock


class Owner(Protocol):
    """The load that a connection belongs to; it is called with the outcome of each request."""

    def answered(self, connection: "Connection", status: int, timing: bytes, *, reusable: bool) -> None:
        """The request on this connection is over; a reusable one may be given the next."""
        ...

    def lost(self, connection: "Connection", status: int) -> None:
        """The connection is gone; `status` is the outcome of its request, 0 if it had none."""
        ...


class Connection(asyncio.Protocol):
    """`due` and `sent` are those of the request under way; `sent` is 0 without one."""

    __slots__ = ("_outcome", "_owner", "_parser", "_timing", "_transport", "due", "sent")

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._timing = b""
        self._outcome = DISCONNECTED
        self.due = self.sent = 0.0

    def ask(self, request: bytes, due: float) -> None:
        """Send a whole request that was due at `due`; only when the one before is over."""
        self.due, self.sent = due, clock()
        self._transport.write(request)

    def give_up(self) -> None:
        """Close under the request: its time is over."""
        self._outcome = TIMEOUT
        self.close()

    def close(self) -> None:
        """Close at once."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: it is open."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes of an answer."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        """asyncio: it is closed."""
        self._owner.lost(self, self._outcome if self.sent else 0)

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools: a header of the answer."""
        if len(name) == 13 and name.lower() == b"server-timing":
            self._timing = value

    def on_message_complete(self) -> None:
        """httptools: the answer is whole."""
        status = self._parser.get_status_code()
        if status < 200:  # 100 Continue and its kind come before the answer
            return
        timing, self._timing = self._timing, b""
        self._owner.answered(self, status, timing, reusable=self._parser.should_keep_alive())


async def connect(url: SplitResult, make: Callable[[], Connection], timeout_s: float) -> Connection:
    """An open connection; `BenchError` names the address that did not answer."""
    context = ssl.create_default_context() if url.scheme == "https" else None
    port = url.port or (443 if context else 80)
    try:
        async with asyncio.timeout(timeout_s):
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(make, url.hostname or "", port, ssl=context)
    except TimeoutError:
        raise BenchError(f"{url.geturl()}: no connection within {timeout_s:g} s") from None
    except OSError as error:
        raise BenchError(f"{url.geturl()}: cannot connect: {error.strerror or error}") from None
    return connection
