"""The record of a benchmark keeps every request, and the stages that a server tells."""

import pytest

from serving.bench.values import Closed, Mean, Open, Record, clock


def test_the_clock_of_a_record_is_that_of_its_requests() -> None:
    record, due = Record(), clock()
    record.add(due, due, 200)
    assert 0 <= record.done[0] - due < 1


def test_stages_of_server_timing_are_averaged_and_other_text_is_passed_over() -> None:
    record = Record()
    record.add_timing(b"queue;dur=1.5, run;dur=0.5;desc=x, cache, batch;dur=two")
    record.add_timing(b"run;dur=1.5")
    assert {name: mean.value for name, mean in record.stages.items()} == {"queue": 1.5, "run": 1.0}


def test_the_mean_of_nothing_is_zero() -> None:
    assert Mean().value == 0
    assert Mean(3.0, 2).value == 1.5


@pytest.mark.parametrize(
    ("load", "text"),
    [(Closed(4), "closed, 4 connections"), (Open(12.4, 2), "open, 12/s, 2 connections")],
)
def test_a_load_is_named_by_its_loop_and_its_size(load: Closed | Open, text: str) -> None:
    assert str(load) == text
