"""The caller's side of a request as ASGI shows it: the body, and whether anybody still waits for the answer."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from inference.errors import ClientDisconnected, InputTooLarge, InvalidInput
from serving.engine.observers import RawHeaders

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

_LEFT = "the caller closed the connection while it sent its body"


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


class WholeBody:
    """`receive` for a body that is here already; it knows, as uvicorn's does, whether the caller has left."""

    __slots__ = ("_body", "_is_disconnected")

    def __init__(self, body: bytes, is_disconnected: Callable[[], bool]) -> None:
        self._body, self._is_disconnected = body, is_disconnected

    @property
    def is_disconnected(self) -> Callable[[], bool]:
        """Asks whether the caller has left."""
        return self._is_disconnected

    async def __call__(self) -> Message:
        """The one message that there is."""
        return {"type": "http.request", "body": self._body}


def watch(receive: Receive) -> tuple[Callable[[], bool], Callable[[], object] | None]:
    """Whether the caller has left, and what to call when the answer is sent (None: nothing).

    uvicorn's `receive` is a method of the request's cycle, which knows; asking it costs no task. Elsewhere a
    task waits for the disconnect message. Call it when the body has been read.
    """
    if isinstance(receive, WholeBody):
        return receive.is_disconnected, None
    cycle = getattr(receive, "__self__", None)
    if isinstance(getattr(cycle, "disconnected", None), bool):
        return partial(getattr, cycle, "disconnected"), None
    task = asyncio.ensure_future(_until_disconnect(receive))
    return task.done, task.cancel


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
