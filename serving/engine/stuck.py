"""Runs of a graph that do not end: the process that has one should be replaced, for its thread is lost."""

import logging
from collections.abc import Iterable

from serving.engine.batching import DynamicBatcher

log = logging.getLogger("baton.batching")


class RunWatch:
    """Looks at the longest run of every batcher of a process."""

    def __init__(self, batchers: Iterable[DynamicBatcher], limit_s: float) -> None:
        """`batchers`: looked at anew each time. `limit_s`: 0 for none."""
        self._batchers, self._limit_s = batchers, limit_s
        self._told = ""

    def stuck(self) -> str:
        """Which run has taken longer than the limit; "" where none has. The log has it once."""
        if not self._limit_s:
            return ""
        longest = max(self._batchers, key=lambda batcher: batcher.run_age_s, default=None)
        if longest is None or longest.run_age_s <= self._limit_s:
            self._told = ""
            return ""
        reason = f"{longest.name}: a run takes longer than --run-timeout-s, {self._limit_s:g} s"
        if reason != self._told:
            self._told = reason
            log.error("%s: this process should be replaced", reason)
        return reason
