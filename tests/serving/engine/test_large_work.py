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
from serving.engine.large_work import AT_ONCE, LargeWork, Pacer


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
    pace.begin()
    now[0] += 999_999
    pace()
    assert not rests
    now[0] += 1
    pace()
    assert len(rests) == 1
    assert 0 < rests[0] < 0.001


def test_it_rests_as_long_as_others_kept_it_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    now, spent, rests = [10_000_000], [0], list[float]()
    monkeypatch.setattr(large_work, "clock_ns", lambda: now[0])
    monkeypatch.setattr(time, "sleep", rests.append)
    monkeypatch.setattr(time, "thread_time_ns", lambda: spent[0])
    pace = Pacer(RequestContext(), "m")
    pace.begin()
    now[0] += 5_000_000
    spent[0] += 1_000_000
    pace()
    now[0] += 900_000_000
    pace()
    assert rests == [pytest.approx(0.004), pytest.approx(0.02)]


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
        assert go_on.wait(30)
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
