"""PyTriton's clients against the server at argv[1]; prints what they were told, as JSON.

It runs by the interpreter that has `nvidia-pytriton`.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from pytriton.client import AsyncioModelClient, FuturesModelClient, ModelClient

X = np.arange(6, dtype=np.float32).reshape(2, 3)
Y = np.full((2, 3), 0.5, np.float32)


def asks(url: str) -> dict[str, Callable[[], Any]]:
    """Every question by name."""
    texts = np.array([["naïve".encode()], [b""]], np.object_)
    wide = np.array([[2**40, -1]])
    return {
        "config": lambda: with_client(url, "sum", configured),
        "sample": lambda: with_client(url, "sum", lambda client: client.infer_sample(X[0], Y[0])),
        "batch": lambda: with_client(url, "sum", lambda client: client.infer_batch(x=X, y=Y)),
        "refused": lambda: with_client(url, "sum", lambda client: client.infer_batch(X, Y[:1])),
        "ids": lambda: with_client(url, "tens", lambda client: client.infer_batch(np.array([[1], [2], [3]]))),
        "id": lambda: with_client(url, "tens", lambda client: client.infer_sample(np.array([4]))),
        "whole": lambda: with_client(url, "whole", lambda client: client.infer_sample(X)),
        "no batches": lambda: with_client(url, "whole", lambda client: client.infer_batch(X)),
        "texts": lambda: with_client(url, "echo", lambda client: client.infer_batch(texts)),
        "long": lambda: with_client(url, "long", lambda client: client.infer_batch(wide)),
        "headers": lambda: with_client(
            url, "long", lambda client: client.infer_batch(wide, headers={"traceparent": "00-1-2-01"})
        ),
        "parameters": lambda: with_client(
            url, "long", lambda client: client.infer_batch(wide, parameters={"mine": "own", "n": 1})
        ),
        "futures": lambda: futures(url),
        "loop": lambda: asyncio.run(at_once(url)),
    }


def with_client(url: str, model: str, ask: Callable[[Any], Any]) -> Any:
    """One question to a client made for it."""
    with ModelClient(url, model) as client:
        answer = ask(client)
    if not isinstance(answer, dict):
        return answer
    return {
        name: (decoded(array) if array.dtype.kind in "SO" else array).tolist()
        for name, array in answer.items()
    }


decoded = np.vectorize(bytes.decode, otypes=[object])


def configured(client: Any) -> list[Any]:
    """What it read before it asks."""
    client.wait_for_server(60)
    client.wait_for_model(60)
    config = client.model_config
    return [config.model_name, config.max_batch_size, client.is_batching_supported]


def futures(url: str) -> list[Any]:
    """Forty at once, on threads of its own."""
    with FuturesModelClient(url, "sum", max_workers=8) as client:
        asked = [client.infer_sample(X[0] + place, Y[0]) for place in range(40)]
        return [answer.result()["total"].tolist() for answer in asked]


async def at_once(url: str) -> list[Any]:
    """Forty at once, on an event loop."""
    async with AsyncioModelClient(url, "sum") as client:
        answers = await asyncio.gather(*(client.infer_sample(X[0] + place, Y[0]) for place in range(40)))
        return [answer["total"].tolist() for answer in answers]


def told_by(ask: Callable[[], Any]) -> Any:
    """The answer, or what an error says."""
    try:
        return ask()
    except Exception as error:
        return repr(error)


if __name__ == "__main__":
    print(json.dumps({name: told_by(ask) for name, ask in asks(sys.argv[1]).items()}))
