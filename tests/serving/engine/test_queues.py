"""The queues of one model, filled and taken from by hand."""

from collections.abc import Callable

import numpy as np
import pytest

from inference.errors import ClientDisconnected, DeadlineExceeded
from inference.values import Tensors
from serving.engine.context import RequestContext
from serving.engine.plan import Plan
from serving.engine.queues import LOW_SHARE, BucketQueues, Entry

PLAN = Plan(inline=False, instances=1, max_batch_size=4, preferred_batch_size=4, max_pending_rows=100)


class Noted:
    """A reply that keeps what it is given."""

    def __init__(self) -> None:
        self.given: Tensors | BaseException | None = None

    @property
    def answered(self) -> bool:
        return self.given is not None

    def set_result(self, outputs: Tensors) -> None:
        self.given = outputs

    def set_exception(self, error: BaseException) -> None:
        self.given = error


class NoTimer:
    def cancel(self) -> None: ...


def entry(
    rows: int = 1,
    queued_ns: int = 0,
    priority: int = 0,
    deadline_s: float | None = None,
    is_disconnected: Callable[[], bool] = lambda: False,
) -> tuple[Entry, Noted]:
    reply = Noted()
    context = RequestContext(
        deadline_s=deadline_s, timeout_s=1, is_disconnected=is_disconnected, priority=priority
    )
    timer = None if deadline_s is None else NoTimer()
    return Entry({"x": np.zeros((rows, 1))}, rows, context, reply, queued_ns, timer), reply


def filled(*entries: Entry, bucket: str = "a", now_ns: int = 0) -> BucketQueues:
    queues = BucketQueues("m", lambda: now_ns)
    for each in entries:
        queues.add(bucket, each)
    return queues


def test_entries_of_one_bucket_are_taken_in_order_up_to_a_batch() -> None:
    entries = [entry(rows)[0] for rows in (2, 1, 2, 1)]
    queues = filled(*entries)
    assert queues.take(PLAN, one_by_one=False) == entries[:2]
    assert queues.take(PLAN, one_by_one=False) == entries[2:]
    assert queues.take(PLAN, one_by_one=False) == []
    assert not queues


def test_an_entry_of_more_rows_than_a_batch_is_taken_alone() -> None:
    big, small = entry(9)[0], entry(1)[0]
    assert filled(big, small).take(PLAN, one_by_one=False) == [big]


def test_one_by_one_takes_one() -> None:
    first, second = entry()[0], entry()[0]
    assert filled(first, second).take(PLAN, one_by_one=True) == [first]


def test_the_urgent_queue_goes_first_then_the_one_that_waits_longest() -> None:
    low, late, early = entry(queued_ns=0, priority=1)[0], entry(queued_ns=2)[0], entry(queued_ns=1)[0]
    queues = filled(low, bucket="low")
    queues.add("late", late)
    queues.add("early", early)
    order = [queues.take(PLAN, one_by_one=False) for _ in range(3)]
    assert order == [[early], [late], [low]]


def test_low_priority_gets_its_share_while_priority_zero_always_waits() -> None:
    queues = filled(*(entry(priority=1)[0] for _ in range(3)))
    order: list[int] = []
    for _ in range(60):
        queues.add("a", entry()[0])
        order += [each.context.priority for each in queues.take(PLAN, one_by_one=False)]
    assert [place for place, priority in enumerate(order) if priority] == [20, 41]
    assert 1 / LOW_SHARE == 20


def test_a_turn_of_low_priority_is_one_entry_and_is_paid_for_by_its_rows() -> None:
    queues = filled(*(entry(4, priority=1)[0] for _ in range(2)))
    turns: list[int] = []
    for turn in range(45):
        queues.add("a", entry(4)[0])
        batch = queues.take(PLAN._replace(max_batch_size=8, preferred_batch_size=8), one_by_one=False)
        if batch[0].context.priority:
            assert [each.rows for each in batch] == [4]
            turns.append(turn)
    assert len(turns) == 2
    assert turns[0] >= 10


def test_a_batch_that_is_not_full_is_left_where_only_full_ones_are_asked_for() -> None:
    queues = filled(entry(3)[0])
    assert queues.take(PLAN, one_by_one=False, only_full=True) == []
    queues.add("a", entry(1)[0])
    assert len(queues.take(PLAN, one_by_one=False, only_full=True)) == 2


def test_where_many_wait_a_batch_is_bigger_than_preferred() -> None:
    plan = PLAN._replace(preferred_batch_size=1, max_batch_size=8)
    queues = filled(*(entry()[0] for _ in range(12)))
    sizes = []
    while batch := queues.take(plan, one_by_one=False):
        sizes.append(len(batch))
    assert sizes == [
        6,
        3,
        1,
        1,
        1,
    ]  # half of those that wait, so that two like it are left to the one instance


def test_clients_that_left_and_deadlines_that_passed_are_answered_and_dropped() -> None:
    (gone, to_gone), (late, to_late) = entry(is_disconnected=lambda: True), entry(deadline_s=1.0)
    answered, to_answered = entry()
    to_answered.set_result({})
    stays = entry(deadline_s=3.0)[0]
    queues = filled(gone, late, answered, stays, now_ns=2_000_000_000)
    batch = queues.take(PLAN, one_by_one=False)
    assert batch == [stays]
    assert isinstance(to_gone.given, ClientDisconnected)
    assert isinstance(to_late.given, DeadlineExceeded)


def test_a_sweep_frees_the_rows_of_clients_that_left_but_not_too_often() -> None:
    left, now_ns = False, 1_000_000_000
    gone, to_gone = entry(3, is_disconnected=lambda: left)
    queues = BucketQueues("m", lambda: now_ns)
    for each in (entry(2)[0], gone):
        queues.add("a", each)
    assert queues.sweep() == 0
    left = True
    now_ns += 1_000_000  # 1 ms later: no look
    assert queues.sweep() == 0
    now_ns += 30_000_000
    assert queues.sweep() == 3
    assert isinstance(to_gone.given, ClientDisconnected)
    assert sum(each.rows for each in queues.entries()) == 2


@pytest.mark.parametrize(("priority", "oldest"), [(None, 1), (0, 5), (1, 1), (2, None)])
def test_the_oldest_is_told_of_one_priority_or_of_all(priority: int | None, oldest: int | None) -> None:
    queues = filled(entry(queued_ns=5)[0], entry(queued_ns=7)[0], entry(queued_ns=1, priority=1)[0])
    assert queues.oldest_ns(priority) == oldest
