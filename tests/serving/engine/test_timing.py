"""How long a run takes, on a clock that only the runs move."""

import numpy as np
import pytest

from inference.values import Tensors
from serving.engine.timing import seconds_of, slowed_by_changes, time_by_turns, time_point
from tests.serving.engine.samples import sample_rows

ROWS = sample_rows({"x": np.zeros((1, 2), np.float32)})


class Costly:
    """A session whose runs take the seconds that it is given, in order; the last of them for ever."""

    def __init__(self, clock: list[float], *seconds: float) -> None:
        self.clock, self.seconds, self.runs = clock, [*seconds], 0

    def run(self, tensors: Tensors) -> Tensors:
        self.runs += 1
        self.clock[0] += self.seconds.pop(0) if len(self.seconds) > 1 else self.seconds[0]
        return tensors


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("serving.engine.timing.time.perf_counter", lambda: now[0])
    return now


def test_the_first_run_only_prepares_and_the_best_window_counts(clock: list[float]) -> None:
    session = Costly(clock, 0.008, 0.005, 0.004, 0.006, 1.0)
    point = time_point(session, ROWS, threads=3, runs=1, size=2)
    assert (point.threads, point.runs, point.rows) == (3, 1, 2)
    assert point.seconds == pytest.approx(0.004)
    assert session.runs == 4, "windows of 2 ms, three at most"


def test_a_long_run_is_timed_once_and_a_short_one_many_times(clock: list[float]) -> None:
    session = Costly(clock, 0.1)
    assert time_point(session, ROWS, 1, 1, least_windows=1).seconds == pytest.approx(0.1)
    assert session.runs == 2
    session = Costly(clock, 0.0005)
    assert time_point(session, ROWS, 1, 1).seconds == pytest.approx(0.0005)
    assert session.runs == 1 + 3 * 4


def test_ways_are_timed_by_turns_so_that_a_disturbance_of_one_turn_is_lost(clock: list[float]) -> None:
    disturbed = Costly(clock, 0.01, 0.09, 0.01, 0.01, 0.01, 0.01)
    steady = Costly(clock, 0.02)
    points = time_by_turns([(disturbed, 1, 1), (steady, 2, 1)], ROWS)
    assert [point.seconds for point in points] == pytest.approx([0.01, 0.02])
    assert [point.threads for point in points] == [1, 2]


def test_a_graph_is_slowed_by_changes_only_if_each_change_costs(clock: list[float]) -> None:
    every = Costly(clock, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1)
    assert slowed_by_changes(every, ROWS, steady_s=0.01)
    first_only = Costly(clock, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01)
    assert not slowed_by_changes(first_only, ROWS, steady_s=0.01)


def test_a_long_run_is_not_made_twice_to_know_its_cost(clock: list[float]) -> None:
    long, short = Costly(clock, 0.06), Costly(clock, 0.04, 0.01)
    assert seconds_of(long, ROWS(1)) == pytest.approx(0.06)
    assert seconds_of(short, ROWS(1)) == pytest.approx(0.01)
    assert (long.runs, short.runs) == (1, 2)
