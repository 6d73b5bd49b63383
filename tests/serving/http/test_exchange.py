"""Deadlines: the nearest of three counts, from the request's start."""

import pytest

from inference.errors import InvalidInput
from serving.engine.context import RequestContext
from serving.http.exchange import set_deadline

HEADER = b"x-request-timeout-ms"


@pytest.mark.parametrize(
    ("headers", "timeout_us", "server_s", "nearest_s"),
    [
        ({}, 0, None, None),
        ({}, 0, 3.0, 3.0),
        ({}, 2_000_000, 3.0, 2.0),
        ({HEADER: b"500"}, 2_000_000, 3.0, 0.5),
        ({HEADER: b"2500.5"}, 0, None, 2.5005),
        ({HEADER: b"9000"}, 0, 3.0, 3.0),
    ],
)
def test_the_nearest_deadline_counts(
    headers: dict[bytes, bytes], timeout_us: int, server_s: float | None, nearest_s: float | None
) -> None:
    context = RequestContext(started_ns=7_000_000_000)
    set_deadline(context, headers, timeout_us, server_s)
    if nearest_s is None:
        assert context.deadline_s is None
    else:
        assert context.timeout_s == pytest.approx(nearest_s)
        assert context.deadline_s == pytest.approx(7.0 + nearest_s)


@pytest.mark.parametrize("value", [b"soon", b"0", b"-1", b"inf", b"nan", b""])
def test_a_deadline_is_milliseconds_above_0(value: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"X-Request-Timeout-Ms: got .*, expected milliseconds above 0"):
        set_deadline(RequestContext(), {HEADER: value}, 0, None)
