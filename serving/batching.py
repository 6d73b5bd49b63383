"""The dynamic batcher of one served model: whatever is queued runs together as soon as a run may start.

There is no window to wait for. An idle model runs a request at once, alone; while runs are under way
requests gather, and the next batch takes all of them that fit. It counts rows, not requests; only rows of
one bucket share a batch; a caller who left, or whose deadline passed, is dropped before the batch forms;
a failed batch is run again one by one, so a bad input fails alone.

Everything but `_execute` happens on the event loop, so there are no locks. HTTP is not known here.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from inference.errors import CallerLeft, DeadlineExceeded, ModelNotReady, Overloaded
from inference.golden import Runs
from inference.processors.base import Processor
from inference.values import Tensors
from serving.call import Call

_NS = 1e-9
_MOST_GROWTH = 4.0  # of a row's cost from its mean to one batch's
_COST_WEIGHT = 0.1  # of the newest batch in the moving mean of a row's cost: about the last ten batches


class Plan(NamedTuple):
    """How a model is run; `serving.profile` derives it from measurements.

    `inline`: on the event loop itself, for graphs that cost less than the hop to a thread and back.
    `concurrent_runs`: batches under way at once. `max_batch_size`, `max_pending_rows`: rows in a batch, and
    rows admitted and not yet answered. `patience_s`: seconds that the last of those may wait at the pace of the
    latest batches (None: for ever), since a machine that others use too is not always as fast as it was measured.
    """

    inline: bool
    concurrent_runs: int
    max_batch_size: int
    max_pending_rows: int
    patience_s: float | None = None


class BatchObserver(Protocol):
    """Who is told of each run."""

    def observe_batch(self, rows: int, requests: int, run_ns: int) -> None:
        """A batch of `rows` rows from `requests` callers took `run_ns` nanoseconds."""
        ...


class Timer(Protocol):
    """What scheduling a callback gives back."""

    def cancel(self) -> None:
        """The callback is not wanted any more."""
        ...


class Reply(Protocol):
    """Where an entry's answer goes: an `asyncio.Future`, or what is called back without one."""

    def done(self) -> bool:
        """Whether it is answered, or nobody waits any more."""
        ...

    def set_result(self, outputs: Tensors, /) -> None:
        """Answer it."""
        ...

    def set_exception(self, error: BaseException, /) -> None:
        """Answer it with an error."""
        ...


@dataclass(slots=True, eq=False)
class Entry:
    """One caller's rows in the queue; it owns the reply that its caller waits for."""

    tensors: Tensors
    rows: int
    call: Call
    answer: Reply
    queued_ns: int
    timer: Timer | None = None


class Outcome(NamedTuple):
    """What a run gave: one result or error an entry, and how long it took."""

    results: list[Tensors | Exception]
    run_ns: int


Lane = tuple[int, Hashable]
"""Priority and bucket: entries of one lane may share a batch."""


class DynamicBatcher:
    """Queue, admission and dispatch for one model. Use it from one event loop only."""

    def __init__(
        self,
        name: str,
        session: Runs,
        processor: Processor,
        plan: Plan,
        executor: Executor,
        observer: BatchObserver,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        call_later: Callable[[float, Callable[[], None]], Timer] | None = None,
    ) -> None:
        """`clock_ns` and `call_later` (seconds, callback) are given by tests that step time by hand."""
        self.name, self.plan = name, plan
        self.pending_rows = 0
        self._session, self._processor, self._observer = session, processor, observer
        self._executor, self._clock_ns = executor, clock_ns
        self._loop = asyncio.get_running_loop()
        self._call_later = call_later or self._loop.call_later
        self._lanes: dict[Lane, deque[Entry]] = {}
        self._free = plan.concurrent_runs
        self._awake = False
        self._draining = False
        self._idle: asyncio.Event | None = None  # made for who waits: most of the time nobody does
        self._row_cost_s = 0.0

    @property
    def queued_rows(self) -> int:
        """Rows that wait for a run."""
        return sum(entry.rows for lane in self._lanes.values() for entry in lane)

    @property
    def running(self) -> int:
        """Batches under way."""
        return self.plan.concurrent_runs - self._free

    @property
    def oldest_age_s(self) -> float:
        """Seconds that the longest waiting entry has waited; 0 with an empty queue."""
        oldest = min((lane[0].queued_ns for lane in self._lanes.values()), default=None)
        return 0.0 if oldest is None else (self._clock_ns() - oldest) * _NS

    def admit(self, rows: int) -> None:
        """Take `rows` in at the door, before anything is spent on them; pair it with `release`.

        Raises `Overloaded` when the model has all it can answer in time, `ModelNotReady` while draining.
        """
        if self._draining:
            raise ModelNotReady(self.name, "it is draining")
        limit = self._limit()
        if self.pending_rows + rows > limit and self.pending_rows + rows - self._sweep() > limit:
            raise Overloaded(self.name, limit, self.wait_s(self.pending_rows))
        self.pending_rows += rows

    def release(self, rows: int) -> None:
        """Admitted rows are answered, whichever way."""
        self.pending_rows -= rows
        if self._idle is not None and not self.pending_rows:
            self._idle.set()

    def _limit(self) -> int:
        """Rows that may be pending now: as planned, or fewer at the pace of the latest batches."""
        plan = self.plan
        if (
            plan.patience_s is None
            or self.pending_rows * self._row_cost_s <= plan.patience_s * plan.concurrent_runs
        ):
            return plan.max_pending_rows
        # Two full batches a slot are always let in, so that one can gather while the other runs.
        in_time = int(plan.patience_s * plan.concurrent_runs / self._row_cost_s)
        return min(plan.max_pending_rows, max(in_time, 2 * plan.max_batch_size * plan.concurrent_runs))

    def wait_s(self, rows: int) -> float:
        """Seconds that `rows` rows take at the pace of the last batches; 0 before the first."""
        return rows * self._row_cost_s / self.plan.concurrent_runs

    def submit(self, tensors: Tensors, rows: int, call: Call) -> asyncio.Future[Tensors]:
        """Queue the rows of an admitted call; the future gives their outputs or one of `inference.errors`."""
        answer = self._loop.create_future()
        self.enqueue(tensors, rows, call, answer)
        return answer

    def enqueue(self, tensors: Tensors, rows: int, call: Call, reply: Reply) -> None:
        """`submit` with a reply of the caller's own, which must raise nothing."""
        entry = Entry(tensors, rows, call, reply, self._clock_ns())
        if call.deadline_s is not None:
            left_s = call.deadline_s - entry.queued_ns * _NS
            entry.timer = self._call_later(max(0.0, left_s), lambda: self._expire(entry))
        lane = (call.priority, self._processor.bucket(tensors))
        waiting = self._lanes.get(lane)
        if waiting is None:
            self._lanes[lane] = deque((entry,))
        else:
            waiting.append(entry)
        self._wake()

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

    def _wake(self) -> None:
        # Dispatch runs at the end of this tick of the loop, when every request that arrived in it is queued.
        if not self._awake and self._free:
            self._awake = True
            self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._awake = False
        while self._free:
            batch = self._form()
            if not batch:
                return
            self._start(batch)
            if self.plan.inline:
                return  # `_finish` has woken it for the rest; sockets are read between two runs

    def _form(self) -> list[Entry]:
        while self._lanes:
            lane = self._next_lane()
            waiting, rows = self._lanes[lane], 0
            batch: list[Entry] = []
            while waiting and (not batch or rows + waiting[0].rows <= self.plan.max_batch_size):
                entry = waiting.popleft()
                if self._lives(entry):
                    batch.append(entry)
                    rows += entry.rows
            if not waiting:
                del self._lanes[lane]
            if batch:
                return batch
        return []

    def _next_lane(self) -> Lane:
        """Of the most urgent lanes the one whose first entry waits longest."""
        if len(self._lanes) == 1:
            return next(iter(self._lanes))
        return min(self._lanes, key=lambda key: (key[0], self._lanes[key][0].queued_ns))

    def _lives(self, entry: Entry) -> bool:
        if entry.answer.done():
            return False
        if entry.call.left():
            _refuse(entry, CallerLeft("the caller closed the connection before the run"))
            return False
        if entry.timer is not None:
            deadline_s = entry.call.deadline_s
            if deadline_s is not None and self._clock_ns() * _NS >= deadline_s:
                self._expire(entry)
                return False
            entry.timer.cancel()
        return True

    def _expire(self, entry: Entry) -> None:
        _refuse(entry, DeadlineExceeded(self.name, entry.call.timeout_s))

    def _sweep(self) -> int:
        """Refuse the queued entries whose caller has left; the number of their rows.

        An entry that is answered already has given its rows back, or does in the loop's next turn.
        """
        gone: list[Entry] = []
        for lane, waiting in list(self._lanes.items()):
            waited_for = deque[Entry]()
            for entry in waiting:
                if not entry.answer.done():
                    (gone if entry.call.left() else waited_for).append(entry)
            if waited_for:
                self._lanes[lane] = waited_for
            else:
                del self._lanes[lane]
        for entry in gone:
            _refuse(entry, CallerLeft("the caller closed the connection before the run"))
        return sum(entry.rows for entry in gone)

    def _start(self, batch: list[Entry]) -> None:
        self._free -= 1
        if self.plan.inline:
            self._finish(batch, self._execute(batch))
            return

        def hand_back(done: Future[Outcome]) -> None:
            self._loop.call_soon_threadsafe(self._finish, batch, _outcome(done, len(batch)))

        self._executor.submit(self._execute, batch).add_done_callback(hand_back)

    def _execute(self, batch: list[Entry]) -> Outcome:
        """Run a batch; on a worker thread unless the plan is inline. It never raises."""
        started = self._clock_ns()
        for entry in batch:
            entry.call.times.queue = started - entry.queued_ns
        try:
            results: list[Tensors | Exception] = list(self._run(batch))
        except Exception as error:  # whatever it is, it belongs to the callers, not to the loop
            results = [error] if len(batch) == 1 else [self._run_alone(entry) for entry in batch]
        return Outcome(results, self._clock_ns() - started)

    def _run(self, batch: list[Entry]) -> Iterable[Tensors]:
        tensors = self._processor.collate([entry.tensors for entry in batch])
        return self._processor.split(self._session.run(tensors), [entry.rows for entry in batch])

    def _run_alone(self, entry: Entry) -> Tensors | Exception:
        try:
            return self._session.run(entry.tensors)
        except Exception as error:
            return error

    def _learn(self, cost_s: float) -> None:
        if not self._row_cost_s:
            self._row_cost_s = cost_s
            return
        # A run during which the machine was suspended says nothing of the next.
        likely_s = min(cost_s, _MOST_GROWTH * self._row_cost_s)
        self._row_cost_s += (likely_s - self._row_cost_s) * _COST_WEIGHT

    def _finish(self, batch: list[Entry], outcome: Outcome) -> None:
        self._free += 1
        rows = sum(entry.rows for entry in batch)
        for entry, result in zip(batch, outcome.results, strict=True):
            entry.call.times.run = outcome.run_ns
            entry.call.times.batch_rows = rows
            if isinstance(result, Exception):
                _refuse(entry, result)
            elif not entry.answer.done():
                entry.answer.set_result(result)
        cost_s = outcome.run_ns * _NS / rows
        self._learn(cost_s)
        self._observer.observe_batch(rows, len(batch), outcome.run_ns)
        if self._lanes:
            self._wake()


def _refuse(entry: Entry, error: Exception) -> None:
    if not entry.answer.done():
        entry.answer.set_exception(error)


def _outcome(done: Future[Outcome], entries: int) -> Outcome:
    error = done.exception()
    if error is None:
        return done.result()
    # `_execute` raises nothing of its own, so this is an interpreter at its end, or out of memory.
    failure = error if isinstance(error, Exception) else RuntimeError(repr(error))
    return Outcome([failure] * entries, 0)
