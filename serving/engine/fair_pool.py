"""Threads that models share by turns: a crowd of slow images of one does not hold up the decoding of another."""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from functools import partial
from threading import Lock
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class _Work:
    """A call in pieces that waits for a thread; one that is cancelled keeps nothing of its arguments alive."""

    __slots__ = ("_pieces", "future", "owner")

    def __init__(self, owner: str, pieces: Generator[None, None, Any]) -> None:
        self.owner = owner
        self._pieces: Generator[None, None, Any] | None = pieces
        self.future: Future[Any] = Future()
        self.future.add_done_callback(self._forget)

    def run(self, must_wait: Callable[[str], bool]) -> bool:
        """Run pieces until it is another owner's turn; whether there is more to run."""
        pieces = self._pieces
        if pieces is None or not (self.future.running() or self.future.set_running_or_notify_cancel()):
            return False
        try:
            while True:
                next(pieces)
                if must_wait(self.owner):
                    return True
        except StopIteration as end:
            self.future.set_result(end.value)
        except BaseException as error:
            self.future.set_exception(error)
        return False

    def _forget(self, _: "Future[Any]") -> None:
        self._pieces = None


class FairPool(Executor):
    """Runs calls on the threads of another executor; each owner has a queue, and the queues take turns.

    A call for several items gives its thread up between two of them, where another owner waits. So an owner waits
    for the items that threads have begun, and for one of each owner that waits too.
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
        return self._submit(owner, _as_pieces(partial(fn, *args, **kwargs)))

    def submit_each(
        self, owner: str, fn: Callable[[ItemT], ResultT], items: Sequence[ItemT]
    ) -> "Future[list[ResultT]]":
        """The same with each of `items`, in order; between two of them another owner may have its turn."""
        return self._submit(owner, _each(fn, items))

    def _submit(self, owner: str, pieces: Generator[None, None, ResultT]) -> "Future[ResultT]":
        work = _Work(owner, pieces)
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
        if not work.run(self._must_wait):
            return
        with self._lock:  # it is the first of its owner again, and its owner is the last
            queue = self._waiting.pop(owner, deque())
            queue.appendleft(work)
            self._waiting[owner] = queue
        with suppress(RuntimeError):  # the threads end: what was begun is not finished
            self._threads.submit(self._run_next)

    def _must_wait(self, owner: str) -> bool:
        with self._lock:
            return any(other != owner for other in self._waiting)


def _each(fn: Callable[[ItemT], ResultT], items: Sequence[ItemT]) -> Generator[None, None, list[ResultT]]:
    results: list[ResultT] = []
    for item in items:
        results.append(fn(item))
        yield
    return results


def _as_pieces(call: Callable[[], ResultT]) -> Generator[None, None, ResultT]:
    """A call that is one piece."""
    yield from ()
    return call()
