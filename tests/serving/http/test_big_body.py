"""A body read into its own memory, stepped by hand: bytes are put where asyncio would put them."""

import asyncio
import weakref
from typing import Any

import numpy as np
import pytest

from serving.http.big_body import AT_ONCE, BigBody, LargeReads


class Transport(asyncio.Transport):
    """Who reads from it, and whether it was made to look at that again."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[asyncio.BaseProtocol] = []
        self.calls: list[str] = []

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.readers.append(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.readers[-1]

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")


def put(body: BigBody, data: bytes) -> None:
    """As much of `data` as the body has room for at once, until all is there."""
    while data:
        room = body.get_buffer(-1)
        piece = data[: len(room)]
        room[: len(piece)] = piece
        body.buffer_updated(len(piece))
        data = data[len(piece) :]


@pytest.mark.parametrize("tensors_at", [0, 5, 63, 64])
def test_the_whole_is_given_once_and_its_tensors_lie_aligned(tensors_at: int) -> None:
    sent = np.random.default_rng(0).bytes(1000)
    transport, given = Transport(), list[Any]()
    protocol = asyncio.Protocol()
    body = BigBody(
        protocol,
        transport,
        memoryview(sent)[:10],
        len(sent),
        tensors_at,
        lambda _: True,
        given.append,
        LargeReads(),
    )
    assert transport.readers == [body]
    put(body, sent[10:500])
    assert (body.got, given) == (500, [])
    put(body, sent[500:])
    (whole,) = given
    assert (bytes(whole), whole.readonly) == (sent, True)
    assert np.frombuffer(whole, np.uint8).ctypes.data % 64 == -tensors_at % 64
    assert transport.readers == [body, protocol]
    assert transport.calls == ["pause", "resume"] * 2


def test_a_body_that_is_not_kept_ends_where_the_next_request_begins() -> None:
    size = 200_000
    transport, given = Transport(), list[Any]()
    counted: list[int] = []
    came: Any = counted.append  # would end it
    body = BigBody(
        asyncio.Protocol(), transport, memoryview(b"x" * 7), size, None, came, given.append, LargeReads()
    )

    async def read() -> None:
        while not given:
            room = body.get_buffer(-1)
            assert len(room) <= size - body.got
            body.buffer_updated(len(room))

    asyncio.run(read())
    assert (body.got, bytes(given[0]), counted) == (size, b"", [])


@pytest.mark.parametrize(("size", "first"), [(100_000, 40_000), (8 << 20, (2 << 20) + 40_000)])
def test_memory_is_counted_as_it_is_touched_and_huge_pages_whole(size: int, first: int) -> None:
    transport, given = Transport(), list[Any]()
    counted: list[int] = []

    def came(more: int) -> bool:
        counted.append(more)
        return True

    body = BigBody(asyncio.Protocol(), transport, memoryview(b""), size, 0, came, given.append, LargeReads())
    put(body, bytes(40_000))
    assert sum(counted) == first

    async def read() -> None:
        put(body, bytes(size - 40_000))

    asyncio.run(read())
    assert sum(counted) == size
    assert len(given) == 1


def test_a_body_without_room_is_not_read_on() -> None:
    transport, given = Transport(), list[Any]()
    body = BigBody(
        asyncio.Protocol(), transport, memoryview(b""), 100, 0, lambda _: False, given.append, LargeReads()
    )
    body.get_buffer(-1)
    body.buffer_updated(100)
    assert given == []


@pytest.mark.parametrize("ended", ["whole", "refused"])
def test_the_memory_goes_though_the_transport_still_knows_the_reader(ended: str) -> None:
    transport, given = Transport(), list[Any]()
    body = BigBody(
        asyncio.Protocol(),
        transport,
        memoryview(b""),
        1000,
        0,
        lambda _: ended == "whole",
        given.append,
        LargeReads(),
    )
    room = weakref.ref(body.get_buffer(-1).obj)
    if ended == "whole":
        put(body, bytes(1000))
        given.clear()
    else:
        body.give_back()
    assert transport.readers[0] is body
    assert room() is None


def test_others_are_read_before_a_client_that_sends_fast_is_read_again() -> None:
    async def read() -> None:
        transport = Transport()
        body = BigBody(
            asyncio.Protocol(),
            transport,
            memoryview(b""),
            8 * AT_ONCE,
            0,
            lambda _: True,
            lambda _: None,
            LargeReads(),
        )
        transport.calls.clear()
        body.buffer_updated(100)
        assert transport.calls == []
        body.buffer_updated(len(body.get_buffer(-1)))
        assert transport.calls == ["pause"]
        await asyncio.sleep(0)
        assert transport.calls == ["pause", "resume"]
        body.buffer_updated(len(body.get_buffer(-1)))
        body.give_back()
        transport.calls.clear()
        await asyncio.sleep(0)
        assert transport.calls == [], "another reads by now"

    asyncio.run(read())


def test_reading_that_was_paused_meanwhile_stays_so() -> None:
    async def read(*, paused: bool) -> list[str]:
        transport, reader = Transport(), asyncio.Protocol()
        transport.set_protocol(reader)
        LargeReads().wait(transport, reader, AT_ONCE, heavy=False, is_paused=lambda: paused)
        await asyncio.sleep(0)
        return transport.calls

    assert asyncio.run(read(paused=True)) == ["pause"]
    assert asyncio.run(read(paused=False)) == ["pause", "resume"]


def test_of_those_that_send_fast_one_is_read_in_each_round() -> None:
    async def rounds() -> list[int]:
        reads, transports = LargeReads(), [Transport() for _ in range(3)]
        for transport in transports:
            transport.set_protocol(reader := asyncio.Protocol())
            reads.wait(transport, reader, AT_ONCE, heavy=False)
        seen = []
        for _ in range(4):
            await asyncio.sleep(0)
            seen.append(sum(transport.calls.count("resume") for transport in transports))
        return seen

    assert asyncio.run(rounds()) == [1, 2, 3, 3]


@pytest.mark.parametrize(("crowd", "heavy", "delayed"), [(4, True, 1), (3, True, 0), (40, False, 0)])
def test_a_crowd_of_heavy_bodies_has_a_pace(crowd: int, heavy: bool, delayed: int) -> None:
    async def waits() -> list[float]:
        loop, reads, delays = asyncio.get_running_loop(), LargeReads(), list[float]()
        loop.call_later = lambda delay, *_: delays.append(delay)  # type: ignore[assignment, method-assign]
        for _ in range(crowd + 1):
            transport = Transport()
            transport.set_protocol(reader := asyncio.Protocol())
            reads.wait(transport, reader, 256_000, heavy=heavy)
        return delays

    assert asyncio.run(waits()) == [pytest.approx(0.001, rel=0.01)] * delayed
