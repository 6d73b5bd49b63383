"""The client of an ASGI server: its body, and whether it still waits for the answer."""

import asyncio
from collections.abc import Callable
from functools import partial

from inference.errors import ClientDisconnected, InputTooLarge, InvalidInput
from serving.engine.observers import RawHeaders
from serving.http.asgi import Receive
from serving.http.big_body import JOINED_BYTES, GrowingBody

_LEFT = "the client closed the connection while it sent its body"


async def read_body(receive: Receive, headers: RawHeaders, limit: int) -> bytes | memoryview:
    """The whole body; `InputTooLarge` before any of it is read where its length is declared, or while it comes."""
    declared = headers.get(b"content-length")
    if declared is not None:
        _check_size(_size(declared), limit)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnected(_LEFT)
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        size = 0 if declared is None else _size(declared)
        return await _read_rest(receive, body, size, limit)
    _check_size(len(body), limit)
    return body


async def _read_rest(receive: Receive, first: bytes, declared: int, limit: int) -> bytes | memoryview:
    """The body whose `first` bytes are here; `declared`: how many it will be, 0 where that was not said."""
    chunks: list[bytes] | GrowingBody = [first]
    if declared > JOINED_BYTES:
        chunks = GrowingBody(declared, [first])
    size, more = len(first), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected(_LEFT)
        chunk = message.get("body", b"")
        size += len(chunk)
        _check_size(size, limit)
        chunks.append(chunk)
        more = message.get("more_body", False)
    if isinstance(chunks, GrowingBody):
        return chunks.whole()
    if size <= JOINED_BYTES:
        return b"".join(chunks)
    # On a thread, where a join of more than a megabyte lets go of the interpreter.
    return await asyncio.get_running_loop().run_in_executor(None, b"".join, chunks)


def _size(declared: bytes) -> int:
    try:
        return int(declared)
    except ValueError:
        raise InvalidInput("Content-Length", declared.decode("latin-1"), "a whole number of bytes") from None


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise InputTooLarge("body", f"{size} bytes", f"at most {limit} bytes")


def watch(receive: Receive) -> tuple[Callable[[], bool], Callable[[], object] | None]:
    """A question whether the client has left, and a callback for when the answer is sent (or None).

    uvicorn's `receive` is a method of the request's cycle, which knows; asking it costs no task. Elsewhere a
    task waits for the disconnect message. Call it when the body has been read.
    """
    cycle = getattr(receive, "__self__", None)
    if isinstance(getattr(cycle, "disconnected", None), bool):
        return partial(getattr, cycle, "disconnected"), None
    task = asyncio.ensure_future(_until_disconnect(receive))
    return task.done, task.cancel


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
