"""Pace: what a row costs by the latest batches. Plan: what JSON and the log say of it."""

import pytest

from serving.engine.plan import Pace, Plan

PLAN = Plan(
    inline=True, instances=1, max_batch_size=1, preferred_batch_size=1, max_pending_rows=9, max_wait_s=0.5
)


def test_the_first_batch_is_taken_as_it_is_and_later_ones_count_a_tenth() -> None:
    pace = Pace()
    assert pace.row_s == 0
    pace.observe(1.0)
    assert pace.row_s == 1.0
    pace.observe(2.0)
    assert pace.row_s == pytest.approx(1.1)


def test_one_run_on_a_suspended_machine_does_not_spoil_the_pace() -> None:
    pace = Pace()
    pace.observe(1.0)
    pace.observe(3600.0)
    assert pace.row_s == pytest.approx(1.3)  # as if it had cost four times as much


def test_a_pace_is_forgotten() -> None:
    pace = Pace()
    pace.observe(1.0)
    pace.forget()
    pace.observe(7.0)
    assert pace.row_s == 7.0


def test_a_plan_is_said_in_words() -> None:
    assert (
        PLAN.in_words
        == "runs of one row, on the event loop; up to 9 rows are let in to be answered within 0.5 s"
    )
    told = PLAN._replace(inline=False, instances=3, max_batch_size=8, max_wait_s=None).in_words
    assert told == "runs of up to 8 rows, 3 at once; up to 9 rows are let in to be answered"


def test_json_has_the_name_of_0_1_beside_the_new_one() -> None:
    told = PLAN.as_json()
    assert told["instances"] == told["concurrent_runs"] == 1
