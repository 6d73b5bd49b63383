"""The requests that wait for a run: a queue for each bucket of rows that may share a batch."""

from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Protocol

from inference.errors import ClientDisconnected, DeadlineExceeded
from inference.values import Tensors
from serving.engine.context import RequestContext, clock_ns
from serving.engine.plan import Plan

_NS = 1e-9
_SWEEP_NS = 20_000_000  # between looks for clients that left: a full queue must refuse cheaply
LOW_SHARE = 0.05
"""Of the rows that are run while both wait: what low priority gets where predictions alone would fill the model."""

Key = tuple[int, Hashable]
"""Priority and bucket of a queue."""


class Timer(Protocol):
    """A scheduled callback."""

    def cancel(self) -> None:
        """Do not call it."""
        ...


class Reply(Protocol):
    """Where an entry's outputs go. Its methods raise nothing."""

    @property
    def answered(self) -> bool:
        """Whether it has its answer, or needs none any more."""
        ...

    def set_result(self, outputs: Tensors, /) -> None:
        """Answer it."""
        ...

    def set_exception(self, error: BaseException, /) -> None:
        """Answer it with an error."""
        ...


@dataclass(slots=True, eq=False)
class Entry:
    """One request's rows in a queue, with the reply that its client waits for."""

    tensors: Tensors
    rows: int
    context: RequestContext
    reply: Reply
    queued_ns: int
    timer: Timer | None = None

    def refuse(self, error: Exception) -> None:
        """Answer with an error, unless there is an answer already."""
        if not self.reply.answered:
            self.reply.set_exception(error)

    def disconnect(self) -> None:
        """Answer a client that has closed the connection: the metrics read it."""
        self.refuse(ClientDisconnected("the client closed the connection before the run"))

    def expire(self, model: str) -> None:
        """Answer a client whose deadline has passed."""
        self.refuse(DeadlineExceeded(model, self.context.timeout_s))


class BucketQueues(dict[Key, deque[Entry]]):
    """The queues of one model, none of them empty. Entries of one queue may share a batch.

    Priority 0 goes first. While it leaves the others no turn, they earn `LOW_SHARE` of a row with each of its rows,
    and an entry of theirs goes before it when its rows are earned.
    """

    def __init__(self, model: str, clock_ns: Callable[[], int] = clock_ns) -> None:
        super().__init__()
        self._model, self._clock_ns = model, clock_ns
        self._swept_ns = 0
        self._earned_rows = 0.0  # by low priority

    def entries(self) -> Iterator[Entry]:
        """Every entry that waits."""
        return (entry for waiting in self.values() for entry in waiting)

    def add(self, bucket: Hashable, entry: Entry) -> None:
        """Put an entry behind those of its priority and bucket."""
        key = (entry.context.priority, bucket)
        waiting = self.get(key)
        if waiting is None:
            self[key] = deque((entry,))
        else:
            waiting.append(entry)

    def oldest_ns(self, priority: int | None = None) -> int | None:
        """When the entry that waits longest was queued, of one priority or of all; None with an empty queue."""
        firsts = [
            waiting[0].queued_ns for (of, _), waiting in self.items() if priority is None or of == priority
        ]
        return min(firsts, default=None)

    def take(self, plan: Plan, *, one_by_one: bool, only_full: bool = False) -> list[Entry]:
        """The entries of the next batch, in order; [] where none waits, or the batch would not be full.

        Of the most urgent queues it is the one whose first entry waits longest, unless low priority has earned a turn.
        Entries whose client has left, or whose deadline has passed, are answered and dropped. `one_by_one`: no two
        requests share a run.
        """
        while self:
            key, compete = next(iter(self)), False
            if len(self) > 1:
                key, compete = self._next()
            waiting = self[key]
            # A bigger batch saves wake-ups of the loop; it is taken where it leaves two like it to every instance.
            preferred = max(plan.preferred_batch_size, len(waiting) // (2 * plan.instances))
            # Of low priority one entry at a time goes before priority 0, which it holds up.
            most = 1 if one_by_one or (compete and key[0]) else min(plan.max_batch_size, preferred)
            if only_full and not _reaches(waiting, most):
                return []
            rows, batch = 0, list[Entry]()
            while waiting and (not batch or rows + waiting[0].rows <= most):
                entry = waiting.popleft()
                context = entry.context
                if entry.reply.answered:
                    continue
                if context.is_disconnected():
                    entry.disconnect()
                elif entry.timer is not None and self._clock_ns() * _NS >= (context.deadline_s or 0.0):
                    entry.expire(self._model)
                else:
                    batch.append(entry)
                    rows += entry.rows
            if not waiting:
                del self[key]
            if batch:
                if compete:
                    self._earned_rows += -rows if key[0] else LOW_SHARE * rows
                return batch
        return []

    def sweep(self) -> int:
        """Answer and drop the entries whose client has left; the rows of predictions among them, 0 just after a look.

        An entry that has its answer already has given its rows back, or does in the loop's next turn.
        """
        now_ns = self._clock_ns()
        if now_ns - self._swept_ns < _SWEEP_NS:
            return 0
        self._swept_ns = now_ns
        gone: list[Entry] = []
        for key, waiting in list(self.items()):
            stays = deque[Entry]()
            for entry in waiting:
                if not entry.reply.answered:
                    (gone if entry.context.is_disconnected() else stays).append(entry)
            if stays:
                self[key] = stays
            else:
                del self[key]
        for entry in gone:
            entry.disconnect()
        return sum(entry.rows for entry in gone if not entry.context.priority)

    def _next(self) -> tuple[Key, bool]:
        """The queue that goes next, and whether priority 0 and another compete for it."""

        def order(key: Key) -> tuple[int, int]:
            return key[0], self[key][0].queued_ns

        urgent = min(self, key=order)
        low = [key for key in self if key[0]]
        if urgent[0] or not low:
            return urgent, False
        first = min(low, key=order)
        return (first if self._earned_rows >= self[first][0].rows else urgent), True


def _reaches(waiting: deque[Entry], most: int) -> bool:
    """Whether the rows of a queue make a batch that would not gain by waiting for more."""
    rows = 0
    for entry in waiting:
        rows += entry.rows
        if rows >= most:
            return True
    return False
