"""A token bucket: so many a second on average, and as many at once as it holds."""


class TokenBucket:
    """Full at first. Times are the caller's, in seconds of a clock that never goes back."""

    __slots__ = ("_at", "_level", "_size", "per_s")

    def __init__(self, per_s: float, size: float, now: float) -> None:
        """`size`: tokens that may gather, at least 1."""
        self.per_s, self._size = per_s, max(1.0, size)
        self._level, self._at = self._size, now

    def take(self, now: float) -> float:
        """Take a token: 0.0; or the seconds until there is one."""
        self._level = min(self._size, self._level + (now - self._at) * self.per_s)
        self._at = now
        if self._level >= 1.0:
            self._level -= 1.0
            return 0.0
        return (1.0 - self._level) / self.per_s
