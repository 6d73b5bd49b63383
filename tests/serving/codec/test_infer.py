"""A whole request and its answer, without a server: what decode takes from the parameters, and what it checks."""

import json
import struct
from typing import Any

import numpy as np
import pytest

from inference.errors import InvalidInput
from inference.values import DataType, Tensors
from serving.codec.infer import MIN_TIMEOUT_US, InferCodec
from tests.serving.codec.manifests import manifest, spec

MANIFEST = manifest([spec("x", DataType.FP32, -1, 2)], [spec("y", DataType.FP32, -1, 2)])


def body(**extra: Any) -> bytes:
    given = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}
    return json.dumps({"inputs": [given], **extra}).encode()


def test_a_request_comes_back_as_its_answer() -> None:
    codec = InferCodec(MANIFEST)
    request = codec.decode(body(id="42"))
    assert (request.rows, request.id, request.timeout_us, request.priority) == (1, "42", 0, 0)
    answer = codec.encode(request, {"y": request.tensors["x"]})
    assert json.loads(answer.body) == {
        "model_name": "m", "model_version": "1", "id": "42",
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]}],
    }  # fmt: skip


def test_the_first_priority_goes_before_the_second() -> None:
    def priority(**parameters: Any) -> int:
        return InferCodec(MANIFEST).decode(body(parameters=parameters)).priority

    # 0 is the default, 1 the highest; a batcher's priorities count from 0.
    assert [priority(), priority(priority=0), priority(priority=1)] == [0, 0, 0]
    assert [priority(priority=2), priority(priority=9)] == [1, 1]


@pytest.mark.parametrize(
    ("sent", "taken"), [(MIN_TIMEOUT_US - 1, 0), (MIN_TIMEOUT_US, MIN_TIMEOUT_US)], ids=["below", "at"]
)
def test_a_timeout_under_a_millisecond_is_none(sent: int, taken: int) -> None:
    assert InferCodec(MANIFEST).decode(body(parameters={"timeout": sent})).timeout_us == taken


def test_the_binary_part_begins_where_the_header_says() -> None:
    head = json.dumps(
        {
            "inputs": [
                {"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}
            ]
        }
    ).encode()
    request = InferCodec(MANIFEST).decode(head + struct.pack("<2f", 3, 4), len(head))
    assert request.tensors["x"].tolist() == [[3, 4]]
    with pytest.raises(InvalidInput, match=r"^body: got unexpected additional input data, 1 byte"):
        InferCodec(MANIFEST).decode(head + struct.pack("<2fB", 3, 4, 0), len(head))


def test_a_json_part_of_no_length_makes_the_body_the_input_and_the_answer_binary() -> None:
    codec = InferCodec(MANIFEST)
    request = codec.decode(struct.pack("<2f", 3, 4), 0)
    assert (request.tensors["x"].tolist(), request.rows) == ([[3, 4]], 1)
    assert codec.encode(request, {"y": request.tensors["x"]}).json_bytes is not None


def test_tensors_are_checked_by_their_values_however_they_come() -> None:
    def check(tensors: Tensors) -> None:
        if not np.isfinite(tensors["x"]).all():
            raise InvalidInput("x", "nan", "numbers")

    codec = InferCodec(MANIFEST, check=check)
    codec.decode(body())
    for sent, length in (
        (body().replace(b"[1, 2]}", b"[1, NaN]}"), None),
        (struct.pack("<2f", 1, np.nan), 0),
    ):
        with pytest.raises(InvalidInput, match=r"^x: got nan, expected numbers$"):
            codec.decode(sent, length)


def test_strict_json_is_refused_nan() -> None:
    with pytest.raises(InvalidInput, match=r"^body: .* expected strict JSON, which has no NaN or Infinity$"):
        InferCodec(MANIFEST, strict=True).decode(body().replace(b"[1, 2]}", b"[1, NaN]}"))
