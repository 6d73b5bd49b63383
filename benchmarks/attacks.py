"""Twelve ways to make a server hold bytes, each over and over until its time is over; see `benchmarks.memory_attacks`.

An attack opens connections as it likes, and begins again when the server ends one. It keeps its own memory small, and
runs at the lowest priority: what is measured is what the server holds, and not who gets the processor.
"""

import asyncio
import gzip
import io
import json
import os
import re
import struct
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

MB = 1_000_000
PAUSE_S = 1.0
"""Until a connection that was ended is opened again: less would be a flood, which costs processor and not memory."""
_SILENCE_S = 2.0
"""For which a connection that was filled is held, or an answer is waited for."""
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")

Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Outcome(NamedTuple):
    """What an attack did: answers by status, connections, bytes sent, and seconds of CPU that it took."""

    statuses: dict[str, int]
    connections: int
    sent: int
    cpu_s: float


class Attacker:
    """The connections of one attack, and what came of them."""

    def __init__(self, port: int, seconds: float) -> None:
        self.port, self.until = port, time.monotonic() + seconds
        self.statuses: Counter[str] = Counter()
        self.connections = self.sent = 0

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Pair]:
        """A connection, counted and closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.connections += 1
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """All of it, or until the time is over."""
        view = memoryview(data)
        for at in range(0, len(view), 1 << 20):
            if time.monotonic() > self.until:
                return
            writer.write(view[at : at + (1 << 20)])
            async with asyncio.timeout(_SILENCE_S + 3):
                await writer.drain()
            self.sent += len(view[at : at + (1 << 20)])

    async def answered(self, reader: asyncio.StreamReader, seconds: float = _SILENCE_S) -> None:
        """Count the answer that comes within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                head = await reader.read(4096)
                while head and await reader.read(1 << 20):
                    pass
        except TimeoutError:
            pass
        found = _STATUS.search(head) if "head" in locals() else None
        self.statuses[found[1].decode() if found else "none"] += 1


One = Callable[[Attacker], Awaitable[None]]


def post(path: str, length: int | None, *headers: str) -> bytes:
    """The head of a POST; chunked where there is no length."""
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return "\r\n".join((f"POST {path} HTTP/1.1", "Host: a", size, *headers, "", "")).encode()


_JSON = "Content-Type: application/json"
_RETAIL, _PHOTOS = "/v2/models/retail/infer", "/v1/models/photos:predict"
_REVIEWS = "/v1/models/reviews:predict"


def _binary(
    model: str, name: str, datatype: str, shape: list[int], data: bytes, output: str = ""
) -> tuple[bytes, bytes]:
    head: dict[str, object] = {
        "inputs": [
            {
                "name": name,
                "shape": shape,
                "datatype": datatype,
                "parameters": {"binary_data_size": len(data)},
            }
        ]
    }
    if output:
        head["outputs"] = [{"name": output, "parameters": {"binary_data": True}}]
    text = json.dumps(head).encode()
    body_bytes = len(text) + len(data)
    return post(
        f"/v2/models/{model}/infer", body_bytes, f"Inference-Header-Content-Length: {len(text)}"
    ), text


def huge_image(side: int = 7000) -> bytes:
    """A PNG of so many pixels a side with alpha, all empty, in some 200 kB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packed = io.BytesIO()
    stream = zlib.compressobj(9)
    for _ in range(side):
        packed.write(stream.compress(bytes(1 + 4 * side)))
    packed.write(stream.flush())
    head = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed.getvalue()) + chunk(b"IEND", b"")
    )


async def head_in_pieces(of: Attacker) -> None:
    """60 kB of a head that never ends, in pieces."""
    async with of.connected() as (reader, writer):
        await of.send(writer, b"POST /v2/models/retail/infer HTTP/1.1\r\nHost: a\r\nX: ")
        for _ in range(30):
            await of.send(writer, b"x" * 2000)
            await asyncio.sleep(0.05)
        await of.answered(reader)


async def half_body(of: Attacker) -> None:
    """49 of 50 MB, then nothing."""
    async with of.connected() as (reader, writer):
        await of.send(writer, post(_RETAIL, 50 * MB, _JSON))
        for _ in range(49):
            await of.send(writer, _MEGABYTE)
        await of.answered(reader)


def chunked(path: str) -> One:
    """60 MB in chunks, by whatever route."""

    async def attack(of: Attacker) -> None:
        async with of.connected() as (reader, writer):
            await of.send(writer, post(path, None, _JSON))
            for _ in range(60):
                await of.send(writer, b"%x\r\n" % MB + _MEGABYTE + b"\r\n")
            await of.send(writer, b"0\r\n\r\n")
            await of.answered(reader)

    return attack


def whole(make: Callable[[], bytes]) -> One:
    """A request that is sent whole, made at the first time; its answer is waited for."""
    made: list[bytes] = []

    async def attack(of: Attacker) -> None:
        if not made:
            made.append(make())
        async with of.connected() as (reader, writer):
            await of.send(writer, made[0])
            await of.answered(reader, 5.0)

    return attack


def _bomb() -> bytes:
    body = gzip.compress(b'{"inputs": [' + b" " * (60 * MB), 6)
    return post(_RETAIL, len(body), _JSON, "Content-Encoding: gzip") + body


def _image() -> bytes:
    body = huge_image()
    return post(_PHOTOS, len(body), "Content-Type: image/png") + body


def _history() -> bytes:
    data = b"\x01\0\0\0\0\0\0\0" * 8_000_000
    head, text = _binary("retail", "history", "INT64", [1, 8_000_000], data)
    return head + text + data


def _numbers() -> bytes:
    numbers = b"0," * (15 * MB) + b"0"
    text = b'{"inputs": [{"name": "history", "shape": [1, %d], "datatype": "INT64", "data": [' % (15 * MB + 1)
    body = text + numbers + b"]}]}"
    return post(_RETAIL, len(body), _JSON) + body


def _parts() -> bytes:
    part = b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\na good book\r\n'
    body = part * 400_000 + b"--b--\r\n"
    return post(_REVIEWS, len(body), "Content-Type: multipart/form-data; boundary=b") + body


def _instances() -> bytes:
    body = b'{"instances": [' + b"[[]]," * (6 * MB) + b"[]]}"
    return post(_REVIEWS, len(body), _JSON) + body


async def unread_output(of: Attacker) -> None:
    """Answers of 6 MB to requests of 3 kB, which nobody reads; few enough rows not to fill the queue of the model."""
    rows = 400
    data = b"\x01\0\0\0\0\0\0\0" * rows
    head, text = _binary("retail", "history", "INT64", [rows, 1], data, output="scores")
    async with of.connected() as (reader, writer):
        await of.send(writer, head + text + data)
        await asyncio.sleep(5)
        await of.answered(reader, 0.1)


async def pipelined(of: Attacker) -> None:
    """Requests of 1 MB one behind the other, whose answers are not waited for."""
    body = b'{"instances": ["' + b"good " * 200_000 + b'"]}'
    request = post(_REVIEWS, len(body), _JSON) + body
    async with of.connected() as (reader, writer):
        for _ in range(60):
            await of.send(writer, request)
        await of.answered(reader)


_MEGABYTE = bytes(MB)

ATTACKS: dict[str, tuple[str, int, One]] = {
    "heads": ("heads of 60 kB in pieces, which never end", 300, head_in_pieces),
    "half bodies": ("49 of 50 MB, then nothing", 40, half_body),
    "index": ("60 MB in chunks into `repository/index`", 8, chunked("/v2/repository/index")),
    "chunks": ("60 MB in chunks into `:predict` and the log settings", 8, chunked(_REVIEWS)),
    "gzip": ("60 MB of blanks in 60 kB of gzip", 8, whole(_bomb)),
    "images": ("49 million pixels in a PNG of 200 kB", 4, whole(_image)),
    "history": ("a history of 8 million ids, binary", 2, whole(_history)),
    "numbers": ("15 million numbers in JSON", 4, whole(_numbers)),
    "unread": ("answers of 6 MB that nobody reads", 12, unread_output),
    "pipelined": ("60 requests of 1 MB behind one another", 8, pipelined),
    "parts": ("400,000 parts of a form", 4, whole(_parts)),
    "instances": ("6 million instances of nested lists", 4, whole(_instances)),
}
"""By name: what it sends, on how many connections, and one go of it."""


def attack(name: str, port: int, seconds: float, nice: int) -> Outcome:
    """One attack, in a process of its own and at so low a priority, for so many seconds."""
    os.nice(nice)
    _, connections, one = ATTACKS[name]
    attacker = Attacker(port, seconds)
    if name == "chunks":
        other = chunked("/v2/logging")

        async def both(of: Attacker) -> None:
            await one(of)
            await other(of)

        asyncio.run(_keep_at_it(attacker, connections, both))
    else:
        asyncio.run(_keep_at_it(attacker, connections, one))
    times = os.times()
    return Outcome(dict(attacker.statuses), attacker.connections, attacker.sent, times.user + times.system)


async def _keep_at_it(attacker: Attacker, connections: int, one: One) -> None:
    async def again() -> None:
        while time.monotonic() < attacker.until:
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                await one(attacker)
            await asyncio.sleep(PAUSE_S)

    tasks = [asyncio.create_task(again()) for _ in range(connections)]
    await asyncio.wait(tasks, timeout=attacker.until - time.monotonic() + 10)
