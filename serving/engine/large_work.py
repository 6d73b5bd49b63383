"""Work on large requests: on threads of its own, in pieces, so that nobody waits for somebody else's request.

Most of the work is Python's and holds the interpreter, so a thread alone would help little. At each of its turns the
event loop would wait for it: 5 ms, or until a call ends. So a thread sleeps behind each millisecond of work. The loop
then has its turn at once, and the work takes a tenth longer. Where the thread itself was kept waiting, for the
interpreter or for a CPU, it sleeps several times as long: large requests take what others leave.

The threads take turns, work and rest: two of them would keep each other waiting, and the loop twice as long. More
large requests than there are threads wait in their order. Their bytes are counted before they come here
(`engine.inflight`), so those that wait are bounded too.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, TypeVar

from inference.errors import ClientDisconnected, DeadlineExceeded
from serving.engine.context import RequestContext, clock_ns

T = TypeVar("T")

AT_ONCE = 2
"""Threads: one more lets a large request pass by one that is a hundred times as large."""

_TURN_NS = 1_000_000
_REST_S = 50e-6  # `sleep(0)` does not hand the interpreter over
_LONGEST_REST_S = 0.02
_REST_FOR_WAIT = 8
"""Rest for each second of waiting: with as many the work of a crowd leaves the loop most of a core."""

_PUNCTUAL_S = 200e-6
"""Of a sleep: an idle machine ends one no later (timer slack, and the thread's way back to a CPU)."""


class Turns:
    """Which thread works or rests, in the order in which they came."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._taken = False
        self._waiting: deque[Lock] = deque()

    def take(self) -> None:
        """Wait for the turn."""
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            mine = Lock()
            mine.acquire()
            self._waiting.append(mine)
        mine.acquire()

    def give(self) -> None:
        """The next one has it."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._taken = False

    def wait_again(self) -> None:
        """Have the others go first, if there are some."""
        if self._waiting:
            self.give()
            self.take()


class Pacer:
    """The pace of one request's work on a thread; called between two pieces of it."""

    __slots__ = ("_begun_ns", "_context", "_late_s", "_model", "_spent_ns", "_turns")

    def __init__(self, context: RequestContext, model: str) -> None:
        """`model` is named in an error."""
        self._context, self._model = context, model
        self._begun_ns = self._spent_ns = 0
        self._late_s = 0.0

    def begin(self, turns: Turns) -> None:
        """On the thread that has its turn, before its first piece; raises as `__call__` does."""
        self._turns = turns
        self._check(clock_ns())
        self._begun_ns, self._spent_ns = clock_ns(), time.thread_time_ns()

    def __call__(self) -> None:
        """Rest, where a millisecond is over; `ClientDisconnected` or `DeadlineExceeded` where nobody waits any more."""
        now_ns = clock_ns()
        turn_ns = now_ns - self._begun_ns
        if turn_ns < _TURN_NS:
            return
        self._check(now_ns)
        kept_waiting_s = self._late_s + (turn_ns - time.thread_time_ns() + self._spent_ns) * 1e-9
        rest_s = min(max(_REST_FOR_WAIT * kept_waiting_s, _REST_S), _LONGEST_REST_S)
        time.sleep(rest_s)
        self._late_s = max(0.0, (clock_ns() - now_ns) * 1e-9 - rest_s - _PUNCTUAL_S)
        self._turns.wait_again()
        self._begun_ns, self._spent_ns = clock_ns(), time.thread_time_ns()

    def _check(self, now_ns: int) -> None:
        context = self._context
        if context.is_disconnected():
            raise ClientDisconnected("the client closed the connection while its request was worked on")
        if context.deadline_s is not None and now_ns * 1e-9 > context.deadline_s:
            raise DeadlineExceeded(self._model, context.timeout_s)


class LargeWork:
    """The threads, and the requests that are on their way to and from them. Used from the event loop."""

    def __init__(self) -> None:
        """Threads start with the first large request."""
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="large")
        self._turns = Turns()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, function: Callable[..., T], *arguments: Any, pace: Pacer) -> T:
        """The result of a function on a thread, which is given `pace` as its last argument."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, _begin, function, arguments, pace, self._turns)

    def start(self, work: Coroutine[Any, Any, None], failed: Callable[[Exception], None]) -> None:
        """Have a request worked on; `failed` is told of an error, and of nothing else."""
        task = asyncio.ensure_future(_told(work, failed))
        self._tasks.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """End the threads when their work is done."""
        self._pool.shutdown()


def _begin(function: Callable[..., T], arguments: tuple[Any, ...], pace: Pacer, turns: Turns) -> T:
    turns.take()
    try:
        pace.begin(turns)  # whoever left while it waited is not worked for
        return function(*arguments, pace)
    finally:
        turns.give()


async def _told(work: Coroutine[Any, Any, None], failed: Callable[[Exception], None]) -> None:
    try:
        await work
    except Exception as error:
        failed(error)
