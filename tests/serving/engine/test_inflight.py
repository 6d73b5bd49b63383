"""The bytes held for requests are bounded, and nobody is refused for the sake of somebody greedier."""

from collections.abc import Callable
from functools import partial

import pytest

from inference.errors import InflightExceeded, InputTooLarge
from serving.engine.inflight import SMALL, Hold, InflightBytes, derived_limit

MiB = 1 << 20
LIMIT = 512 * MiB


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def fill(inflight: InflightBytes, size: int) -> None:
    for _ in range(LIMIT // size + 1):
        inflight.hold(size, "body")


def never(error: InflightExceeded) -> None:
    pytest.fail(f"ended: {error}")


def ends(ended: list[str], name: str) -> Callable[[InflightExceeded], None]:
    return lambda error: ended.append(name)


def test_all_is_given_back_once() -> None:
    inflight = InflightBytes(LIMIT)
    hold = inflight.hold(3 * MiB, "body")
    hold.grow(MiB, "inputs[0].data")
    assert (hold.size, inflight.used) == (4 * MiB, 4 * MiB)
    hold.release()
    hold.release()
    assert (hold.size, inflight.used) == (0, 0)


def test_one_that_alone_can_never_fit_is_too_large_and_told_the_number() -> None:
    inflight = InflightBytes(LIMIT)
    with pytest.raises(InputTooLarge, match=f"at most {inflight.most} bytes"):
        inflight.hold(inflight.most + 1, "body")
    inflight.hold(inflight.most, "body")


def test_large_ones_are_refused_while_smaller_ones_have_room() -> None:
    inflight = InflightBytes(LIMIT)
    for size in (50 * MiB, 5 * MiB, 500_000):
        with pytest.raises(InflightExceeded, match=f"of {LIMIT} bytes are held"):
            fill(inflight, size)
    # An eighth is still there for small ones.
    small = [inflight.hold(SMALL, "body") for _ in range(LIMIT // 8 // SMALL)]
    assert len(small) == 256
    assert inflight.used <= LIMIT


def test_a_refused_growth_takes_nothing() -> None:
    inflight = InflightBytes(LIMIT)
    others = [inflight.hold(100 * MiB, "body"), inflight.hold(100 * MiB, "body")]
    hold = inflight.hold(MiB, "body")
    with pytest.raises(InflightExceeded, match="outputs: the request needs 209715200 bytes"):
        hold.grow(199 * MiB, "outputs")
    assert (hold.size, inflight.used) == (MiB, 201 * MiB)
    for other in others:
        other.release()
    hold.grow(199 * MiB, "outputs")


def test_what_waits_for_its_client_is_ended_by_bytes_times_seconds() -> None:
    clock = Clock()
    ended: list[str] = []
    inflight = InflightBytes(LIMIT, clock)
    for name, size, since in (
        ("old and small", MiB, 0.0),
        ("old and large", 200 * MiB, 0.0),
        ("new and large", 54 * MiB, 9.9),
    ):
        clock.now = since
        hold = Hold(inflight)
        hold.wait(size, "body", ends(ended, name))
    clock.now = 10.0
    newcomer = Hold(inflight)
    newcomer.wait(2 * MiB, "body", ends(ended, "newcomer"))
    assert ended == ["old and large"]
    assert inflight.used == inflight.waiting == 57 * MiB


def test_the_greediest_is_refused_itself() -> None:
    clock = Clock()
    ended: list[str] = []
    inflight = InflightBytes(LIMIT, clock)
    small, large = Hold(inflight), Hold(inflight)
    small.wait(MiB, "body", ends(ended, "small"))
    large.wait(200 * MiB, "body", ends(ended, "large"))
    clock.now = 1.0
    small.wait(50 * MiB, "body", ends(ended, "small"))
    with pytest.raises(InflightExceeded, match="body: the request needs 220200960 bytes"):
        large.wait(10 * MiB, "body", ends(ended, "large"))
    assert (large.size, inflight.used, ended) == (0, 51 * MiB, [])


def test_one_that_grows_over_what_any_may_hold_is_too_large_while_it_waits() -> None:
    inflight = InflightBytes(LIMIT)
    hold = Hold(inflight)
    hold.wait(200 * MiB, "body", never)
    with pytest.raises(InputTooLarge, match=f"at most {inflight.most} bytes"):
        hold.wait(50 * MiB, "body", never)
    assert (hold.size, inflight.waiting, inflight.used) == (0, 0, 0)


def test_those_that_wait_make_way_for_those_that_are_worked_on() -> None:
    clock = Clock()
    ended: list[str] = []
    inflight = InflightBytes(LIMIT, clock)
    for number in range(4):
        waiting = Hold(inflight)
        waiting.wait(50 * MiB, "body", ends(ended, str(number)))
    clock.now = 1.0
    for size in (60, 60, 60, 30):
        inflight.hold(size * MiB, "body")
    assert not ended
    Hold(inflight).wait(41 * MiB, "body", ends(ended, "another"))
    assert ended == ["0"]
    assert inflight.used <= LIMIT - LIMIT // 8


def test_a_body_that_is_whole_goes_on_only_where_there_is_room_to_work_on_it() -> None:
    inflight = InflightBytes(LIMIT)
    body = Hold(inflight)
    body.wait(100 * MiB, "body", never)
    body.go_on("body")
    assert (inflight.waiting, inflight.used) == (0, 100 * MiB)
    inflight.hold(150 * MiB, "rows")
    other = Hold(inflight)
    other.wait(150 * MiB, "body", never)
    with pytest.raises(InflightExceeded):
        other.go_on("body")
    assert (other.size, inflight.waiting, inflight.used) == (0, 0, 250 * MiB)


def test_the_limit_follows_from_the_memory_and_the_workers() -> None:
    assert derived_limit(4 << 30, 1) == 2 << 30
    assert derived_limit(4 << 30, 4) == 512 * MiB
    assert derived_limit(64 * MiB, 4) == 64 * MiB, "with less no photograph would fit"


def test_sizes_are_whole_and_never_below_nothing() -> None:
    inflight = InflightBytes(LIMIT)
    release: list[Callable[[], None]] = []
    for size in (1, SMALL, SMALL + 1, 7 * MiB):
        hold = inflight.hold(size, "body")
        release.append(partial(hold.release))
    for each in release:
        each()
    assert inflight.used == inflight.waiting == 0
