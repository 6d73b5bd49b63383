"""Bounds of a connection: how long a head may be, how slowly a request may come, how long an answer may lie unread.

Sizes and times are counted here; the connection that is refused or closed for them is `serving.http.http1`'s.
"""

import asyncio
import fcntl
import sys
import termios
from collections.abc import Iterable
from contextlib import suppress

from inference.errors import counted
from serving.http.refusal import Refused

MAX_HEAD_BYTES = 64 * 1024
"""Of a request line with its headers, and of what a chunked body may hold beside its data (trailers, extensions)."""

MAX_HEADERS = 256
"""Of one head: each costs some 150 bytes beside its text, and a browser sends 20."""

MIN_BYTES_PER_S = 4096
"""The rate that a request, and the reader of an answer, may not fall behind by `receive_timeout_s`: 2G keeps it."""

SWEEP_S = 1.0
"""Between two checks of a connection: how exactly its limits are kept."""

_NOT_COUNTED = -MIN_BYTES_PER_S  # so that the first check of a stopping server finds no stall


def check_head(url: bytes, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """`Refused` where a whole head is over `MAX_HEAD_BYTES`."""
    check_head_bytes(len(url) + sum(len(name) + len(value) + 4 for name, value in headers))


def check_head_bytes(size: int) -> None:
    """The same for a head of at least `size` bytes."""
    if size > MAX_HEAD_BYTES:
        raise Refused(431, f"head: got {size} bytes or more, expected at most {MAX_HEAD_BYTES} bytes")


class HeadBuffer:
    """Pieces of a head, held until the parser should have them, so that parsing costs grow with length alone.

    The parser copies what it has of a header for every piece that it is given. So it is given the end of a line, or as
    much as it has of the head already. No header continues on the next line: the parser refuses that.
    """

    __slots__ = ("_held", "max_bytes", "parsed_bytes")

    def __init__(self) -> None:
        """Without a piece."""
        self._held = bytearray()
        self.parsed_bytes = 0
        """Of the head that is coming, at least: a piece may begin with the end of the request before."""
        self.max_bytes = 0
        """Of the same head, at most."""

    def take(self, data: bytes) -> bytes:
        """What the parser should have now; b"" while the piece is held. `Refused` when the head is too long."""
        self._held += data
        if b"\n" not in data and len(self._held) < self.parsed_bytes:
            check_head_bytes(self.parsed_bytes + len(self._held))
            return b""
        pieces = bytes(self._held)
        self._held.clear()
        return pieces

    def clear(self) -> None:
        """Drop the pieces that are held."""
        self._held.clear()


class RequestPace:
    """Whether a request comes fast enough.

    Bytes pay for time, but not for time to come: a client that sent megabytes at once, and then stalls, has no longer.
    """

    __slots__ = ("_begun_at", "_counted_bytes", "_paid_until")

    def __init__(self) -> None:
        """No request has begun."""
        self._begun_at, self._paid_until, self._counted_bytes = 0.0, 0.0, _NOT_COUNTED

    def begin(self, now: float) -> None:
        """A request begins to come; `now` is the loop's time in seconds."""
        self._begun_at, self._paid_until, self._counted_bytes = now, now, _NOT_COUNTED

    def hold(self, now: float) -> None:
        """The client waits for the server, so its time begins again when it may send."""
        self._paid_until = now

    def expect_more(self) -> None:
        """The server stops: what comes from now until the next check is not yet too little."""
        self._counted_bytes = _NOT_COUNTED

    def fault(self, got: int, now: float, timeout_s: float, *, stopping: bool) -> str | None:
        """What is said of a request that is too slow; None for one whose `got` bytes are enough."""
        new = got - self._counted_bytes
        stalled = stopping and new < MIN_BYTES_PER_S * SWEEP_S
        self._paid_until = _paid(self._paid_until, got - max(0, self._counted_bytes), now)
        self._counted_bytes = got
        if stalled:
            expected = f"{MIN_BYTES_PER_S} bytes a second: the server stops"
        elif now - self._paid_until > timeout_s:
            expected = f"{MIN_BYTES_PER_S} bytes a second, and to be at most {timeout_s:g} s behind"
        else:
            return None
        seconds = now - self._begun_at
        return f"got {counted(got, 'byte')} of the request in {seconds:.0f} s, expected {expected}"


class UnreadAnswers:
    """Whether a client reads the answers that were written to it, and fast enough."""

    __slots__ = ("_bytes", "_paid_until")

    def __init__(self) -> None:
        """Nothing is unread."""
        self._bytes, self._paid_until = -1, 0.0

    def clear(self) -> None:
        """All is read."""
        self._bytes = -1

    def is_stuck(self, unread: int, now: float, limit_s: float) -> bool:
        """Whether a client with so many bytes `unread` is more than `limit_s` behind `MIN_BYTES_PER_S`."""
        if self._bytes < 0:
            self._paid_until = now
        else:
            self._paid_until = _paid(self._paid_until, self._bytes - unread, now)
        self._bytes = unread
        return now - self._paid_until > limit_s


def unread_bytes(transport: asyncio.Transport) -> int:
    """Bytes that were written and that the client's machine has not acknowledged, the kernel's among them.

    The kernel takes megabytes, and takes more only when a third of them is gone: what is held here alone would not
    change for minutes while a slow client reads.
    """
    connection = transport.get_extra_info("socket")
    in_kernel = bytearray(4)
    if connection is not None:
        with suppress(OSError):  # closed meanwhile
            fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, in_kernel)
    return transport.get_write_buffer_size() + int.from_bytes(in_kernel, sys.byteorder)


def _paid(until: float, new: int, now: float) -> float:
    """The time that is paid for with `new` bytes more."""
    return min(now, until + max(0, new) / MIN_BYTES_PER_S)
