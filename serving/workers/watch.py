"""Watches over the workers: one that has fallen silent gets no more connections, and is given up in time.

A worker's event loop beats (`link.BEAT_S`). One that is stopped or deadlocked sends nothing and uses no CPU: it is
given up when the limit is over. One that is silent and computes (a library that holds the interpreter while it loads
a large graph) may come back, so it only gets no connections, and is given up much later.
"""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from serving.workers.roster import CpuUse, Roster, Worker

log = logging.getLogger("baton.supervisor")

LOOK_S = 0.25
"""Between two looks."""

BUSY_LIMITS = 15
"""So many limits of silence are allowed while a worker computes: a minute by default."""

START_S = 120.0
"""Until the first sign of life: imports from a cold disk take their time."""

_WORKS = (
    0.05  # CPU seconds a second: a loop that waits for requests uses less, one that computes uses a whole one
)
_TICKS = os.sysconf("SC_CLK_TCK")
_OVERSLEPT_S = (
    1.0  # this process was stopped itself, or the machine was: its clock says nothing of the workers
)


class Watch:
    """Looks at every worker of a roster; `look` is called each `LOOK_S` seconds."""

    def __init__(
        self,
        roster: Roster,
        limit_s: float,
        leave_s: float,
        give_up: Callable[[Worker, str], None],
        clock: Callable[[], float] = time.monotonic,
        cpu_s: Callable[[int], float | None] | None = None,
    ) -> None:
        """`limit_s`: of silence; 0 never gives up. `leave_s`: from the word that it leaves to its end.

        `give_up` is told the reason. `clock` (seconds) and `cpu_s` (of a process, by pid) are given by tests.
        """
        self._roster, self._limit_s, self._leave_s = roster, limit_s, leave_s
        self._give_up, self._clock, self._cpu_s = give_up, clock, cpu_s or cpu_seconds
        self._looked_s = clock()

    def look(self) -> bool:
        """Whether a worker has fallen silent or was heard again."""
        now = self._clock()
        overslept = now - self._looked_s > LOOK_S + _OVERSLEPT_S
        self._looked_s = now
        changed = False
        for worker in list(self._roster):
            if overslept:
                worker.heard_s = now
            changed |= self._look_at(worker, now)
        return changed

    def _look_at(self, worker: Worker, now: float) -> bool:
        if worker.leaving_s is not None and now - worker.leaving_s > self._leave_s:
            self._give_up(worker, f"it did not end within {self._leave_s:g} s")
            return False
        if not self._limit_s:
            return False
        limit_s = self._limit_s if worker.was_up else max(self._limit_s, START_S)
        quiet_s = now - worker.heard_s
        before, worker.silent = worker.silent, quiet_s > limit_s
        works = self._works(worker, now, quiet_s)
        if worker.silent and (not works or quiet_s > limit_s * BUSY_LIMITS):
            self._give_up(worker, f"it hangs: nothing was heard of it for {quiet_s:.1f} s")
        elif worker.silent and not before:
            log.warning("worker %d is silent but computes: no connections until it is heard", worker.number)
        elif before and not worker.silent:
            log.info("worker %d is heard again", worker.number)
        return worker.silent != before

    def _works(self, worker: Worker, now: float, quiet_s: float) -> bool:
        """Whether a quiet worker used the CPU lately: measured over quarters of the limit, forgotten when it speaks."""
        every_s = self._limit_s / 4
        if quiet_s < every_s:
            worker.use = None
        elif worker.use is None or now - worker.use.at_s >= every_s:
            worker.use = CpuUse.after(worker.use, now, self._cpu_s(worker.pid))
        return worker.use is not None and worker.use.rate > _WORKS


def cpu_seconds(pid: int) -> float | None:
    """CPU time that a process has used, all threads together; None where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / _TICKS  # utime and stime (man 5 proc)
