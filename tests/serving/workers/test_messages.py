"""Messages come out of a socket as they went in, and the end of a socket is no error."""

import asyncio

import msgspec
import pytest

from serving.workers.messages import (
    AllReports,
    Changed,
    Closed,
    Done,
    Failure,
    FromWorker,
    GetReport,
    Load,
    Order,
    Readiness,
    Refusal,
    ToWorker,
    Up,
    frame,
    from_worker,
    receive,
    to_worker,
)
from tests.serving.workers.stubs import family, report


def _reader(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


@pytest.mark.parametrize(
    "message",
    [
        Up(),
        Closed(7),
        Refusal("--models: got 'x'", 2),
        Done(
            3, Changed(ready=False, problems={"m": "bad"}, profiles={"k": b"\x00\xff"}, failure=Failure("x"))
        ),
        report(family("c", "counter", a=2)),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_workers_message_comes_out_as_it_went_in(message: FromWorker) -> None:
    async def story() -> None:
        assert await receive(_reader(frame(message)), from_worker) == message

    asyncio.run(story())


@pytest.mark.parametrize(
    "message",
    [
        Order(1, Load("m"), {"k": b"{}"}),
        Order(2, GetReport()),
        AllReports(1, [report()], report(), [family("c", "counter", a=2)]),
        Readiness(ready=False, problems={}, missing=["worker 2 of 2 is starting"]),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_supervisors_message_comes_out_as_it_went_in(message: ToWorker) -> None:
    async def story() -> None:
        assert await receive(_reader(frame(message)), to_worker) == message

    asyncio.run(story())


@pytest.mark.parametrize("cut", [0, 2, 5])
def test_a_socket_that_ends_between_or_within_messages_gives_none(cut: int) -> None:
    async def story() -> None:
        assert await receive(_reader(frame(Closed(1))[:cut]), from_worker) is None

    asyncio.run(story())


def test_a_supervisors_message_is_none_of_a_workers() -> None:
    async def story() -> None:
        with pytest.raises(msgspec.ValidationError):
            await receive(_reader(frame(Order(1, Load("m")))), from_worker)

    asyncio.run(story())
