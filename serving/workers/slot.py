"""A worker's slot: the socket over which it is dealt connections, and how many it has open."""

import contextlib
import socket


class WorkerSlot:
    """Counts the connections that one worker was dealt, and those that it has closed since."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        """A worker inherits `theirs`; this process keeps it too, for connections that the worker never takes."""
        self.ours.setblocking(False)
        self.dealt = self.closed = 0

    @property
    def open(self) -> int:
        """Connections of this worker; `closed` is as old as its last `Closed` message."""
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
        """Deal no more: the worker reads the end of the stream after its last connection."""
        with contextlib.suppress(OSError):
            self.ours.shutdown(socket.SHUT_WR)

    def take_back(self) -> list[socket.socket]:
        """The connections that the worker was dealt and has not taken; it may go on with others."""
        untaken = self._untaken()
        self.dealt -= len(untaken)
        return untaken

    def leave(self) -> list[socket.socket]:
        """Close the slot of a worker that has ended; its connections as `take_back` gives them."""
        untaken = self._untaken()
        self.ours.close()
        self.theirs.close()
        return untaken

    def _untaken(self) -> list[socket.socket]:
        if self.theirs.fileno() < 0:
            return []
        self.theirs.setblocking(False)
        untaken: list[socket.socket] = []
        with contextlib.suppress(OSError):
            while descriptors := socket.recv_fds(self.theirs, 1, 1)[1]:
                untaken.append(socket.socket(fileno=descriptors[0]))
        return untaken
