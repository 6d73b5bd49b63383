"""The plan follows from a profile and from the settings; here the costs are made up."""

import pytest

from serving.engine.plan import Plan
from serving.engine.planning import assume, make_plan, most_rows
from serving.engine.profile import Overrides, Point, Profile


def test_the_queue_is_as_long_as_can_be_answered_in_time() -> None:
    point = Point(threads=1, runs=2, rows=4, seconds=0.02)
    profile = Profile(points=(point,), chosen=point, alone=None, inline=False)
    assert make_plan(profile, 1000.0).max_pending_rows == 400
    assert make_plan(profile, 1.0).max_pending_rows == 16
    assert make_plan(profile, 1.0).max_wait_s == 0.001
    assert make_plan(profile, 1.0).least_pending_rows == 16


def test_a_limit_of_rows_alone_bounds_the_queue_whatever_rows_cost() -> None:
    point = Point(threads=1, runs=2, rows=4, seconds=0.02)
    profile = Profile(points=(point,), chosen=point, alone=None, inline=False)
    assert make_plan(profile, None, 2, 5) == Plan(
        inline=False,
        instances=2,
        max_batch_size=2,
        max_pending_rows=5,
        preferred_batch_size=2,
        max_queue_rows=5,
    )
    assert make_plan(profile, None, 2, 9000).max_pending_rows == 9000


@pytest.mark.parametrize(
    ("p99_ms", "max_queue_rows", "admitted", "at_any_pace"),
    [(1000.0, 100, 100, 16), (1000.0, 900, 400, 16), (1.0, 900, 16, 16), (1.0, 5, 5, 5)],
    ids=["rows are tighter", "p99 is tighter", "two batches an instance", "rows are tighter still"],
)
def test_of_a_limit_of_rows_and_a_p99_the_tighter_one_rules(
    p99_ms: float, max_queue_rows: int, admitted: int, at_any_pace: int
) -> None:
    point = Point(threads=1, runs=2, rows=4, seconds=0.02)
    profile = Profile(points=(point,), chosen=point, alone=None, inline=False)
    plan = make_plan(profile, p99_ms, None, max_queue_rows)
    assert (plan.max_pending_rows, plan.least_pending_rows) == (admitted, at_any_pace)
    assert plan.max_wait_s == p99_ms * 1e-3, "the pace of the latest batches still counts"
    assert plan.max_queue_rows == max_queue_rows


def test_where_many_wait_a_batch_may_be_bigger_if_it_costs_no_more_by_the_row() -> None:
    chosen = Point(threads=1, runs=2, rows=4, seconds=0.005)
    for row_s, most in ((1.28e-3, 16), (1.4e-3, 4)):
        bigger = [Point(threads=1, runs=2, rows=rows, seconds=row_s * rows) for rows in (8, 16)]
        smaller = Point(threads=1, runs=2, rows=2, seconds=0.0025)
        other = Point(threads=2, runs=1, rows=32, seconds=0.001)
        points = (smaller, chosen, *bigger, other)
        plan = make_plan(Profile(points=points, chosen=chosen, alone=None, inline=False))
        assert (plan.preferred_batch_size, plan.max_batch_size) == (4, most)
    inline = Profile(points=(chosen, *bigger), chosen=chosen, alone=None, inline=True)
    assert make_plan(inline).max_batch_size == 4


def test_who_sets_no_limit_has_a_pool_of_connections_let_in_however_slow_the_graph() -> None:
    slow = Point(threads=1, runs=2, rows=1, seconds=0.1)
    plan = make_plan(Profile(points=(slow,), chosen=slow, alone=None, inline=False))
    assert (plan.max_pending_rows, plan.least_pending_rows) == (64, 64)
    fast = Point(threads=1, runs=2, rows=4, seconds=0.02)
    plan = make_plan(Profile(points=(fast,), chosen=fast, alone=None, inline=False))
    assert (plan.max_pending_rows, plan.least_pending_rows, plan.max_wait_s) == (400, 64, 1.0)


def test_a_graph_that_is_not_measured_runs_its_rows_alone() -> None:
    profile = assume(0.1, cpus=4)
    assert (profile.chosen.runs, profile.inline, profile.measured) == (4, False, False)
    assert most_rows(profile) == 1
    assert assume(0.1, 4, Overrides(threads=3)).chosen.runs == 1
    by_hand = assume(0.1, 4, Overrides(runs=0), note="it takes no zeros")
    assert (by_hand.inline, by_hand.chosen.runs, by_hand.note) == (True, 1, "it takes no zeros")


def test_a_row_that_costs_next_to_nothing_still_costs_a_request() -> None:
    cheap = Point(threads=1, runs=1, rows=64, seconds=1e-5)
    plan = make_plan(Profile(points=(cheap,), chosen=cheap, alone=None, inline=True), 1000.0)
    assert plan.max_pending_rows == 16_666, "one second over 60 µs"
