"""What is measured and chosen follows from costs; here the costs are made up and the clock is theirs."""

import time
from collections.abc import Callable, Sequence
from threading import get_ident
from typing import Any, cast

import numpy as np
import pytest

from inference.values import Tensors
from serving.engine.measuring import measure, measure_on_device
from serving.engine.planning import make_plan
from serving.engine.profile import Overrides, Point, Profile
from tests.serving.engine.samples import sample_rows


class Costly:
    """A session whose runs cost what a table says, on a clock that only it moves."""

    def __init__(self, clock: list[float], seconds_by_rows: dict[int, float]) -> None:
        self.clock, self.seconds_by_rows = clock, seconds_by_rows

    def run(self, tensors: Tensors) -> Tensors:
        self.clock[0] += self.seconds_by_rows[len(tensors["x"])]
        return tensors


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("serving.engine.timing.time.perf_counter", lambda: now[0])
    return now


EXAMPLE = {"x": np.zeros((1, 2), np.float32)}


def _measure(clock: list[float], costs: dict[int, dict[int, float]], cpus: int, limit: int) -> Profile:
    return measure(lambda threads: Costly(clock, costs[threads]), sample_rows(EXAMPLE), cpus, limit)


def test_a_graph_cheaper_than_a_thread_hop_runs_on_the_loop(clock: list[float]) -> None:
    costs = {1: {1: 20e-6, 2: 22e-6, 4: 26e-6, 8: 34e-6}}
    profile = _measure(clock, costs, cpus=2, limit=8)
    assert profile.inline
    assert (profile.chosen.rows, profile.chosen.threads) == (8, 1)


def test_a_batch_that_would_hold_the_loop_for_long_is_not_chosen_for_it(clock: list[float]) -> None:
    costs = {1: {1: 100e-6, 2: 150e-6, 4: 3e-3, 8: 4e-3}}
    assert _measure(clock, costs, cpus=2, limit=8).chosen.rows == 2


def test_the_smallest_batch_of_those_as_good_as_the_best_wins(clock: list[float]) -> None:
    costs = {1: {1: 10e-3, 2: 12e-3, 4: 20e-3, 8: 39e-3, 16: 80e-3, 32: 160e-3}}
    profile = _measure(clock, costs, cpus=1, limit=32)
    assert not profile.inline
    assert profile.chosen.rows == 4


def test_a_batch_is_worth_the_hops_that_it_saves(clock: list[float]) -> None:
    costs = {1: {1: 1e-3, 2: 2e-3, 4: 4e-3, 8: 8e-3}}
    assert _measure(clock, costs, cpus=1, limit=8).chosen.rows == 4


def test_measuring_stops_where_bigger_batches_only_get_worse(clock: list[float]) -> None:
    costs = {1: {1: 10e-3, 2: 30e-3}}
    assert [point.rows for point in _measure(clock, costs, cpus=1, limit=16).points] == [1, 2]


def test_a_batch_is_doubled_twice_for_nothing_and_no_more(clock: list[float]) -> None:
    for row_s, sizes in ((1e-3, [1, 2, 4, 8, 16]), (20e-3, [1, 2, 4])):
        costs = {1: {rows: row_s * rows for rows in (1, 2, 4, 8, 16, 32, 64)}}
        assert [point.rows for point in _measure(clock, costs, cpus=1, limit=64).points] == sizes


def test_a_long_batch_that_loses_is_not_doubled_again(clock: list[float]) -> None:
    for seconds, sizes in ((52e-3, [1, 2, 4]), (58e-3, [1, 2])):
        costs = {1: {1: 25e-3, 2: seconds, 4: 2 * seconds, 8: 1.0}}
        assert [point.rows for point in _measure(clock, costs, cpus=1, limit=64).points] == sizes


def test_a_graph_without_a_batch_axis_is_measured_with_one_row(clock: list[float]) -> None:
    assert [point.rows for point in _measure(clock, {1: {1: 10e-3}}, cpus=1, limit=0).points] == [1]


@pytest.fixture
def two_cpus(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Profile]:
    """Measures a graph whose runs of one row take what is said, by threads and runs side by side.

    disturbance: what the first measurements of the ways are made longer by, one after the other.
    """

    def measured(disturbance: Sequence[float] = (), **seconds: float) -> Profile:
        disturbed = iter(disturbance)
        costs = {(1, 1): "narrow", (1, 2): "side_by_side", (2, 2): "together", (2, 1): "wide"}

        def cost(
            threads: int, tensors: Tensors, runs: int, most_windows: int = 3, least_windows: int = 1
        ) -> float:
            noise = next(disturbed, 1.0) if most_windows == 1 else 1.0
            return noise * seconds[costs[threads, runs]] * len(tensors["x"])

        monkeypatch.setattr("serving.engine.timing._best_window", cost)
        return measure(lambda threads: cast("Any", threads), sample_rows(EXAMPLE), cpus=2, max_batch_size=8)

    return measured


def _way(point: Point | None) -> tuple[int, int] | None:
    return None if point is None else (point.threads, point.runs)


def test_runs_share_all_threads_only_where_that_clearly_gains(two_cpus: Callable[..., Profile]) -> None:
    profile = two_cpus(narrow=0.010, wide=0.009, side_by_side=0.0100, together=0.0090)
    assert (_way(profile.chosen), _way(profile.alone)) == ((1, 2), None)
    profile = two_cpus(narrow=0.010, wide=0.009, side_by_side=0.0100, together=0.0085)
    assert (_way(profile.chosen), _way(profile.alone)) == ((2, 2), None)


def test_a_thread_a_run_is_enough_where_nobody_gains_by_more(two_cpus: Callable[..., Profile]) -> None:
    profile = two_cpus(narrow=0.010, wide=0.0095, side_by_side=0.0100, together=0.0102)
    assert (_way(profile.chosen), _way(profile.alone)) == ((1, 2), None)


def test_where_sharing_threads_costs_throughput_a_second_session_serves_who_is_alone(
    two_cpus: Callable[..., Profile],
) -> None:
    profile = two_cpus(narrow=0.010, wide=0.006, side_by_side=0.0100, together=0.0115)
    assert (_way(profile.chosen), _way(profile.alone)) == ((1, 2), (2, 1))


def test_a_disturbed_turn_does_not_choose_the_way(two_cpus: Callable[..., Profile]) -> None:
    for slow in range(8):
        noise = [3.0 if turn == slow else 1.0 for turn in range(8)]
        profile = two_cpus(noise, narrow=0.010, wide=0.0095, side_by_side=0.0100, together=0.0115)
        assert (_way(profile.chosen), _way(profile.alone)) == ((1, 2), None)


def test_one_run_at_a_time_where_runs_only_hinder_each_other(two_cpus: Callable[..., Profile]) -> None:
    profile = two_cpus(narrow=0.010, wide=0.006, side_by_side=0.020, together=0.020)
    assert (_way(profile.chosen), _way(profile.alone)) == ((2, 1), None)
    assert make_plan(profile, 1000.0).instances == 1


@pytest.mark.parametrize(
    ("overrides", "way", "inline"),
    [
        (Overrides(threads=2), (2, 2), False),  # what four CPUs leave
        (Overrides(runs=2), (2, 2), False),
        (Overrides(runs=8), (1, 8), False),
        (Overrides(threads=3, runs=3), (3, 3), False),
        (Overrides(runs=0), (1, 1), True),
        (Overrides(threads=4, runs=0), (4, 1), True),
    ],
)
def test_how_runs_are_made_can_be_set_by_hand(
    monkeypatch: pytest.MonkeyPatch, overrides: Overrides, way: tuple[int, int], inline: bool
) -> None:
    """Though each of them measures worse than a thread a run, and the loop would be held for long."""

    def cost(
        threads: int, tensors: Tensors, runs: int, most_windows: int = 3, least_windows: int = 1
    ) -> float:
        return (1.0 if (threads, runs) == way else 1e-6) * len(tensors["x"])

    monkeypatch.setattr("serving.engine.timing._best_window", cost)
    profile = measure(lambda threads: cast("Any", threads), sample_rows(EXAMPLE), 4, 8, overrides)
    assert (_way(profile.chosen), profile.alone, profile.inline) == (way, None, inline)
    assert {_way(point) for point in profile.points} == {way}
    assert profile.chosen.rows == 1


# On a GPU


class Preparing(Costly):
    """One that prepares for the size of its batch and remembers the latest only, as cuDNN's convolutions do."""

    def __init__(
        self, clock: list[float], seconds_by_rows: dict[int, float], sizes: tuple[int, ...], s: float
    ) -> None:
        super().__init__(clock, seconds_by_rows)
        self.sizes, self.prepare_s = sizes, s
        self.prepared: dict[int, int] = {}

    def run(self, tensors: Tensors) -> Tensors:
        rows = len(tensors["x"])
        size = next((size for size in self.sizes if rows <= size), 0)
        if self.prepared.get(size) != (size or rows):
            self.prepared[size] = size or rows
            self.clock[0] += self.prepare_s
        self.clock[0] += self.seconds_by_rows[size or rows]
        return tensors


def _on_device(
    clock: list[float], seconds: dict[int, float], prepare_s: float, limit: int, runs: int | None = 1
) -> tuple[Profile, list[tuple[int, ...]]]:
    opened: list[tuple[int, ...]] = []

    def open_session(threads: int, sizes: tuple[int, ...]) -> Preparing:
        opened.append(sizes)
        return Preparing(clock, seconds, sizes, prepare_s)

    return measure_on_device(open_session, sample_rows(EXAMPLE), limit, Overrides(None, runs)), opened


RESNET50 = {1: 2.7e-3, 2: 3.2e-3, 4: 4e-3, 8: 5.5e-3, 16: 8e-3, 32: 15e-3, 64: 28e-3}
"""Seconds by rows: of 1 and 64 as seen on an H200, of the others made up between them."""


def test_sizes_that_cost_to_change_get_sessions_of_their_own(clock: list[float]) -> None:
    profile, opened = _on_device(clock, RESNET50, 0.2, limit=64)
    assert opened == [(), (1, 4, 16, 64)]
    assert profile.batch_sizes == (1, 4, 16, 64)
    assert {point.rows for point in profile.points} <= {1, 4, 16, 64}
    assert [point.seconds for point in profile.points] == pytest.approx(
        [RESNET50[point.rows] for point in profile.points]
    )


def test_one_session_serves_every_size_where_changes_are_free(clock: list[float]) -> None:
    profile, opened = _on_device(clock, RESNET50, 0.0, limit=64)
    assert opened == [()]
    assert profile.batch_sizes == ()
    assert [point.rows for point in profile.points][:3] == [1, 2, 4]
    assert profile.chosen.rows == 64


def test_the_last_size_is_the_limit(clock: list[float]) -> None:
    for limit, sizes in ((2, (1, 2)), (6, (1, 4, 6)), (4, (1, 4))):
        assert _on_device(clock, dict.fromkeys(range(1, 9), 0.001), 0.2, limit)[0].batch_sizes == sizes


def test_a_graph_without_a_batch_axis_has_one_session_on_a_device_too(clock: list[float]) -> None:
    profile, opened = _on_device(clock, {1: 1e-3}, 0.2, limit=0)
    assert (opened, profile.batch_sizes, profile.chosen.rows) == ([()], (), 1)


def test_a_short_run_on_a_device_stays_on_the_loop(clock: list[float]) -> None:
    profile, _ = _on_device(clock, {1: 80e-6, 2: 82e-6, 4: 85e-6, 8: 90e-6}, 0.0, limit=8, runs=None)
    assert profile.inline
    assert profile.chosen.rows == 8


def test_runs_at_once_on_a_device_are_as_many_as_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {
        1: 2e-3,
        2: 2.2e-3,
        4: 4.4e-3,
    }  # beside another run one takes hardly longer, beside three twice as long

    def cost(
        session: Any, tensors: Tensors, runs: int, most_windows: int = 3, least_windows: int = 1
    ) -> float:
        return seconds[runs] * len(tensors["x"])

    monkeypatch.setattr("serving.engine.timing._best_window", cost)
    monkeypatch.setattr("serving.engine.measuring.slowed_by_changes", lambda *_: False)
    told: list[int] = []

    def open_session(threads: int, sizes: tuple[int, ...]) -> Any:
        told.append(threads)
        return sizes

    profile = measure_on_device(open_session, sample_rows(EXAMPLE), 1)
    assert _way(profile.chosen) == (1, 2)
    assert {point.runs for point in profile.points} == {1, 2, 4}
    profile = measure_on_device(open_session, sample_rows(EXAMPLE), 1, Overrides(threads=3, runs=4))
    assert _way(profile.chosen) == (3, 4)
    assert told == [1, 3]


def test_what_a_thread_does_once_on_a_device_is_not_measured() -> None:
    known: set[int] = set()

    class Handles:
        """Slow in a thread's first run."""

        def run(self, tensors: Tensors) -> Tensors:
            time.sleep(0.02 if get_ident() in known else 0.3)
            known.add(get_ident())
            return tensors

    profile = measure_on_device(lambda *_: Handles(), sample_rows(EXAMPLE), 1, Overrides(None, 2))
    (chosen,) = {point.seconds for point in profile.points}
    assert 0.02 <= chosen < 0.15
