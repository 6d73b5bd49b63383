"""Messages between the supervisor and its workers: changes one after another, reports of all, readiness of all."""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

from serving.workers.messages import (
    AllReports,
    Answer,
    Ask,
    Beat,
    Change,
    Changed,
    Closed,
    Done,
    Failure,
    FromWorker,
    GetReport,
    Leaving,
    Load,
    Order,
    Refresh,
    Refusal,
    Report,
    Start,
    Stuck,
    Unload,
    Up,
    from_worker,
    receive,
)
from serving.workers.roster import Roster, Worker

log = logging.getLogger("baton.supervisor")

REPORT_S = 1.0
"""A worker that has not reported by then is shown by its last report: Prometheus gives a scrape 10 s by default."""

CHANGE_S = 600.0
"""A worker that has not made a change by then fails it, or every later change would wait for it too."""


class Coordinator:
    """Gives orders to the workers of a roster, and answers what they ask of all."""

    def __init__(self, roster: Roster, changed: Callable[[], None]) -> None:
        """`changed` is called when a worker has come, is leaving or has gone."""
        self._roster, self._changed = roster, changed
        self._ids = itertools.count(1)
        self._changing = asyncio.Lock()
        self._profiles: dict[str, bytes] = {}
        self._unloaded: set[str] = set()
        self._failed: dict[int, str] = {}
        """By worker, the last failure of a refresh that was logged."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def follow(self, worker: Worker, reader: asyncio.StreamReader) -> None:
        """Handle a worker's messages until it has gone."""
        self._roster.add(worker)
        while (message := await receive(reader, from_worker)) is not None:
            worker.heard_s = time.monotonic()
            self._handle(worker, message)
        worker.up = False
        worker.writer.close()
        for order in worker.orders.values():
            if not order.done():  # a report that came too late is cancelled
                order.set_exception(ConnectionError(worker.given_up or "it ended"))
        worker.orders.clear()
        self._roster.remove(worker)
        self.announce()

    async def refresh(self) -> None:
        """Have every worker look at the repository again."""
        for number, failure in (await self._change(Refresh())).items():
            reason = "" if failure is None else failure.reason
            if reason and reason != self._failed.get(number):
                log.warning("worker %d: looking at the folder of models failed: %s", number, reason)
            self._failed[number] = reason

    def _handle(self, worker: Worker, message: FromWorker) -> None:
        match message:
            case Up():
                worker.up = worker.was_up = True
                self._spawn(self._start())
                self.announce()
            case Beat():
                pass
            case Stuck():
                worker.stuck = message.reason
                self._changed()
            case Leaving():
                worker.leaving_s = worker.leaving_s or time.monotonic()
                self.announce()
            case Refusal():
                worker.refusal = message
            case Closed():
                worker.slot.closed = message.total
            case Report():
                self._roster.report(worker, message)
            case Done():
                if isinstance(message.result, Changed):  # also one that comes too late for its order
                    self._adopt(worker, message.result)
                order = worker.orders.pop(message.id, None)
                if order is not None and not order.done():
                    order.set_result(message.result)
                if isinstance(message.result, Report):
                    self._roster.report(worker, message.result)
            case Ask():
                self._spawn(self._answer(worker, message))

    async def _start(self) -> None:
        """Have the workers that are up load their models: the first alone, since it measures for all."""
        async with self._changing:
            first, *_ = (*self._roster.unstarted, None)
            if first is None:
                return
            if not self._roster.settled:
                await self._try(first, Start(sorted(self._unloaded)))
            rest = self._roster.unstarted
            await asyncio.gather(*(self._try(worker, Start(sorted(self._unloaded))) for worker in rest))

    async def _answer(self, asker: Worker, ask: Ask) -> None:
        if isinstance(ask.act, GetReport):
            reports = await self._reports()
            asker.tell(AllReports(ask.id, reports, self._roster.ended, self._roster.families()))
            return
        outcomes = await self._change(ask.act, asker)
        asker.tell(Answer(ask.id, outcomes))

    async def _reports(self) -> list[Report]:
        """The report of each worker that is shown, or its last one where no new one comes in `REPORT_S`."""
        shown = self._roster.shown
        orders = [
            asyncio.ensure_future(self._order(worker, GetReport())) for worker in shown if not worker.silent
        ]
        if orders:
            _, late = await asyncio.wait(orders, timeout=REPORT_S)
            for order in late:
                order.cancel()
            await asyncio.gather(*orders, return_exceptions=True)
        return [worker.report for worker in shown if worker.up and worker.report is not None]

    async def _change(self, act: Change, first: Worker | None = None) -> dict[int, Failure | None]:
        """Have every settled worker make a change; one before the others, as it may measure for them."""
        async with self._changing:
            workers = sorted(self._roster.settled, key=lambda worker: worker is not first)
            outcomes: dict[int, Failure | None] = {}
            # The first measures a new graph on its own CPUs; together, each would measure the others' load.
            for some in (workers[:1], workers[1:]):
                made = await asyncio.gather(*(self._try(worker, act) for worker in some))
                outcomes.update(zip((worker.number for worker in some), made, strict=True))
            if isinstance(act, Load):
                self._unloaded.discard(act.name)
            elif isinstance(act, Unload) and None in outcomes.values():
                self._unloaded.add(act.name)
            return outcomes

    async def _try(self, worker: Worker, act: Change) -> Failure | None:
        """Order a change; the reason if it was not made."""
        if isinstance(act, Start):
            worker.ordered = True
        try:
            changed = await asyncio.wait_for(self._order(worker, act), CHANGE_S)
        except TimeoutError:
            return Failure(f"it has not answered for {CHANGE_S:g} s")
        except ConnectionError as error:
            return Failure(str(error))
        if not isinstance(changed, Changed):
            raise TypeError(f"worker {worker.number} answered {act!r} with a {type(changed).__name__}")
        return changed.failure

    def _adopt(self, worker: Worker, changed: Changed) -> None:
        """Note a worker's models as they are after a change."""
        self._profiles.update(changed.profiles)
        self._roster.settle(worker, changed)
        self.announce()

    async def _order(self, worker: Worker, act: Change | GetReport) -> Changed | Report:
        """`ConnectionError` if the worker ends before it has obeyed."""
        if not worker.up:
            raise ConnectionError("it ended")
        number = next(self._ids)
        done: asyncio.Future[Changed | Report] = asyncio.get_running_loop().create_future()
        worker.orders[number] = done
        worker.tell(Order(number, act, {} if isinstance(act, GetReport) else self._profiles))
        try:
            return await done
        finally:
            worker.orders.pop(number, None)

    def announce(self) -> None:
        """Tell every worker whether the server is ready."""
        readiness = self._roster.readiness()
        for worker in self._roster:
            worker.tell(readiness)
        self._changed()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self._tasks.discard)
