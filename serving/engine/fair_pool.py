"""Threads that models share by turns: a crowd of slow images of one does not hold up the decoding of another."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from threading import Lock
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
ResultT = TypeVar("ResultT")


class _Work:
    """A call that waits for a thread; one that is cancelled keeps nothing of its arguments alive."""

    __slots__ = ("_call", "future")

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call: Callable[[], Any] | None = call
        self.future: Future[Any] = Future()
        self.future.add_done_callback(self._forget)

    def run(self) -> None:
        call = self._call
        if call is None or not self.future.set_running_or_notify_cancel():
            return
        try:
            result = call()
        except BaseException as error:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)

    def _forget(self, _: "Future[Any]") -> None:
        self._call = None


class FairPool(Executor):
    """Runs calls on the threads of another executor; each owner has a queue, and the queues take turns.

    An owner waits for the calls that threads have begun, and for one of each owner that waits too.
    """

    def __init__(self, threads: Executor) -> None:
        self._threads = threads
        self._lock = Lock()
        self._waiting: dict[str, deque[_Work]] = {}
        """By owner, none of them empty; the first has the next turn."""

    def submit(self, fn: Callable[P, ResultT], /, *args: P.args, **kwargs: P.kwargs) -> "Future[ResultT]":
        """For no owner in particular: all such calls are one's."""
        return self.submit_for("", fn, *args, **kwargs)

    def submit_for(
        self, owner: str, fn: Callable[P, ResultT], /, *args: P.args, **kwargs: P.kwargs
    ) -> "Future[ResultT]":
        """Have `fn` called when it is the owner's turn; cancel the future to have it dropped before."""
        work = _Work(partial(fn, *args, **kwargs))
        with self._lock:
            self._waiting.setdefault(owner, deque()).append(work)
        self._threads.submit(self._run_next)
        return work.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads; `cancel_futures`: what waits is dropped."""
        if cancel_futures:
            with self._lock:
                dropped = [work for queue in self._waiting.values() for work in queue]
            for work in dropped:
                work.future.cancel()
        self._threads.shutdown(wait)

    def _run_next(self) -> None:
        with self._lock:
            owner = next(iter(self._waiting))
            queue = self._waiting.pop(owner)
            work = queue.popleft()
            if queue:
                self._waiting[owner] = queue  # behind the others
        work.run()
