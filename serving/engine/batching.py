"""The dynamic batcher of one served model: whatever is queued runs together as soon as a run may start.

There is no window to wait for. An idle model runs a request at once, alone. While runs are under way requests
gather, and the next batch takes all of them that fit. Rows are counted, not requests; only rows of one bucket share
a batch. A failed batch is run again one by one, so that a bad input fails alone.

A model may have a second session, which gives every thread to one run. It answers a request that finds the model
idle, while requests that compete run side by side.

`engine.admission` counts rows in, `engine.queues` holds them, and the dispatch here runs them. Everything but `_work`
happens on the event loop, so there are no locks. HTTP is not known here.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from itertools import chain, compress
from threading import get_ident
from typing import NamedTuple, Protocol

from inference.errors import RowsChanged
from inference.processors.base import Processor
from inference.runtime.session import OrtSession, Runs
from inference.values import Tensors
from serving.engine.admission import Admission
from serving.engine.context import RequestContext, clock_ns
from serving.engine.plan import Pace, Plan
from serving.engine.queues import BucketQueues, Entry, Reply, Timer

log = logging.getLogger("baton.batching")

_NS = 1e-9
# After a run as short as this a thread would wait for the loop about as long again, so the batch that follows is
# prefetched. Behind a longer run it is formed when that ends, so that an urgent request may still go before it.
_SHORT_RUN_S = 0.02


class BatchObserver(Protocol):
    """Is told of each run."""

    def observe_batch(self, rows: int, requests: int, run_ns: int) -> None:
        """A batch of `rows` rows from `requests` requests took `run_ns` nanoseconds."""
        ...


class Outcome(NamedTuple):
    """The end of a run: one result or error an entry (None: its client did not wait), and how long it took.

    `chained`: the run's slot has gone on to the batch that was prefetched.
    """

    results: list[Tensors | Exception | None]
    run_ns: int
    chained: bool = False


class FutureReply:
    """A reply that is awaited."""

    __slots__ = ("future",)

    def __init__(self) -> None:
        self.future: asyncio.Future[Tensors] = asyncio.get_running_loop().create_future()

    @property
    def answered(self) -> bool:
        """Whether it has its answer, or was cancelled."""
        return self.future.done()

    def set_result(self, outputs: Tensors) -> None:
        """Answer it."""
        self.future.set_result(outputs)

    def set_exception(self, error: BaseException) -> None:
        """Answer it with an error."""
        self.future.set_exception(error)


class DynamicBatcher:
    """Dispatch for one model, with its admission and its queues. Use it from one event loop only."""

    def __init__(
        self,
        name: str,
        session: Runs,
        processor: Processor,
        plan: Plan,
        executor: Executor,
        observer: BatchObserver,
        alone: Runs | None = None,
        clock_ns: Callable[[], int] = clock_ns,
        call_later: Callable[[float, Callable[[], None]], Timer] | None = None,
    ) -> None:
        """`alone` takes every slot for one run of the same graph, and is used when nothing else is to be run.

        `clock_ns` and `call_later` (seconds, callback) are given by tests that step time by hand.
        """
        self.name = name
        self.pace, self._queues = Pace(), BucketQueues(name, clock_ns)
        self.admission = Admission(name, plan, self.pace, self._queues, clock_ns)
        self.one_by_one = ""
        """Why no two requests share a run, though the model was proved to take batches; "" where they do."""
        self.large_requests = 0
        """Of those that are admitted, as the data plane counts them."""
        self._session, self._alone = session, alone
        self._processor, self._observer = processor, observer
        self._executor, self._clock_ns = executor, clock_ns
        self._loop = asyncio.get_running_loop()
        self._call_later = call_later or self._loop.call_later
        self._plan = plan
        self._free = plan.instances
        # The one thing that threads take from, which is atomic.
        self._prefetched: deque[list[Entry]] = deque()
        self._idle_since_ns = 0
        self._began: dict[int, int] = {}
        """By thread, when the run began that it makes now: added to and taken from by that thread alone."""
        self._awake = False
        self._on_answer: Callable[[Tensors], None] | None = None

    @property
    def plan(self) -> Plan:
        """How the model is run now."""
        return self._plan

    @plan.setter
    def plan(self, plan: Plan) -> None:
        self._plan = plan
        self.admission.adopt(plan)

    @property
    def queued_rows(self) -> int:
        """Rows that wait for a run."""
        waiting = chain(self._queues.entries(), chain.from_iterable(tuple(self._prefetched)))
        return sum(entry.rows for entry in waiting)

    @property
    def running(self) -> int:
        """Slots that runs under way take."""
        return self._plan.instances - self._free

    @property
    def oldest_age_s(self) -> float:
        """Seconds that the longest waiting entry has waited; 0 with an empty queue."""
        oldest_ns = self._queues.oldest_ns()
        return 0.0 if oldest_ns is None else (self._clock_ns() - oldest_ns) * _NS

    @property
    def run_age_s(self) -> float:
        """Seconds that the longest run on a thread has been under way; 0 without one."""
        began = tuple(self._began.values())
        return (self._clock_ns() - min(began)) * _NS if began else 0.0

    def adopt(self, plan: Plan, session: Runs, alone: Runs | None) -> None:
        """Run by another plan from now on, measured meanwhile; runs under way end as they began."""
        self._free += plan.instances - self._plan.instances
        self.plan, self._session, self._alone = plan, session, alone
        self.pace.forget()
        self._wake()

    def on_answer(self, tell: Callable[[Tensors], None]) -> None:
        """Have `tell` called once, with the tensors of the next request that is answered."""
        self._on_answer = tell

    def submit(self, tensors: Tensors, rows: int, context: RequestContext) -> asyncio.Future[Tensors]:
        """Queue the rows of an admitted request; the future gives their outputs or one of `inference.errors`."""
        reply = FutureReply()
        self.enqueue(tensors, rows, context, reply)
        return reply.future

    def enqueue(self, tensors: Tensors, rows: int, context: RequestContext, reply: Reply) -> None:
        """`submit` with another kind of reply."""
        entry = Entry(tensors, rows, context, reply, self._clock_ns())
        if context.deadline_s is not None:
            left_s = context.deadline_s - entry.queued_ns * _NS
            entry.timer = self._call_later(max(0.0, left_s), lambda: entry.expire(self.name))
        self._queues.add(self._processor.bucket(tensors), entry)
        self._wake()

    def _wake(self) -> None:
        # Dispatch runs at the end of this tick of the loop, when every request that arrived in it is queued.
        if not self._awake and (self._free > 0 or self._may_prefetch()):
            self._awake = True
            self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        """Start a run for each free slot, then prefetch a batch for each that is taken."""
        self._awake = False
        plan, queues, one_by_one = self._plan, self._queues, bool(self.one_by_one)
        while self._free > 0:
            batch = queues.take(plan, one_by_one=one_by_one)
            if not batch:
                return
            if self._start(batch):
                return  # `_finish` has woken it for the rest; sockets are read between two runs
        while queues and self._may_prefetch():
            batch = queues.take(plan, one_by_one=one_by_one, only_full=True)
            if not batch:
                return
            self._prefetched.append(batch)

    def _may_prefetch(self) -> bool:
        """Whether one more batch may be formed before a slot is free for it."""
        batch_s = self.pace.row_s * self._plan.max_batch_size
        return 0 < batch_s < _SHORT_RUN_S and len(self._prefetched) < self._plan.instances

    def _start(self, batch: list[Entry]) -> bool:
        """Run a batch in one slot, or in all of them by the session that takes every thread; whether it is over."""
        session, slots = self._session, 1
        # A batch that came during a run has company: in turns with all threads each, they would get less done.
        if (
            self._alone is not None
            and self._free == self._plan.instances
            and not self._queues
            and batch[0].queued_ns >= self._idle_since_ns
        ):
            session, slots = self._alone, self._plan.instances
        inline = self._plan.inline
        if inline and self.large_requests and any(entry.context.large_run for entry in batch):
            # Beside the slots, since the loop goes on meanwhile: the small ones of the model do not wait for it.
            inline, slots = False, 0
        self._free -= slots
        if inline:
            self._finish(batch, slots, self._execute(batch, session))
        else:
            self._executor.submit(self._work, batch, slots, session)
        return inline

    def _work(self, batch: list[Entry], slots: int, session: Runs) -> None:
        """On a worker thread: run a batch, chain the next, and give the outcome back to the loop."""
        me = get_ident()
        self._began[me] = self._clock_ns()
        try:
            outcome = self._execute(batch, session, aside=True)
        except BaseException as error:  # an interpreter at its end, or out of memory
            failure = error if isinstance(error, Exception) else RuntimeError(repr(error))
            outcome = Outcome([failure] * len(batch), 0)
        del self._began[me]
        if self._chain():
            outcome = outcome._replace(chained=True)
        self._loop.call_soon_threadsafe(self._finish, batch, slots, outcome)

    def _chain(self) -> bool:
        """Have a prefetched batch run; whether there was one.

        It goes behind those that other models have handed to the threads meanwhile.
        """
        try:
            batch = self._prefetched.popleft()
        except IndexError:
            return False
        self._executor.submit(self._work, batch, 1, self._session)
        return True

    def _execute(self, batch: list[Entry], session: Runs, *, aside: bool = False) -> Outcome:
        """Run the entries of a batch whose client still waits; `aside`: on a worker thread, beside the loop.

        It raises nothing: an error belongs to the clients, not to the loop.
        """
        started = self._clock_ns()
        waits = [not (entry.reply.answered or entry.context.is_disconnected()) for entry in batch]
        live = list(compress(batch, waits))
        for entry in live:
            entry.context.times.queue = started - entry.queued_ns
        answers: Iterable[Tensors | Exception] = ()
        processor = self._processor
        try:
            if live:
                parts = [entry.tensors for entry in live]
                if isinstance(session, OrtSession):
                    outputs = session.run_together(parts, processor.collate, in_pieces=aside)
                else:
                    outputs = session.run(processor.collate(parts))
                answers = processor.split(outputs, [entry.rows for entry in live])
        except Exception as error:
            if isinstance(error, RowsChanged):
                self._separate(error)
            answers = (
                [error] if len(live) == 1 else [_run_alone(entry, session, aside=aside) for entry in live]
            )
        given = iter(answers)
        results = [next(given) if waited else None for waited in waits]
        return Outcome(results, self._clock_ns() - started)

    def _separate(self, error: RowsChanged) -> None:
        """Never again put two requests into one run: the proof of this graph does not hold."""
        if not self.one_by_one:
            self.one_by_one = str(error)
            log.error("%s: requests are run one at a time from now on: %s", self.name, error)

    def _finish(self, batch: list[Entry], slots: int, outcome: Outcome) -> None:
        """On the loop: free the slots, answer the entries, and note what the run has cost."""
        self._free += slots - outcome.chained
        while self._free > 0 and self._chain():
            self._free -= 1
        ran = [entry.rows for entry, result in zip(batch, outcome.results, strict=True) if result is not None]
        rows = sum(ran)
        for entry, result in zip(batch, outcome.results, strict=True):
            if entry.timer is not None:
                entry.timer.cancel()
            entry.context.times.run = outcome.run_ns
            entry.context.times.batch_rows = rows
            if result is None:
                entry.disconnect()
            elif isinstance(result, Exception):
                entry.refuse(result)
            elif not entry.reply.answered:
                entry.reply.set_result(result)
        if self._on_answer is not None and ran and not isinstance(outcome.results[0], Exception):
            tell, self._on_answer = self._on_answer, None
            # Copies: of a large request the strings are let go of when it is answered.
            tell({name: array.copy() for name, array in batch[0].tensors.items()})
        if rows:
            if slots == 1:  # a run alone says nothing of runs side by side
                self.pace.observe(outcome.run_ns * _NS / rows)
            self._observer.observe_batch(rows, len(ran), outcome.run_ns)
        if self._free == self._plan.instances:
            self._idle_since_ns = self._clock_ns()
        if self._queues:
            self._wake()


def _run_alone(entry: Entry, session: Runs, *, aside: bool) -> Tensors | Exception:
    try:
        if isinstance(session, OrtSession):
            return session.run(entry.tensors, in_pieces=aside)
        return session.run(entry.tensors)
    except Exception as error:
        return error
