"""The client of an ASGI server: its body, and whether it still waits for the answer."""

import asyncio
from collections.abc import Callable
from functools import partial

from inference.errors import ClientDisconnected, InputTooLarge, InvalidInput
from serving.engine.observers import RawHeaders
from serving.http.asgi import Receive

_LEFT = "the client closed the connection while it sent its body"


async def read_body(receive: Receive, headers: RawHeaders, limit: int) -> bytes:
    """The whole body; `InputTooLarge` before any of it is read where its length is declared, or while it comes."""
    declared = headers.get(b"content-length")
    if declared is not None:
        _check_size(_size(declared), limit)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnected(_LEFT)
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        body = await _read_rest(receive, body, limit)
    _check_size(len(body), limit)
    return body


async def _read_rest(receive: Receive, first: bytes, limit: int) -> bytes:
    chunks, size, more = [first], len(first), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected(_LEFT)
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        _check_size(size, limit)
        more = message.get("more_body", False)
    return b"".join(chunks)


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
