"""Models are created side by side, and measured alone; nobody waits for ever."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from serving.engine import turns
from serving.engine.turns import Turns


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


def create(turns: Turns, entered: Event) -> None:
    with turns.create():
        entered.set()


def measure(turns: Turns, entered: Event) -> None:
    with turns.measure():
        entered.set()


def test_models_are_created_side_by_side(pool: ThreadPoolExecutor) -> None:
    shared, entered = Turns(), Event()
    assert not shared.creating
    with shared.create():
        pool.submit(create, shared, entered)
        assert entered.wait(5)
        assert shared.creating


@pytest.mark.parametrize("other", [create, measure])
def test_a_measurement_keeps_everything_else_waiting(
    pool: ThreadPoolExecutor, other: Callable[[Turns, Event], None]
) -> None:
    shared, entered = Turns(), Event()
    with shared.measure():
        waiting = pool.submit(other, shared, entered)
        assert not entered.wait(0.1)
    waiting.result(5)
    assert entered.is_set()


def test_a_measurement_waits_for_creation(pool: ThreadPoolExecutor) -> None:
    shared, entered = Turns(), Event()
    with shared.create():
        waiting = pool.submit(measure, shared, entered)
        assert not entered.wait(0.1)
    waiting.result(5)


def test_a_disk_that_hangs_keeps_the_others_for_a_limited_time_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MAX_WAIT_S", 0.05)
    shared = Turns()
    with shared.create(), shared.measure():
        pass


def test_a_failed_creation_gives_its_turn_back() -> None:
    shared = Turns()
    with pytest.raises(OSError, match="gone"), shared.create():
        raise OSError("gone")
    assert not shared.creating
