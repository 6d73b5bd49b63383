"""How much a model takes in: as much as it answers in time, counted before anything is spent on it.

Three counts stand side by side, and none of them can fill another: rows of predictions, rows of low priority, and
explanations.
"""

import asyncio
from collections.abc import Callable

from inference.errors import ExplanationsFull, InputTooLarge, LowPriorityFull, ModelNotReady, Overloaded
from serving.engine.plan import Pace, Plan
from serving.engine.queues import BucketQueues

_NS = 1e-9
_NEWEST = 0.2  # of an explanation's seconds in their moving mean


class Admission:
    """The requests of one model that are under way: let in, and not yet answered."""

    def __init__(
        self, model: str, plan: Plan, pace: Pace, queues: BucketQueues, clock_ns: Callable[[], int]
    ) -> None:
        self.adopt(plan)
        self.pending_rows = 0
        """Of predictions; those of low priority are counted apart, so that they turn no prediction away."""
        self.low_rows = 0
        self.explanations = 0
        self._explanation_s = 0.0  # a moving mean
        self._model, self._pace, self._queues, self._clock_ns = model, pace, queues, clock_ns
        self._draining = False
        self._idle: asyncio.Event | None = None  # made when somebody waits: most of the time nobody does

    def adopt(self, plan: Plan) -> None:
        """Let in by another plan from now on."""
        self.plan = plan
        # These are let in at any pace, so that most requests need no look at it.
        self.first_rows = min(plan.least_pending_rows, plan.max_pending_rows)

    def admit(self, rows: int, priority: int = 0) -> None:
        """Let a request of `rows` rows in; pair it with `release`.

        Raises `Overloaded` where the model has all that it can answer in time, `ModelNotReady` while it drains, and
        `InputTooLarge` for more rows than an operator lets wait at once.
        """
        plan = self.plan
        if plan.max_queue_rows is not None and rows > plan.max_queue_rows:
            raise InputTooLarge("instances", rows, f"at most {plan.max_queue_rows} in a request")
        if self._draining:
            raise ModelNotReady(self._model, "it is draining")
        if priority:
            self._admit_low(rows)
            return
        if self.pending_rows + rows > self.first_rows:
            overloaded = self.overloaded(rows)
            if overloaded is not None:
                raise overloaded
        self.pending_rows += rows

    def overloaded(self, rows: int) -> Overloaded | None:
        """Why `rows` more of predictions are too many now; None if they are not.

        A request of more rows than may ever be pending is let in while nothing else is, unless an operator has set
        that number.
        """
        if self.pending_rows + rows <= self.first_rows:
            return None
        if self.pending_rows == 0 and self.plan.max_wait_s is not None:
            return None
        limit = self._limit()
        if self.pending_rows + rows <= limit:
            return None
        if self.pending_rows + rows - self._queues.sweep() <= limit:
            return None
        return Overloaded(self._model, limit, self.wait_s(self.pending_rows))

    def release(self, rows: int, priority: int = 0) -> None:
        """Admitted rows are answered, whichever way."""
        if priority:
            self.low_rows -= rows
        else:
            self.pending_rows -= rows
        if self._idle is not None and not self.busy:
            self._idle.set()

    def admit_explanation(self, limit: int) -> None:
        """Let a request for explanations in, of `limit` at once; pair it with `release_explanation`.

        Raises `ExplanationsFull`, or `ModelNotReady` while the model drains.
        """
        if self._draining:
            raise ModelNotReady(self._model, "it is draining")
        full = self.explanations_full(limit)
        if full is not None:
            raise full
        self.explanations += 1

    def explanations_full(self, limit: int) -> ExplanationsFull | None:
        """Why one more is too many where `limit` may be under way; None if it is not."""
        if self.explanations < limit:
            return None
        # They run by turns, so one of them ends in a part of the time that each takes.
        return ExplanationsFull(self._model, limit, self._explanation_s / limit)

    def release_explanation(self, seconds: float) -> None:
        """An explanation is answered, whichever way, after so many seconds."""
        self.explanations -= 1
        self._explanation_s += (seconds - self._explanation_s) * (_NEWEST if self._explanation_s else 1.0)
        if self._idle is not None and not self.busy:
            self._idle.set()

    @property
    def busy(self) -> bool:
        """Whether anything that was admitted is not answered yet."""
        return bool(self.pending_rows or self.low_rows or self.explanations)

    def wait_s(self, rows: int) -> float:
        """Seconds that `rows` rows take at the pace of the latest batches; 0 before the first."""
        return rows * self._pace.row_s / self.plan.instances

    async def idle(self) -> None:
        """Return when all that was admitted is answered."""
        while self.busy:
            self._idle = self._idle or asyncio.Event()
            self._idle.clear()
            await self._idle.wait()

    async def drain(self) -> None:
        """Admit nothing more and return when all that was admitted is answered."""
        self._draining = True
        await self.idle()

    def _admit_low(self, rows: int) -> None:
        """Rows of low priority wait as long as it takes, so their number alone is bounded; one request always fits."""
        limit = self.plan.max_pending_rows
        if self.low_rows + rows > limit:
            self._queues.sweep()
        if self.low_rows and self.low_rows + rows > limit:
            raise LowPriorityFull(self._model, limit, self.wait_s(self.pending_rows + self.low_rows))
        self.low_rows += rows

    def _limit(self) -> int:
        """Rows that may be pending now: as planned, or fewer at the pace of the latest batches."""
        plan = self.plan
        if plan.max_wait_s is None or self.pending_rows < plan.least_pending_rows:
            return plan.max_pending_rows
        if self._is_late(plan.max_wait_s):
            return plan.least_pending_rows
        if self.wait_s(self.pending_rows) <= plan.max_wait_s:
            return plan.max_pending_rows
        in_time = int(plan.max_wait_s * plan.instances / self._pace.row_s)
        return min(plan.max_pending_rows, max(in_time, plan.least_pending_rows))

    def _is_late(self, max_wait_s: float) -> bool:
        """Whether the next request, of low priority ones apart, has waited too long, whatever runs seem to cost."""
        oldest_ns = self._queues.oldest_ns(priority=0)
        return oldest_ns is not None and (self._clock_ns() - oldest_ns) * _NS > max_wait_s
