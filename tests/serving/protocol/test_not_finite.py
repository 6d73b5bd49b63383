"""2.3 NaN and Infinity in JSON: taken and given as Triton's client writes and reads them, unless it is to be strict."""

import json
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from onnx import TensorProto

from tests.bundles import write_bare
from tests.serving.graphs import identity_graph
from tests.serving.protocol.wire import echo, infer, packed, refused, unpacked
from tests.serving.servers import start

pytestmark = pytest.mark.slow

KINDS = {
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BF16": TensorProto.BFLOAT16,
}
ODD = [math.nan, math.inf, -math.inf, 1.5]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    for name, kind in KINDS.items():
        write_bare(root, name.lower(), identity_graph(kind, "batch", "length"))
    write_bare(root, "whole", identity_graph(TensorProto.INT32, "batch", "length"))
    write_bare(root, "text", identity_graph(TensorProto.STRING, "batch", "length"))
    return root


@pytest.fixture(scope="module")
def lenient(models: Path) -> Iterator[httpx.Client]:
    with start(models=models) as running, httpx.Client(base_url=running.url) as client:
        yield client


@pytest.fixture(scope="module")
def strict(models: Path) -> Iterator[httpx.Client]:
    with start(models=models, strict_json=True) as running, httpx.Client(base_url=running.url) as client:
        yield client


def same(seen: list[Any], expected: list[float]) -> bool:
    return np.array_equal(np.array(seen, float), np.array(expected), equal_nan=True)


@pytest.mark.parametrize("datatype", KINDS)
@pytest.mark.parametrize("data", [ODD, [ODD[:2], ODD[2:]]], ids=["flat", "nested"])
def test_what_is_not_finite_is_read_back_as_it_was_sent(
    lenient: httpx.Client, datatype: str, data: list[Any]
) -> None:
    answer = infer(lenient, datatype.lower(), echo(data, [2, 2], datatype))
    assert "NaN,Infinity,-Infinity,1.5" in answer.text
    assert same(json.loads(answer.text)["outputs"][0]["data"], ODD)


def test_words_stand_beside_binary_tensors_too(lenient: httpx.Client) -> None:
    body, headers = packed(echo(ODD, [2, 2], parameters={"binary_data_output": True}))
    told, rest = unpacked(lenient.post("/v2/models/fp32/infer", content=body, headers=headers))
    assert told["outputs"][0]["parameters"] == {"binary_data_size": 16}
    assert same(list(struct.unpack("<4f", rest)), ODD)


def test_a_word_in_a_string_is_a_string(lenient: httpx.Client) -> None:
    words = ["NaN", '"Infinity', "\\", "-Infinity\\"]
    output = infer(lenient, "text", echo(words, [1, 4], "BYTES")).json()["outputs"][0]
    assert output["data"] == words
    answer = infer(lenient, "fp32", echo([math.nan, 1], id='"NaN", \\'))
    assert json.loads(answer.text)["id"] == '"NaN", \\'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('"data":["NaN",NaN]', ["inputs[0].data[0]", "a str"]),
        ('"data":[NaN,null]', ["inputs[0].data[1]", "null"]),
        ('"data":[NaN,1],"x":nan', ["body"]),
        ('"data":[1NaN,1]', ["body"]),
        ('"data":[NaN,1', ["body"]),
        ('"data":[+Infinity,1]', ["body"]),
        ('"data":[NaN,1,2]', ["3 elements"]),
        ('"data":[[NaN],[1]]', ["a list of 1 at axis 1"]),
        ('"data":NaN', ["inputs[0].data", "a float"]),
        ('"data":[NaN,1],"parameters":{"binary_data_size":8}', ["both data"]),
        ('"data":[NaN,' + "[" * 100_000, ["nested"]),
        ('"data":["\\ud800",NaN]', ["inputs[0].data[0]", "surrogate"]),
    ],
)  # fmt: skip
def test_a_body_with_words_is_checked_as_any_other(
    lenient: httpx.Client, text: str, words: list[str]
) -> None:
    body = '{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32",' + text + "}]}"
    refused(lenient.post("/v2/models/fp32/infer", content=body), 400, *words)


def test_whole_numbers_and_texts_have_no_such_words(lenient: httpx.Client) -> None:
    refused(infer(lenient, "whole", echo(ODD, [2, 2], "INT32")), 400, "inputs[0].data[0]", "a float")
    refused(infer(lenient, "text", echo(ODD, [2, 2], "BYTES")), 400, "inputs[0].data[0]", "a float")


def test_strict_json_refuses_the_words_and_answers_null(strict: httpx.Client) -> None:
    refused(infer(strict, "fp32", echo([math.nan, 1])), 400, "body", "strict JSON")
    head = echo(None)
    del head["inputs"][0]["data"]
    head["inputs"][0]["parameters"] = {"binary_data_size": 8}
    body, headers = packed(head, struct.pack("<2f", math.nan, math.inf))
    answer = strict.post("/v2/models/fp32/infer", content=body, headers=headers)
    assert answer.json()["outputs"][0]["data"] == [None, None]
