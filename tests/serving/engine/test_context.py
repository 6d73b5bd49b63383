"""The times of a request, as its header tells them."""

import re

from serving.engine.context import STAGES, RequestContext, StageTimes, clock_ns


def test_a_header_names_each_stage_in_milliseconds_and_the_rows_of_the_batch() -> None:
    times = StageTimes(**{stage: (place + 1) * 1_500_000 for place, stage in enumerate(STAGES)}, batch_rows=7)
    told = times.server_timing().decode()
    found = dict(re.findall(r"(\w+);dur=([\d.]+)", told))
    assert found == {stage: f"{(place + 1) * 1.5:.3f}" for place, stage in enumerate(STAGES)}
    assert told.endswith('batch;desc="7"')


def test_a_request_begins_when_it_is_made_and_its_client_is_there() -> None:
    before = clock_ns()
    context = RequestContext()
    assert before <= context.started_ns <= clock_ns()
    assert not context.is_disconnected()
    assert (context.deadline_s, context.priority, context.body) == (None, 0, None)
