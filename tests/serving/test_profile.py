"""The plan follows from measured costs; here the costs are made up and the clock is theirs."""

from pathlib import Path

import numpy as np
import pytest

from inference.values import Tensors
from serving.batching import Plan
from serving.profile import Point, Profile, ProfileCache, measure, sample_rows


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
    monkeypatch.setattr("serving.profile.time.perf_counter", lambda: now[0])
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


def test_measuring_stops_where_bigger_batches_only_get_worse(clock: list[float]) -> None:
    costs = {1: {1: 10e-3, 2: 30e-3, 4: 90e-3, 8: 1.0, 16: 2.0}}
    assert [point.rows for point in _measure(clock, costs, cpus=1, limit=16).points] == [1, 2, 4]


def test_a_graph_without_a_batch_axis_is_measured_with_one_row(clock: list[float]) -> None:
    assert [point.rows for point in _measure(clock, {1: {1: 10e-3}}, cpus=1, limit=0).points] == [1]


def test_the_queue_is_as_long_as_can_be_answered_in_time() -> None:
    point = Point(threads=1, runs=2, rows=4, seconds=0.02)
    profile = Profile(points=(point,), chosen=point, inline=False)
    assert profile.plan(1000.0, None, None).max_pending_rows == 400
    assert profile.plan(1.0, None, None).max_pending_rows == 16
    assert profile.plan(1.0, None, None).patience_s == 0.001
    assert profile.plan(1.0, 2, 5) == Plan(
        inline=False, concurrent_runs=2, max_batch_size=2, max_pending_rows=5
    )


def test_samples_repeat_whole_rows() -> None:
    rows = sample_rows({"x": np.arange(6, dtype=np.float32).reshape(3, 2)})(4)["x"]
    assert rows.tolist() == [[0, 1], [2, 3], [4, 5], [0, 1]]


def test_a_kept_profile_is_found_again_and_a_broken_one_is_not(tmp_path: Path) -> None:
    point = Point(threads=1, runs=1, rows=1, seconds=0.5)
    profile, cache = Profile(points=(point,), chosen=point, inline=False), ProfileCache(tmp_path / "kept")
    assert cache.get("key") is None
    cache.put("key", profile)
    assert cache.get("key") == profile
    (tmp_path / "kept" / "key.json").write_text("{}")
    assert cache.get("key") is None
    assert ProfileCache(None).get("key") is None
