"""tritony's client against the server at argv[1] (host:port); prints what it was told, as JSON.

It runs by the interpreter that has `tritony`.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from tritony import InferenceClient

X = np.arange(30, dtype=np.float32).reshape(10, 3)
MANY = np.arange(600, dtype=np.float32).reshape(200, 3)


def asks(url: str) -> dict[str, Callable[[], Any]]:
    """Every question by name."""
    rows = InferenceClient.create_with("sum", url, input_dims=2, protocol="http")
    flex = InferenceClient.create_with("flex", url, input_dims=2, protocol="http")
    texts = np.array([["naïve".encode()], [b"b"]], np.object_)
    return {
        "spec": lambda: specified(rows),
        "rows": lambda: rows({"x": X, "y": X + 0.5}),
        "many": lambda: rows({"x": MANY, "y": MANY}),
        "array": lambda: flex(X[:2]),
        "other model": lambda: flex(np.array([[2**40, 1]]), model_name="long"),
        "texts": lambda: [[text.decode() for text in row] for row in flex(texts, model_name="echo")],
        "loop": lambda: asyncio.run(at_once(url)),
    }


def specified(client: Any) -> list[Any]:
    """What it read before it asks."""
    spec = client.default_model_spec
    inputs = [[each.name, each.dtype, each.dims, each.optional] for each in spec.model_input]
    return [spec.max_batch_size, inputs]


async def at_once(url: str) -> list[Any]:
    """Twenty at once, on an event loop."""
    client = InferenceClient.create_with_asyncio("sum", url, input_dims=2, protocol="http")
    answers = await asyncio.gather(
        *(client.aio_infer({"x": X[:1] + place, "y": X[:1]}) for place in range(20))
    )
    await client.async_close()
    return [answer.tolist() for answer in answers]


def told_by(ask: Callable[[], Any]) -> Any:
    """The answer, or what an error says."""
    try:
        answer = ask()
    except Exception as error:
        return repr(error)
    return answer.tolist() if isinstance(answer, np.ndarray) else answer


if __name__ == "__main__":
    print(json.dumps({name: told_by(ask) for name, ask in asks(sys.argv[1]).items()}))
