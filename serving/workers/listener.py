"""The one place that accepts connections, and deals each to the worker that has the fewest.

Workers that accept from one inherited socket do not share: of 16 connections that came at once, the one that
was awake took 15. With SO_REUSEPORT the kernel draws lots, so 2 connections meet on one worker every other
time. A connection that was dealt and not yet taken survives its worker, since the slot's other end is kept here.
"""

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable, Iterable

from serving.listening import Descriptors
from serving.workers.slot import WorkerSlot

log = logging.getLogger("baton.supervisor")

_AT_ONCE = 64  # connections accepted before the loop sees to signals and messages again
_PAUSE_S = 0.01  # until the next try where no worker takes any more, or this process has no descriptor left
_LAST_TRIES = 100  # of _PAUSE_S each: a worker that takes nothing for a second would not answer either


class Listener:
    """Accepts while a worker takes connections; otherwise they wait in the kernel's backlog."""

    def __init__(self, listening: socket.socket, slots: Callable[[], Iterable[WorkerSlot]]) -> None:
        """`slots`: those that may be dealt connections now."""
        listening.setblocking(False)
        self._listening, self._slots = listening, slots
        self._waiting: deque[socket.socket] = deque()
        self._open = False
        self._descriptors = Descriptors(log)

    def look(self) -> None:
        """A worker has come or gone: deal the connections that wait, and accept or pause."""
        while self._waiting and self._deal(self._waiting[0]):
            self._waiting.popleft()
        if self._listening.fileno() < 0:
            return
        expected = not self._waiting and any(True for _ in self._slots())
        if expected == self._open:
            return
        loop, self._open = asyncio.get_running_loop(), expected
        if expected:
            loop.add_reader(self._listening, self._accept)
        else:
            loop.remove_reader(self._listening)

    def take_back(self, connections: Iterable[socket.socket]) -> None:
        """Deal the connections of an ended worker again."""
        self._waiting.extend(connections)
        self.look()

    async def close(self) -> None:
        """Accept the whole backlog, listen no more, and return when all are dealt, or no worker takes them."""
        if self._open:
            asyncio.get_running_loop().remove_reader(self._listening)
        while self._accept_one():
            pass
        self._listening.close()
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
            connection, _ = self._listening.accept()
        except (BlockingIOError, ConnectionError):  # none, or one that has gone again
            return False
        except OSError as error:
            self._descriptors.lack(error)
            self._pause()
            return False
        self._descriptors.have()
        if not self._waiting and self._deal(connection):
            return True
        self._waiting.append(connection)
        self._pause()
        return True

    def _deal(self, connection: socket.socket) -> bool:
        # Of equals the one that was dealt less goes first: counts of closed connections come late.
        return any(
            slot.deal(connection) for slot in sorted(self._slots(), key=lambda slot: (slot.open, slot.dealt))
        )

    def _pause(self) -> None:
        loop = asyncio.get_running_loop()
        if self._open:
            self._open = False
            loop.remove_reader(self._listening)
        loop.call_later(_PAUSE_S, self.look)
