"""Drives one server with one load for some seconds, and records the outcome of every request."""

import asyncio
import gc
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from urllib.parse import SplitResult

import numpy as np

from serving.bench.alarm import Alarm
from serving.bench.connection import Connection, connect
from serving.bench.values import REFUSED, TIMEOUT, BenchError, Closed, Load, Open, Record, clock

_RETRY_S = 0.1  # between attempts to connect: a server that is gone must not take the generator's core
_SETTLE_S = 0.005  # between looks for the end of the last request; no request starts meanwhile


@dataclass(frozen=True, slots=True)
class LoadTarget:
    """A server, and whole requests for it, sent in turn and over again."""

    url: SplitResult
    requests: tuple[bytes, ...]


async def drive(target: LoadTarget, load: Load, duration_s: float, timeout_s: float, seed: int = 0) -> Record:
    """Load a server for `duration_s` seconds; each request gets `timeout_s` from when it was due.

    Every request that was due is in the record exactly once, and it is returned when the last is over.
    `BenchError` if no connection can be had at the start; later that is an outcome.
    """
    driver: _Driver
    match load:
        case Closed():
            driver = _ClosedLoop(target, timeout_s)
        case Open():
            driver = _OpenLoop(target, timeout_s, _arrivals(load.rate, duration_s, seed))
    try:
        await driver.connect(load.connections)
        with _undisturbed():
            await driver.run(duration_s)
    finally:
        await driver.close()
    return driver.record


def _arrivals(rate: float, duration_s: float, seed: int) -> list[float]:
    """Instants of a Poisson process, in seconds from its beginning."""
    generator = np.random.default_rng(seed)
    count = generator.poisson(rate * duration_s)
    instants: list[float] = np.sort(generator.uniform(0.0, duration_s, count)).tolist()
    return instants


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep the garbage collector's pauses out of the latencies; nothing here makes cycles."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class _Driver:
    """Keeps connections open and busy. The subclass says by `_next` when a request is due."""

    def __init__(self, target: LoadTarget, timeout_s: float) -> None:
        self.record = Record()
        self._target, self._timeout_s = target, timeout_s
        self._requests = cycle(target.requests)
        self._connections: set[Connection] = set()
        self._idle: list[Connection] = []
        self._reopening: set[asyncio.Task[None]] = set()
        self._closing = False

    async def connect(self, connections: int) -> None:
        """Open them all before the clock starts."""
        opened = await asyncio.gather(*(self._connect() for _ in range(connections)))
        self._connections.update(opened)

    async def run(self, duration_s: float) -> None:
        """From the first request to the end of the last."""
        processor_s = time.process_time()
        self.record.began = clock()
        self.record.ended = self.record.began + duration_s
        sweeping = asyncio.create_task(self._sweep())
        self._begin()
        await asyncio.sleep(duration_s)
        self.record.cpu_s = time.process_time() - processor_s
        while self._waiting():  # noqa: ASYNC110 - an event would have every answer look for the last
            await asyncio.sleep(_SETTLE_S)
        sweeping.cancel()

    async def close(self) -> None:
        """Close every connection and open no more."""
        self._closing = True
        for task in self._reopening:
            task.cancel()
        for connection in self._connections:
            connection.close()
        await asyncio.sleep(0)  # their `connection_lost`

    def answered(self, connection: Connection, status: int, timing: bytes, *, reusable: bool) -> None:
        """Owner of a connection: it has its answer."""
        self.record.add(connection.due, connection.sent, status)
        if timing and status == 200:  # refusals have no stages, and there may be many
            self.record.add_timing(timing)
        connection.sent = 0.0
        if reusable:
            self._feed(connection)
        else:
            connection.close()

    def lost(self, connection: Connection, status: int) -> None:
        """Owner of a connection: it is closed."""
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if status:
            self.record.add(connection.due, connection.sent, status)
        if not self._closing:
            task = asyncio.ensure_future(self._reopen())
            self._reopening.add(task)
            task.add_done_callback(self._reopening.discard)

    def _begin(self) -> None:
        for connection in list(self._connections):
            self._feed(connection)

    def _next(self) -> float | None:
        """When the next request that may be sent now was due; None: there is none."""
        raise NotImplementedError

    def _waiting(self) -> bool:
        return any(connection.sent for connection in self._connections)

    def _expire(self, before: float) -> None:
        for connection in list(self._connections):
            if connection.sent and connection.due < before:
                connection.give_up()

    def _feed(self, connection: Connection) -> None:
        due = self._next()
        if due is None:
            self._idle.append(connection)
        else:
            connection.ask(next(self._requests), due)

    async def _connect(self) -> Connection:
        return await connect(self._target.url, lambda: Connection(self), self._timeout_s)

    async def _reopen(self) -> None:
        while not self._closing:
            try:
                connection = await self._connect()
            except BenchError:
                due = self._next()
                if due is not None:
                    self.record.add(due, clock(), REFUSED)
                await asyncio.sleep(_RETRY_S)
            else:
                self._connections.add(connection)
                self._feed(connection)
                return

    async def _sweep(self) -> None:
        while True:
            # A request is given up late by a twentieth of its time at most.
            await asyncio.sleep(min(0.5, self._timeout_s / 20))
            self._expire(clock() - self._timeout_s)


class _ClosedLoop(_Driver):
    """A free connection asks at once, until time is up."""

    def _next(self) -> float | None:
        now = clock()
        return now if now < self.record.ended else None


class _OpenLoop(_Driver):
    """Requests are due at given instants; those that find no free connection wait, and are late."""

    def __init__(self, target: LoadTarget, timeout_s: float, arrivals: list[float]) -> None:
        super().__init__(target, timeout_s)
        self._arrivals = deque(arrivals)
        self._late: deque[float] = deque()
        self._alarm = Alarm(self._ring)

    async def close(self) -> None:
        self._alarm.close()
        await super().close()

    def _begin(self) -> None:
        self._arrivals = deque(self.record.began + instant for instant in self._arrivals)
        super()._begin()
        self._ring()

    def _ring(self) -> None:
        now, arrivals = clock(), self._arrivals
        while arrivals and arrivals[0] <= now:
            self._late.append(arrivals.popleft())
        while self._late and self._idle:
            self._idle.pop().ask(next(self._requests), self._late.popleft())
        if arrivals:
            self._alarm.set(arrivals[0] - clock())

    def _next(self) -> float | None:
        return self._late.popleft() if self._late else None

    def _waiting(self) -> bool:
        return bool(self._arrivals or self._late) or super()._waiting()

    def _expire(self, before: float) -> None:
        super()._expire(before)
        while self._late and self._late[0] < before:
            self.record.add(self._late.popleft(), 0.0, TIMEOUT)
