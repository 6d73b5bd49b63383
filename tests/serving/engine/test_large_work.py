"""Work on large requests: in order, on threads, and no longer than somebody waits for it."""

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from inference.errors import ClientDisconnected, DeadlineExceeded
from serving.codec.scan import Pace
from serving.engine import large_work
from serving.engine.context import RequestContext, clock_ns
from serving.engine.large_work import AT_ONCE, LargeWork, Pacer, Turns


def _until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition() and time.monotonic() < until:
        time.sleep(0.001)


def test_it_rests_behind_each_millisecond_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    now, rests = [10_000_000], list[float]()
    monkeypatch.setattr(large_work, "clock_ns", lambda: now[0])
    monkeypatch.setattr(time, "sleep", rests.append)
    monkeypatch.setattr(time, "thread_time_ns", lambda: now[0])
    pace = Pacer(RequestContext(), "m")
    pace.begin(Turns())
    now[0] += 999_999
    pace()
    assert not rests
    now[0] += 1
    pace()
    assert len(rests) == 1
    assert 0 < rests[0] < 0.001


def test_it_rests_for_longer_than_others_kept_it_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    now, spent, rests = [10_000_000], [0], list[float]()
    monkeypatch.setattr(large_work, "clock_ns", lambda: now[0])
    monkeypatch.setattr(time, "sleep", rests.append)
    monkeypatch.setattr(time, "thread_time_ns", lambda: spent[0])
    pace = Pacer(RequestContext(), "m")
    pace.begin(Turns())
    now[0] += 2_000_000
    spent[0] += 1_000_000
    pace()
    now[0] += 900_000_000
    pace()
    assert rests == [pytest.approx(0.008), pytest.approx(0.02)]


def test_a_sleep_that_ended_late_counts_as_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    now, rests = [10_000_000], list[float]()

    def sleep(seconds: float) -> None:
        rests.append(seconds)
        now[0] += round(seconds * 1e9) + 1_200_000

    monkeypatch.setattr(large_work, "clock_ns", lambda: now[0])
    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "thread_time_ns", lambda: now[0])
    pace = Pacer(RequestContext(), "m")
    pace.begin(Turns())
    for _ in range(2):
        now[0] += 1_000_000
        pace()
    assert rests[1] == pytest.approx(0.008)


def test_threads_take_turns_in_the_order_in_which_they_came() -> None:
    turns, order = Turns(), list[int]()
    turns.take()

    def wait(number: int) -> None:
        turns.take()
        order.append(number)
        turns.wait_again()
        order.append(number + 10)
        turns.give()

    threads = [threading.Thread(target=wait, args=(number,)) for number in range(3)]
    for number, thread in enumerate(threads):
        thread.start()
        _until(lambda number=number: len(turns._waiting) > number)  # type: ignore[misc]
    turns.give()
    for thread in threads:
        thread.join(30)
    assert order == [0, 1, 2, 10, 11, 12]


def test_an_error_gives_the_turn_to_the_next() -> None:
    async def both() -> str:
        work = LargeWork()

        def fail(pace: Pacer) -> None:
            raise ValueError("it failed")

        try:
            with pytest.raises(ValueError, match="it failed"):
                await work.run(fail, pace=Pacer(RequestContext(), "m"))
            return await asyncio.wait_for(
                work.run(lambda pace: "next", pace=Pacer(RequestContext(), "m")), 30
            )
        finally:
            work.close()

    assert asyncio.run(both()) == "next"


def test_nothing_is_done_for_a_client_that_left_or_a_deadline_that_passed() -> None:
    with pytest.raises(ClientDisconnected):
        Pacer(RequestContext(is_disconnected=lambda: True), "m")()
    with pytest.raises(DeadlineExceeded, match="model 'm': the deadline of 5 ms passed"):
        Pacer(RequestContext(deadline_s=clock_ns() * 1e-9 - 1, timeout_s=0.005), "m")()


def test_a_thread_is_not_given_to_work_whose_client_left_while_it_waited() -> None:
    ran: list[int] = []

    def work(number: int, pace: Pace) -> None:
        ran.append(number)

    async def asked() -> None:
        threads = LargeWork()
        try:
            with pytest.raises(ClientDisconnected):
                await threads.run(work, 1, pace=Pacer(RequestContext(is_disconnected=lambda: True), "m"))
            await threads.run(work, 2, pace=Pacer(RequestContext(), "m"))
        finally:
            threads.close()

    asyncio.run(asked())
    assert ran == [2]


def test_so_many_are_worked_on_at_once_and_the_others_wait_in_order() -> None:
    began: list[int] = []
    go_on = threading.Event()

    def work(number: int, pace: Pace) -> int:
        began.append(number)
        while not go_on.wait(0.002):
            pace()
        assert go_on.is_set()
        return number

    async def asked() -> list[int]:
        threads = LargeWork()
        numbers = range(AT_ONCE + 3)
        runs = [
            asyncio.ensure_future(threads.run(work, number, pace=Pacer(RequestContext(), "m")))
            for number in numbers
        ]
        await asyncio.to_thread(_until, lambda: len(began) == AT_ONCE)
        await asyncio.sleep(0.02)
        assert sorted(began) == list(range(AT_ONCE))
        go_on.set()
        done = await asyncio.gather(*runs)
        threads.close()
        return done

    assert asyncio.run(asked()) == list(range(AT_ONCE + 3))
    assert sorted(began[:AT_ONCE]) == list(range(AT_ONCE))


def test_an_error_is_told_once_and_ends_nothing_else() -> None:
    told: list[Exception] = []

    async def fails() -> None:
        raise ValueError("so")

    async def asked() -> None:
        threads = LargeWork()
        threads.start(fails(), told.append)
        await asyncio.to_thread(_until, lambda: bool(told))
        threads.close()

    asyncio.run(asked())
    assert [str(error) for error in told] == ["so"]
