"""Bodies of a fixed seed through the codecs; `python -m benchmarks.fuzz codec` runs longer.

The search is worth what it can find, so faults of the kinds that it is for are put in, and it finds each.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from benchmarks.fuzz.bodies import make_body
from benchmarks.fuzz.codec import models, not_alike, search
from benchmarks.fuzz.watch import Report, Watch
from inference.processors.text import TextProcessor
from serving.codec import elements
from serving.codec.outputs import OutputEncoder

SEED = 15
BODIES = 2000


def searched(folder: Path, count: int, begin: Callable[[], None] = lambda: None) -> Report:
    """What a search through the first bodies of the seed found. `begin`: called when the server serves."""

    async def run() -> Report:
        async with models(folder) as world:
            begin()
            watch = Watch(0, count)
            await search(world, SEED, 0, count, watch)
            return watch.report()

    return asyncio.run(run())


@pytest.mark.slow
def test_every_body_is_answered_or_refused_and_right_ones_come_back(tmp_path: Path) -> None:
    report = searched(tmp_path, BODIES)
    assert report.faults == ()
    ended = report.outcomes
    assert ended["infer 200"] > BODIES // 3
    assert ended["infer 400"] > BODIES // 10
    assert ended["predict 200"]
    assert ended["predict 400"]


def raises(*_: Any, **__: Any) -> Any:
    raise ZeroDivisionError("by nothing")


def one_more(array: Any) -> Any:
    return NARROW(array) + np.uint16(1)


NARROW: Callable[[Any], Any] = elements.narrow  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("owner", "name", "fault", "said"),
    [
        (elements, "mismatch", raises, "by nothing"),
        (elements, "narrow", one_more, "y: got"),
        (TextProcessor, "decode", raises, "by nothing"),
        (OutputEncoder, "encode", raises, "by nothing"),
    ],
    ids=["a wrong element", "bf16", "text", "encode"],
)
def test_a_fault_that_is_put_in_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, fault: Any, said: str
) -> None:
    faults = searched(tmp_path, 400, lambda: monkeypatch.setattr(owner, name, fault)).faults
    assert faults
    assert said in "".join(told for _, told in faults)


def test_a_body_is_made_from_the_seed_and_its_number_alone() -> None:
    for number in range(200):
        first, second = (make_body(Random(f"1 {number}")) for _ in range(2))
        assert (first.content, first.headers, first.right) == (second.content, second.headers, second.right)


@pytest.mark.parametrize(
    ("answer", "json_length", "said"),
    [
        (b'{"outputs":[{"name":"y","datatype":"FP32","shape":[2],"data":[1.0,NaN]}]}', None, ""),
        (b'{"outputs":[{"name":"y","datatype":"FP32","shape":[2],"data":[1.0,2.0]}]}', None, "y: got"),
        (b'{"outputs":[{"name":"y","datatype":"FP32","shape":[2],"data":[1.0]}]}', None, "y: got"),
        (
            b'{"outputs":[{"name":"y","datatype":"FP32","shape":[2],"parameters":{"binary_data_size":8}}]}'
            + np.array([1, np.nan], np.float32).tobytes()
            + b"xx",
            b"92",
            "2 bytes are left over",
        ),
        (b'{"outputs":[]}', None, "y is missing"),
    ],
)
def test_an_answer_is_compared_with_what_was_sent(
    answer: bytes, json_length: bytes | None, said: str
) -> None:
    expected = {"y": np.array([1, np.nan], np.float32)}
    told = not_alike(expected, answer, json_length)
    assert told.startswith(said)
    assert bool(told) == bool(said)
