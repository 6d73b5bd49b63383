"""Refusals of access: counted by reason, and logged as far as a log can bear a flood of them."""

import logging
import time
from typing import Literal, get_args

from serving.access.bucket import TokenBucket

log = logging.getLogger("baton.access")

Reason = Literal["admin", "host", "key", "limit", "origin"]
REASONS: tuple[Reason, ...] = get_args(Reason)

_LINES_PER_S = 5.0


class Refusals:
    """Of one process. A line names the client's address and never what it sent as a secret."""

    def __init__(self) -> None:
        self.counts: dict[Reason, int] = dict.fromkeys(REASONS, 0)
        self._lines = TokenBucket(_LINES_PER_S, _LINES_PER_S, time.monotonic())
        self._unsaid = 0

    def count(self, reason: Reason) -> None:
        """Count a refusal that deserves no line."""
        self.counts[reason] += 1

    def note(self, reason: Reason, message: str, address: str) -> None:
        """Count a refusal, and log it unless the last second had as many lines as it may."""
        self.count(reason)
        if self._lines.take(time.monotonic()):
            self._unsaid += 1
            return
        unsaid, self._unsaid = self._unsaid, 0
        more = f"; {unsaid} refusals before it have no line" if unsaid else ""
        log.warning("refused %s: %s%s", address or "a client without an address", message, more)
