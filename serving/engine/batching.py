"""The dynamic batcher of one served model: whatever is queued runs together as soon as a run may start.

There is no window to wait for. An idle model runs a request at once, alone; while runs are under way
requests gather, and the next batch takes all of them that fit. It counts rows, not requests; only rows of
one bucket share a batch; a caller who left, or whose deadline passed, is dropped before the batch forms;
a failed batch is run again one by one, so a bad input fails alone.

A model may have a second session, which gives every thread to one run: it answers a request that finds the
model idle, while requests that compete run side by side.

Everything but `_work` happens on the event loop, so there are no locks. HTTP is not known here.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from itertools import chain, compress
from typing import Any, NamedTuple, Protocol

from inference.errors import ClientDisconnected, DeadlineExceeded, ModelNotReady, Overloaded, RowsChanged
from inference.golden import Runs
from inference.processors.base import Processor
from inference.session import OrtSession
from inference.values import Tensors
from serving.engine.context import RequestContext

log = logging.getLogger("baton.batching")

_NS = 1e-9
_MOST_GROWTH = 4.0  # of a row's cost from its mean to one batch's
_COST_WEIGHT = 0.1  # of the newest batch in the moving mean of a row's cost: about the last ten batches
# After a run as short as this a thread would wait for the loop about as long again, so the batch that follows
# lies ready. Behind a longer run it is formed when that ends, so that what is urgent may still go before it.
_SHORT_RUN_S = 0.02
_SWEEP_S = 0.02  # between looks through a full queue for callers who left: refusing must stay cheap


class Plan(NamedTuple):
    """How a model is run; `serving.engine.planning` derives it from measurements.

    `inline`: on the event loop itself, for graphs that cost less than the hop to a thread and back.
    `instances`: batches under way at once. `max_batch_size`: most rows in a batch. `preferred_batch_size` rows
    are one while few wait, since more of them cost as much by the row and would leave the other runs with little.
    `max_pending_rows`: rows admitted and not yet answered. `max_wait_s`: seconds that the last of those may wait at
    the pace of the latest batches (None: for ever), since a machine that others use too is not always as fast as it
    was measured. `least_pending_rows` are let in at any pace. `max_queue_rows`: an operator's own limit, which holds
    for a request that comes alone too.
    """

    inline: bool
    instances: int
    max_batch_size: int
    preferred_batch_size: int
    max_pending_rows: int
    max_wait_s: float | None = None
    least_pending_rows: int = 1
    max_queue_rows: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Its fields, and `concurrent_runs`, which clients of 0.1 read where it is `instances` now."""
        return {"inline": self.inline, "concurrent_runs": self.instances, **self._asdict()}

    @property
    def in_words(self) -> str:
        """As an operator reads it in the log."""
        where = "on the event loop" if self.inline else f"{self.instances} at once"
        rows = "one row" if self.max_batch_size == 1 else f"up to {self.max_batch_size} rows"
        within = "" if self.max_wait_s is None else f" within {self.max_wait_s:g} s"
        return (
            f"runs of {rows}, {where}; up to {self.max_pending_rows} rows are let in to be answered{within}"
        )


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
    context: RequestContext
    answer: Reply
    queued_ns: int
    timer: Timer | None = None


class Outcome(NamedTuple):
    """What a run gave: one result or error an entry (None: its caller did not wait for it), and how long it took."""

    results: list[Tensors | Exception | None]
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
        alone: Runs | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        call_later: Callable[[float, Callable[[], None]], Timer] | None = None,
    ) -> None:
        """`alone` takes every slot for one run of the same graph, and is used when nothing else is to be run.

        `clock_ns` and `call_later` (seconds, callback) are given by tests that step time by hand.
        """
        self.name, self.plan = name, plan
        self.pending_rows = 0
        self._session, self._alone = session, alone
        self._processor, self._observer = processor, observer
        self._executor, self._clock_ns = executor, clock_ns
        self._loop = asyncio.get_running_loop()
        self._call_later = call_later or self._loop.call_later
        self._lanes: dict[Lane, deque[Entry]] = {}
        self._free = plan.instances
        # The one thing that threads take from, which is atomic.
        self._ready: deque[list[Entry]] = deque()
        self._idle_since_ns = self._swept_ns = 0
        self._awake = False
        self._draining = False
        self.one_by_one = ""
        """Why no two requests share a run, though the model was proved to take batches; "" where they do."""
        self._idle: asyncio.Event | None = None  # made for who waits: most of the time nobody does
        self._row_cost_s = 0.0
        self._on_answer: Callable[[Tensors], None] | None = None

    def adopt(self, plan: Plan, session: Runs, alone: Runs | None) -> None:
        """Run by another plan from now on, of what was measured meanwhile; runs under way end as they began."""
        self._free += plan.instances - self.plan.instances
        self.plan, self._session, self._alone = plan, session, alone
        self._row_cost_s = 0.0  # it was that of other runs
        self._wake()

    def on_answer(self, tell: Callable[[Tensors], None]) -> None:
        """Have `tell` called once, with the tensors of the next request that is answered."""
        self._on_answer = tell

    @property
    def queued_rows(self) -> int:
        """Rows that wait for a run."""
        waiting = chain(self._lanes.values(), tuple(self._ready))
        return sum(entry.rows for entries in waiting for entry in entries)

    @property
    def running(self) -> int:
        """Slots that runs under way take."""
        return self.plan.instances - self._free

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
        overloaded = self.overloaded(rows)
        if overloaded is not None:
            raise overloaded
        self.pending_rows += rows

    def overloaded(self, rows: int) -> Overloaded | None:
        """Why `rows` more are too many now; None if they are not.

        Who asks for more rows than may ever be pending is let in when nobody else is there, unless an operator has
        set that number.
        """
        limit = self._limit()
        plan = self.plan
        if not self.pending_rows and plan.max_wait_s is not None and rows <= (plan.max_queue_rows or rows):
            return None
        if self.pending_rows + rows <= limit or self.pending_rows + rows - self._sweep() <= limit:
            return None
        return Overloaded(self.name, limit, self.wait_s(self.pending_rows))

    def release(self, rows: int) -> None:
        """Admitted rows are answered, whichever way."""
        self.pending_rows -= rows
        if self._idle is not None and not self.pending_rows:
            self._idle.set()

    def _limit(self) -> int:
        """Rows that may be pending now: as planned, or fewer at the pace of the latest batches."""
        plan = self.plan
        if plan.max_wait_s is None or self.pending_rows < plan.least_pending_rows:
            return plan.max_pending_rows
        if self._is_late(plan.max_wait_s):
            return plan.least_pending_rows
        if self.pending_rows * self._row_cost_s <= plan.max_wait_s * plan.instances:
            return plan.max_pending_rows
        in_time = int(plan.max_wait_s * plan.instances / self._row_cost_s)
        return min(plan.max_pending_rows, max(in_time, plan.least_pending_rows))

    def _is_late(self, max_wait_s: float) -> bool:
        """Whether who is next, and not of low priority, has waited too long already, whatever runs seem to cost."""
        queued = [lane[0].queued_ns for (priority, _), lane in self._lanes.items() if not priority]
        return bool(queued) and (self._clock_ns() - min(queued)) * _NS > max_wait_s

    def wait_s(self, rows: int) -> float:
        """Seconds that `rows` rows take at the pace of the last batches; 0 before the first."""
        return rows * self._row_cost_s / self.plan.instances

    def submit(self, tensors: Tensors, rows: int, context: RequestContext) -> asyncio.Future[Tensors]:
        """Queue the rows of an admitted call; the future gives their outputs or one of `inference.errors`."""
        answer = self._loop.create_future()
        self.enqueue(tensors, rows, context, answer)
        return answer

    def enqueue(self, tensors: Tensors, rows: int, context: RequestContext, reply: Reply) -> None:
        """`submit` with a reply of the caller's own, which must raise nothing."""
        entry = Entry(tensors, rows, context, reply, self._clock_ns())
        if context.deadline_s is not None:
            left_s = context.deadline_s - entry.queued_ns * _NS
            entry.timer = self._call_later(max(0.0, left_s), lambda: self._expire(entry))
        lane = (context.priority, self._processor.bucket(tensors))
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
        if not self._awake and (self._free > 0 or self._may_lie_ready()):
            self._awake = True
            self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._awake = False
        while self._free > 0:
            batch = self._form()
            if not batch:
                return
            self._start(batch)
            if self.plan.inline:
                return  # `_finish` has woken it for the rest; sockets are read between two runs
        while self._lanes and self._may_lie_ready() and self._fills_a_batch():
            self._ready.append(self._form())

    def _may_lie_ready(self) -> bool:
        """Whether one more batch may be formed before a slot is free for it."""
        batch_s = self._row_cost_s * self.plan.max_batch_size
        return 0 < batch_s < _SHORT_RUN_S and len(self._ready) < self.plan.instances

    def _fills_a_batch(self) -> bool:
        """Whether what waits would not gain by waiting for more."""
        waiting, rows = self._lanes[self._next_lane()], 0
        most = self._most_rows(len(waiting))
        for entry in waiting:
            rows += entry.rows
            if rows >= most:
                return True
        return False

    def _most_rows(self, waiting: int) -> int:
        """Rows of the next batch where so many requests wait.

        A bigger batch saves wake-ups of the loop; it is taken where it leaves two like it to every run.
        """
        plan = self.plan
        if self.one_by_one:
            return 1
        return min(plan.max_batch_size, max(plan.preferred_batch_size, waiting // (2 * plan.instances)))

    def _form(self) -> list[Entry]:
        while self._lanes:
            lane = self._next_lane()
            waiting, rows = self._lanes[lane], 0
            most = self._most_rows(len(waiting))
            batch: list[Entry] = []
            while waiting and (not batch or rows + waiting[0].rows <= most):
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
        if entry.context.is_disconnected():
            _refuse(entry, ClientDisconnected("the caller closed the connection before the run"))
            return False
        if entry.timer is not None:
            deadline_s = entry.context.deadline_s
            if deadline_s is not None and self._clock_ns() * _NS >= deadline_s:
                self._expire(entry)
                return False
        return True

    def _expire(self, entry: Entry) -> None:
        _refuse(entry, DeadlineExceeded(self.name, entry.context.timeout_s))

    def _sweep(self) -> int:
        """Refuse the queued entries whose caller has left; the number of their rows, 0 just after the last look.

        An entry that is answered already has given its rows back, or does in the loop's next turn.
        """
        now = self._clock_ns()
        if (now - self._swept_ns) * _NS < _SWEEP_S:
            return 0
        self._swept_ns = now
        gone: list[Entry] = []
        for lane, waiting in list(self._lanes.items()):
            waited_for = deque[Entry]()
            for entry in waiting:
                if not entry.answer.done():
                    (gone if entry.context.is_disconnected() else waited_for).append(entry)
            if waited_for:
                self._lanes[lane] = waited_for
            else:
                del self._lanes[lane]
        for entry in gone:
            _refuse(entry, ClientDisconnected("the caller closed the connection before the run"))
        return sum(entry.rows for entry in gone)

    def _start(self, batch: list[Entry]) -> None:
        session, slots = self._session, 1
        if self._alone is not None and self._found_idle(batch):
            session, slots = self._alone, self.plan.instances
        self._free -= slots
        if self.plan.inline:
            self._finish(batch, slots, self._execute(batch, session), went_on=False)
        else:
            self._submit(batch, slots, session)

    def _submit(self, batch: list[Entry], slots: int, session: Runs) -> None:
        def hand_back(done: Future[tuple[Outcome, bool]]) -> None:
            outcome, went_on = _outcome(done, len(batch))
            self._loop.call_soon_threadsafe(partial(self._finish, batch, slots, outcome, went_on=went_on))

        self._executor.submit(self._work, batch, session).add_done_callback(hand_back)

    def _work(self, batch: list[Entry], session: Runs) -> tuple[Outcome, bool]:
        """On a worker thread: run a batch, then go on with the next, if one lies ready."""
        return self._execute(batch, session), self._go_on()

    def _go_on(self) -> bool:
        """Have a batch that lies ready run; whether there was one.

        It goes behind those that other models have handed to the threads meanwhile.
        """
        try:
            batch = self._ready.popleft()
        except IndexError:
            return False
        self._submit(batch, 1, self._session)
        return True

    def _found_idle(self, batch: list[Entry]) -> bool:
        """Whether nothing runs, nothing else waits, and this came when the last run was over already.

        Callers who come during a run are several; in turns with all threads each they would get less done.
        """
        return (
            self._free == self.plan.instances
            and not self._lanes
            and batch[0].queued_ns >= self._idle_since_ns
        )

    def _execute(self, batch: list[Entry], session: Runs) -> Outcome:
        """Run those of a batch who still wait; on a worker thread unless the plan is inline. It never raises."""
        started = self._clock_ns()
        waits = [not (entry.answer.done() or entry.context.is_disconnected()) for entry in batch]
        live = list(compress(batch, waits))
        for entry in live:
            entry.context.times.queue = started - entry.queued_ns
        answers: Iterable[Tensors | Exception] = ()
        try:
            if live:
                answers = self._run(live, session)
        except Exception as error:  # whatever it is, it belongs to the callers, not to the loop
            if isinstance(error, RowsChanged):
                self._part(error)
            answers = [error] if len(live) == 1 else [_run_alone(entry, session) for entry in live]
        given = iter(answers)
        results = [next(given) if waited else None for waited in waits]
        return Outcome(results, self._clock_ns() - started)

    def _run(self, batch: list[Entry], session: Runs) -> list[Tensors]:
        parts, collate = [entry.tensors for entry in batch], self._processor.collate
        if isinstance(session, OrtSession):
            outputs = session.run_together(parts, collate)
        else:
            outputs = session.run(collate(parts))
        return list(self._processor.split(outputs, [entry.rows for entry in batch]))

    def _part(self, error: RowsChanged) -> None:
        """Never again put two requests into one run: what was proved of this graph does not hold."""
        if not self.one_by_one:
            self.one_by_one = str(error)
            log.error("%s: requests are run one at a time from now on: %s", self.name, error)

    def _learn(self, cost_s: float) -> None:
        if not self._row_cost_s:
            self._row_cost_s = cost_s
            return
        # A run during which the machine was suspended says nothing of the next.
        likely_s = min(cost_s, _MOST_GROWTH * self._row_cost_s)
        self._row_cost_s += (likely_s - self._row_cost_s) * _COST_WEIGHT

    def _finish(self, batch: list[Entry], slots: int, outcome: Outcome, *, went_on: bool) -> None:
        self._free += slots - went_on
        while self._free > 0 and self._go_on():
            self._free -= 1
        ran = [entry.rows for entry, result in zip(batch, outcome.results, strict=True) if result is not None]
        rows = sum(ran)
        for entry, result in zip(batch, outcome.results, strict=True):
            if entry.timer is not None:
                entry.timer.cancel()
            entry.context.times.run = outcome.run_ns
            entry.context.times.batch_rows = rows
            if result is None:
                _refuse(entry, ClientDisconnected("the caller closed the connection before the run"))
            elif isinstance(result, Exception):
                _refuse(entry, result)
            elif not entry.answer.done():
                entry.answer.set_result(result)
        if self._on_answer is not None and ran and not isinstance(outcome.results[0], Exception):
            tell, self._on_answer = self._on_answer, None
            tell(batch[0].tensors)
        if rows:
            if slots == 1:  # what a run alone takes says nothing of runs side by side
                self._learn(outcome.run_ns * _NS / rows)
            self._observer.observe_batch(rows, len(ran), outcome.run_ns)
        if self._free == self.plan.instances:
            self._idle_since_ns = self._clock_ns()
        if self._lanes:
            self._wake()


def _run_alone(entry: Entry, session: Runs) -> Tensors | Exception:
    try:
        return session.run(entry.tensors)
    except Exception as error:
        return error


def _refuse(entry: Entry, error: Exception) -> None:
    if not entry.answer.done():
        entry.answer.set_exception(error)


def _outcome(done: "Future[tuple[Outcome, bool]]", entries: int) -> tuple[Outcome, bool]:
    error = done.exception()
    if error is None:
        return done.result()
    # `_work` raises nothing of its own, so this is an interpreter at its end, or out of memory.
    failure = error if isinstance(error, Exception) else RuntimeError(repr(error))
    return Outcome([failure] * entries, 0), False
