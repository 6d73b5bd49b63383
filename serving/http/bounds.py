"""Bounds of a connection: how long a head may be, how slowly a request may come, how long an answer may lie unread.

Sizes and times are counted here; the connection that is refused or closed for them is `serving.http.http1`'s.
"""

from collections.abc import Iterable

from inference.errors import counted
from serving.http.refusal import Refused

MAX_HEAD_BYTES = 64 * 1024
"""Of a request line with its headers, and of what a chunked body may hold beside its data (trailers, extensions)."""

MAX_HEADERS = 256
"""Of one head: each costs some 150 bytes beside its text, and a browser sends 20."""

MIN_BYTES_PER_S = 4096
"""The mean rate that a body must keep once `receive_timeout_s` is over: 2G does it."""

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
    """Whether a request comes fast enough."""

    __slots__ = ("_begun_at", "_counted_bytes")

    def __init__(self) -> None:
        """No request has begun."""
        self._begun_at, self._counted_bytes = 0.0, _NOT_COUNTED

    def begin(self, now: float) -> None:
        """A request begins to come; `now` is the loop's time in seconds."""
        self._begun_at, self._counted_bytes = now, _NOT_COUNTED

    def hold(self, now: float) -> None:
        """The client waits for the server, so its time begins again when it may send."""
        self._begun_at = now

    def expect_more(self) -> None:
        """The server stops: what comes from now until the next check is not yet too little."""
        self._counted_bytes = _NOT_COUNTED

    def fault(self, got: int, now: float, timeout_s: float, *, stopping: bool) -> str | None:
        """What is said of a request that is too slow; None for one whose `got` bytes are enough."""
        stalled = stopping and got - self._counted_bytes < MIN_BYTES_PER_S * SWEEP_S
        self._counted_bytes = got
        seconds = now - self._begun_at
        if stalled:
            expected = f"{MIN_BYTES_PER_S} bytes a second: the server stops"
        elif seconds > timeout_s + got / MIN_BYTES_PER_S:
            expected = f"it whole in {timeout_s:g} s and one more for each {MIN_BYTES_PER_S} bytes"
        else:
            return None
        return f"got {counted(got, 'byte')} of the request in {seconds:.0f} s, expected {expected}"


class UnreadAnswers:
    """Whether a client reads the answers that were written to it."""

    __slots__ = ("_bytes", "_since")

    def __init__(self) -> None:
        """Nothing is unread."""
        self._bytes, self._since = -1, 0.0

    def clear(self) -> None:
        """All is read."""
        self._bytes = -1

    def is_stuck(self, unread: int, now: float, limit_s: float) -> bool:
        """Whether the same number of bytes has been `unread` for longer than `limit_s`."""
        if unread != self._bytes:
            self._bytes, self._since = unread, now
            return False
        return now - self._since > limit_s
