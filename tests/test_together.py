"""Sixty-four clients at once on the shipped model: batches form, and no answer goes to another client."""

import asyncio
import re
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.bundles import MODELS, shipped
from tests.serving.servers import start

GOLDEN = sorted((shipped("fashion") / "golden").glob("*.png"))
PREDICT = "/v1/models/fashion:predict"
CLIENTS, ROUNDS = 64, 4
BAD = b"no image at all"


@pytest.mark.slow
def test_sixty_four_clients_each_get_their_own_answer_in_shared_batches() -> None:
    # Set by hand, since the plan of a machine where a batch of one pays as well as any is to form none.
    with start(models=MODELS, max_batch_size=8) as server, httpx.Client(base_url=server.url) as client:
        alone = [_predict(client, image.read_bytes()) for image in GOLDEN]
        runs_before, rows_before = _batches(client)
        answers = asyncio.run(_all_at_once(server.url))
        runs_after, rows_after = _batches(client)
    for number, status, answer in answers:
        if _is_bad(number):
            assert (status, "body" in answer["error"]) == (400, True)
        else:
            (seen,), (expected,) = answer["predictions"], alone[number % len(GOLDEN)]
            assert seen["label"] == expected["label"]
            assert abs(seen["probability"] - expected["probability"]) <= 2e-4
    rows, runs = rows_after - rows_before, runs_after - runs_before
    good = sum(not _is_bad(number) for number, _, _ in answers)
    assert rows >= good, "who left before the run is not in it, everybody else is"
    assert rows > runs, f"{rows} rows in {runs} runs: no batch formed"


def _is_bad(number: int) -> bool:
    return number % 16 == 5


async def _all_at_once(url: str) -> list[tuple[int, int, Any]]:
    limits = httpx.Limits(max_connections=CLIENTS)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60) as client:

        async def one(number: int) -> tuple[int, int, Any]:
            content = BAD if _is_bad(number) else GOLDEN[number % len(GOLDEN)].read_bytes()
            answer = await client.post(PREDICT, content=content, headers={"content-type": "image/png"})
            return number, answer.status_code, answer.json()

        answers = []
        for _ in range(ROUNDS):
            for _ in range(4):
                _ask_and_leave(url)
            answers += await asyncio.gather(*(one(number) for number in range(CLIENTS)))
        return answers


def _ask_and_leave(url: str) -> None:
    """Send a whole request and close the connection without reading the answer."""
    address, image = urlsplit(url), GOLDEN[0].read_bytes()
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(image)}\r\n\r\n"
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(head.encode() + image)


def _predict(client: httpx.Client, content: bytes) -> list[dict[str, float]]:
    answer = client.post(PREDICT, content=content, headers={"content-type": "image/png"})
    predictions: list[dict[str, float]] = answer.json()["predictions"]
    return predictions


def _batches(client: httpx.Client) -> tuple[int, int]:
    """Runs of the model, and rows in them, from the histogram of batch sizes."""
    text = client.get("/metrics").text
    runs, rows = (
        re.search(rf'baton_batch_rows_{part}{{[^}}]*model="fashion"[^}}]*}} (\S+)', text)
        for part in ("count", "sum")
    )
    return (int(float(runs[1])) if runs else 0), (int(float(rows[1])) if rows else 0)
