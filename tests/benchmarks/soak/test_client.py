"""The client of the soak reads answers as they come, in whatever pieces."""

import asyncio

import pytest

from benchmarks.soak.client import Answer, Connection, Gone

FIRST = b"HTTP/1.1 200 OK\r\nInference-Header-Content-Length: 2\r\nContent-Length: 5\r\n\r\nhello"
SECOND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_answers_come_in_their_order_at_every_split(size: int) -> None:
    async def story() -> list[Answer]:
        connection = Connection()
        stream = FIRST + SECOND + FIRST

        async def feed() -> None:
            for start in range(0, len(stream), size):
                connection.data_received(stream[start : start + size])
                await asyncio.sleep(0)

        feeding = asyncio.create_task(feed())
        answers = [await connection.answer() for _ in range(3)]
        await feeding
        return answers

    answers = asyncio.run(story())
    assert [(answer.status, answer.body) for answer in answers] == [
        (200, b"hello"),
        (404, b""),
        (200, b"hello"),
    ]


def test_an_answer_that_never_ends_is_a_fault() -> None:
    async def story() -> None:
        connection = Connection()
        connection.data_received(FIRST[:-1])
        connection.connection_lost(None)
        with pytest.raises(Gone):
            await connection.answer()

    asyncio.run(story())
