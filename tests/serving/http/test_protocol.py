"""Heads that came before, and the body of a request on the fast path; whole connections are in test_fast_path."""

from typing import Any, cast

import pytest

from serving.codec.binary import JSON_LENGTH
from serving.engine.inflight import InflightBytes
from serving.http.answer import JSON, Answer
from serving.http.matching import Route
from serving.http.protocol import FastCycle, FastProtocol, Head

ROUTE = Route("infer", "sum", None)


@pytest.mark.parametrize(
    ("headers", "binary", "at"),
    [
        ({JSON_LENGTH: b"120"}, True, 120),
        ({JSON_LENGTH: b"x"}, True, 0),
        ({JSON_LENGTH: b"120"}, False, 0),
        ({}, True, 0),
    ],
)
def test_tensors_begin_where_a_head_says(headers: dict[bytes, bytes], binary: bool, at: int) -> None:
    assert Head(ROUTE, headers, 500, binary).tensors_at == at


class Noting:
    """A fast path that notes the bodies that it is given."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.fast_path = self
        self.inflight = InflightBytes(1 << 30)

    def respond(self, route: Route, headers: Any, body: bytes, client: FastCycle) -> None:
        self.bodies.append(body)


def cycle(refused: Answer | None = None) -> tuple[FastCycle, Noting]:
    noting = Noting()
    return FastCycle(cast("FastProtocol", noting), ROUTE, {}, refused), noting


@pytest.mark.parametrize("parts", [[], [b"abc"], [b"a", b"b", b"c"]])
def test_the_parts_of_a_body_are_one(parts: list[bytes]) -> None:
    made, noting = cycle()
    for part in parts:
        made.take(part)
    made.start()
    assert noting.bodies == [b"".join(parts)]


def test_the_only_part_of_a_body_is_not_copied() -> None:
    made, noting = cycle()
    part = b"x" * 1000
    made.take(part)
    made.start()
    assert noting.bodies[0] is part


def test_the_body_of_a_refused_request_goes_by_and_its_client_may_be_gone() -> None:
    made, noting = cycle(Answer(429, [JSON], b"{}"))
    made.take(b"abc")
    made.disconnected = True
    made.start()
    assert noting.bodies == []
    assert made.response_complete
