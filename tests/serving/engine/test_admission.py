"""Admission by numbers: how many rows are let in, at which pace, and what the others are told."""

import asyncio

import pytest

from inference.errors import ExplanationsFull, InputTooLarge, LowPriorityFull, ModelNotReady, Overloaded
from serving.engine.admission import Admission
from serving.engine.plan import Pace, Plan
from serving.engine.queues import BucketQueues
from tests.serving.engine.test_queues import entry

MEASURED = Plan(
    inline=False, instances=2, max_batch_size=8, preferred_batch_size=8, max_pending_rows=100, max_wait_s=1.0,
    least_pending_rows=10,
)  # fmt: skip
BY_OPERATOR = MEASURED._replace(max_wait_s=None, least_pending_rows=1, max_queue_rows=100)


class Bench:
    def __init__(self, plan: Plan, row_s: float = 0.0) -> None:
        self.pace, self.queues, self.now_ns = Pace(), BucketQueues("m", lambda: self.now_ns), 10**12
        self.admission = Admission("m", plan, self.pace, self.queues, lambda: self.now_ns)
        if row_s:
            self.pace.observe(row_s)

    def room(self) -> int:
        """Rows that are let in one by one."""
        before = self.admission.pending_rows
        try:
            while True:
                self.admission.admit(1)
        except Overloaded:
            return self.admission.pending_rows - before


@pytest.mark.parametrize(
    ("row_s", "room"),
    [(0.0, 100), (0.001, 100), (0.04, 50 + 1), (1.0, 10)],
    ids=["unknown", "fast", "slow", "slower"],
)
def test_as_many_rows_are_let_in_as_are_answered_in_time(row_s: float, room: int) -> None:
    assert Bench(MEASURED, row_s).room() == room


def test_an_operators_limit_holds_at_any_pace() -> None:
    assert Bench(BY_OPERATOR, row_s=1.0).room() == 100


def test_a_refusal_says_when_to_come_again() -> None:
    bench = Bench(MEASURED, row_s=0.5)
    bench.room()
    refused = bench.admission.overloaded(1)
    assert refused is not None
    assert refused.retry_after_s == bench.admission.wait_s(10) == 2.5


def test_a_request_that_is_too_big_is_let_in_alone_unless_an_operator_says_otherwise() -> None:
    bench = Bench(MEASURED)
    bench.admission.admit(1000)
    with pytest.raises(Overloaded):
        bench.admission.admit(1)
    with pytest.raises(InputTooLarge, match="instances: got 101, expected at most 100 in a request"):
        Bench(BY_OPERATOR).admission.admit(101)
    both = MEASURED._replace(max_queue_rows=150)
    Bench(both).admission.admit(150)
    with pytest.raises(InputTooLarge, match="instances: got 151, expected at most 150 in a request"):
        Bench(both).admission.admit(151)


def test_a_queue_that_waits_too_long_lets_in_the_least() -> None:
    bench = Bench(MEASURED)
    waiting, _ = entry(queued_ns=bench.now_ns)
    bench.queues.add("a", waiting)
    bench.admission.admit(10)
    assert bench.admission.overloaded(1) is None
    bench.now_ns += 2_000_000_000
    assert bench.admission.overloaded(1) is not None


def test_of_low_priority_nothing_waits_too_long() -> None:
    bench = Bench(MEASURED)
    waiting, _ = entry(queued_ns=bench.now_ns, priority=1)
    bench.queues.add("a", waiting)
    bench.admission.admit(10)
    bench.now_ns += 2_000_000_000
    assert bench.admission.overloaded(1) is None


def test_clients_that_left_make_room() -> None:
    bench = Bench(BY_OPERATOR._replace(max_pending_rows=4))
    left, reply = entry(3, is_disconnected=lambda: True)
    bench.queues.add("a", left)
    bench.admission.admit(4)
    assert bench.admission.overloaded(1) is None
    assert reply.answered


def test_rows_of_low_priority_take_no_place_of_predictions() -> None:
    bench = Bench(MEASURED)
    bench.admission.admit(90, 1)
    with pytest.raises(LowPriorityFull, match="its queue of low priority holds 100 rows, which is its limit"):
        bench.admission.admit(11, 1)
    assert bench.room() == 100
    assert (bench.admission.pending_rows, bench.admission.low_rows) == (100, 90)
    bench.admission.release(90, 1)
    bench.admission.admit(1000, 1)  # alone, as a prediction would be
    assert bench.admission.low_rows == 1000


def test_clients_of_low_priority_that_left_make_room_there_alone() -> None:
    bench = Bench(BY_OPERATOR._replace(max_pending_rows=4))
    left, reply = entry(3, priority=1, is_disconnected=lambda: True)
    bench.queues.add("a", left)
    bench.admission.admit(4)
    assert bench.admission.overloaded(1) is not None
    assert reply.answered


def test_a_refused_explanation_is_told_when_one_is_likely_to_end() -> None:
    admission = Bench(MEASURED).admission
    for _ in range(4):
        admission.admit_explanation(4)
    admission.release_explanation(20.0)
    admission.admit_explanation(4)
    with pytest.raises(ExplanationsFull) as refused:
        admission.admit_explanation(4)
    assert refused.value.retry_after_s == 5.0
    assert admission.overloaded(1) is None


def test_draining_admits_nothing_and_ends_with_the_last_row() -> None:
    async def scene() -> None:
        admission = Bench(MEASURED).admission
        admission.admit(2)
        admission.admit(1, 1)
        admission.admit_explanation(1)
        drained = asyncio.create_task(admission.drain())
        await asyncio.sleep(0)
        with pytest.raises(ModelNotReady, match="draining"):
            admission.admit(1)
        assert not drained.done()
        with pytest.raises(ModelNotReady, match="draining"):
            admission.admit_explanation(2)
        admission.release(2)
        admission.release(1, 1)
        await asyncio.sleep(0)
        assert not drained.done()
        admission.release_explanation(1.0)
        await drained

    asyncio.run(scene())
