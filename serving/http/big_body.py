"""A body that takes many reads, read where it will be used.

Pieces are copied from the socket, out of the reader's buffer, out of the parser and into one whole. For the 602 kB of
an ImageNet image in float32 those copies were a fifth to a third of the server's time (`benchmarks/bodies.py`). Here
the socket is read into the body's own memory, and a binary tensor is a view of it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

import numpy as np

from inference.values import Array

LEAST_BYTES = 64 * 1024
"""Bytes that must still come, for changing the protocol to pay."""

JOINED_BYTES = 256 * 1024
"""Of a body: a larger one is put together as it comes, and not copied at its end."""

_HUGE_PAGE = 2 << 20
"""NumPy asks for large arrays in such pages, so that a byte may bring two million with it."""

AT_ONCE = 256 * 1024
"""Bytes of one read, as uvloop reads otherwise; so many tell that there is more."""

_ALIGNED = 64  # of the first tensor: as ONNX Runtime's own

HEAVY_BYTES = 4 << 20
"""Of a body, from which on a crowd of them has a pace."""

_CROWD = 4
"""Connections with heavy bodies, or refused ones, that wait to be read."""

_CROWD_BYTES_PER_S = 256e6
"""Of a crowd together: a sixth of the event loop's time, of which forty clients that send fast took two thirds."""


class LargeReads:
    """Whose turn it is to be read, of the connections with large bodies: one in each round of the event loop.

    libuv reads up to 32 times from a connection that has more (`uv__read`), and from each that has some. Forty
    clients that send fast would keep the event loop for a tenth of a second.
    """

    def __init__(self) -> None:
        self._ready: deque[Callable[[], None]] = deque()
        self._delayed = 0
        self._busy_until = 0.0

    def wait(
        self,
        transport: asyncio.Transport,
        reader: asyncio.BaseProtocol,
        got: int,
        *,
        heavy: bool,
        is_paused: Callable[[], bool] = bool,
    ) -> None:
        """Have `reader`, who `got` so many bytes, wait for its turn.

        It is given more then, unless it `is_paused` or another reads the connection.
        """
        loop = asyncio.get_running_loop()
        transport.pause_reading()

        def go_on() -> None:
            if transport.get_protocol() is reader and not (is_paused() or transport.is_closing()):
                transport.resume_reading()

        if heavy and self._delayed + len(self._ready) >= _CROWD:
            now = loop.time()
            self._busy_until = max(self._busy_until, now) + got / _CROWD_BYTES_PER_S
            self._delayed += 1
            loop.call_later(self._busy_until - now, self._after_delay, go_on)
        else:
            self._enter(go_on)

    def _after_delay(self, go_on: Callable[[], None]) -> None:
        self._delayed -= 1
        self._enter(go_on)

    def _enter(self, go_on: Callable[[], None]) -> None:
        self._ready.append(go_on)
        if len(self._ready) == 1:
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self._ready[0]()
        self._ready.popleft()
        if self._ready:
            asyncio.get_running_loop().call_soon(self._next)


class GrowingBody:
    """A body that comes by way of the parser: its pieces are put where they belong as they come.

    To join 64 MB of them at the end would take the event loop for 40 ms.
    """

    __slots__ = ("_got", "_room")

    def __init__(self, size: int, pieces: Iterable[bytes]) -> None:
        """`size` in bytes, of which `pieces` have come."""
        room: Array = np.empty(size, np.uint8)
        self._room, self._got = room.data, 0
        for piece in pieces:
            self.append(piece)

    def append(self, piece: bytes) -> None:
        """The next piece."""
        end = self._got + len(piece)
        self._room[self._got : end] = piece
        self._got = end

    def whole(self) -> memoryview:
        """All of it, read-only."""
        return self._room[: self._got].toreadonly()


class BigBody(asyncio.BufferedProtocol):
    """Stands in for a connection's protocol until the body is whole, and then gives the connection back."""

    def __init__(
        self,
        protocol: asyncio.Protocol,
        transport: asyncio.Transport,
        begun: memoryview,
        size: int,
        tensors_at: int | None,
        came: Callable[[int], bool],
        use: Callable[[memoryview], None],
        reads: LargeReads,
    ) -> None:
        """`begun`: the bytes that came with the head. `tensors_at`: where tensors begin in the body.

        `came` is told of bytes that are kept, and says whether to go on; else the connection was given back. Memory
        that no byte has come to is not counted, since it is not there yet. `use` is given the whole, read-only, when
        `protocol` has the connection again. With `tensors_at` None the bytes are thrown away, and it is
        given none. The connection is read in its turn among `reads`.
        """
        self._protocol, self._transport, self._came, self._use = protocol, transport, came, use
        self._reads = reads
        self._kept = tensors_at is not None
        if tensors_at is not None:
            # Enough room to begin where the tensors come to lie aligned, however long the JSON before them is.
            room: Array = np.empty(size + _ALIGNED, np.uint8)
            start = -(room.ctypes.data + tensors_at) % _ALIGNED
            self._room = room.data[start : start + size]
            self._room[: len(begun)] = begun
        else:
            self._room = memoryview(bytearray(LEAST_BYTES))
        self._size, self.got = size, len(begun)
        self._ahead = _HUGE_PAGE if size >= 2 * _HUGE_PAGE else 0
        self._counted = 0
        _hand_over(transport, self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """asyncio: where to put the next bytes."""
        if self._kept:
            return self._room[self.got : self.got + AT_ONCE]
        return self._room[: self._size - self.got]

    def buffer_updated(self, nbytes: int) -> None:
        """asyncio: so many bytes came."""
        self.got += nbytes
        if self._kept:
            resident = min(self._size, self.got + self._ahead)
            more, self._counted = resident - self._counted, resident
            if not self._came(more):
                return
        if self.got == self._size:
            whole = self._room.toreadonly() if self._kept else memoryview(b"")
            self.give_back()
            self._use(whole)
        elif nbytes >= LEAST_BYTES:
            heavy = not self._kept or self._size >= HEAVY_BYTES
            self._reads.wait(self._transport, self, nbytes, heavy=heavy)

    def give_back(self) -> None:
        """Let the connection's own protocol read again, and the memory go.

        uvloop keeps the methods of the last protocol with buffers for as long as the connection lives.
        """
        self._room = memoryview(b"")
        _hand_over(self._transport, self._protocol)

    def eof_received(self) -> bool | None:
        """asyncio: the client sends no more, though it has not sent all."""
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio: the client is gone."""
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """asyncio: the client does not read."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """asyncio: it reads again."""
        self._protocol.resume_writing()


def _hand_over(transport: asyncio.Transport, protocol: asyncio.BaseProtocol) -> None:
    """Have `protocol` read from now on; uvloop looks at how a protocol reads only when reading starts."""
    transport.set_protocol(protocol)
    if not transport.is_closing():
        transport.pause_reading()
        transport.resume_reading()
