"""A worker's connection to the supervisor: its requests and their answers, and the orders that come meanwhile."""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import Awaitable, Callable
from typing import TypeVar

from serving.workers.messages import (
    AllReports,
    Answer,
    Ask,
    Beat,
    Done,
    FromWorker,
    GetReport,
    Load,
    Order,
    Readiness,
    Unload,
    Up,
    frame,
    receive,
    to_worker,
)

BEAT_S = 0.5
"""Between two signs of life: the supervisor allows for several that are late."""

_GONE = "the supervisor has gone; this worker ends"
_Answered = TypeVar("_Answered", Answer, AllReports)


class SupervisorLink:
    """One end of the control socket; `readiness` is the supervisor's latest word on all workers."""

    def __init__(self, control: socket.socket, readiness: Readiness) -> None:
        """`control`: connected to the supervisor. `readiness`: until the supervisor sends one."""
        self.readiness = readiness
        self._control = control
        self._writer: asyncio.StreamWriter | None = None
        self._asked: dict[int, asyncio.Future[Answer | AllReports]] = {}
        self._ids = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._connected = asyncio.Event()
        self._beating: asyncio.Task[None] | None = None

    def tell(self, message: FromWorker) -> None:
        """Send a message, unless the supervisor has gone."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(frame(message))

    async def run(self, obey: Callable[[Order], Awaitable[Done]]) -> None:
        """Hand orders to `obey`, all at once as they come, until the supervisor has gone."""
        reader, self._writer = await asyncio.open_unix_connection(sock=self._control)
        self._connected.set()
        self.tell(Up())
        self._beating = asyncio.ensure_future(self._beat(self._writer))
        while (message := await receive(reader, to_worker)) is not None:
            match message:
                case Order():
                    task = asyncio.ensure_future(self._obey(message, obey))
                    self._tasks.add(task)  # the loop itself holds tasks only weakly
                    task.add_done_callback(self._tasks.discard)
                case Readiness():
                    self.readiness = message
                case Answer() | AllReports():
                    answer = self._asked.pop(message.id)
                    if not answer.done():  # its request may have been cancelled since
                        answer.set_result(message)
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(ConnectionError(_GONE))
        self._writer.close()

    async def ask(self, act: Load | Unload | GetReport, kind: type[_Answered]) -> _Answered:
        """Ask something of all workers; `ConnectionError` where the supervisor has gone."""
        await self._connected.wait()
        if self._writer is None or self._writer.is_closing():
            raise ConnectionError(_GONE)
        number = next(self._ids)
        future: asyncio.Future[Answer | AllReports] = asyncio.get_running_loop().create_future()
        self._asked[number] = future
        self.tell(Ask(number, act))
        answer = await future
        if not isinstance(answer, kind):
            raise TypeError(f"the supervisor answered {act!r} with a {type(answer).__name__}")
        return answer

    async def close(self) -> None:
        """Send what was told, then close."""
        if self._beating is not None:
            self._beating.cancel()
        if self._writer is not None:
            with contextlib.suppress(ConnectionError):
                await self._writer.drain()
                self._writer.close()
                await self._writer.wait_closed()

    async def _beat(self, writer: asyncio.StreamWriter) -> None:
        """Until the end of the link, which outlives `run`: a worker that drains lives."""
        while not writer.is_closing():
            self.tell(Beat())
            await asyncio.sleep(BEAT_S)

    async def _obey(self, order: Order, obey: Callable[[Order], Awaitable[Done]]) -> None:
        self.tell(await obey(order))
