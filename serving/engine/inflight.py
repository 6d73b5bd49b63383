"""One bound for the bytes that this process holds for requests; they are taken here before they are there.

What a request holds changes on its way: its head and its body as they come, what they decode to, the rows and the
answer, until the client has read it. All of that is one `Hold`. Nobody may be refused because of somebody else's large
request, so the bytes are not simply given to whoever comes first:

- A request that the server works on may hold half of what is still free, and no more. So large requests are refused
  while there is room for smaller ones, whatever their number: `n` requests of one size leave room for another size.
- An eighth is kept from all but requests of at most `SMALL` bytes, which are let in by one comparison.
- What waits for a client (a head or a body that is coming, an answer that is not read) may hold half of all. Over it
  the greediest are ended, by bytes times seconds: who declares much and sends little, or reads nothing, goes first,
  and whoever just began is not refused for those who sit there.

Everything here belongs to the event loop. Work in a pool has its bytes taken before it is given to the pool.
"""

import time
from collections.abc import Callable

from inference.errors import InflightExceeded, InputTooLarge

SMALL = 256 * 1024
"""Bytes of a small request in all its forms."""

LARGE = 8 << 20
"""Bytes of a request that leaves memory behind worth giving back to the system."""

SHARE = 0.5
"""Of the memory of a container, if no `--max-inflight-bytes` says another; models and their runs have the rest."""

_LEAST = 64 << 20

GiveUp = Callable[[InflightExceeded], None]
"""Ends what waits for a client: it has to release its hold."""


class InflightBytes:
    """The bytes held for requests, and their limit."""

    __slots__ = (
        "_clock",
        "_kept",
        "_waiting",
        "_waiting_limit",
        "brisk",
        "left_behind",
        "limit",
        "most",
        "used",
        "waiting",
    )

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`limit` in bytes, for this process alone."""
        self.limit, self.used, self.waiting = limit, 0, 0
        self._kept = limit // 8
        self.brisk = limit
        """Up to here a request of at most `SMALL` bytes is let in unasked; it has its bytes in `used` already."""
        self.most = (limit - self._kept) // 2
        """What one request may hold where there is no other."""
        self._waiting_limit = limit // 2
        self._waiting: dict[Hold, GiveUp] = {}
        self._clock = clock
        self.left_behind = False
        """Whether a large request has ended since somebody set it to False."""

    def hold(self, size: int, field: str) -> "Hold":
        """`size` bytes for a request, released by its `release`; raises as `Hold.grow` does."""
        made = Hold(self)
        made.grow(size, field)
        return made

    def expect(self, total: int, mine: int, field: str) -> None:
        """Raise where a request that holds `mine` bytes may not come to hold `total`; see `Hold.grow`."""
        if total > self.most:
            raise self.too_large(total, field)
        free = self.limit - self.used + mine
        if total > SMALL:
            free = (free - self._kept) // 2
        if total > free:
            raise self.exceeded(total, field)

    def too_large(self, total: int, field: str) -> InputTooLarge:
        """The refusal of a request that needs `total` bytes, which is more than any may hold."""
        expected = f"at most {self.most} bytes, what --max-inflight-bytes leaves to one request"
        return InputTooLarge(field, f"a request that needs {total} bytes in all its forms", expected)

    def exceeded(self, total: int, field: str) -> InflightExceeded:
        """The refusal of a request that needs `total` bytes."""
        return InflightExceeded(field, total, self.used, self.limit)

    def _end_greediest(self, asking: "Hold", field: str) -> bool:
        """End what waits, the greediest first, until there is room again; whether `asking` is of it, and holds nothing.

        It is not raised from here. An error in a variable of a frame that raised it is kept by that frame, with all that
        the frames below hold. Only the garbage collector would end such a ring.
        """
        now, spared = self._clock(), True
        ranked = sorted(self._waiting, key=lambda hold: hold.size * (now - hold.since), reverse=True)
        enough = self._waiting_limit - self._waiting_limit // 8
        for greediest in ranked:
            if greediest is asking:
                spared = False
                asking.release()
            else:
                greediest.end(self.exceeded(greediest.size, field))
            if self.waiting <= enough and self.used <= self.limit - self._kept:
                break
        return not spared


class Hold:
    """The bytes of one request, in all its forms."""

    __slots__ = ("inflight", "since", "size")

    def __init__(self, inflight: InflightBytes) -> None:
        """Without a byte."""
        self.inflight, self.size = inflight, 0
        self.since = 0.0
        """When it began to wait for its client, by the clock of `inflight`."""

    def grow(self, size: int, field: str) -> None:
        """Take `size` bytes more before they are made; `field` names in an error what they are for.

        `InflightExceeded` where there is no room for them now, `InputTooLarge` where there can never be.
        """
        inflight = self.inflight
        inflight.expect(self.size + size, self.size, field)
        self.size += size
        inflight.used += size
        if self in inflight._waiting:
            inflight.waiting += size

    def shrink(self, size: int) -> None:
        """Give `size` bytes back, which are there no more."""
        size = min(size, self.size)  # it may have been released meanwhile
        self.size -= size
        self.inflight.used -= size
        if self in self.inflight._waiting:
            self.inflight.waiting -= size

    def wait(self, size: int, field: str, give_up: GiveUp) -> None:
        """Take `size` bytes more that have come, or lie unread, while the server waits for the client.

        `give_up` is called where others need the room more; where this one is the greediest, `InflightExceeded`. One
        that has grown over what any request may hold is `InputTooLarge`, and holds nothing then.
        """
        inflight = self.inflight
        if (total := self.size + size) > inflight.most:
            self.release()
            raise inflight.too_large(total, field)
        if self not in inflight._waiting:
            self.since = inflight._clock()
            inflight.waiting += self.size
        inflight._waiting[self] = give_up
        self.size += size
        inflight.used += size
        inflight.waiting += size
        full = inflight.waiting > inflight._waiting_limit or inflight.used > inflight.limit - inflight._kept
        if full and inflight._end_greediest(self, field):
            raise inflight.exceeded(total, field)

    def go_on(self, field: str) -> None:
        """It waits no more: the server works on it from here. Raises as `grow` does, and holds nothing then."""
        if not self._leave():
            return
        try:
            self.inflight.expect(self.size, self.size, field)
        except (InflightExceeded, InputTooLarge):
            self.release()
            raise

    def settle(self, size: int, field: str) -> None:
        """The body is here whole, of `size` bytes, and the server works on it from here; raises as `grow` does.

        A small one is let in by one comparison.
        """
        inflight = self.inflight
        self._leave()
        inflight.used += size - self.size
        self.size = size
        if size > SMALL or inflight.used > inflight.brisk:
            try:
                inflight.expect(size, size, field)
            except (InflightExceeded, InputTooLarge):
                self.release()
                raise

    def end(self, error: InflightExceeded) -> None:
        """Have what waits ended, for the sake of others."""
        give_up = self.inflight._waiting.get(self)
        if give_up is not None:
            give_up(error)
        self.release()

    def release(self) -> None:
        """Give all back; more than once changes nothing."""
        self._leave()
        self.inflight.used -= self.size
        if self.size > LARGE:
            self.inflight.left_behind = True
        self.size = 0

    def _leave(self) -> bool:
        """Count it no more among those that wait; whether it was."""
        if self.inflight._waiting.pop(self, None) is None:
            return False
        self.inflight.waiting -= self.size
        return True


def derived_limit(memory_bytes: int, workers: int) -> int:
    """The limit of each of `workers` processes in a container, or on a machine, of so much memory."""
    return max(_LEAST, int(memory_bytes * SHARE) // workers)
