"""How many rows a model takes in: as many as it answers in time, counted before anything is spent on them."""

import asyncio
from collections.abc import Callable

from inference.errors import InputTooLarge, ModelNotReady, Overloaded
from serving.engine.plan import Pace, Plan
from serving.engine.queues import BucketQueues

_NS = 1e-9


class Admission:
    """The rows of one model that are under way: let in, and not yet answered."""

    def __init__(
        self, model: str, plan: Plan, pace: Pace, queues: BucketQueues, clock_ns: Callable[[], int]
    ) -> None:
        self.adopt(plan)
        self.pending_rows = 0
        self._model, self._pace, self._queues, self._clock_ns = model, pace, queues, clock_ns
        self._draining = False
        self._idle: asyncio.Event | None = None  # made when somebody waits: most of the time nobody does

    def adopt(self, plan: Plan) -> None:
        """Let in by another plan from now on."""
        self.plan = plan
        # These are let in at any pace, so that most requests need no look at it.
        self.first_rows = min(plan.least_pending_rows, plan.max_pending_rows)

    def admit(self, rows: int) -> None:
        """Let a request of `rows` rows in; pair it with `release`.

        Raises `Overloaded` where the model has all that it can answer in time, `ModelNotReady` while it drains, and
        `InputTooLarge` for more rows than an operator lets wait at once.
        """
        plan = self.plan
        if plan.max_queue_rows is not None and rows > plan.max_queue_rows:
            raise InputTooLarge("instances", rows, f"at most {plan.max_queue_rows} in a request")
        if self._draining:
            raise ModelNotReady(self._model, "it is draining")
        if self.pending_rows + rows > self.first_rows:
            overloaded = self.overloaded(rows)
            if overloaded is not None:
                raise overloaded
        self.pending_rows += rows

    def overloaded(self, rows: int) -> Overloaded | None:
        """Why `rows` more are too many now; None if they are not.

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

    def release(self, rows: int) -> None:
        """Admitted rows are answered, whichever way."""
        self.pending_rows -= rows
        if self._idle is not None and not self.pending_rows:
            self._idle.set()

    def wait_s(self, rows: int) -> float:
        """Seconds that `rows` rows take at the pace of the latest batches; 0 before the first."""
        return rows * self._pace.row_s / self.plan.instances

    async def idle(self) -> None:
        """Return when all that was admitted is answered."""
        while self.pending_rows:
            self._idle = self._idle or asyncio.Event()
            self._idle.clear()
            await self._idle.wait()

    async def drain(self) -> None:
        """Admit nothing more and return when all that was admitted is answered."""
        self._draining = True
        await self.idle()

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
