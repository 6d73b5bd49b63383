"""A silent worker gets no connections, and is given up when it hangs; one that computes is given more time."""

import os
from collections.abc import Iterator

import pytest

from serving.workers.messages import Changed
from serving.workers.roster import Roster, Worker
from serving.workers.watch import BUSY_LIMITS, LOOK_S, START_S, Watch, cpu_seconds
from tests.serving.workers.stubs import worker

LIMIT_S = 4.0
LEAVE_S = 40.0


class Scene:
    """A watch over one worker, whose time and CPU are stepped by hand."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self.now = 100.0
        self.used: float | None = 0.0
        self.rate = 0.0
        self.given_up: list[str] = []
        self.worker = worker()
        self.worker.heard_s = self.now
        self.worker.up = self.worker.was_up = True
        self.roster = Roster(1)
        self.roster.add(self.worker)
        self.roster.settle(self.worker, Changed(True, {}, {}))
        self.watch = Watch(
            self.roster, limit_s, LEAVE_S, self._give_up, lambda: self.now, lambda _: self.used
        )

    def _give_up(self, one: Worker, reason: str) -> None:
        assert one is self.worker
        self.given_up.append(reason)

    def silence(self, seconds: float) -> bool:
        """Let time go by; whether anything changed."""
        changed = False
        for _ in range(round(seconds / LOOK_S)):
            self.now += LOOK_S
            if self.used is not None:
                self.used += self.rate * LOOK_S
            changed |= self.watch.look()
        return changed


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.worker.slot.leave()


def test_a_worker_that_is_silent_and_idle_is_given_up_after_the_limit(scene: Scene) -> None:
    assert not scene.silence(LIMIT_S)
    assert not scene.worker.silent
    assert scene.silence(LOOK_S)
    assert scene.worker.silent
    assert scene.given_up == ["it hangs: nothing was heard of it for 4.2 s"]


def test_a_worker_that_is_silent_and_computes_gets_no_connections_and_may_come_back(scene: Scene) -> None:
    scene.rate = 1.0
    assert scene.silence(LIMIT_S + LOOK_S)
    assert scene.worker.silent
    assert not scene.roster.takers()
    assert not scene.given_up
    scene.worker.heard_s = scene.now
    assert scene.silence(LOOK_S)
    assert scene.roster.takers() == [scene.worker]


def test_a_worker_that_computes_without_end_is_given_up_at_last(scene: Scene) -> None:
    scene.rate = 1.0
    scene.silence(BUSY_LIMITS * LIMIT_S)
    assert not scene.given_up
    scene.silence(LOOK_S)
    assert scene.given_up


def test_a_worker_that_stops_computing_while_it_is_silent_is_given_up(scene: Scene) -> None:
    scene.rate = 1.0
    scene.silence(LIMIT_S + LOOK_S)
    scene.rate = 0.0
    scene.silence(LIMIT_S)
    assert scene.given_up


def test_where_the_system_tells_no_cpu_time_the_limit_alone_counts(scene: Scene) -> None:
    scene.used = None
    scene.silence(LIMIT_S + LOOK_S)
    assert scene.given_up


def test_a_supervisor_that_was_stopped_itself_gives_every_worker_new_time(scene: Scene) -> None:
    scene.now += 3600
    assert not scene.watch.look()
    assert not scene.silence(LIMIT_S)
    assert scene.silence(LOOK_S)


def test_a_worker_that_was_never_up_has_the_time_of_a_start(scene: Scene) -> None:
    scene.worker.was_up = False
    scene.silence(START_S)
    assert not scene.given_up
    scene.silence(LOOK_S)
    assert scene.given_up


def test_a_worker_that_leaves_and_does_not_end_is_given_up(scene: Scene) -> None:
    scene.worker.leaving_s = scene.now
    for _ in range(round(LEAVE_S)):
        scene.worker.heard_s = scene.now
        scene.silence(1.0)
    assert not scene.given_up
    scene.silence(LOOK_S)
    assert scene.given_up == ["it did not end within 40 s"]


def test_a_limit_of_zero_gives_nobody_up() -> None:
    scene = Scene(limit_s=0.0)
    assert not scene.silence(100.0)
    assert not scene.given_up
    scene.worker.slot.leave()


def test_the_cpu_time_of_a_process_is_read_and_that_of_none_is_unknown() -> None:
    used = cpu_seconds(os.getpid())
    assert used is not None
    assert used > 0
    assert cpu_seconds(1 << 30) is None
