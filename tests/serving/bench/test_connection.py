"""A connection tells its owner the outcome of each request, whatever the server sends."""

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from serving.bench.connection import Connection, connect
from serving.bench.values import DISCONNECTED, TIMEOUT, BenchError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer-Timing: run;dur=1\r\n\r\n{}"


class Owner:
    """Notes the outcomes."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[Any, ...]] = []

    def answered(self, connection: Connection, status: int, timing: bytes, *, reusable: bool) -> None:
        self.outcomes.append((status, timing, reusable))

    def lost(self, connection: Connection, status: int) -> None:
        self.outcomes.append(("lost", status))


def _outcomes(
    *sent: bytes, act: Callable[[Connection], None] = lambda _: None, ask: bool = True
) -> list[tuple[Any, ...]]:
    """Of one request whose server sends these bytes, then ends the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if ask:
            await reader.readuntil(b"\r\n\r\n")
        for part in sent:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.001)
        writer.close()

    async def story() -> list[tuple[Any, ...]]:
        owner = Owner()
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = urlsplit(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        connection = await connect(url, lambda: Connection(owner), 5.0)
        if ask:
            connection.ask(b"GET / HTTP/1.1\r\n\r\n", 0.0)
        act(connection)
        while not owner.outcomes or owner.outcomes[-1][0] != "lost":  # noqa: ASYNC110 - the owner is no coroutine
            await asyncio.sleep(0.001)
        server.close()
        await server.wait_closed()
        return owner.outcomes

    return asyncio.run(story())


def test_an_answer_in_pieces_is_told_once_with_its_timing() -> None:
    assert _outcomes(OK[:10], OK[10:40], OK[40:])[0] == (200, b"run;dur=1", True)


def test_a_continue_before_the_answer_is_no_answer() -> None:
    assert _outcomes(b"HTTP/1.1 100 Continue\r\n\r\n", OK)[0] == (200, b"run;dur=1", True)


def test_a_server_that_closes_after_the_answer_makes_the_connection_unusable() -> None:
    answer = b"HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    assert _outcomes(answer)[0] == (503, b"", False)


@pytest.mark.parametrize(
    "sent", [b"", OK[:20], b"no HTTP at all\r\n\r\n"], ids=["nothing", "half", "nonsense"]
)
def test_a_connection_that_ends_without_an_answer_is_disconnected(sent: bytes) -> None:
    assert _outcomes(sent) == [("lost", DISCONNECTED)]


def test_a_request_that_is_given_up_is_a_timeout() -> None:
    assert _outcomes(b"", act=Connection.give_up) == [("lost", TIMEOUT)]


def test_a_connection_that_ends_between_requests_has_no_outcome() -> None:
    assert _outcomes(b"", ask=False) == [("lost", 0)]


def test_an_address_without_a_server_is_named() -> None:
    url = urlsplit("http://127.0.0.1:1")
    with pytest.raises(BenchError, match=r"http://127\.0\.0\.1:1: cannot connect"):
        asyncio.run(connect(url, lambda: Connection(Owner()), 5.0))
