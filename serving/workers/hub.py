"""What concerns all workers goes through here: changes one after another, reports of all, and how all stand."""

import asyncio
import itertools
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from serving.workers.door import Seat
from serving.workers.merging import bury, nobody
from serving.workers.messages import (
    Answer,
    Ask,
    Change,
    Changed,
    Closed,
    Done,
    Failure,
    Family,
    FromWorker,
    Leaving,
    Load,
    Look,
    Order,
    Refresh,
    Refusal,
    Report,
    Sample,
    Sight,
    Standing,
    Start,
    ToWorker,
    Unload,
    Up,
    frame,
    from_worker,
    receive,
)

log = logging.getLogger("baton.supervisor")

LOOK_S = 1.0
"""A worker that has not reported by then is shown as it was last seen."""


@dataclass(eq=False)
class Worker:
    """One worker's process as the hub knows it."""

    number: int
    writer: asyncio.StreamWriter
    seat: Seat = field(default_factory=Seat)
    up: bool = False
    """It takes connections and orders."""
    was_up: bool = False
    leaving: bool = False
    state: Changed | None = None
    """As its last change left it; None until it has loaded its models."""
    report: Report | None = None
    refusal: Refusal | None = None
    orders: dict[int, "asyncio.Future[Changed | Report]"] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        """It has loaded its models, and takes part in what changes them."""
        return self.up and not self.leaving and self.state is not None

    @property
    def served(self) -> list[str]:
        """The models that answer in it."""
        return [] if self.state is None else self.state.served

    def tell(self, message: ToWorker) -> None:
        """Say something to it, if it is there."""
        if not self.writer.is_closing():
            self.writer.write(frame(message))


class Hub:
    """Knows the workers; the supervisor brings them and takes them away."""

    def __init__(self, size: int, changed: Callable[[], None]) -> None:
        """`size`: how many workers there should be. `changed` is called when one has come, is leaving or has gone."""
        self.workers: dict[int, Worker] = {}
        self.restarts = 0
        self._size, self._changed = size, changed
        self._ids = itertools.count(1)
        self._changing = asyncio.Lock()
        self._profiles: dict[str, bytes] = {}
        self._unloaded: set[str] = set()
        self._failed: dict[int, str] = {}
        """By worker, what was last logged of a look that failed."""
        self._ended = nobody()
        self._standing = self._stand()
        self._tasks: set[asyncio.Task[None]] = set()

    async def follow(self, worker: Worker, reader: asyncio.StreamReader) -> None:
        """Hear a worker until it has gone."""
        self.workers[worker.number] = worker
        while (message := await receive(reader, from_worker)) is not None:
            self._hear(worker, message)
        worker.up = False
        del self.workers[worker.number]
        worker.writer.close()
        for order in worker.orders.values():
            if not order.done():  # a report that came too late is cancelled
                order.set_exception(ConnectionError("it ended"))
        worker.orders.clear()
        if worker.report is not None:
            self._ended = bury(self._ended, worker.report)
        self._announce()

    async def refresh(self) -> None:
        """Have every worker look at the repository again."""
        for number, failure in (await self._change(Refresh())).items():
            said = "" if failure is None else failure.reason
            if said and said != self._failed.get(number):
                log.warning("worker %d: looking at the folder of models failed: %s", number, said)
            self._failed[number] = said

    def _hear(self, worker: Worker, message: FromWorker) -> None:
        match message:
            case Up():
                worker.up = worker.was_up = True
                self._spawn(self._start())
                self._announce()
            case Leaving():
                worker.leaving = True
                self._announce()
            case Refusal():
                worker.refusal = message
            case Closed():
                worker.seat.closed = message.total
            case Report():
                worker.report = message
            case Done():
                order = worker.orders.pop(message.id, None)
                if order is not None and not order.done():
                    order.set_result(message.result)
                if isinstance(message.result, Report):
                    worker.report = message.result
            case Ask():
                self._spawn(self._answer(worker, message))

    async def _start(self) -> None:
        """Have those that are up load their models: the first alone, since it measures for all."""
        async with self._changing:
            first, *_ = (*self._unstarted(), None)
            if first is None:
                return
            if not any(worker.settled for worker in self.workers.values()):
                await self._try(first, Start(sorted(self._unloaded)))
            rest = self._unstarted()
            await asyncio.gather(*(self._try(worker, Start(sorted(self._unloaded))) for worker in rest))

    def _unstarted(self) -> list[Worker]:
        return [worker for worker in self._in_order() if worker.up and worker.state is None]

    async def _answer(self, asker: Worker, ask: Ask) -> None:
        if isinstance(ask.act, Look):
            asker.tell(Sight(ask.id, await self._look(), self._ended, self._own()))
            return
        outcomes = await self._change(ask.act, asker)
        asker.tell(Answer(ask.id, outcomes))

    async def _look(self) -> list[Report]:
        """A report of each worker that is up: as it is now, or as it was when it last answered."""
        asked = [worker for worker in self._in_order() if worker.up]
        orders = [asyncio.ensure_future(self._order(worker, Look())) for worker in asked]
        if orders:
            _, late = await asyncio.wait(orders, timeout=LOOK_S)
            for order in late:
                order.cancel()
            await asyncio.gather(*orders, return_exceptions=True)
        return [worker.report for worker in asked if worker.up and worker.report is not None]

    async def _change(self, act: Change, first: Worker | None = None) -> dict[int, Failure | None]:
        """Have every worker that has loaded its models make a change; one before the others, as it may measure."""
        async with self._changing:
            workers = [worker for worker in self._in_order() if worker.settled]
            workers.sort(key=lambda worker: worker is not first)
            outcomes: dict[int, Failure | None] = {}
            for some in (workers[:1], workers[1:]):
                made = await asyncio.gather(*(self._try(worker, act) for worker in some))
                outcomes.update(zip((worker.number for worker in some), made, strict=True))
            if isinstance(act, Load):
                self._unloaded.discard(act.name)
            elif isinstance(act, Unload) and None in outcomes.values():
                self._unloaded.add(act.name)
            return outcomes

    async def _try(self, worker: Worker, act: Change) -> Failure | None:
        """Order a change; why it was not made."""
        try:
            changed = await self._order(worker, act)
        except ConnectionError as error:
            return Failure(str(error))
        if not isinstance(changed, Changed):
            raise TypeError(f"worker {worker.number} answered {act!r} with a {type(changed).__name__}")
        self._profiles.update(changed.profiles)
        worker.state = changed
        self._announce()
        return changed.failure

    async def _order(self, worker: Worker, act: Change | Look) -> Changed | Report:
        """`ConnectionError` if the worker ends before it has obeyed."""
        if not worker.up:
            raise ConnectionError("it ended")
        number = next(self._ids)
        done: asyncio.Future[Changed | Report] = asyncio.get_running_loop().create_future()
        worker.orders[number] = done
        worker.tell(Order(number, act, {} if isinstance(act, Look) else self._profiles))
        try:
            return await done
        finally:
            worker.orders.pop(number, None)

    def _announce(self) -> None:
        """Tell every worker how all stand."""
        self._standing = self._stand()
        for worker in self.workers.values():
            worker.tell(self._standing)
        self._changed()

    def _stand(self) -> Standing:
        problems: dict[str, str] = {}
        missing: list[str] = []
        ready = True
        served = {name for worker in self.workers.values() if worker.settled for name in worker.served}
        for number in range(1, self._size + 1):
            worker = self.workers.get(number)
            if worker is None or not worker.settled or worker.state is None:
                leaving = worker is not None and worker.leaving
                missing.append(f"worker {number} of {self._size} is {'leaving' if leaving else 'starting'}")
            else:
                # What one answers and another does not would be lost to half of the callers.
                ready = ready and worker.state.ready and not served & worker.state.problems.keys()
                problems |= worker.state.problems
        return Standing(ready=ready and not missing, problems=problems, missing=missing)

    def _own(self) -> list[Family]:
        up = sum(worker.up for worker in self.workers.values())
        told = (
            ("baton_ready", "gauge", "1 if requests should be sent here.", self._standing.ready),
            ("baton_workers", "gauge", "Processes that should answer.", self._size),
            ("baton_workers_up", "gauge", "Processes that answer.", up),
            ("baton_worker_restarts", "counter", "Processes that ended and were replaced.", self.restarts),
        )
        return [
            Family(
                name, kind, text, [Sample(f"{name}_total" if kind == "counter" else name, {}, float(value))]
            )
            for name, kind, text, value in told
        ]

    def _in_order(self) -> Sequence[Worker]:
        return [self.workers[number] for number in sorted(self.workers)]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self._tasks.discard)
