"""2.3 Datatypes: every one, as JSON and as binary, both ways."""

import math
import struct
from typing import Any

import httpx
import pytest

from tests.serving.graphs import MIXED
from tests.serving.protocol.wire import VALUES, blob_of, echo, infer, packed, refused, unpacked


def test_every_datatype_as_json(http: httpx.Client) -> None:
    inputs = [
        {"name": f"in_{name}", "shape": [1, 2], "datatype": name, "data": VALUES[name]} for name in MIXED
    ]
    outputs = {
        output["name"]: output for output in infer(http, "types", {"inputs": inputs}).json()["outputs"]
    }
    for name in MIXED:
        assert outputs[f"out_{name}"]["datatype"] == name
        assert outputs[f"out_{name}"]["data"] == VALUES[name]


def test_every_datatype_as_binary(http: httpx.Client) -> None:
    blobs = {name: blob_of(name, VALUES[name]) for name in MIXED}
    inputs = [
        {"name": f"in_{n}", "shape": [1, 2], "datatype": n, "parameters": {"binary_data_size": len(blobs[n])}}
        for n in MIXED
    ]
    body, headers = packed({"inputs": inputs, "parameters": {"binary_data_output": True}}, *blobs.values())
    answer = http.post("/v2/models/types/infer", content=body, headers=headers)
    assert answer.headers["content-type"] == "application/octet-stream"
    told, rest = unpacked(answer)
    for output in told["outputs"]:
        size = output["parameters"]["binary_data_size"]
        assert rest[:size] == blobs[output["datatype"]]
        rest = rest[size:]
    assert rest == b""


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("BOOL", [1, 0]), ("UINT8", [256, 0]), ("UINT8", [-1, 0]), ("INT8", [128, 0]), ("INT64", [2**63, 0]),
        ("UINT64", [2**64, 0]), ("INT32", [1.5, 0]), ("FP16", [1e6, 0]), ("FP64", ["1", "2"]), ("BYTES", [1, 2]),
        ("INT32", ["1", "2"]), ("INT32", [True, False]),
    ],
)  # fmt: skip
def test_values_that_are_not_of_the_type_are_refused(
    http: httpx.Client, datatype: str, data: list[Any]
) -> None:
    inputs = [{"name": f"in_{n}", "shape": [1, 2], "datatype": n, "data": VALUES[n]} for n in MIXED]
    place = list(MIXED).index(datatype)
    inputs[place]["data"] = data
    refused(infer(http, "types", {"inputs": inputs}), 400, f"inputs[{place}].data")


def test_whole_numbers_may_be_written_with_a_point(http: httpx.Client) -> None:
    inputs = [{"name": f"in_{n}", "shape": [1, 2], "datatype": n, "data": VALUES[n]} for n in MIXED]
    inputs[list(MIXED).index("INT32")]["data"] = [1.0, -2.0]
    request = {"inputs": inputs, "outputs": [{"name": "out_INT32"}]}
    assert infer(http, "types", request).json()["outputs"][0]["data"] == [1, -2]


# BF16 has a graph of its own, since one with strings beside it cannot be run.

BF16: list[float] = [1.0, -2.5, 0.0, 3.0]
BF16_BLOB = struct.pack("<4H", 0x3F80, 0xC020, 0x0000, 0x4040)


def test_bf16_as_json_is_numbers(http: httpx.Client) -> None:
    output = infer(http, "half", echo(BF16, [2, 2], "BF16")).json()["outputs"][0]
    assert (output["datatype"], output["shape"], output["data"]) == ("BF16", [2, 2], BF16)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0.1, 0.10009765625),
        (1.0 + 2**-8, 1.0),  # halfway: to the even one
        (1.0 + 3 * 2**-8, 1.0 + 2**-6),
        (-1.0 - 2**-8 - 2**-20, -1.0 - 2**-7),
        (3.3895313892515355e38, 3.3895313892515355e38),  # the largest
        (3.4e38, math.inf),
        (1e-40, 9.991e-41),
    ],
)
def test_bf16_of_a_json_number_is_the_nearest(http: httpx.Client, number: float, expected: float) -> None:
    (seen,) = infer(http, "half", echo([number], [1, 1], "BF16")).json()["outputs"][0]["data"]
    assert seen == pytest.approx(expected, rel=1e-3 if abs(expected) < 1e-30 else 1e-7)


def test_bf16_as_binary_is_the_upper_half_of_a_float(http: httpx.Client) -> None:
    head = echo(None, [2, 2], "BF16", parameters={"binary_data_output": True})
    del head["inputs"][0]["data"]
    head["inputs"][0]["parameters"] = {"binary_data_size": len(BF16_BLOB)}
    body, headers = packed(head, BF16_BLOB)
    told, rest = unpacked(http.post("/v2/models/half/infer", content=body, headers=headers))
    assert told["outputs"][0]["datatype"] == "BF16"
    assert rest == BF16_BLOB


def test_bf16_is_called_so_in_metadata_and_configuration(http: httpx.Client) -> None:
    assert http.get("/v2/models/half").json()["inputs"][0]["datatype"] == "BF16"
    assert http.get("/v2/models/half/config").json()["output"][0]["data_type"] == "TYPE_BF16"
