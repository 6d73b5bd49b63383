"""What a request holds is counted by whatever way it comes, and nothing is held when it has ended."""

import asyncio
import gzip
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, cast

import pytest
from onnx import TensorProto

from inference.errors import InflightExceeded, InputTooLarge
from serving.engine.inflight import Hold, InflightBytes
from serving.http.holding import HOLD, MAX_ORDINARY_BYTES, bounded, holding
from serving.http.protocol import FastProtocol
from tests.bundles import sum_graph, write_bare
from tests.serving.graphs import identity_graph
from tests.serving.http.test_fast_path import PATH, body, connect, read, request
from tests.serving.http.test_http1 import Deaf, everything, get, refusals
from tests.serving.servers import ThreadedServer, start

LIMIT = 16 << 20
MB = 1_000_000


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadedServer]:
    models: Path = tmp_path_factory.mktemp("tight")
    write_bare(models, "sum", sum_graph())
    write_bare(models, "flex", identity_graph(TensorProto.FLOAT, "batch", "length"))
    with start(models=models, max_inflight_bytes=LIMIT) as running:
        yield running


def chunked(content: bytes, size: int, path: str = PATH) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    pieces = (content[at : at + size] for at in range(0, len(content), size))
    return head + b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in pieces) + b"0\r\n\r\n"


def nothing_is_held(server: ThreadedServer) -> bool:
    """Waits for it."""
    until = time.monotonic() + 20
    inflight = server.app.inflight
    while inflight.used and time.monotonic() < until:
        time.sleep(0.01)
    return inflight.used == inflight.waiting == 0


def begun(server: ThreadedServer, stack: ExitStack, data: bytes) -> socket.socket:
    connection = stack.enter_context(closing(connect(server)))
    connection.sendall(data)
    return connection


@pytest.mark.parametrize(
    "sent",
    [
        request(body(1, 2, 3)),
        request(b"{"),
        request(body(1, 2, 3), path="/v2/models/none/infer"),
        request(gzip.compress(body(1, 2, 3)), "Content-Encoding: gzip"),
        request(b"no gzip", "Content-Encoding: gzip"),
        request(gzip.compress(b" " * (60 * MB)), "Content-Encoding: gzip"),
        chunked(body(1, 2, 3), 3),
        get("/v2/health/live"),
        get("/nowhere"),
        request(b"{}", path="/v2/repository/index"),
        request(b"x" * (7 * MB)),
    ],
    ids=["json", "no json", "no model", "gzip", "no gzip", "bomb", "chunks", "get", "404", "index", "large"],
)
def test_nothing_is_held_when_a_request_has_ended(tight: ThreadedServer, sent: bytes) -> None:
    for _ in range(2):
        with closing(connect(tight)) as connection:
            connection.sendall(sent)
            assert read(connection, 1)
    assert nothing_is_held(tight)


def test_a_client_that_leaves_in_the_middle_leaves_nothing(tight: ThreadedServer) -> None:
    with ExitStack() as stack:
        begun(tight, stack, b"POST /v2/models/sum/infer HTTP/1.1\r\nX: " + b"x" * 5000)
        begun(tight, stack, request(bytes(2 * MB))[:MB])
        begun(tight, stack, chunked(bytes(2 * MB), 100_000)[:MB])
        begun(tight, stack, get("/v2/health/live") * 50 + request(body(1, 2, 3)) * 20)
        deadline = time.monotonic() + 10
        while tight.app.inflight.waiting < 2 * MB and time.monotonic() < deadline:
            time.sleep(0.01)
        assert tight.app.inflight.waiting >= 2 * MB
    assert nothing_is_held(tight)


def test_a_half_body_makes_way_for_others_and_is_told_so(tight: ThreadedServer) -> None:
    """The greediest are refused with the numbers, and a small request beside them is answered."""
    with ExitStack() as stack:
        halves = [begun(tight, stack, request(bytes(6 * MB))[: 5 * MB]) for _ in range(4)]
        with closing(connect(tight)) as other:
            other.sendall(request(body(1, 2, 3)))
            assert read(other, 1)[0][0] == 200
        refused = []
        for half in halves:
            half.settimeout(1.0)
            try:
                refused.append(everything(half))
            except TimeoutError:
                continue
        assert refused
        for answer in refused:
            assert b"\r\nretry-after: 1\r\n" in answer
            ((status, told),) = refusals(answer)
            assert status == 429
            assert f"of {LIMIT} bytes are held for requests (--max-inflight-bytes)" in told
    model = tight.app.registry.get("sum")
    assert model.metrics.rejections["memory"] >= len(refused)
    assert nothing_is_held(tight)


def test_a_body_that_never_fits_is_413_with_the_number(tight: ThreadedServer) -> None:
    most = tight.app.inflight.most
    with closing(connect(tight)) as connection:
        connection.sendall(request(b" " * (most + 100_000)))
        status, _, told = read(connection, 1)[0]
    assert status == 413
    assert f"expected at most {most} bytes" in json.loads(told)["error"]


def test_chunks_into_an_ordinary_route_are_413_at_a_bound_of_its_own(tight: ThreadedServer) -> None:
    sent = chunked(b" " * (2 * MB), 100_000, path="/v2/repository/index")
    with closing(connect(tight)) as connection:
        connection.sendall(sent)
        status, _, told = read(connection, 1)[0]
    assert status == 413
    assert json.loads(told)["error"].endswith(f"expected at most {MAX_ORDINARY_BYTES} bytes")


# One connection, stepped by hand


class Aborted(Deaf):
    def __init__(self) -> None:
        super().__init__()
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


def made(server: ThreadedServer, inflight: InflightBytes) -> tuple[FastProtocol, Aborted]:
    protocol, transport = cast("FastProtocol", server._protocol()), Aborted()
    protocol.inflight = inflight
    protocol.connection_made(transport)
    return protocol, transport


def test_an_answer_is_held_until_it_is_read(tight: ThreadedServer) -> None:
    async def scene() -> None:
        inflight = InflightBytes(LIMIT)
        protocol, transport = made(tight, inflight)
        protocol.pause_writing()
        protocol.keep_unread(3 * MB)
        assert (inflight.used, inflight.waiting) == (3 * MB, 3 * MB)
        protocol.resume_writing()
        assert inflight.used == 0
        protocol.keep_unread(3 * MB)
        protocol.connection_lost(None)
        assert inflight.used == 0
        assert not transport.aborted

    asyncio.run(scene())


def test_who_reads_nothing_is_left_where_others_need_the_room(tight: ThreadedServer) -> None:
    async def scene() -> None:
        now = [0.0]
        inflight = InflightBytes(LIMIT, lambda: now[0])
        protocol, transport = made(tight, inflight)
        protocol.keep_unread(6 * MB)
        now[0] = 1.0
        Hold(inflight).wait(4 * MB, "body", cast("Any", None))
        assert transport.aborted
        assert inflight.used == 4 * MB
        protocol.connection_lost(None)

    asyncio.run(scene())


def test_requests_behind_one_another_are_counted_and_dropped_where_they_are_too_many(
    tight: ThreadedServer,
) -> None:
    async def scene() -> None:
        now = [0.0]
        inflight = InflightBytes(LIMIT, lambda: now[0])
        protocol, _ = made(tight, inflight)
        now[0] = 1.0
        protocol.data_received(get("/v2/health/live") * 100)
        assert inflight.waiting > 99 * 4096
        protocol.data_received(get("/v2/health/live") * 3000)
        assert not protocol.pipeline
        assert inflight.waiting == 0
        protocol.connection_lost(None)
        assert inflight.used == 0

    asyncio.run(scene())


# As ASGI


def test_a_hold_is_made_for_every_request_and_given_back_whatever_comes() -> None:
    inflight = InflightBytes(LIMIT)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope[HOLD].grow(1000, "body")
            assert inflight.used == 1000
            raise ValueError("no")
        assert HOLD not in scope

    async def scene() -> None:
        with pytest.raises(ValueError, match="no"):
            await holding(app, inflight)({"type": "http"}, cast("Any", None), cast("Any", None))
        await holding(app, inflight)({"type": "lifespan"}, cast("Any", None), cast("Any", None))

    asyncio.run(scene())
    assert inflight.used == 0


def test_a_body_is_read_up_to_its_bound() -> None:
    async def receive() -> Any:
        return {"type": "http.request", "body": bytes(6), "more_body": True}

    async def scene() -> None:
        reading = bounded(receive, 10)
        await reading()
        with pytest.raises(InputTooLarge, match="got 12 bytes or more, expected at most 10 bytes"):
            await reading()

    asyncio.run(scene())


def test_no_room_is_told_with_what_is_held() -> None:
    error = InflightExceeded("body", 70, 60, 100)
    assert "the request needs 70 bytes" in str(error)
    assert "60 of 100 bytes are held" in str(error)
