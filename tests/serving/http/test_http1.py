"""HTTP/1.1 within bounds: upgrades that are not taken, heads that do not end, clients that send slowly or nothing.

And the fast path against uvicorn's: the same bytes, cut anywhere, are answered alike by both.
"""

import asyncio
import json
import random
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
from onnx import TensorProto

from serving.http.bounds import MAX_HEAD_BYTES, MAX_HEADERS
from serving.http.protocol import FastProtocol
from tests.bundles import sum_graph, write_bare
from tests.serving.graphs import identity_graph
from tests.serving.http.test_fast_path import (
    PATH,
    big,
    body,
    chunked,
    connect,
    numbers_of,
    read,
    request,
    total,
)
from tests.serving.servers import ThreadedServer, start

H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
ANSWERED = b"HTTP/1.1 200 OK"


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: here", *headers, "", "")).encode()


def everything(connection: socket.socket) -> bytes:
    """What comes until the server closes."""
    parts: list[bytes] = []
    with suppress(ConnectionResetError):
        while part := connection.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def refusals(stream: bytes) -> list[tuple[int, str]]:
    """Status and message of each answer; the message is "" where it is no error."""
    answers: list[tuple[int, str]] = []
    while stream:
        head, _, rest = stream.partition(b"\r\n\r\n")
        length = int(re.findall(rb"\r\ncontent-length: (\d+)", head)[0])
        told = json.loads(rest[:length])
        answers.append((int(head.split()[1]), told.get("error", "")))
        stream = rest[length:]
    return answers


def sent_and_closed(server: ThreadedServer, *parts: bytes) -> list[tuple[int, str]]:
    """What a client reads that sends all of it before it reads anything."""
    with closing(connect(server)) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(0.01)
        return refusals(everything(connection))


# Upgrades


@pytest.mark.slow
@pytest.mark.parametrize(
    "upgrade",
    [
        H2C,
        ("Connection: upgrade", "Upgrade: websocket"),
        ("Upgrade: TLS/1.2", "Connection: keep-alive, Upgrade"),
    ],
    ids=["h2c", "websocket", "tls"],
)
def test_a_request_that_would_be_upgraded_is_answered_as_it_is(
    server: ThreadedServer, upgrade: tuple[str, ...]
) -> None:
    sent = request(body(1, 2, 3), *upgrade)
    with closing(connect(server)) as connection:
        for _ in range(3):  # parsed, and by a head that was parsed before
            connection.sendall(sent)
            assert total(read(connection, 1)[0][2]) == [2, 3, 4]
        connection.sendall(sent + request(body(4, 5, 6)) + get("/v2/health/live", *upgrade) + sent)
        answers = read(connection, 4)
        assert [status for status, _, _ in answers] == [200] * 4
        assert [total(answers[at][2])[0] for at in (0, 1, 3)] == [2, 5, 2]
    assert sent[: sent.index(b"\r\n\r\n") + 4] in cast("Any", server.config.http_protocol_class).heads


@pytest.mark.parametrize(
    "path",
    ["/v2/models/sum/versions/01/infer", PATH, "/v2/repository/index"],
    ids=["router", "fast path", "other"],
)
@pytest.mark.parametrize("extra", [(), (f"X-Long: {'x' * 5000}",)], ids=["short", "long"])
def test_an_upgrade_is_let_be_on_every_route_in_any_pieces(
    server: ThreadedServer, path: str, extra: tuple[str, ...]
) -> None:
    content = b"{}" if "repository" in path else body(1, 2, 3)
    whole = request(content, *extra, *H2C, path=path)
    head = len(whole) - len(content)
    with closing(connect(server)) as connection:
        for cuts in ((), (head,), (head - 1,), (head - 2, head + 1), (1, 20, head // 2, head + 5)):
            for begin, end in pairwise((0, *cuts, len(whole))):
                connection.sendall(whole[begin:end])
                time.sleep(0.003)
            status, _, answer = read(connection, 1)[0]
            assert status == 200
            assert "repository" in path or total(answer) == [2, 3, 4]


def test_an_upgrade_is_let_be_with_chunks_and_with_100_continue(server: ThreadedServer) -> None:
    content = body(1, 2, 3)
    whole = request(content, "Expect: 100-continue", *H2C)
    with closing(connect(server)) as connection:
        connection.sendall(whole[: -len(content)])
        assert connection.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(content)
        assert read(connection, 1)[0][0] == 200
        asking = "\r\n".join(H2C).encode()
        sent = chunked(content).replace(b"Host: here", b"Host: here\r\n" + asking)
        for at in (len(sent), 60, sent.index(b"\r\n\r\n") + 4):
            connection.sendall(sent[:at])
            time.sleep(0.003)
            connection.sendall(sent[at:])
            assert total(read(connection, 1)[0][2]) == [2, 3, 4]


def test_curl_may_ask_for_http_2(server: ThreadedServer, tmp_path: Path) -> None:
    file = tmp_path / "body"
    for content in (
        body(1, 2, 3),
        body(1, 2, 3) + b" " * 500_000,
    ):  # curl waits for 100 Continue with the second
        file.write_bytes(content)
        done = subprocess.run(
            ["curl", "--silent", "--show-error", "--http2", "--data-binary", f"@{file}", server.url + PATH,
             "--next", "--silent", "--http2", server.url + "/v2/health/live"],
            capture_output=True, check=True, timeout=30,
        )  # fmt: skip
        answer, live = done.stdout[: done.stdout.index(b'{"live"')], done.stdout[-13:]
        assert total(answer) == [2, 3, 4]
        assert json.loads(live) == {"live": True}


def test_what_is_no_request_for_this_server_is_told_so(server: ThreadedServer) -> None:
    ((status, told),) = sent_and_closed(server, get("here:80", method="CONNECT"))
    assert (status, "CONNECT" in told) == (501, True)
    ((status, told),) = sent_and_closed(server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert (status, told) == (505, "request: got HTTP/2, expected HTTP/1.1")
    ((status, told),) = sent_and_closed(server, b"\x16\x03\x01\x02\x00\x01\x00")
    assert (status, "TLS" in told) == (400, True)


# Bounds of size


def padded(size: int) -> bytes:
    """A request whose head has so many bytes."""
    content = body(1, 2, 3)
    least = len(request(content, "X-Pad: ")) - len(content)
    return request(content, f"X-Pad: {'x' * (size - least)}")


def test_a_head_over_its_limit_is_431_however_it_comes(server: ThreadedServer) -> None:
    with closing(connect(server)) as connection:
        connection.sendall(padded(MAX_HEAD_BYTES - 100))
        assert read(connection, 1)[0][0] == 200
    over = padded(MAX_HEAD_BYTES + 500)
    lines = request(b"{}", *(f"X-{i}: {'y' * 300}" for i in range(250)))
    for sent in ((over,), (over[:60_000], over[60_000:]), (lines,), (lines[:70_000], lines[70_000:])):
        ((status, told),) = sent_and_closed(server, *sent)
        assert status == 431
        assert told.startswith("head: got ")
        assert told.endswith(f"expected at most {MAX_HEAD_BYTES} bytes")
    ((status, _),) = sent_and_closed(server, *[b"GET /" + b"x" * 1000, *[b"x" * 1000] * 70])
    assert status == 431


def test_a_refused_head_waits_for_the_answers_before_it(server: ThreadedServer) -> None:
    good = request(body(1, 2, 3), path="/v2/models/sum/versions/01/infer")
    seen = sent_and_closed(server, good + good + b"NONSENSE\r\n\r\n")
    assert [status for status, _ in seen] == [200, 200, 400]
    seen = sent_and_closed(server, good + padded(MAX_HEAD_BYTES + 500))
    assert [status for status, _ in seen] == [200, 431]


def test_trailers_and_extensions_of_chunks_have_a_limit_and_become_no_headers(server: ThreadedServer) -> None:
    content = body(1, 2, 3)
    begun = chunked(content)[:-5]
    with closing(connect(server)) as connection:
        connection.sendall(begun + b"0\r\nX-Request-Id: trailing\r\n\r\n")
        status, head, _ = read(connection, 1)[0]
        assert status == 200
        assert b"trailing" not in head
    for sent in (begun + b"0\r\nX: ", chunked(content).partition(b"\r\n\r\n")[0] + b"\r\n\r\n5;"):
        ((status, told),) = sent_and_closed(server, sent, *[b"x" * 30_000] * 4)
        assert status == 431
        assert told.startswith("body: got ")


class Counting:
    """A parser that counts what it is given."""

    def __init__(self, parser: Any) -> None:
        self._parser, self.pieces, self.copied, self._of_line = parser, 0, 0, 0

    def feed_data(self, data: bytes) -> None:
        self.pieces += 1
        self._of_line += len(data)
        self.copied += self._of_line  # what it has of a line is copied for every piece
        if b"\n" in data:
            self._of_line = len(data) - data.rindex(b"\n") - 1
        self._parser.feed_data(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)


class Deaf(asyncio.Transport):
    """A transport that nobody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return False

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


@pytest.mark.parametrize(
    "line", ["x" * 60_000, "\r\n".join(f"X-{i}: {'y' * 240}" for i in range(240))], ids=["one", "many"]
)
def test_a_head_in_single_bytes_costs_as_its_length(server: ThreadedServer, line: str) -> None:
    """Work is counted, and no time measured."""

    async def feed(length: int) -> int:
        made = cast("FastProtocol", server._protocol())
        made.connection_made(Deaf())
        counting = Counting(made.parser)
        made.__dict__["parser"] = counting
        head = get("/v2/health/live", f"X: {line[:length]}")[:-2]  # it never ends
        for place in range(len(head)):
            made.data_received(head[place : place + 1])
        made.connection_lost(ConnectionError())
        return counting.copied

    half, whole = (asyncio.run(feed(length)) for length in (len(line) // 2, len(line)))
    assert whole < 8 * len(line)
    assert whole < 2.5 * half


def test_a_head_of_many_headers_is_431_since_each_costs_more_than_its_text(server: ThreadedServer) -> None:
    many = request(b"{}", *(f"X-{i}: y" for i in range(MAX_HEADERS)))
    ((status, told),) = sent_and_closed(server, many)
    assert (status, told) == (431, "head: got more than 256 headers, expected at most 256 headers")


# Bounds of time


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadedServer]:
    models: Path = tmp_path_factory.mktemp("hasty")
    write_bare(models, "sum", sum_graph())
    write_bare(models, "flex", identity_graph(TensorProto.FLOAT, "batch", "length"))
    with start(models=models, receive_timeout_s=1, keep_alive_s=2) as running:
        yield running


def slowly(server: ThreadedServer, begun: bytes, drop: bytes) -> tuple[float, list[tuple[int, str]]]:
    """Seconds until the server has closed, and its answers, to a client that sends a drop every 0.1 s."""
    with closing(connect(server)) as connection:
        began = time.monotonic()
        connection.sendall(begun)
        connection.settimeout(0.1)
        stream = b""
        while time.monotonic() < began + 20:
            try:
                part = connection.recv(1 << 16)
                stream += part
                if not part:
                    return time.monotonic() - began, refusals(stream)
            except TimeoutError:
                if drop:
                    connection.sendall(drop)
        raise AssertionError("never closed")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("begun", "drop", "part"),
    [
        (b"POST /v2/models/sum/infer HTTP/1.1\r\n", b"X: y\r\n", "head"),
        (b"P", b"", "head"),
        (request(body(1, 2, 3))[:-100], b"1", "body"),
        (request(body(1, 2, 3))[:-100], b"", "body"),
        (chunked(body(1, 2, 3))[:-5], b"1\r\n \r\n", "body"),
        (request(body(1, 2, 3), path="/v2/models/sum/versions/01/infer")[:-100], b"1", "body"),
    ],
    ids=["slow head", "one byte", "slow body", "stalled body", "slow chunks", "slow body to the router"],
)
def test_who_sends_too_slowly_gets_408(hasty: ThreadedServer, begun: bytes, drop: bytes, part: str) -> None:
    seconds, answers = slowly(hasty, begun, drop)
    assert 0.9 < seconds < 5
    ((status, told),) = answers
    assert status == 408
    assert told.startswith(f"{part}: got ")


@pytest.mark.slow
def test_a_refused_client_that_goes_on_sending_reads_the_answer(server: ThreadedServer) -> None:
    with closing(connect(server)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: here\r\nX: " + b"x" * (2 * MAX_HEAD_BYTES))
        for _ in range(10):  # for twice as long as a silent one is given
            time.sleep(0.2)
            connection.sendall(b"x" * 1000)
        ((status, _),) = refusals(everything(connection))
    assert status == 431


@pytest.mark.slow
def test_a_big_body_that_stalls_is_408_and_counted(hasty: ThreadedServer) -> None:
    outcomes = hasty.app.registry.get("flex").metrics.outcomes
    sent = big(1.0)
    with closing(connect(hasty)) as connection:
        for _ in range(2):  # the second past the parser
            connection.sendall(sent)
            numbers_of(read(connection, 1)[0])
        before = outcomes["cancelled"]
        connection.sendall(sent[:3000])
        ((status, told),) = refusals(everything(connection))
        assert status == 408
        assert "body: got 2" in told
    assert outcomes["cancelled"] == before + 1


@pytest.mark.slow
def test_a_body_that_stalls_has_no_longer_for_what_came_fast(hasty: ThreadedServer) -> None:
    """1.6 MB would have paid for six minutes, by the parser and past it."""
    sent = request(bytes(1_700_000), "Inference-Header-Content-Length: 0", path="/v2/models/flex/infer")
    for _ in range(2):
        seconds, answers = slowly(hasty, sent[:1_600_000], b"")
        assert 0.9 < seconds < 10
        assert [status for status, _ in answers] == [408]


@pytest.mark.slow
def test_who_reads_its_answers_by_drops_is_left(hasty: ThreadedServer) -> None:
    sent = request(bytes(400_000), "Inference-Header-Content-Length: 0", path="/v2/models/flex/infer")
    with closing(connect(hasty)) as connection:
        connection.settimeout(0.1)
        until = time.monotonic() + 30
        left = False
        while not left and time.monotonic() < until:
            try:
                with suppress(TimeoutError):
                    connection.send(sent)
                connection.recv(1)
            except ConnectionError:
                left = True
        assert left


@pytest.mark.slow
def test_a_body_that_comes_steadily_has_longer(hasty: ThreadedServer) -> None:
    sent = request(body(1, 2, 3) + b" " * 40_000)
    with closing(connect(hasty)) as connection:
        for at in range(0, len(sent), 2000):  # 20 kB/s, for 2 s
            connection.sendall(sent[at : at + 2000])
            time.sleep(0.1)
        assert read(connection, 1)[0][0] == 200


@pytest.mark.slow
def test_who_does_not_read_its_answers_is_left(hasty: ThreadedServer) -> None:
    sent = request(bytes(400_000), "Inference-Header-Content-Length: 0", path="/v2/models/flex/infer")
    with closing(connect(hasty)) as connection:
        connection.settimeout(10)
        with pytest.raises(ConnectionError):
            connection.sendall(sent * 100)  # far more than the sockets hold
    until = time.monotonic() + 5
    while hasty.server_state.connections and time.monotonic() < until:
        time.sleep(0.01)
    assert not hasty.server_state.connections


@pytest.mark.slow
def test_a_connection_that_brings_nothing_ends_and_blank_lines_are_nothing(hasty: ThreadedServer) -> None:
    for drop in (b"", b"\r\n"):
        seconds, answers = slowly(hasty, b"", drop)
        assert 1.9 < seconds < 5
        assert answers == []


@pytest.mark.slow
def test_silent_and_slow_connections_do_not_hold_up_the_end(tmp_path: Path) -> None:
    """With the limits as they are by default: the server's own end comes first."""
    write_bare(tmp_path, "sum", sum_graph())
    write_bare(tmp_path, "flex", identity_graph(TensorProto.FLOAT, "batch", "length"))
    with start(models=tmp_path) as server:
        with closing(connect(server)) as connection:
            connection.sendall(big(1.0))
            numbers_of(read(connection, 1)[0])
        begun = (
            b"",
            b"POST /v2/models/sum/infer HTTP/1.1\r\nHost:",
            request(body(1, 2, 3))[:-5],
            request(body(1, 2, 3), path="/v2/models/sum/versions/01/infer")[:-5],
            chunked(body(1, 2, 3))[:-9],
            big(1.0)[:3000],
        )
        waiting = [connect(server) for _ in begun]
        for connection, part in zip(waiting, begun, strict=True):
            connection.sendall(part)
        time.sleep(0.2)
        began = time.monotonic()
        server.handle_exit(15, None)
        server._thread.join(20)
        assert not server._thread.is_alive()
        assert time.monotonic() - began < 10
        seen = [refusals(everything(connection)) for connection in waiting]
        assert seen[0] == []
        assert [[status for status, _ in answers] for answers in seen[1:]] == [[408]] * 5
        for connection in waiting:
            connection.close()


@pytest.mark.slow
def test_a_request_that_is_coming_when_the_server_leaves_is_answered(tmp_path: Path) -> None:
    write_bare(tmp_path, "sum", sum_graph())
    with start(models=tmp_path) as server:
        sent = [
            request(body(1, 2, 3)),
            request(body(1, 2, 3), path="/v2/models/sum/versions/01/infer"),
            get("/v2/health/live"),
        ]
        waiting = [connect(server) for _ in sent]
        for connection, whole in zip(waiting, sent, strict=True):
            connection.sendall(whole[:20])
        time.sleep(0.1)
        server.handle_exit(15, None)
        time.sleep(1.5)  # beyond the time in which idle connections may still bring one
        for connection, whole in zip(waiting, sent, strict=True):
            connection.sendall(whole[20:])
        for connection in waiting:
            stream = everything(connection)
            assert stream.startswith(ANSWERED)
            assert b"connection: close" in stream
            connection.close()


# The fast path against uvicorn's


@pytest.fixture(scope="module")
def uvicorns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadedServer]:
    """A server whose fast path takes nothing, so that every request goes by ASGI."""
    models: Path = tmp_path_factory.mktemp("uvicorns")
    write_bare(models, "sum", sum_graph())
    write_bare(models, "flex", identity_graph(TensorProto.FLOAT, "batch", "length"))
    with start(models=models, max_body_bytes=1 << 20) as running:
        running.app.fast_path.__dict__["takes"] = lambda _headers: False
        yield running


def answers_to(server: ThreadedServer, parts: list[bytes]) -> list[tuple[bytes, bytes]]:
    """Head and body of every answer, without what differs from one time to the next."""
    with closing(connect(server)) as connection:
        for part in parts:
            with suppress(ConnectionError):
                connection.sendall(part)
            if len(parts) > 1:
                time.sleep(0.002)
        with suppress(OSError):
            connection.sendall(get("/v2/health/live", "Connection: close"))
        stream = everything(connection)
    found: list[tuple[bytes, bytes]] = []
    while stream:
        head, _, rest = stream.partition(b"\r\n\r\n")
        size = int(re.findall(rb"\r\ncontent-length: (\d+)", head)[0])
        plain = re.sub(rb"\r\n(?:date|server-timing|connection): [^\r]*", b"", head)
        found.append((plain, rest[:size]))
        stream = rest[size:]
    return found


ODD = {
    "plain": request(body(1, 2, 3)),
    "blank lines": b"\r\n\r\n" + request(body(1, 2, 3)),
    "blank lines between": request(body(1, 2, 3)) + b"\r\n\r\n\n\r" + request(body(4, 5, 6)),
    "upgrade": request(body(1, 2, 3), *H2C),
    "pair": request(body(1, 2, 3)) + request(body(4, 5, 6)),
    "length twice": request(body(1, 2, 3), f"Content-Length: {len(body(1, 2, 3))}"),
    "length and chunks": request(body(1, 2, 3), "Transfer-Encoding: chunked"),
    "length of words": request(body(1, 2, 3)).replace(b"Content-Length: ", b"Content-Length: x"),
    "length with blanks": request(body(1, 2, 3)).replace(b"Content-Length: ", b"Content-Length:  \t0"),
    "other encoding": get(PATH, "Transfer-Encoding: gzip", method="POST") + body(1, 2, 3),
    "folded": request(body(1, 2, 3), "X: y\r\n z"),
    "bare line feeds": request(body(1, 2, 3)).replace(b"\r\n", b"\n"),
    "bare line feed at the end": request(body(1, 2, 3)).replace(b"\r\n\r\n", b"\n\n"),
    "header twice": request(b"[1,2,3]", "X-Request-Id: a", "X-Request-Id: b"),
    "long head": request(body(1, 2, 3), f"X: {'y' * 3000}"),
    "chunks": chunked(body(1, 2, 3)) + request(body(1, 2, 3)),
    "no length": get(PATH, method="POST") + request(body(1, 2, 3)),
    "close": request(body(1, 2, 3), "Connection: close"),
    "http 1.0": request(body(1, 2, 3), version="1.0"),
    "end of a head in the body": request(b"\r\n\r\n" + body(1, 2, 3)) * 2,
    "absolute": request(body(1, 2, 3), path=f"http://here{PATH}"),
    "query": request(body(1, 2, 3), path=f"{PATH}?x=1"),
    "nonsense after": request(body(1, 2, 3)) + b"NONSENSE\r\n\r\n",
    "empty name": request(body(1, 2, 3), ": x"),
    "get": get(PATH) + request(body(1, 2, 3)),
    "head": get(PATH, method="HEAD")[:0] + get("/v2/models/none") + request(body(1, 2, 3)),
}  # fmt: skip


@pytest.mark.parametrize("stream", ODD.values(), ids=ODD)
def test_both_ways_answer_odd_streams_alike(
    server: ThreadedServer, uvicorns: ThreadedServer, stream: bytes
) -> None:
    expected = answers_to(uvicorns, [stream])
    assert expected
    for _ in range(2):  # without and with a head in the table
        assert answers_to(server, [stream]) == expected
    assert (
        answers_to(server, [request(body(7, 8, 9))])[0][1]
        == answers_to(uvicorns, [request(body(7, 8, 9))])[0][1]
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["blank lines", "upgrade", "pair", "close", "chunks"])
def test_where_a_stream_is_cut_makes_no_difference(
    server: ThreadedServer, uvicorns: ThreadedServer, name: str
) -> None:
    stream = ODD[name]
    expected = answers_to(uvicorns, [stream])
    for at in range(1, len(stream)):
        assert answers_to(server, [stream[:at], stream[at:]]) == expected, at


@pytest.mark.slow
def test_both_ways_answer_seeded_streams_alike(server: ThreadedServer, uvicorns: ThreadedServer) -> None:
    random_ = random.Random(13)
    pieces = [stream for name, stream in ODD.items() if name not in ("close", "http 1.0")]
    for trial in range(60):
        stream = b"".join(random_.choice(pieces) for _ in range(random_.randint(1, 4)))
        if trial % 3 == 0:  # a byte that somebody got wrong
            at = random_.randrange(len(stream))
            stream = stream[:at] + random_.choice((b"\r", b"\n", b" ", b":", b"\0", b"")) + stream[at + 1 :]
        cuts = sorted(random_.sample(range(1, len(stream)), min(3, len(stream) - 1)))
        parts = [stream[begin:end] for begin, end in pairwise((0, *cuts, len(stream)))]
        expected = answers_to(uvicorns, [stream])
        assert answers_to(server, [stream]) == expected, (trial, stream)
        assert answers_to(server, parts) == expected, (trial, cuts, stream)


def test_a_head_with_blank_lines_before_it_stands_for_no_other(server: ThreadedServer) -> None:
    long = b"\r\n\r\n" + request(b"1234567890").replace(b"Content-Length: 10", b"Content-Length: 1000000")
    with closing(connect(server)) as connection:
        connection.sendall(long)
        time.sleep(0.05)
    with closing(connect(server)) as connection:
        connection.sendall(b"\r\n\r\n" + request(body(1, 2, 3)))
        assert total(read(connection, 1)[0][2]) == [2, 3, 4]
    heads = cast("Any", server.config.http_protocol_class).heads
    assert heads
    assert all(head.startswith(b"POST ") and head.count(b"\r\n\r\n") == 1 for head in heads)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (ODD["length twice"], "Duplicate Content-Length"),
        (ODD["length and chunks"], "Transfer-Encoding"),
        (ODD["length of words"], "Content-Length"),
        (get("/v2/models/ü"), "path"),
    ],
    ids=["twice", "both", "words", "path"],
)
def test_a_head_at_fault_says_where(server: ThreadedServer, sent: bytes, words: str) -> None:
    ((status, told),) = sent_and_closed(server, sent)
    assert status == 400
    assert words in told
