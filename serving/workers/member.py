"""A worker's side: it obeys the supervisor's orders, and asks through it for what must hold for all workers."""

import asyncio
import contextlib
import itertools
import logging
import os
import socket
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

from prometheus_client import Metric
from prometheus_client.samples import Exemplar
from prometheus_client.samples import Sample as Line

from inference.errors import BatonError, LoadRefused, ModelNotFound, ModelNotReady
from serving.engine.group import Collected, Process, settle
from serving.engine.served_model import IndexEntry, ModelState, in_order
from serving.workers.merging import add_ended, add_ended_statistics, merge_families, merge_statistics
from serving.workers.messages import (
    Answer,
    Ask,
    Change,
    Changed,
    Done,
    Failure,
    Family,
    FromWorker,
    Load,
    Look,
    Order,
    Refresh,
    Report,
    Sample,
    Sight,
    Standing,
    Start,
    Unload,
    Up,
    frame,
    receive,
    to_worker,
)
from serving.workers.profiles import SharedProfiles

log = logging.getLogger("baton.worker")

_COUNTS = ("answered", "queued_rows", "pending_rows")
"""Of a model's diagnostics."""
_Said = TypeVar("_Said", Answer, Sight)
_GONE = "the supervisor has gone; this worker ends"
_WORST_LAST = (ModelState.READY, ModelState.LOADING, ModelState.DRAINING, ModelState.REFUSED)


class Place(NamedTuple):
    """Which worker this is, from 1, and of how many."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"worker {self.number} of {self.of}"


class Member:
    """The group as a worker has it. `join` is given to `serving.app.create_app`."""

    def __init__(self, control: socket.socket, place: Place, profiles: SharedProfiles) -> None:
        """`control`: connected to the supervisor."""
        self._control, self._place, self._profiles = control, place, profiles
        self._process: Process
        self._writer: asyncio.StreamWriter | None = None
        self._standing = Standing(ready=False, problems={}, missing=[f"{place} is not ready: it is starting"])
        self._asked: dict[int, asyncio.Future[Answer | Sight]] = {}
        self._ids = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._connected = asyncio.Event()

    def join(self, process: Process) -> "Member":
        """Speak for this process."""
        self._process = process
        return self

    def tell(self, message: FromWorker) -> None:
        """Say something to the supervisor, if it is there."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(frame(message))

    async def run(self) -> None:
        """Obey until the supervisor has gone."""
        reader, self._writer = await asyncio.open_unix_connection(sock=self._control)
        self._connected.set()
        self.tell(Up())
        while (message := await receive(reader, to_worker)) is not None:
            match message:
                case Order():
                    task = asyncio.ensure_future(self._obey(message))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
                case Standing():
                    self._standing = message
                case Answer() | Sight():
                    answer = self._asked.pop(message.id)
                    if not answer.done():  # who asked may have been cancelled since
                        answer.set_result(message)
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(ConnectionError(_GONE))
        self._writer.close()

    async def leave(self) -> None:
        """The last report, so that what was counted here stays counted."""
        self.tell(self._report())
        if self._writer is not None:
            with contextlib.suppress(ConnectionError):
                await self._writer.drain()
                self._writer.close()
                await self._writer.wait_closed()

    def ready(self) -> bool:
        """Whether all workers are there and ready."""
        return self._process.is_ready() and self._standing.ready

    def problems(self) -> dict[str, str]:
        """Here, or in another worker."""
        return {**self._standing.problems, **self._process.registry.problems()}

    def missing(self) -> list[str]:
        """The workers that do not answer yet, or no more."""
        return self._standing.missing

    async def metrics(self) -> Collected:
        """Of all workers together, with the counts of those that have ended."""
        sight = await self._look()
        live = merge_families((*(report.families for report in sight.reports), sight.families))
        return _Merged(add_ended(live, sight.ended.families))

    async def statistics(self) -> list[dict[str, Any]]:
        """Of all workers together, with the counts of those that have ended."""
        sight = await self._look()
        live = merge_statistics(report.statistics for report in sight.reports)
        return add_ended_statistics(live, sight.ended.statistics)

    async def index(self) -> list[IndexEntry]:
        """Each version in the worst state that it has in any worker, which is named unless all agree."""
        seen: dict[tuple[str, int | str], dict[int, tuple[ModelState, str]]] = {}
        for report in (await self._look()).reports:
            for name, version, state, reason in report.index:
                seen.setdefault((name, version), {})[report.worker] = ModelState(state), reason
        return [self._worst(key, seen[key]) for key in sorted(seen, key=in_order)]

    async def diagnostics(self) -> dict[str, Any]:
        """This worker's, with the counts of all, and then each worker's models."""
        reports = (await self._look()).reports
        own = self._process.diagnostics()
        workers = [
            {
                "worker": report.worker,
                "pid": report.diagnostics["pid"],
                "models": report.diagnostics["models"],
            }
            for report in reports
        ]
        models = [_with_sums(model, workers) for model in own["models"]]
        return {**own, "models": models, "worker": self._place.number, "workers": workers}

    async def load(self, name: str) -> None:
        """Load a model in every worker, one before the others, which take over what it measured."""
        await self._have_changed(Load(name))

    async def unload(self, name: str) -> None:
        """Stop serving a model in every worker; its requests under way finish first."""
        await self._have_changed(Unload(name))

    async def _have_changed(self, act: Load | Unload) -> None:
        answer = await self._ask(act, Answer)
        failures = {number: failure for number, failure in answer.outcomes.items() if failure is not None}
        if not failures:
            return
        reasons = {failure.reason for failure in failures.values()}
        if not any(failure.found for failure in failures.values()):
            raise ModelNotFound(act.name)
        kind = LoadRefused if all(failure.serves for failure in failures.values()) else ModelNotReady
        if len(failures) == len(answer.outcomes) and len(reasons) == 1:
            raise kind(act.name, reasons.pop())
        said = (
            f"{Place(number, self._place.of)}: {failure.reason}"
            for number, failure in sorted(failures.items())
        )
        raise kind(act.name, "; ".join(said))

    async def _look(self) -> Sight:
        return await self._ask(Look(), Sight)

    async def _ask(self, act: Load | Unload | Look, kind: type[_Said]) -> _Said:
        await self._connected.wait()
        if self._writer is None or self._writer.is_closing():
            raise ConnectionError(_GONE)
        number = next(self._ids)
        answer: asyncio.Future[Answer | Sight] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self.tell(Ask(number, act))
        said = await answer
        if not isinstance(said, kind):
            raise TypeError(f"the supervisor answered {act!r} with a {type(said).__name__}")
        return said

    async def _obey(self, order: Order) -> None:
        self._profiles.learn(order.profiles)
        if isinstance(order.act, Look):
            self.tell(Done(order.id, self._report()))
            return
        failure = await self._change(order.act)
        registry = self._process.registry
        served = sorted({model.name for model in registry.served()})
        changed = Changed(
            self._process.is_ready(), registry.problems(), self._profiles.fresh(), failure, served
        )
        self.tell(Done(order.id, changed))

    async def _change(self, act: Change) -> Failure | None:
        registry = self._process.registry
        try:
            match act:
                case Start():
                    await registry.start(act.unloaded)
                    settle()
                case Refresh():
                    await registry.refresh()
                case Load():
                    await registry.load(act.name)
                case Unload():
                    await registry.unload(act.name)
        except ModelNotFound as error:
            return Failure(str(error), found=False)
        except LoadRefused as error:
            return Failure(error.reason, serves=True)
        except ModelNotReady as error:
            return Failure(error.reason)
        except (BatonError, OSError) as error:
            return Failure(str(error))
        except Exception as error:  # unanswered, all changes would wait for this one
            log.exception("%s failed", act)
            return Failure(f"{type(error).__name__}: {error}")
        return None

    def _report(self) -> Report:
        process = self._process
        index = [
            (entry.name, entry.version, entry.state.value, entry.reason) for entry in process.registry.index()
        ]
        return Report(
            worker=self._place.number,
            families=[_family(metric) for metric in process.metrics.collect()],
            statistics=process.statistics(),
            index=index,
            diagnostics={**process.diagnostics(), "pid": os.getpid()},
        )

    def _worst(self, key: tuple[str, int | str], seen: dict[int, tuple[ModelState, str]]) -> IndexEntry:
        number, (state, reason) = max(seen.items(), key=lambda item: _WORST_LAST.index(item[1][0]))
        if len(set(seen.values())) > 1:
            reason = f"{Place(number, self._place.of)}: {reason or f'it is {state.value.lower()}'}"
        return IndexEntry(*key, state, reason)


def _with_sums(model: dict[str, Any], workers: list[dict[str, Any]]) -> dict[str, Any]:
    """One model's diagnostics with the counts that it has in all workers."""
    key = model["name"], model["version"]
    same = [each for worker in workers for each in worker["models"] if (each["name"], each["version"]) == key]
    return {**model, **{name: sum(each[name] for each in same) for name in _COUNTS}}


class _Merged:
    """Families as the encoders of `prometheus_client` read them."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        for family in self._families:
            metric = Metric(family.name, family.documentation, family.kind)
            metric.samples = [
                Line(each.name, each.labels, each.value, None, each.exemplar and Exemplar(*each.exemplar))
                for each in family.samples
            ]
            yield metric


def _family(metric: Metric) -> Family:
    return Family(metric.name, metric.type, metric.documentation, [_sample(line) for line in metric.samples])


def _sample(line: Line) -> Sample:
    seen = line.exemplar
    exemplar = None if seen is None else (dict(seen.labels), float(seen.value), _seconds(seen.timestamp))
    return Sample(line.name, dict(line.labels), float(line.value), exemplar)


def _seconds(timestamp: Any) -> float | None:
    return None if timestamp is None else float(timestamp)
