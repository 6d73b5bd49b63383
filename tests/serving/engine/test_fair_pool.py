"""Threads shared by turns: who waits behind whom, and what is dropped."""

import threading
import weakref
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from serving.engine.fair_pool import FairPool


def test_owners_take_turns_however_many_calls_one_of_them_has() -> None:
    order: list[str] = []
    begin = threading.Event()
    with FairPool(ThreadPoolExecutor(1)) as pool:
        pool.submit_for("slow", begin.wait, 30)
        for _ in range(5):
            pool.submit_for("slow", order.append, "slow")
        pool.submit_for("quick", order.append, "quick")
        pool.submit_for("quick", order.append, "quick")
        pool.submit(order.append, "nobody's")
        begin.set()
    assert order == ["slow", "quick", "nobody's", "slow", "quick", "slow", "slow", "slow"]


def test_a_call_for_several_items_lets_others_come_between_and_keeps_its_place_among_its_owners() -> None:
    order: list[str] = []
    begin = threading.Event()

    def noted(name: str) -> str:
        order.append(name)
        return name

    with FairPool(ThreadPoolExecutor(1)) as pool:
        pool.submit(begin.wait, 30)
        done = [
            pool.submit_each(owner, noted, [name] * 3) for owner, name in (("a", "x"), ("a", "y"), ("b", "z"))
        ]
        begin.set()
        assert [each.result(30) for each in done] == [["x"] * 3, ["y"] * 3, ["z"] * 3]
    assert order == ["x", "z", "x", "z", "x", "z", "y", "y", "y"]


def test_an_error_with_one_item_is_the_calls() -> None:
    with FairPool(ThreadPoolExecutor(1)) as pool, pytest.raises(ZeroDivisionError):
        pool.submit_each("a", lambda item: 1 // item, [1, 0, 1]).result(30)


def test_results_and_errors_come_back() -> None:
    with FairPool(ThreadPoolExecutor(2)) as pool:
        assert pool.submit(divmod, 7, 2).result(10) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            pool.submit_for("a", divmod, 7, 0).result(10)


def test_a_call_that_is_cancelled_before_its_turn_is_dropped_with_its_arguments() -> None:
    class Big:
        pass

    begin, big = threading.Event(), Big()
    gone = weakref.ref(big)
    with FairPool(ThreadPoolExecutor(1)) as pool:
        pool.submit(begin.wait, 30)
        dropped, kept = pool.submit_for("a", print, big), pool.submit_for("a", int, "7")
        assert dropped.cancel()
        del big
        assert gone() is None
        begin.set()
        assert kept.result(10) == 7
        with pytest.raises(CancelledError):
            dropped.result(10)


def test_what_waits_at_the_end_is_done_or_dropped_as_asked() -> None:
    for drop in (False, True):
        begin = threading.Event()
        pool = FairPool(ThreadPoolExecutor(1))
        pool.submit(begin.wait, 30)
        waiting = [pool.submit_for("a", int) for _ in range(3)]
        ending = threading.Thread(target=pool.shutdown, kwargs={"cancel_futures": drop})
        ending.start()
        if drop:
            cancelled = threading.Event()
            waiting[-1].add_done_callback(lambda _, told=cancelled: told.set())  # type: ignore[misc]
            assert cancelled.wait(10)
        begin.set()
        ending.join(30)
        assert not ending.is_alive()
        assert [each.cancelled() for each in waiting] == [drop] * 3
