"""The one place that accepts connections, and deals each to the worker that has the fewest.

Workers that accept from one inherited socket do not share: of 16 connections that came at once, the one that
was awake took 15. With SO_REUSEPORT the kernel draws lots, so 2 connections meet on one worker every other
time. And a connection that is dealt and not yet taken survives its worker, since the other end is kept here.
"""

import asyncio
import contextlib
import logging
import socket
from collections import deque
from collections.abc import Callable, Iterable

log = logging.getLogger("baton.supervisor")

_AT_ONCE = 64
_PAUSE_S = 0.01  # until the next try where no worker takes any more, or this process has no descriptor left
_LAST_TRIES = 100


class Seat:
    """A worker's place at the door: what it was dealt, and what it has closed since."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        """A worker inherits `theirs`; it is kept here too, for what the worker leaves in it."""
        self.ours.setblocking(False)
        self.dealt = self.closed = 0

    @property
    def open(self) -> int:
        """Connections that it has, as far as it has told."""
        return self.dealt - self.closed

    def deal(self, connection: socket.socket) -> bool:
        """Hand over a connection; False where the worker is too far behind to take another."""
        try:
            socket.send_fds(self.ours, [b"c"], [connection.fileno()])
        except OSError:
            return False
        self.dealt += 1
        connection.close()
        return True

    def seal(self) -> None:
        """No more will be dealt: the worker learns it when it has taken the last."""
        with contextlib.suppress(OSError):
            self.ours.shutdown(socket.SHUT_WR)

    def leave(self) -> list[socket.socket]:
        """The worker has ended; what it was dealt and did not take."""
        self.theirs.setblocking(False)
        left: list[socket.socket] = []
        with contextlib.suppress(OSError):
            while descriptors := socket.recv_fds(self.theirs, 1, 1)[1]:
                left.append(socket.socket(fileno=descriptors[0]))
        self.ours.close()
        self.theirs.close()
        return left


class Door:
    """Accepts for as long as somebody takes; connections wait in the kernel's backlog otherwise."""

    def __init__(self, listener: socket.socket, seats: Callable[[], Iterable[Seat]]) -> None:
        """`seats`: those that may be dealt connections now."""
        listener.setblocking(False)
        self._listener, self._seats = listener, seats
        self._waiting: deque[socket.socket] = deque()
        self._open = False

    def look(self) -> None:
        """Somebody has come or gone: deal who waits, and open or close the door."""
        while self._waiting and self._deal(self._waiting[0]):
            self._waiting.popleft()
        if self._listener.fileno() < 0:
            return
        expected = not self._waiting and any(True for _ in self._seats())
        if expected == self._open:
            return
        loop, self._open = asyncio.get_running_loop(), expected
        if expected:
            loop.add_reader(self._listener, self._accept)
        else:
            loop.remove_reader(self._listener)

    def take_back(self, connections: Iterable[socket.socket]) -> None:
        """Deal again what a worker left."""
        self._waiting.extend(connections)
        self.look()

    async def close(self) -> None:
        """Accept who has come, listen no more, and return when all are dealt, or nobody takes them."""
        if self._open:
            asyncio.get_running_loop().remove_reader(self._listener)
        while self._accept_one():
            pass
        self._listener.close()
        for _ in range(_LAST_TRIES):
            self.look()
            if not self._waiting:
                return
            await asyncio.sleep(_PAUSE_S)
        log.error("%d connections are closed: no worker took them", len(self._waiting))
        for connection in self._waiting:
            connection.close()
        self._waiting.clear()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            if not self._accept_one() or self._waiting:
                return

    def _accept_one(self) -> bool:
        """Whether there may be more."""
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):  # none, or one that has gone again
            return False
        except OSError as error:
            log.error("cannot accept: %s", error)
            self._pause()
            return False
        if not self._waiting and self._deal(connection):
            return True
        self._waiting.append(connection)
        self._pause()
        return True

    def _deal(self, connection: socket.socket) -> bool:
        return any(
            seat.deal(connection) for seat in sorted(self._seats(), key=lambda seat: (seat.open, seat.dealt))
        )

    def _pause(self) -> None:
        loop = asyncio.get_running_loop()
        if self._open:
            self._open = False
            loop.remove_reader(self._listener)
        loop.call_later(_PAUSE_S, self.look)
