"""Records become figures: rates, latencies, outcomes, intervals and ratios."""

import numpy as np
import pytest

from serving.bench.figures import interval, ratio, ratio_of, summarize
from serving.bench.values import DISCONNECTED, REFUSED, TIMEOUT, Record
from tests.serving.bench.rounds import round_of


def test_the_rate_counts_answers_while_the_load_lasted() -> None:
    record = Record(began=0.0, ended=1.0)
    for due, status in ((0.1, 200), (0.2, 429), (0.9, 200)):
        record.add(due, due, status)
    record.done[0], record.done[1], record.done[2] = 0.2, 0.21, 1.5
    round_ = summarize(record, limit_ms=200)
    assert (round_.rate, round_.good) == (1.0, 1)
    assert round_.latency_ms.max == pytest.approx(600)
    assert round_.refusal_ms.max == pytest.approx(10)


def test_the_interval_of_equal_rounds_is_a_point_and_of_one_round_none() -> None:
    assert interval([3.0, 3.0, 3.0]).model_dump() == {"median": 3.0, "low": 3.0, "high": 3.0}
    assert interval([3.0]).low is None
    spread = interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert spread.low is not None
    assert spread.high is not None
    assert spread.low < spread.median == 3.0 < spread.high


def test_a_ratio_is_taken_round_by_round_so_that_drift_cancels() -> None:
    rounds = [round_of(rate) for rate in (10, 20, 40)]
    twice = [round_of(2 * rate) for rate in (10, 20, 40)]
    found = ratio(twice, rounds, lambda each: each.rate)
    assert (found.low, found.median, found.high) == (2.0, 2.0, 2.0)


def test_every_outcome_is_counted_by_its_name() -> None:
    record = Record(began=0.0, ended=1.0)
    for status in (200, 200, 503, TIMEOUT, DISCONNECTED, REFUSED):
        record.add(0.0, 0.0, status)
    expected = {"200": 2, "503": 1, "timeout": 1, "disconnected": 1, "refused": 1}
    assert summarize(record).outcomes == expected


def test_latencies_are_quantiles_of_the_right_answers_in_milliseconds() -> None:
    record = Record(began=0.0, ended=1.0)
    for place in range(100):
        record.add(0.0, 0.0, 200)
        record.done[place] = (place + 1) / 1e3
    latency = summarize(record).latency_ms
    assert latency.p50 == pytest.approx(50.5)
    assert latency.max == pytest.approx(100)
    assert latency.p99 == pytest.approx(float(np.quantile(np.arange(1, 101), 0.99)))


def test_the_wait_before_sending_leaves_out_requests_that_were_never_sent() -> None:
    record = Record(began=0.0, ended=1.0)
    record.add(0.5, 0.51, 200)
    record.add(0.5, 0.0, TIMEOUT)
    wait = summarize(record).wait_ms
    assert wait.mean == wait.max == pytest.approx(10)


def test_a_pair_whose_reference_is_nothing_is_left_out_of_a_ratio() -> None:
    assert ratio_of([10.0, 30.0], [0.0, 10.0]).median == 3.0
    assert ratio_of([10.0], [0.0]).median == 0.0
