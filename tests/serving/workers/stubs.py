"""The other end of a worker's or the supervisor's socket, played by a test; and messages with little in them."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any, TypeVar

from serving.workers.coordinator import Coordinator
from serving.workers.messages import (
    Changed,
    Done,
    Family,
    FromWorker,
    Order,
    Report,
    Sample,
    ToWorker,
    Up,
    frame,
    from_worker,
    receive,
    to_worker,
)
from serving.workers.roster import Worker

_ToWorker = TypeVar("_ToWorker", bound=ToWorker)
_FromWorker = TypeVar("_FromWorker", bound=FromWorker)


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 - a socket says it to the loop alone
        await asyncio.sleep(0)


def family(name: str, kind: str, **values: float) -> Family:
    return Family(name, kind, "", [Sample(name, {"model": model}, value) for model, value in values.items()])


def report(*families: Family, statistics: list[dict[str, Any]] | None = None) -> Report:
    return Report(1, list(families), statistics or [], [], {})


def worker(number: int = 1) -> Worker:
    """One that only counts: its socket takes nothing."""
    return Worker(number, ClosedWriter())


class ClosedWriter(asyncio.StreamWriter):
    """The writer of a worker that has gone."""

    def __init__(self) -> None:
        pass

    def is_closing(self) -> bool:
        return True

    def __del__(self) -> None:
        pass


class StubWorker:
    """A worker's end of its socket."""

    def __init__(self, coordinator: Coordinator, number: int) -> None:
        self._coordinator, self._number = coordinator, number

    async def come(self) -> None:
        """Connect, and answer the order to start."""
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        self.worker = Worker(self._number, writer)
        self.gone = asyncio.ensure_future(self._coordinator.follow(self.worker, reader))
        self.reader, self.writer = await asyncio.open_unix_connection(sock=theirs)
        self.say(Up())
        self.started = await self.hear(Order)
        self.say(Done(self.started.id, Changed(ready=True, problems={}, profiles={})))

    def say(self, message: FromWorker) -> None:
        self.writer.write(frame(message))

    async def hear(self, kind: type[_ToWorker]) -> _ToWorker:
        """The next message of this kind."""
        while not isinstance(message := await receive(self.reader, to_worker), kind):
            assert message is not None
        return message

    async def go(self) -> None:
        """Disconnect."""
        self.writer.close()
        await self.gone
        self.worker.slot.leave()


class StubSupervisor:
    """The supervisor's end of a worker's socket; `theirs` is the worker's."""

    def __init__(self) -> None:
        self._ours, self.theirs = socket.socketpair()

    async def connect(self) -> None:
        self._reader, self._writer = await asyncio.open_unix_connection(sock=self._ours)

    def say(self, message: ToWorker) -> None:
        self._writer.write(frame(message))

    async def hear(self, kind: type[_FromWorker]) -> _FromWorker:
        """The next message of this kind."""
        while not isinstance(message := await receive(self._reader, from_worker), kind):
            assert message is not None
        return message

    def go(self) -> None:
        """Disconnect."""
        self._writer.close()
