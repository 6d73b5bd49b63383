"""A client of bare connections: fast enough to fill a server from one process, and rude where it is told to be."""

import asyncio
from typing import NamedTuple, cast

ANSWER_S = 60.0
"""Within which every answer has to come."""
_LENGTH = b"\ncontent-length:"  # and not inference-header-content-length


class Answer(NamedTuple):
    """One answer, whole."""

    status: int
    head: bytes
    body: bytes


class Gone(ConnectionError):
    """The server closed the connection before it had answered."""


class Connection(asyncio.Protocol):
    """One connection. Requests are written as they are given, and answers come in their order."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._came = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self.closed = False

    @classmethod
    async def open(cls, port: int) -> "Connection":
        """Connect to a server on this machine."""
        _, made = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """asyncio's."""
        self._came += data
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        """asyncio's."""
        self.closed = True
        self._wake()

    def send(self, data: bytes) -> None:
        """Write, and wait for nothing."""
        self._transport.write(data)

    def close(self) -> None:
        """End it, whatever is under way."""
        self._transport.abort()

    async def answer(self) -> Answer:
        """The next answer; `Gone` where the server closes before it is whole, `TimeoutError` after `ANSWER_S`."""
        while (found := self._take()) is None:
            if self.closed:
                raise Gone(f"closed after {len(self._came)} bytes of an answer")
            self._waiter = asyncio.get_running_loop().create_future()
            async with asyncio.timeout(ANSWER_S):
                await self._waiter
        return found

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _take(self) -> Answer | None:
        end = self._came.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = bytes(self._came[: end + 2])
        lower = head.lower()
        place = lower.find(_LENGTH)
        length = int(lower[place + len(_LENGTH) : lower.index(b"\r\n", place)]) if place >= 0 else 0
        whole = end + 4 + length
        if len(self._came) < whole:
            return None
        body = bytes(self._came[end + 4 : whole])
        del self._came[:whole]
        return Answer(int(head[9:12]), head, body)


async def ask(port: int, data: bytes) -> Answer:
    """One request on a connection of its own."""
    connection = await Connection.open(port)
    try:
        connection.send(data)
        return await connection.answer()
    finally:
        connection.close()
