"""2.5 Binary tensor data extension."""

import json
import struct
from typing import Any

import httpx
import pytest

from tests.serving.graphs import MIXED
from tests.serving.protocol.wire import (
    BLOB,
    VALUES,
    binary_head,
    blob_of,
    echo,
    infer,
    packed,
    refused,
    unpacked,
)


@pytest.mark.parametrize(
    ("head", "blob", "words"),
    [
        (binary_head(), BLOB + b"0", ["unexpected additional input data, 1 byte,"]),
        (binary_head(), BLOB[:7], ["inputs[0].parameters.binary_data_size", "7 bytes left"]),
        (binary_head(7), BLOB[:7], ["inputs[0]", "7 bytes", "8 for FP32"]),
        (binary_head(-1), BLOB, ["binary_data_size", "-1"]),
        (binary_head(True), BLOB, ["binary_data_size"]),
        (binary_head(None), BLOB, ["no data"]),
    ],
)
def test_binary_sizes_must_fit(
    http: httpx.Client, head: dict[str, Any], blob: bytes, words: list[str]
) -> None:
    body, headers = packed(head, blob)
    refused(http.post("/v2/models/flex/infer", content=body, headers=headers), 400, *words)


def test_a_tensor_has_its_data_in_one_place(http: httpx.Client) -> None:
    both = binary_head()
    both["inputs"][0]["data"] = [1, 2]
    body, headers = packed(both, BLOB)
    refused(http.post("/v2/models/flex/infer", content=body, headers=headers), 400, "one of them")
    shared = binary_head(None)
    shared["inputs"][0]["parameters"] = {"shared_memory_region": "r", "shared_memory_byte_size": 8}
    refused(infer(http, "flex", shared), 501, "shared memory")
    refused(infer(http, "flex", binary_head()), 400, "no binary part")


@pytest.mark.parametrize("length", ["x", "-1", "1.5", "", "999999", "9" * 30])
def test_the_length_of_the_json_part_is_checked(http: httpx.Client, length: str) -> None:
    headers = {"Inference-Header-Content-Length": length}
    answer = http.post("/v2/models/flex/infer", content=json.dumps(echo([1, 2])), headers=headers)
    refused(answer, 400, "Inference-Header-Content-Length")


def test_the_header_may_come_with_json_alone(http: httpx.Client) -> None:
    body, headers = packed(echo([1, 2]))
    answer = http.post("/v2/models/flex/infer", content=body, headers=headers)
    assert answer.json()["outputs"][0]["data"] == [1.0, 2.0]
    assert "inference-header-content-length" not in answer.headers


def test_an_empty_binary_tensor_takes_nothing(http: httpx.Client) -> None:
    head = {
        "inputs": [{"name": "x", "shape": [1, 0], "datatype": "FP32", "parameters": {"binary_data_size": 0}}]
    }
    body, headers = packed(head)
    answer = http.post("/v2/models/flex/infer", content=body, headers=headers)
    assert answer.json()["outputs"][0]["shape"] == [1, 0]


@pytest.mark.parametrize(
    ("extra", "binary"),
    [
        ({}, False),
        ({"parameters": {"binary_data_output": True}}, True),
        ({"outputs": [{"name": "y", "parameters": {"binary_data": True}}]}, True),
        ({"outputs": [{"name": "y"}], "parameters": {"binary_data_output": True}}, False),
        ({"outputs": [{"name": "y", "parameters": {"binary_data": False}}]}, False),
    ],
)
def test_which_outputs_are_binary(http: httpx.Client, extra: dict[str, Any], binary: bool) -> None:
    answer = infer(http, "flex", echo([1, 2], **extra))
    assert ("inference-header-content-length" in answer.headers) is binary
    if binary:
        told, rest = unpacked(answer)
        assert told["outputs"][0]["parameters"] == {"binary_data_size": 8}
        assert rest == BLOB


def test_blobs_follow_the_order_of_the_inputs(http: httpx.Client) -> None:
    def part(name: str) -> dict[str, Any]:
        return {"name": name, "shape": [1, 3], "datatype": "FP32", "parameters": {"binary_data_size": 12}}

    body, headers = packed(
        {"inputs": [part("y"), part("x")]}, struct.pack("<3f", 1, 1, 1), struct.pack("<3f", 2, 3, 4)
    )
    answer = http.post("/v2/models/sum/infer", content=body, headers=headers)
    assert answer.json()["outputs"][0]["data"] == [3.0, 4.0, 5.0]


@pytest.mark.parametrize(
    "blob",
    [b"\x05\x00\x00\x00abc", b"\x01\x00", b"", blob_of("BYTES", ["a", "b"])],
    ids=["too short", "half a length", "none", "too many"],
)
def test_bytes_that_are_malformed_are_refused(http: httpx.Client, blob: bytes) -> None:
    parameters = {"binary_data_size": len(blob)}
    head = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "BYTES", "parameters": parameters}]}
    body, headers = packed(head, blob)
    refused(http.post("/v2/models/echo/infer", content=body, headers=headers), 400, "inputs[0]")


def test_a_bool_is_one_byte_and_any_but_0_is_true(http: httpx.Client) -> None:
    inputs: list[dict[str, Any]] = [
        {"name": f"in_{n}", "shape": [1, 2], "datatype": n, "data": VALUES[n]} for n in MIXED
    ]
    del inputs[0]["data"]
    inputs[0]["parameters"] = {"binary_data_size": 2}
    asked = {"name": "out_BOOL", "parameters": {"binary_data": True}}
    body, headers = packed({"inputs": inputs, "outputs": [asked]}, b"\xff\x00")
    _, rest = unpacked(http.post("/v2/models/types/infer", content=body, headers=headers))
    assert rest == b"\x01\x00"


def test_blobs_follow_the_order_of_the_outputs(http: httpx.Client) -> None:
    inputs = [{"name": f"in_{n}", "shape": [1, 2], "datatype": n, "data": VALUES[n]} for n in MIXED]
    binary = {"binary_data": True}
    asked: list[dict[str, Any]] = [
        {"name": "out_INT64", "parameters": binary},
        {"name": "out_FP32"},
        {"name": "out_BYTES", "parameters": binary},
        {"name": "out_INT8", "parameters": binary},
    ]
    told, rest = unpacked(infer(http, "types", {"inputs": inputs, "outputs": asked}))
    assert [output["name"] for output in told["outputs"]] == [output["name"] for output in asked]
    assert told["outputs"][1]["data"] == [pytest.approx(value) for value in VALUES["FP32"]]
    assert rest == b"".join(blob_of(name, VALUES[name]) for name in ("INT64", "BYTES", "INT8"))


def test_json_and_binary_inputs_may_be_mixed(http: httpx.Client) -> None:
    as_json = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}
    as_binary = {"name": "y", "shape": [1, 3], "datatype": "FP32", "parameters": {"binary_data_size": 12}}
    body, headers = packed({"inputs": [as_json, as_binary]}, struct.pack("<3f", 10, 20, 30))
    answer = http.post("/v2/models/sum/infer", content=body, headers=headers)
    assert answer.json()["outputs"][0]["data"] == [11.0, 22.0, 33.0]
