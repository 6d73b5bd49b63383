"""A connection without a socket: a transport that a client's bytes are put into, and a server's are taken from."""

import asyncio
import re
from typing import Any, NamedTuple

from benchmarks.fuzz.streams import Stream
from benchmarks.fuzz.world import World

_TIMES = re.compile(rb"server-timing: [^\r]*\r\n")


class Outcome(NamedTuple):
    """What a client reads, whether the server closes, what is counted, and whether more of a request should come."""

    answers: bytes
    closed: bool
    counted: tuple[int, ...]
    unfinished: bool


class Wire(asyncio.Transport):
    """Behaves as asyncio's transport does: nothing is read while it is paused, nor after it is closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: Any) -> None:
        super().__init__()
        self._loop, self._protocol = loop, protocol
        self.out = bytearray()
        self.slow = False
        """The client does not read: whatever is written is unread, and the server is told to pause."""
        self.eof = self.gone = False
        self._reading, self._closing, self._told = True, False, False
        self._held: list[bytes] = []
        protocol.connection_made(self)

    # The client's side

    def feed(self, data: bytes) -> None:
        """The client sends."""
        if self._closing:
            return
        if self._reading and not self._held:
            self._deliver(data)
        else:
            self._held.append(data)

    def read_all(self) -> None:
        """The client reads what was written."""
        self.slow = False
        if self._told:
            self._told = False
            self._protocol.resume_writing()
        if self._closing:
            self._end()

    def leave(self) -> None:
        """The client closes its side and is gone."""
        self._closing, self.slow = True, False
        self._end()

    # The server's side

    def write(self, data: Any) -> None:
        """asyncio: bytes of an answer."""
        if self.eof:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self.gone or (self._closing and not self.slow):
            return
        self.out += data
        if self.slow and not self._told and data:
            self._told = True
            self._protocol.pause_writing()

    def close(self) -> None:
        """asyncio: read no more, and end when all is read by the client."""
        if not self._closing:
            self._closing = True
            if not self.slow:
                self._loop.call_soon(self._end)

    def abort(self) -> None:
        """asyncio: end at once."""
        self._closing, self.slow = True, False
        self._loop.call_soon(self._end)

    def is_closing(self) -> bool:
        """asyncio."""
        return self._closing

    def can_write_eof(self) -> bool:
        """asyncio."""
        return True

    def write_eof(self) -> None:
        """asyncio: nothing more is written."""
        self.eof = True

    def pause_reading(self) -> None:
        """asyncio."""
        self._reading = False

    def resume_reading(self) -> None:
        """asyncio: bytes that came meanwhile are read at the loop's next turn, as one."""
        if not self._reading:
            self._reading = True
            if self._held:
                self._loop.call_soon(self._deliver_held)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """asyncio."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """asyncio."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def get_write_buffer_size(self) -> int:
        """asyncio."""
        return 1 if self._told else 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """asyncio."""
        return ("127.0.0.1", 1) if name == "peername" else default

    def _deliver_held(self) -> None:
        if self._reading and self._held and not self._closing:
            held, self._held = b"".join(self._held), []
            self._deliver(held)

    def _deliver(self, data: bytes) -> None:
        while data:
            if self._closing:
                return
            if not self._reading:
                self._held.insert(0, data)
                return
            protocol = self._protocol
            if not isinstance(protocol, asyncio.BufferedProtocol):
                protocol.data_received(data)
                return
            room = memoryview(protocol.get_buffer(-1))
            taken = min(len(room), len(data))
            room[:taken] = data[:taken]
            protocol.buffer_updated(taken)
            data = data[taken:]

    def _end(self) -> None:
        if not self.gone:
            self.gone = True
            self._protocol.connection_lost(None)


async def converse(world: World, way: type[Any], stream: Stream, *, cut: bool) -> Outcome:
    """A stream on a connection of its own. `cut`: in the pieces and at the pace that it says; else in one piece."""
    before = world.counted
    lifecycle = world.app.lifecycle
    lifecycle.drain_began = 0.0 if stream.draining else None
    protocol = way(config=world.config, server_state=world.state, app_state=world.app_state)
    wire = Wire(world.loop, protocol)
    settle = world.settle
    if cut:
        wire.slow = stream.slow
        for place, piece in enumerate(stream.pieces()):
            wire.feed(piece)
            if stream.hasty:
                await asyncio.sleep(0)
            else:
                await settle()
            if stream.slow and place % 2:
                wire.read_all()
                wire.slow = True
        if stream.slow:
            while wire._told:
                wire.read_all()
                wire.slow = True
                await settle()
            wire.slow = False
    else:
        wire.feed(stream.data)
    await settle()
    closed = wire.is_closing() or wire.eof
    unfinished = not (closed or protocol._awaits_request)
    wire.leave()
    await settle()
    lifecycle.drain_began = None
    world.counted = world.counts()
    counted = tuple([after - first for after, first in zip(world.counted, before, strict=True)])
    return Outcome(_TIMES.sub(b"server-timing\r\n", wire.out), closed, counted, unfinished)
