"""The batcher, with time and runs stepped by hand: nothing here sleeps or depends on a clock."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from inference.errors import ClientDisconnected, DeadlineExceeded, InferenceFailed, ModelNotReady, Overloaded
from inference.processors.tensor import TensorProcessor
from inference.values import Array, Tensors
from serving.codec.binary import let_go
from serving.codec.scan import unpaced
from serving.engine import batching
from serving.engine.batching import DynamicBatcher
from serving.engine.context import RequestContext
from serving.engine.plan import Plan

POISON = -1.0


@dataclass
class Timeline:
    """A clock that moves when it is told to, and fires what falls due."""

    now_s: float = 1000.0
    due: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def now_ns(self) -> int:
        return round(self.now_s * 1e9)

    def call_later(self, delay_s: float, act: Callable[[], None]) -> "Cancellable":
        entry = (self.now_s + delay_s, act)
        self.due.append(entry)
        return Cancellable(self, entry)

    def step(self, seconds: float) -> None:
        self.now_s += seconds
        for entry in [entry for entry in self.due if entry[0] <= self.now_s]:
            self.due.remove(entry)
            entry[1]()


@dataclass
class Cancellable:
    timeline: Timeline
    entry: tuple[float, Callable[[], None]]

    def cancel(self) -> None:
        if self.entry in self.timeline.due:
            self.timeline.due.remove(self.entry)


class Puppet(Executor):
    """Holds what it is given until the test lets it run."""

    def __init__(self) -> None:
        self.held: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.held.append((future, lambda: fn(*args, **kwargs)))
        return future

    async def let_run(self) -> None:
        future, act = self.held.pop(0)
        future.set_result(act())
        await settle()


class Doubler:
    """A session that doubles its input, notes every batch, and fails on a poisoned row."""

    def __init__(self, timeline: Timeline) -> None:
        self.batches: list[list[float]] = []
        self.timeline, self.takes_s = timeline, 0.0

    def run(self, tensors: Tensors) -> Tensors:
        self.timeline.step(self.takes_s)
        rows = tensors["x"][:, 0].tolist()
        self.batches.append(rows)
        if POISON in rows:
            raise InferenceFailed("a poisoned row")
        return {"y": tensors["x"] * 2}


class Observer:
    """Notes what it is told of."""

    def __init__(self) -> None:
        self.batches: list[tuple[int, int]] = []

    def observe_batch(self, rows: int, requests: int, run_ns: int) -> None:
        self.batches.append((rows, requests))


async def settle() -> None:
    """Let everything that is due on the loop happen."""
    for _ in range(6):
        await asyncio.sleep(0)


@dataclass
class Bench:
    """A batcher and everything around it that a test holds in its hands."""

    batcher: DynamicBatcher
    timeline: Timeline
    puppet: Puppet
    session: Doubler
    observer: Observer
    alone: Doubler | None = None

    def ask(
        self, *values: float, width: int = 2, context: RequestContext | None = None
    ) -> "asyncio.Task[list[float]]":
        async def answered() -> list[float]:
            rows = np.repeat(np.array(values, np.float32)[:, None], width, axis=1)
            self.batcher.admission.admit(len(values))
            try:
                outputs = await self.batcher.submit({"x": rows}, len(values), context or RequestContext())
            finally:
                self.batcher.admission.release(len(values))
            answer: list[float] = outputs["y"][:, 0].tolist()
            return answer

        return asyncio.get_running_loop().create_task(answered())


def make(
    inline: bool = False,
    runs: int = 1,
    batch: int = 4,
    pending: int = 100,
    max_wait_s: float | None = None,
    alone: bool = False,
    enough: int = 0,
) -> Bench:
    timeline, puppet, observer = Timeline(), Puppet(), Observer()
    session, wide = Doubler(timeline), Doubler(timeline) if alone else None
    batcher = DynamicBatcher(
        "doubler", session, TensorProcessor(), Plan(inline, runs, batch, enough or batch, pending, max_wait_s),
        puppet, observer, wide, clock_ns=timeline.now_ns, call_later=timeline.call_later,
    )  # fmt: skip
    return Bench(batcher, timeline, puppet, session, observer, wide)


def scenario(test: Callable[[], Any]) -> Callable[[], None]:
    """Run a coroutine test on a loop of its own."""

    def run() -> None:
        asyncio.run(test())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@scenario
async def test_an_idle_model_runs_a_request_at_once_and_alone() -> None:
    bench = make()
    answer = bench.ask(3)
    await settle()
    assert len(bench.puppet.held) == 1
    await bench.puppet.let_run()
    assert await answer == [6]
    assert bench.session.batches == [[3]]


@scenario
async def test_requests_that_arrive_during_a_run_share_the_next_batch() -> None:
    bench = make()
    first = bench.ask(1)
    await settle()
    others = [bench.ask(value) for value in (2, 3, 4)]
    await settle()
    await bench.puppet.let_run()
    await bench.puppet.let_run()
    assert [await answer for answer in (first, *others)] == [[2], [4], [6], [8]]
    assert bench.session.batches == [[1], [2, 3, 4]]
    assert bench.observer.batches == [(1, 1), (3, 3)]


@scenario
async def test_requests_of_one_tick_share_a_batch_on_the_loop() -> None:
    bench = make(inline=True)
    answers = [bench.ask(value) for value in range(6)]
    assert [await answer for answer in answers] == [[0], [2], [4], [6], [8], [10]]
    assert bench.session.batches == [[0, 1, 2, 3], [4, 5]]


@scenario
async def test_rows_are_counted_and_not_requests() -> None:
    bench = make(batch=4)
    first = bench.ask(0)
    await settle()
    others = [bench.ask(1, 2, 3), bench.ask(4, 5), bench.ask(6)]
    await settle()
    for _ in range(3):
        await bench.puppet.let_run()
    assert [await answer for answer in (first, *others)] == [[0], [2, 4, 6], [8, 10], [12]]
    assert bench.session.batches == [[0], [1, 2, 3], [4, 5, 6]]


@scenario
async def test_only_rows_of_one_shape_share_a_batch_and_the_oldest_goes_first() -> None:
    bench = make()
    first = bench.ask(0)
    await settle()
    wide = bench.ask(1, width=3)
    bench.timeline.step(0.001)
    narrow = bench.ask(2), bench.ask(3)
    await settle()
    for _ in range(3):
        await bench.puppet.let_run()
    assert [await answer for answer in (first, wide, *narrow)] == [[0], [2], [4], [6]]
    assert bench.session.batches == [[0], [1], [2, 3]]


@scenario
async def test_as_many_runs_are_under_way_as_the_plan_says() -> None:
    bench = make(runs=2, batch=1)
    answers = [bench.ask(value) for value in range(3)]
    await settle()
    assert (len(bench.puppet.held), bench.batcher.queued_rows, bench.batcher.running) == (2, 1, 2)
    while bench.puppet.held:
        await bench.puppet.let_run()
    assert [await answer for answer in answers] == [[0], [2], [4]]


@scenario
async def test_a_batch_takes_more_than_enough_only_where_two_like_it_are_left_to_every_run() -> None:
    bench = make(runs=2, batch=4, enough=2)
    answers = [bench.ask(value) for value in range(20)]
    await settle()
    assert bench.batcher.queued_rows == 12
    await let_all_run(bench)
    assert [await answer for answer in answers] == [[2 * value] for value in range(20)]
    assert [len(batch) for batch in bench.session.batches] == [4, 4, 3, 2, 2, 2, 2, 1]


async def answer_in_turn(bench: Bench, *values: float) -> None:
    """Requests one by one, each when the one before it is answered."""
    for value in values:
        asked = bench.ask(value)
        await settle()
        assert len(bench.puppet.held) == 1
        await bench.puppet.let_run()
        assert await asked == [2 * value]
        bench.timeline.step(0.001)


async def let_all_run(bench: Bench) -> None:
    await settle()
    while bench.puppet.held:
        await bench.puppet.let_run()


@scenario
async def test_who_finds_the_model_idle_has_every_thread() -> None:
    bench = make(runs=2, batch=1, alone=True)
    assert bench.alone is not None
    await answer_in_turn(bench, 1, 2)
    first, second = bench.ask(3), bench.ask(4)
    await settle()
    while bench.puppet.held:
        await bench.puppet.let_run()
    assert [await first, await second] == [[6], [8]]
    assert (bench.alone.batches, bench.session.batches) == ([[1], [2]], [[3], [4]])


@scenario
async def test_a_run_that_has_every_thread_leaves_no_slot_to_others() -> None:
    bench = make(runs=2, batch=1, alone=True)
    first = bench.ask(1)
    await settle()
    others = [bench.ask(2), bench.ask(3)]
    await settle()
    assert (len(bench.puppet.held), bench.batcher.running, bench.batcher.queued_rows) == (1, 2, 2)
    await bench.puppet.let_run()
    assert (len(bench.puppet.held), bench.batcher.running) == (2, 2)
    while bench.puppet.held:
        await bench.puppet.let_run()
    assert [await answer for answer in (first, *others)] == [[2], [4], [6]]


@scenario
async def test_behind_a_run_that_had_every_thread_each_slot_goes_on() -> None:
    bench = make(runs=2, batch=1, alone=True)
    bench.session.takes_s = 0.001
    await asyncio.gather(bench.ask(0), bench.ask(0), let_all_run(bench))
    bench.timeline.step(0.001)
    answers = [bench.ask(1)]
    await settle()
    answers += [bench.ask(2), bench.ask(3)]
    await settle()
    await bench.puppet.let_run()
    assert len(bench.puppet.held) == 2
    await let_all_run(bench)
    assert [await answer for answer in answers] == [[2], [4], [6]]


@scenario
async def test_callers_who_compete_run_side_by_side_and_not_in_turns() -> None:
    bench = make(runs=2, batch=1, alone=True)
    assert bench.alone is not None
    first = bench.ask(1)
    await settle()
    second = bench.ask(2)
    await settle()
    bench.timeline.step(0.001)
    await bench.puppet.let_run()
    assert await first == [2]
    third = bench.ask(3)
    await settle()
    assert len(bench.puppet.held) == 2, "the one that waited does not take both slots"
    while bench.puppet.held:
        await bench.puppet.let_run()
    assert [await second, await third] == [[4], [6]]
    assert (bench.alone.batches, bench.session.batches) == ([[1]], [[2], [3]])


async def learned(bench: Bench, run_s: float) -> None:
    """Let the batcher know what a run takes."""
    bench.session.takes_s = run_s
    await answer_in_turn(bench, 0)
    bench.session.batches.clear()


@scenario
async def test_behind_a_short_run_the_next_full_batch_lies_ready() -> None:
    bench = make(batch=2)
    await learned(bench, 0.001)
    answers = [bench.ask(value) for value in range(1, 6)]
    await settle()
    assert len(bench.puppet.held) == 1, "one run at a time, as the plan says"
    future, act = bench.puppet.held.pop(0)
    outcome = act()
    assert len(bench.puppet.held) == 1, "the thread goes on before the loop hears of it"
    assert bench.batcher.queued_rows == 1
    future.set_result(outcome)
    await settle()
    while bench.puppet.held:
        await bench.puppet.let_run()
    assert [await answer for answer in answers] == [[2], [4], [6], [8], [10]]
    assert bench.session.batches == [[1, 2], [3, 4], [5]]
    assert (bench.batcher.running, bench.batcher.admission.pending_rows) == (0, 0)


@scenario
async def test_behind_a_long_run_nothing_is_formed_before_it_ends() -> None:
    bench = make(batch=1)
    await learned(bench, 0.05)
    first, patient = bench.ask(1), bench.ask(2, context=RequestContext(priority=1))
    await settle()
    bench.timeline.step(0.001)
    urgent = bench.ask(3)
    await settle()
    while bench.puppet.held:
        await bench.puppet.let_run()
    assert [await answer for answer in (first, patient, urgent)] == [[2], [4], [6]]
    assert bench.session.batches == [[1], [3], [2]]


@scenario
async def test_who_leaves_a_batch_that_lies_ready_costs_no_row() -> None:
    bench = make(batch=2)
    await learned(bench, 0.001)
    left = False
    answers = [
        bench.ask(1),
        bench.ask(2),
        bench.ask(3),
        bench.ask(4, context=RequestContext(is_disconnected=lambda: left)),
    ]
    await settle()
    left = True
    while bench.puppet.held:
        await bench.puppet.let_run()
    with pytest.raises(ClientDisconnected):
        await answers.pop()
    assert [await answer for answer in answers] == [[2], [4], [6]]
    assert bench.session.batches == [[1, 2], [3]]
    assert bench.observer.batches[1:] == [(2, 2), (1, 1)]


@scenario
async def test_a_batch_that_nobody_waits_for_is_not_run() -> None:
    bench = make(batch=1)
    await learned(bench, 0.001)
    left = False
    first, gone = bench.ask(1), bench.ask(2, context=RequestContext(is_disconnected=lambda: left))
    await settle()
    left = True
    while bench.puppet.held:
        await bench.puppet.let_run()
    with pytest.raises(ClientDisconnected):
        await gone
    assert await first == [2]
    assert bench.session.batches == [[1]]


@scenario
async def test_a_deadline_that_passes_during_the_run_is_answered_when_it_passes() -> None:
    bench = make()
    late = bench.ask(1, context=RequestContext(deadline_s=bench.timeline.now_s + 0.05, timeout_s=0.05))
    await settle()
    assert len(bench.puppet.held) == 1
    bench.timeline.step(0.06)
    with pytest.raises(DeadlineExceeded, match="50 ms"):
        await late
    await bench.puppet.let_run()
    assert bench.timeline.due == []


@scenario
async def test_a_full_queue_is_searched_for_leavers_only_so_often() -> None:
    bench = make(batch=1, pending=2)
    asked = 0

    def is_disconnected() -> bool:
        nonlocal asked
        asked += 1
        return False

    accepted = [bench.ask(1), bench.ask(2, context=RequestContext(is_disconnected=is_disconnected))]
    await settle()
    for _ in range(10):
        with pytest.raises(Overloaded):
            await bench.ask(3)
    assert asked == 1
    bench.timeline.step(0.05)
    with pytest.raises(Overloaded):
        await bench.ask(3)
    assert asked == 2
    while bench.puppet.held:
        await bench.puppet.let_run()
    assert [await answer for answer in accepted] == [[2], [4]]


@scenario
async def test_a_bad_input_fails_alone() -> None:
    bench = make()
    first = bench.ask(0)
    await settle()
    good, bad, also_good = bench.ask(1), bench.ask(POISON), bench.ask(2)
    await settle()
    await bench.puppet.let_run()
    await bench.puppet.let_run()
    assert [await answer for answer in (first, good, also_good)] == [[0], [2], [4]]
    with pytest.raises(InferenceFailed, match="a poisoned row"):
        await bad


class Losing(Doubler):
    """One whose batches come out a row short, as where rows are compared with one another."""

    def run(self, tensors: Tensors) -> Tensors:
        outputs = super().run(tensors)
        return {"y": outputs["y"][: max(1, len(outputs["y"]) - 1)]}


@scenario
async def test_a_batch_that_comes_out_with_other_rows_is_run_one_by_one_and_so_is_all_that_follows() -> None:
    bench = make(inline=True)
    bench.batcher.adopt(bench.batcher.plan, Losing(bench.timeline), None)
    for _ in range(2):
        assert await asyncio.gather(*(bench.ask(value) for value in (1, 2, 3))) == [[2], [4], [6]]
    assert bench.batcher.one_by_one == "output y: 3 rows went in, and shape [2, 2] came out"
    assert bench.observer.batches == [(3, 3), (1, 1), (1, 1), (1, 1)]


@scenario
async def test_another_plan_is_adopted_while_runs_are_under_way() -> None:
    bench = make(runs=2, batch=1)
    answers = [bench.ask(value) for value in (1, 2, 3, 4, 5)]
    await settle()
    assert len(bench.puppet.held) == 2
    other = Doubler(bench.timeline)
    bench.batcher.adopt(
        bench.batcher.plan._replace(instances=1, max_batch_size=2, preferred_batch_size=2), other, None
    )
    await bench.puppet.let_run()
    assert len(bench.puppet.held) == 1
    assert bench.batcher.running == 1
    while bench.puppet.held:
        await bench.puppet.let_run()
    assert await asyncio.gather(*answers) == [[2], [4], [6], [8], [10]]
    assert (bench.session.batches, other.batches) == ([[1], [2]], [[3, 4], [5]])
    assert bench.batcher.running == 0


@scenario
async def test_the_next_request_that_is_answered_is_told_once() -> None:
    bench, told = make(inline=True), list[Tensors]()
    bench.batcher.on_answer(told.append)
    assert isinstance((await asyncio.gather(bench.ask(POISON), return_exceptions=True))[0], InferenceFailed)
    assert told == []
    await bench.ask(3)
    await bench.ask(4)
    assert [tensors["x"][:, 0].tolist() for tensors in told] == [[3]]


@scenario
async def test_what_is_told_stays_when_the_request_lets_go_of_its_strings() -> None:
    bench, told = make(inline=True), list[Tensors]()
    bench.batcher.on_answer(told.append)
    x: Array = np.array([[1.0], [2.0]], np.object_)
    bench.batcher.admission.admit(2)
    await bench.batcher.submit({"x": x}, 2, RequestContext())
    bench.batcher.admission.release(2)
    let_go({"x": x}, unpaced)
    assert [tensors["x"].tolist() for tensors in told] == [[[1.0], [2.0]]]


@scenario
async def test_who_asks_for_more_rows_than_may_wait_is_let_in_when_nobody_else_is_there() -> None:
    bench = make(pending=8, max_wait_s=1.0)
    answer = bench.ask(*range(20))
    await settle()
    with pytest.raises(Overloaded):
        await bench.ask(1)
    await bench.puppet.let_run()
    assert len(await answer) == 20
    assert isinstance(make(pending=8).batcher.admission.overloaded(20), Overloaded)


@scenario
async def test_the_batcher_outlives_a_failed_batch() -> None:
    bench = make(inline=True)
    with pytest.raises(InferenceFailed):
        await bench.ask(POISON)
    assert await bench.ask(5) == [10]


@scenario
async def test_a_cancelled_caller_leaves_batch_mates_untouched() -> None:
    bench = make()
    first = bench.ask(0)
    await settle()
    mates = [bench.ask(1), bench.ask(2), bench.ask(3)]
    await settle()
    mates[1].cancel()
    await settle()
    await bench.puppet.let_run()
    await bench.puppet.let_run()
    assert [await answer for answer in (first, mates[0], mates[2])] == [[0], [2], [6]]
    assert bench.session.batches == [[0], [1, 3]]


@scenario
async def test_a_caller_cancelled_during_its_run_changes_nothing_for_the_others() -> None:
    bench = make(inline=False)
    first = bench.ask(0)
    await settle()
    leaving, staying = bench.ask(1), bench.ask(2)
    await settle()
    await bench.puppet.let_run()
    leaving.cancel()
    await settle()
    await bench.puppet.let_run()
    assert await first == [0]
    assert await staying == [4]


@scenario
async def test_the_age_of_the_longest_run_is_known_while_it_is_under_way() -> None:
    bench = make(inline=False)
    ages: list[float] = []
    asked = bench.ask(1)
    await settle()
    assert bench.batcher.run_age_s == 0  # it waits for a thread
    run = bench.session.run

    def noting(tensors: Tensors) -> Tensors:
        bench.timeline.step(3.0)
        ages.append(bench.batcher.run_age_s)
        return run(tensors)

    bench.session.run = noting  # type: ignore[method-assign]
    await bench.puppet.let_run()
    assert await asked == [2]
    assert ages == [pytest.approx(3.0)]
    assert bench.batcher.run_age_s == 0


@scenario
async def test_a_caller_who_left_costs_no_run() -> None:
    bench = make()
    first = bench.ask(0)
    await settle()
    gone = bench.ask(1, context=RequestContext(is_disconnected=lambda: True))
    await settle()
    await bench.puppet.let_run()
    with pytest.raises(ClientDisconnected):
        await gone
    assert await first == [0]
    assert bench.session.batches == [[0]]


@scenario
async def test_a_deadline_that_passes_in_the_queue_is_answered_when_it_passes() -> None:
    bench = make()
    first = bench.ask(0)
    await settle()
    late = bench.ask(1, context=RequestContext(deadline_s=bench.timeline.now_s + 0.05, timeout_s=0.05))
    await settle()
    bench.timeline.step(0.06)
    with pytest.raises(DeadlineExceeded, match="50 ms"):
        await late
    await bench.puppet.let_run()
    assert await first == [0]
    assert bench.session.batches == [[0]]


@scenario
async def test_a_deadline_that_is_kept_leaves_no_timer_behind() -> None:
    bench = make()
    in_time = bench.ask(1, context=RequestContext(deadline_s=bench.timeline.now_s + 5, timeout_s=5))
    await settle()
    await bench.puppet.let_run()
    assert await in_time == [2]
    assert bench.timeline.due == []


@scenario
async def test_a_full_queue_refuses_at_the_door_with_an_honest_wait() -> None:
    bench = make(batch=1, pending=2)
    bench.session.takes_s = 0.2
    first = bench.ask(0)
    await settle()
    await bench.puppet.let_run()
    assert await first == [0]
    accepted = [bench.ask(1), bench.ask(2)]
    await settle()
    with pytest.raises(Overloaded) as refused:
        await bench.ask(3)
    assert refused.value.limit == 2
    assert refused.value.retry_after_s == pytest.approx(2 * 0.2)
    while bench.puppet.held:
        await bench.puppet.let_run()
    assert [await answer for answer in accepted] == [[2], [4]]


@scenario
async def test_a_machine_slower_than_it_was_measured_admits_no_more_than_it_answers_in_time() -> None:
    bench = make(batch=1, pending=100, max_wait_s=1.0)
    bench.session.takes_s = 0.2
    first = bench.ask(0)
    await settle()
    await bench.puppet.let_run()
    await first
    accepted = [bench.ask(value) for value in range(6)]
    await settle()
    with pytest.raises(Overloaded) as refused:
        await bench.ask(6)
    assert refused.value.limit == 5
    while bench.puppet.held:
        await bench.puppet.let_run()
    assert await asyncio.gather(*accepted) == [[0], [2], [4], [6], [8], [10]]


@scenario
async def test_however_slow_the_machine_so_many_are_let_in_as_the_plan_says() -> None:
    bench = make(batch=1, pending=100, max_wait_s=1.0)
    bench.batcher.plan = bench.batcher.plan._replace(least_pending_rows=8)
    await learned(bench, 0.5)
    accepted = [bench.ask(value) for value in range(8)]
    await settle()
    with pytest.raises(Overloaded) as refused:
        await bench.ask(8)
    assert refused.value.limit == 8
    while bench.puppet.held:
        await bench.puppet.let_run()
    assert len(await asyncio.gather(*accepted)) == 8


@scenario
async def test_where_the_first_in_the_queue_has_waited_too_long_nobody_more_is_let_in() -> None:
    bench = make(batch=1, pending=100, max_wait_s=1.0)
    await learned(bench, 0.01)
    accepted = [bench.ask(value) for value in range(3)]
    await settle()
    bench.timeline.step(1.5)
    with pytest.raises(Overloaded):
        await bench.ask(4)
    while bench.puppet.held:
        await bench.puppet.let_run()
    assert [await answer for answer in accepted] == [[0], [2], [4]]


@scenario
async def test_what_waits_at_low_priority_turns_nobody_away_however_long_it_waits() -> None:
    bench = make(batch=1, pending=100, max_wait_s=1.0)
    await learned(bench, 0.01)
    running, low = bench.ask(1), bench.ask(2, context=RequestContext(priority=1))
    await settle()
    bench.timeline.step(1.5)
    urgent = bench.ask(3)
    await settle()
    while bench.puppet.held:
        await bench.puppet.let_run()
    assert [await answer for answer in (running, low, urgent)] == [[2], [4], [6]]


@scenario
async def test_one_run_that_was_suspended_turns_nobody_away() -> None:
    bench = make(batch=1, pending=100, max_wait_s=1.0)
    for bench.session.takes_s in (0.1, 600.0):
        asked = bench.ask(0)
        await settle()
        await bench.puppet.let_run()
        await asked
    accepted = [bench.ask(value) for value in range(7)]
    bench.session.takes_s = 0.1
    await settle()
    while bench.puppet.held:
        await bench.puppet.let_run()
    assert len(await asyncio.gather(*accepted)) == 7


@scenario
async def test_callers_who_left_make_room_before_anybody_is_refused() -> None:
    bench = make(batch=1, pending=2)
    left = False
    first = bench.ask(0)
    await settle()
    gone = bench.ask(1, context=RequestContext(is_disconnected=lambda: left))
    await settle()
    left = True
    newcomer = bench.ask(2)
    await settle()
    with pytest.raises(ClientDisconnected):
        await gone
    while bench.puppet.held:
        await bench.puppet.let_run()
    assert [await first, await newcomer] == [[0], [4]]


@scenario
async def test_priority_zero_goes_before_one() -> None:
    bench = make(batch=1)
    first = bench.ask(0)
    await settle()
    patient = bench.ask(1, context=RequestContext(priority=1))
    bench.timeline.step(0.001)
    urgent = bench.ask(2)
    await settle()
    while bench.puppet.held:
        await bench.puppet.let_run()
    assert [await answer for answer in (first, patient, urgent)] == [[0], [2], [4]]
    assert bench.session.batches == [[0], [2], [1]]


@scenario
async def test_draining_finishes_what_was_admitted_and_admits_nothing_more() -> None:
    bench = make()
    under_way = [bench.ask(1)]
    await settle()
    under_way.append(bench.ask(2))
    await settle()
    drained = asyncio.get_running_loop().create_task(bench.batcher.admission.drain())
    await settle()
    with pytest.raises(ModelNotReady, match="draining"):
        await bench.ask(3)
    assert not drained.done()
    while bench.puppet.held:
        await bench.puppet.let_run()
    await drained
    assert [await answer for answer in under_way] == [[2], [4]]


@pytest.mark.parametrize("inline", [False, True], ids=["thread", "loop"])
def test_only_a_thread_has_its_strings_in_pieces(monkeypatch: pytest.MonkeyPatch, inline: bool) -> None:
    ways: list[bool] = []

    class Noted(Doubler):
        def run(self, tensors: Tensors, *, in_pieces: bool = False) -> Tensors:
            ways.append(in_pieces)
            return super().run(tensors)

        def run_together(
            self,
            parts: Sequence[Tensors],
            collate: Callable[[Sequence[Tensors]], Tensors],
            *,
            in_pieces: bool = False,
        ) -> Tensors:
            return self.run(collate(parts), in_pieces=in_pieces)

    async def scene() -> None:
        bench = make(inline=inline)
        bench.batcher._session = Noted(bench.timeline)
        first = bench.ask(0)
        await settle()
        batch = [bench.ask(1), bench.ask(POISON)]
        await settle()
        while bench.puppet.held:
            await bench.puppet.let_run()
        assert await first == [0]
        assert await batch[0] == [2]
        with pytest.raises(InferenceFailed):
            await batch[1]

    monkeypatch.setattr(batching, "OrtSession", Noted)
    asyncio.run(scene())
    assert ways == [not inline] * 4  # one alone, the two together, and then each of them alone


@scenario
async def test_stage_times_are_what_the_clock_says() -> None:
    bench = make()
    context = RequestContext()
    first = bench.ask(0)
    await settle()
    answer = bench.ask(1, context=context)
    await settle()
    bench.timeline.step(0.004)
    await bench.puppet.let_run()
    assert bench.batcher.oldest_age_s == 0
    await bench.puppet.let_run()
    assert await first == [0]
    assert await answer == [2]
    assert context.times.queue == pytest.approx(4_000_000, abs=1000)
    assert context.times.batch_rows == 1


@scenario
async def test_sixty_four_callers_each_get_their_own_answer() -> None:
    bench = make(runs=2, batch=8, pending=1000)
    answers = [bench.ask(value) for value in range(64)]
    await settle()
    while bench.puppet.held:
        await bench.puppet.let_run()
    assert [await answer for answer in answers] == [[2 * value] for value in range(64)]
    assert max(len(batch) for batch in bench.session.batches) == 8


def test_a_plan_is_told_in_words() -> None:
    assert Plan(True, 1, 64, 64, 500, 1.0).in_words == (
        "runs of up to 64 rows, on the event loop; up to 500 rows are let in to be answered within 1 s"
    )
    assert Plan(False, 2, 1, 1, 9).in_words == (
        "runs of one row, 2 at once; up to 9 rows are let in to be answered"
    )
