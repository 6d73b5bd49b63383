"""The fast path through the protocol: the same answers as uvicorn's way, whatever the bytes on the wire look like."""

import asyncio
import base64
import gc
import json
import re
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import numpy as np
import pytest

from inference.values import Array, Tensors
from serving.engine.observers import RawHeaders
from serving.http.big_body import BigBody, LargeReads
from serving.http.fast_path import Client, FastPath
from serving.http.matching import Route
from serving.settings import Settings
from tests.bundles import png, sum_graph, write_bare
from tests.serving.servers import ThreadedServer, start

PATH = "/v2/models/sum/infer"


def body(*x: float) -> bytes:
    tensors = [("x", x), ("y", (1.0, 1.0, 1.0))]
    return json.dumps(
        {"inputs": [{"name": n, "shape": [1, 3], "datatype": "FP32", "data": list(d)} for n, d in tensors]}
    ).encode()


def request(content: bytes, *headers: str, path: str = PATH, version: str = "1.1") -> bytes:
    lines = (f"POST {path} HTTP/{version}", "Host: here", *headers)
    return "\r\n".join([*lines, f"Content-Length: {len(content)}", "", ""]).encode() + content


def chunked(content: bytes) -> bytes:
    head = f"POST {PATH} HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return (
        head + b"".join((b"%x\r\n%b\r\n" % (len(c), c)) for c in (content[:10], content[10:])) + b"0\r\n\r\n"
    )


def connect(server: ThreadedServer) -> socket.socket:
    url = urlsplit(server.url)
    return socket.create_connection((url.hostname, url.port), timeout=20)


def read(connection: socket.socket, count: int) -> list[tuple[int, bytes, bytes]]:
    """Status, head and body of `count` answers."""
    answers: list[tuple[int, bytes, bytes]] = []
    buffer = b""
    while len(answers) < count:
        head, found, rest = buffer.partition(b"\r\n\r\n")
        length = int(re.findall(rb"\r\ncontent-length: (\d+)", head)[0]) if found else 0
        if not found or len(rest) < length:
            received = connection.recv(1 << 16)
            assert received, f"closed after {len(answers)} answers and {buffer!r}"
            buffer += received
            continue
        answers.append((int(head.split()[1]), head, rest[:length]))
        buffer = rest[length:]
    assert not buffer
    return answers


def total(answer: bytes) -> list[float]:
    found: list[float] = json.loads(answer)["outputs"][0]["data"]
    return found


def ask(server: ThreadedServer, *sent: bytes, count: int = 1) -> list[tuple[int, bytes, bytes]]:
    with closing(connect(server)) as connection:
        for part in sent:
            connection.sendall(part)
            time.sleep(0.01)
        return read(connection, count)


def test_both_ways_give_the_same_answer_and_the_same_headers(server: ThreadedServer) -> None:
    short, long = ask(server, request(body(1, 2, 3))), ask(server, chunked(body(1, 2, 3)))
    assert short[0][2] == long[0][2]
    names = [re.findall(rb"\r\n([a-z-]+):", head) for _, head, _ in (short[0], long[0])]
    assert names[0] == names[1]
    assert b"server-timing" in names[0]


def test_a_body_may_come_in_many_pieces(server: ThreadedServer) -> None:
    whole = request(body(1, 2, 3))
    pieces = [whole[at : at + 37] for at in range(0, len(whole), 37)]
    ((status, _, answer),) = ask(server, *pieces)
    assert (status, total(answer)) == (200, [2, 3, 4])


def test_requests_sent_without_waiting_are_answered_in_their_order(server: ThreadedServer) -> None:
    live = b"GET /v2/health/live HTTP/1.1\r\nHost: here\r\n\r\n"
    sent = [request(body(i, i, i)) for i in range(3)]
    answers = ask(server, sent[0] + live + sent[1] + chunked(body(7, 7, 7)) + sent[2], count=5)
    assert [status for status, _, _ in answers] == [200] * 5
    assert [total(answers[at][2])[0] for at in (0, 2, 3, 4)] == [1, 2, 8, 3]


def test_one_connection_serves_many_requests(server: ThreadedServer) -> None:
    with closing(connect(server)) as connection:
        for i in range(20):
            connection.sendall(request(body(i, i, i)))
            assert total(read(connection, 1)[0][2])[0] == i + 1


def test_a_head_that_came_before_is_answered_alike_however_its_body_comes(server: ThreadedServer) -> None:
    first, second = request(body(1, 2, 3)), request(body(4, 5, 6))
    assert len(first) == len(second)  # so that their heads are equal, byte for byte
    with closing(connect(server)) as connection:
        for sent, expected in ((first, 2), (second, 5), (first, 2)):
            connection.sendall(sent)
            assert total(read(connection, 1)[0][2])[0] == expected
        connection.sendall(first + second)  # both in one packet
        assert [total(answer)[0] for _, _, answer in read(connection, 2)] == [2, 5]
        for at in range(0, len(second), 50):  # the head and the body in pieces
            connection.sendall(second[at : at + 50])
            time.sleep(0.002)
        assert total(read(connection, 1)[0][2])[0] == 5
        connection.sendall(second[:-5])
        time.sleep(0.01)
        connection.sendall(second[-5:] + first)
        assert [total(answer)[0] for _, _, answer in read(connection, 2)] == [5, 2]


@pytest.mark.parametrize(
    "sent",
    [request(body(1, 2, 3), "Connection: close"), request(body(1, 2, 3), version="1.0")],
    ids=["close", "http-1.0"],
)
def test_a_connection_that_is_not_kept_is_closed_after_its_answer(
    server: ThreadedServer, sent: bytes
) -> None:
    with closing(connect(server)) as connection:
        connection.sendall(sent)
        assert total(read(connection, 1)[0][2]) == [2, 3, 4]
        assert connection.recv(1) == b""


def noted(server: ThreadedServer, monkeypatch: pytest.MonkeyPatch) -> list[Array]:
    """What the graph of `flex` will be given, which answers with it."""
    inputs: list[Array] = []

    class Noting:
        def run(self, tensors: Tensors) -> Tensors:
            inputs.append(tensors["x"])
            return {"y": tensors["x"]}

    monkeypatch.setattr(server.app.registry.get("flex").batcher, "_session", Noting())
    return inputs


def test_a_binary_tensor_reaches_the_graph_where_its_bytes_came_in(
    server: ThreadedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies: list[bytes | memoryview] = []
    inputs, respond = noted(server, monkeypatch), FastPath.respond

    def noting(
        fast_path: FastPath, route: Route, headers: RawHeaders, body: bytes | memoryview, caller: Client
    ) -> None:
        bodies.append(body)
        respond(fast_path, route, headers, body, caller)

    monkeypatch.setattr(FastPath, "respond", noting)

    def asked(pad: int) -> bytes:
        headers = "Inference-Header-Content-Length: 0", f"X-Pad: {'x' * pad}"
        return request(bytes(8192), *headers, path="/v2/models/flex/infer")

    # A tensor lies well where its head has a multiple of 16 bytes; elsewhere it is copied to where it does.
    ends = {(asked(pad).index(b"\r\n\r\n") + 4) % 16: pad for pad in range(1, 17)}
    sent, askew = asked(ends[0]), asked(ends[4])
    with closing(connect(server)) as connection:
        for each in (sent, sent, askew, askew):  # parsed, and by a head that was parsed before
            connection.sendall(each)
            assert read(connection, 1)[0][0] == 200
    shared = [
        np.shares_memory(tensor, np.frombuffer(body, np.uint8))
        for tensor, body in zip(inputs, bodies, strict=True)
    ]
    assert shared == [True, True, True, False]
    whole = bodies[1]
    assert isinstance(whole, memoryview)
    assert whole.obj == sent, "what the socket gave, and no part of it"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request(b"{"), 400),
        (request(b"{}", path="/v2/models/none/infer"), 404),
        (request(b"x" * ((1 << 20) + 1)), 413),
        (request(b"{}", "Content-Encoding: br"), 415),
        (request(body(1, 2, 3), "X-Request-Timeout-Ms: soon"), 400),
        (request(b"", path="/v2/models/none/infer?x=1"), 404),
    ],
    ids=["no json", "no model", "too large", "encoding", "deadline", "query"],
)
def test_a_refusal_leaves_the_connection_fit_for_the_next_request(
    server: ThreadedServer, sent: bytes, status: int
) -> None:
    with closing(connect(server)) as connection:
        connection.sendall(sent)
        assert read(connection, 1)[0][0] == status
        connection.sendall(request(body(1, 2, 3)))
        assert read(connection, 1)[0][0] == 200


def test_expect_100_continue_is_answered_before_the_body_is_sent(server: ThreadedServer) -> None:
    content = body(1, 2, 3)
    whole = request(content, "Expect: 100-continue")
    with closing(connect(server)) as connection:
        connection.sendall(whole[: -len(content)])
        assert connection.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(content)
        assert read(connection, 1)[0][0] == 200


def test_bytes_that_are_no_http_are_refused(server: ThreadedServer) -> None:
    with closing(connect(server)) as connection:
        connection.sendall(b"GET nonsense\r\n\r\n\r\n")
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 400 ")
        assert connection.recv(1) == b""


@pytest.mark.slow
def test_of_a_caller_who_does_not_read_no_more_is_read(server: ThreadedServer) -> None:
    count = 100  # answers of 400 kB: together far more than the sockets hold
    content = bytes(400_000)
    sent = request(content, "Inference-Header-Content-Length: 0", path="/v2/models/flex/infer")
    with closing(connect(server)) as connection:
        connection.settimeout(1.0)
        asked = 0
        try:
            for _ in range(count):
                connection.sendall(sent)
                asked += 1
        except TimeoutError:  # the server reads no more until its answers are read
            pass
        assert 0 < asked < count


def test_a_caller_who_leaves_while_it_sends_is_counted(server: ThreadedServer) -> None:
    outcomes = server.app.registry.get("sum").metrics.outcomes
    before = outcomes["cancelled"]
    with closing(connect(server)) as connection:
        connection.sendall(request(body(1, 2, 3))[:-5])
        time.sleep(0.05)
    until = time.monotonic() + 10
    while outcomes["cancelled"] == before and time.monotonic() < until:
        time.sleep(0.01)
    assert outcomes["cancelled"] == before + 1


@contextmanager
def overloaded(server: ThreadedServer) -> Iterator[Mapping[str, int]]:
    """Every place of the model taken; its rejections."""
    model = server.app.registry.get("sum")
    rows = model.batcher.plan.max_pending_rows
    model.batcher.admission.pending_rows += rows
    try:
        yield model.metrics.rejections
    finally:
        model.batcher.admission.pending_rows -= rows


def test_overload_is_refused_by_the_head_alone_and_the_connection_lives(server: ThreadedServer) -> None:
    whole, garbage = request(body(1, 2, 3)), request(b"no JSON at all")
    with closing(connect(server)) as connection:
        connection.sendall(whole)
        (answered,) = read(connection, 1)
        with overloaded(server) as rejections:
            before = rejections["queue_full"]
            connection.sendall(whole)
            at_once = read(connection, 1)[0]
            for at in range(0, len(whole), 50):
                connection.sendall(whole[at : at + 50])
                time.sleep(0.002)
            in_pieces = read(connection, 1)[0]
            connection.sendall(garbage)
            unread = read(connection, 1)[0]
            assert rejections["queue_full"] == before + 3
        for status, head, answer in (at_once, in_pieces, unread):
            assert status == 429
            assert int(re.findall(rb"retry-after: (\d+)", head)[0]) >= 1
            assert b"server-timing" in head
            assert "overloaded" in json.loads(answer)["error"]
        connection.sendall(whole)
        assert read(connection, 1)[0][2] == answered[2]


def test_explanations_are_refused_by_their_own_number_alone(server: ThreadedServer) -> None:
    admission = server.app.registry.get("brightness").batcher.admission
    rejections = server.app.registry.get("brightness").metrics.rejections
    before, most = rejections["explanations_full"], Settings().max_explanations
    instances = json.dumps({"instances": [{"b64": base64.b64encode(png(200)).decode()}]}).encode()
    explain, predict = (
        request(instances, "Content-Type: application/json", path=f"/v1/models/brightness{version}:{verb}")
        for verb, version in (("explain", ""), ("predict", ""))
    )
    by_router = request(instances, path="/v1/models/brightness/versions/01:explain")
    with closing(connect(server)) as connection:
        admission.explanations += most
        try:
            connection.sendall(explain)
            refused = read(connection, 1)[0]
            connection.sendall(by_router)
            refused_too = read(connection, 1)[0]
            connection.sendall(predict)
            assert read(connection, 1)[0][0] == 200
        finally:
            admission.explanations -= most
        for status, head, answer in (refused, refused_too):
            assert status == 429
            assert int(re.findall(rb"retry-after: (\d+)", head)[0]) >= 1
            assert f"{most} requests for explanations under way" in json.loads(answer)["error"]
        assert rejections["explanations_full"] == before + 2
        rows = server.app.registry.get("brightness").batcher.plan.max_pending_rows
        admission.pending_rows += rows
        try:
            connection.sendall(predict)
            assert read(connection, 1)[0][0] == 429
            connection.sendall(explain)
            assert read(connection, 1)[0][0] == 200
        finally:
            admission.pending_rows -= rows


def test_every_way_words_overload_alike_and_gives_the_request_its_id_back(server: ThreadedServer) -> None:
    with overloaded(server):
        short, named, long = (
            ask(server, sent)[0]
            for sent in (
                request(body(1, 2, 3)),
                request(body(1, 2, 3), "X-Request-Id: mine"),
                chunked(body(1, 2, 3)),
            )
        )
    assert short[0] == named[0] == long[0] == 429
    assert short[2] == named[2] == long[2]
    assert b"x-request-id: mine" in named[1]
    names = [set(re.findall(rb"\r\n([a-z-]+):", head)) for _, head, _ in (short, long)]
    assert names[0] == names[1]


def test_who_leaves_while_it_is_refused_is_counted_once(server: ThreadedServer) -> None:
    outcomes = server.app.registry.get("sum").metrics.outcomes
    before = outcomes["rejected"], outcomes["cancelled"]
    with overloaded(server):
        with closing(connect(server)) as connection:
            connection.sendall(request(body(1, 2, 3))[:-5])
            time.sleep(0.05)
        assert ask(server, request(body(1, 2, 3)))[0][0] == 429
    assert (outcomes["rejected"], outcomes["cancelled"]) == (before[0] + 2, before[1])


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadedServer]:
    models: Path = tmp_path_factory.mktemp("impatient")
    write_bare(models, "sum", sum_graph())
    with start(models=models, keep_alive_s=1) as running:
        yield running


@pytest.mark.slow
def test_an_idle_connection_is_closed_when_it_was_free_for_long_enough(impatient: ThreadedServer) -> None:
    with closing(connect(impatient)) as connection:
        for _ in range(4):  # 1.6 s in all, but never idle for 1 s
            connection.sendall(request(body(1, 2, 3)))
            read(connection, 1)
            time.sleep(0.4)
        connection.sendall(request(body(1, 2, 3)))
        read(connection, 1)
        freed = time.monotonic()
        assert connection.recv(1) == b""
        assert 0.8 < time.monotonic() - freed < 3


# Bodies of many reads

BIG = 100_000
"""Numbers in a body, of 4 bytes each."""


def big(value: float) -> bytes:
    numbers = np.full(BIG, value, np.float32)
    numbers[-1] = 7
    header = b'{"inputs": [{"name": "x", "shape": [1, %d], "datatype": "FP32", "parameters":' % BIG
    header += b' {"binary_data_size": %d}}], "parameters": {"binary_data_output": true}}' % (4 * BIG)
    return request(
        header + numbers.tobytes(),
        f"Inference-Header-Content-Length: {len(header)}",
        path="/v2/models/flex/infer",
    )


def numbers_of(answer: tuple[int, bytes, bytes]) -> Array:
    status, _, content = answer
    assert status == 200, content
    return np.frombuffer(content[-4 * BIG :], np.float32)


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of every body that was read into memory of its own."""
    sizes: list[int] = []
    begin = BigBody.__init__

    def noting(self: BigBody, *given: Any) -> None:
        sizes.append(given[3])
        begin(self, *given)

    monkeypatch.setattr(BigBody, "__init__", noting)
    return sizes


def test_a_big_body_is_read_into_its_own_memory_from_the_second_on(
    server: ThreadedServer, received: list[int]
) -> None:
    with closing(connect(server)) as connection:
        for place, value in enumerate((1.0, 2.0, 3.0)):
            connection.sendall(big(value))
            seen = numbers_of(read(connection, 1)[0])
            assert (seen[0], seen[-2], seen[-1]) == (value, value, 7)
            assert len(received) == place
        for pause_at in (200, 1000, 300_000):  # however the pieces fall
            sent = big(4.0)
            connection.sendall(sent[:pause_at])
            time.sleep(0.02)
            connection.sendall(sent[pause_at:] + request(body(1, 2, 3)))  # with the next request behind it
            first, second = read(connection, 2)
            assert numbers_of(first)[0] == 4
            assert total(second[2]) == [2, 3, 4]
    assert len(set(received)) == 1


def test_tensors_of_a_big_body_are_aligned_where_they_came_in(
    server: ThreadedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = noted(server, monkeypatch)
    with closing(connect(server)) as connection:
        for _ in range(3):
            connection.sendall(big(1.0))
            numbers_of(read(connection, 1)[0])
    assert all(tensor.ctypes.data % 64 == 0 and not tensor.flags.owndata for tensor in inputs[1:])


def test_a_big_body_in_json_is_answered_alike(server: ThreadedServer, received: list[int]) -> None:
    spaced = body(1, 2, 3) + b" " * 600_000
    with closing(connect(server)) as connection:
        for _ in range(2):
            connection.sendall(request(spaced))
            assert total(read(connection, 1)[0][2]) == [2, 3, 4]
    assert received == [len(spaced)]


def test_a_big_body_that_is_refused_goes_by(server: ThreadedServer, received: list[int]) -> None:
    spaced = request(body(1, 2, 3) + b" " * 600_000)
    with closing(connect(server)) as connection:
        connection.sendall(spaced)
        read(connection, 1)
        with overloaded(server):
            connection.sendall(spaced + request(body(1, 2, 3)))
            assert [status for status, _, _ in read(connection, 2)] == [429, 429]
        connection.sendall(spaced)
        assert read(connection, 1)[0][0] == 200
    assert len(received) >= 2


def test_who_leaves_in_the_middle_of_a_big_body_is_counted(
    server: ThreadedServer, received: list[int]
) -> None:
    outcomes = server.app.registry.get("flex").metrics.outcomes
    ask(server, big(1.0))
    before = outcomes["cancelled"]
    with closing(connect(server)) as connection:
        connection.sendall(big(1.0)[:200_000])
        time.sleep(0.05)
    until = time.monotonic() + 10
    while outcomes["cancelled"] == before and time.monotonic() < until:
        time.sleep(0.01)
    assert outcomes["cancelled"] == before + 1
    assert received


def test_of_two_requests_in_one_read_neither_head_stands_for_the_other(server: ThreadedServer) -> None:
    small, other = (
        request(body(1, 2, 3), "X-Of: small"),
        request(body(4, 5, 6) + b" " * 200_000, "X-Of: other"),
    )
    with closing(connect(server)) as connection:
        with overloaded(
            server
        ):  # so that the first is answered at once, and the second begins its own fast path
            connection.sendall(small + other[:-4000])
            time.sleep(0.05)
            connection.sendall(other[-4000:])
            assert [status for status, _, _ in read(connection, 2)] == [429, 429]
        connection.sendall(small)
        assert total(read(connection, 1)[0][2])[0] == 2


def test_a_big_body_is_answered_without_uvloop() -> None:
    """asyncio's own transports read by the same protocol."""

    async def talk() -> None:
        loop = asyncio.get_running_loop()
        taken: list[bytes] = []

        class Connection(asyncio.Protocol):
            transport: asyncio.Transport

            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                self.transport = cast("asyncio.Transport", transport)

            def data_received(self, data: bytes) -> None:
                if taken:
                    taken.append(data)
                    self.transport.write(b"x")
                else:
                    begun = memoryview(data)
                    BigBody(
                        self,
                        self.transport,
                        begun,
                        300_000,
                        0,
                        lambda _: True,
                        lambda body: taken.append(bytes(body)),
                        LargeReads(),
                    )

        server = await loop.create_server(Connection, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(host, port)
        sent = np.random.default_rng(0).bytes(300_000)
        writer.write(sent + b"next")
        await reader.read(1)
        writer.close()
        server.close()
        assert taken == [sent, b"next"]

    asyncio.run(talk())


@pytest.mark.parametrize(
    "sent",
    [
        request(body(1, 2, 3)),
        request(b"{}"),
        request(png(7), "Content-Type: image/png", path="/v1/models/brightness:predict"),
        request(b"{}", path="/v1/models/brightness:predict"),
    ],
    ids=["tensors", "wrong tensors", "image", "wrong instances"],
)
def test_a_request_leaves_nothing_to_the_garbage_collector(server: ThreadedServer, sent: bytes) -> None:
    times = 100
    with closing(connect(server)) as connection:
        connection.sendall(sent)  # what is made once
        read(connection, 1)
        gc.collect()
        gc.disable()
        try:
            for _ in range(times):
                connection.sendall(sent)
                read(connection, 1)
            assert gc.collect() < times
        finally:
            gc.enable()
