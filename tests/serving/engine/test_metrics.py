"""One version's counters: a request ends in exactly one outcome, and sums are exact."""

import asyncio

import pytest

from inference.errors import (
    BatonError,
    ClientDisconnected,
    DeadlineExceeded,
    ExplanationsFull,
    InvalidInput,
    LowPriorityFull,
    ModelNotReady,
    Overloaded,
)
from serving.engine.context import StageTimes
from serving.engine.metrics import (
    CANCELLED,
    DEADLINE,
    FAILED,
    INVALID,
    QUEUE_FULL,
    REASONS,
    REJECTED,
    SECONDS,
    ModelMetrics,
    classify,
)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Overloaded("m", 4, 0.5), REJECTED),
        (ModelNotReady("m", "it is draining"), REJECTED),
        (DeadlineExceeded("m", 0.1), DEADLINE),
        (ClientDisconnected("gone"), CANCELLED),
        (asyncio.CancelledError(), CANCELLED),
        (InvalidInput("x", 1, "2"), INVALID),
        (BatonError("ours"), FAILED),
        (ZeroDivisionError(), FAILED),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_an_error_counts_as_one_outcome(error: BaseException, outcome: str) -> None:
    metrics = ModelMetrics("m", 1)
    metrics.fail(error)
    assert metrics.outcomes == {outcome: 1}
    assert sum(metrics.rejections.values()) == (outcome == REJECTED)
    assert classify(error)[0] == outcome


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Overloaded("m", 4, 0.5), "queue_full"),
        (LowPriorityFull("m", 4, 0.5), "low_priority_full"),
        (ExplanationsFull("m", 4, 0.5), "explanations_full"),
        (ModelNotReady("m", "new"), "not_ready"),
    ],
)
def test_each_queue_that_is_full_has_a_reason_of_its_own(error: BatonError, reason: str) -> None:
    metrics = ModelMetrics("m", 1)
    metrics.fail(error)
    assert metrics.rejections == {reason: 1}
    assert reason in REASONS
    # Triton explains nothing.
    assert metrics.triton_failures()["REJECTED"] == (reason in ("queue_full", "low_priority_full"))


def test_tritons_reasons_leave_out_requests_that_were_never_queued() -> None:
    metrics = ModelMetrics("m", 1)
    for error in (Overloaded("m", 4, 0.5), ModelNotReady("m", "new"), DeadlineExceeded("m", 0.1)):
        metrics.fail(error)
    metrics.fail(InvalidInput("x", 1, "2"))
    assert metrics.rejections[QUEUE_FULL] == 1
    assert metrics.triton_failures() == {"REJECTED": 2, "CANCELED": 0, "BACKEND": 0, "OTHER": 0}


def test_stages_of_a_request_are_counted_each_in_its_own_distribution() -> None:
    metrics = ModelMetrics("m", 1)
    metrics.observe_request(StageTimes(1, 2, 3, 4, 5, 6), rows=7, seconds_total=0.5)
    assert [stage.total for stage in metrics.stages] == [1, 2, 3, 4, 5, 6]
    assert (metrics.successes, metrics.rows, metrics.requests.total) == (1, 7, 500_000_000)


def test_batches_are_counted_by_their_rows() -> None:
    metrics = ModelMetrics("m", 1)
    for rows, ns in ((4, 10), (4, 20), (1, 5)):
        metrics.observe_batch(rows, requests=1, run_ns=ns)
    assert {rows: (tally.count, tally.total) for rows, tally in metrics.batches.items()} == {
        4: (2, 30),
        1: (1, 5),
    }
    assert (metrics.executions, metrics.batch_rows.total) == (3, 9)
    assert metrics.last_inference_ms > 0


def test_a_bucket_keeps_the_last_traced_request_of_it() -> None:
    metrics = ModelMetrics("m", 1)
    metrics.exemplify("old", SECONDS[3])
    metrics.exemplify("new", SECONDS[3])
    metrics.exemplify("slow", 99.0)
    assert {place: seen[0] for place, seen in metrics.exemplars.items()} == {3: "new", len(SECONDS): "slow"}
