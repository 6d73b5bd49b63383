"""Bodies as an ASGI server gives them, piece by piece."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from inference.errors import BatonError, ClientDisconnected, InputTooLarge, InvalidInput
from serving.http.body import read_body

GONE = {"type": "http.disconnect"}


def read(messages: Sequence[dict[str, Any]], declared: bytes | None = None, limit: int = 10) -> bytes:
    left = list(messages)

    async def receive() -> dict[str, Any]:
        return left.pop(0)

    headers = {} if declared is None else {b"content-length": declared}
    return bytes(asyncio.run(read_body(receive, headers, limit)))


def part(body: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def test_the_parts_of_a_body_are_one() -> None:
    assert read([part(b"abc", more=True), part(b"", more=True), part(b"def")]) == b"abcdef"
    assert read([part(b"abc")], declared=b"3") == b"abc"
    assert read([{"type": "http.request"}]) == b""


@pytest.mark.parametrize(
    ("messages", "declared", "error", "words"),
    [
        ([], b"11", InputTooLarge, "body: got 11 bytes, expected at most 10 bytes"),  # before any is read
        ([], b"many", InvalidInput, "Content-Length: got many, expected a whole number"),
        ([part(b"x" * 11)], None, InputTooLarge, "11 bytes"),
        ([part(b"x" * 6, more=True), part(b"x" * 6, more=True)], None, InputTooLarge, "12 bytes"),
        ([GONE], None, ClientDisconnected, "while it sent its body"),
        ([part(b"x", more=True), GONE], None, ClientDisconnected, "while it sent its body"),
    ],
)
def test_a_body_at_fault_is_an_error(
    messages: list[dict[str, Any]], declared: bytes | None, error: type[BatonError], words: str
) -> None:
    with pytest.raises(error, match=words):
        read(messages, declared)
