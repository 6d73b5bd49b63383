"""The REST part of the Open Inference Protocol, a test for each thing that clients rely on."""

import gzip
import json
import struct
import zlib
from typing import Any

import httpx
import numpy as np
import pytest

from serving.routes.models import EXTENSIONS
from tests.serving.graphs import TYPES

SUM = {
    "inputs": [
        {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]},
        {"name": "y", "shape": [1, 3], "datatype": "FP32", "data": [10, 20, 30]},
    ]
}


def echo(
    data: object, shape: list[int] | None = None, datatype: str = "FP32", **extra: Any
) -> dict[str, Any]:
    """A request for `flex`, which gives back what it gets."""
    return {"inputs": [{"name": "x", "shape": shape or [1, 2], "datatype": datatype, "data": data}], **extra}


def refused(answer: httpx.Response, status: int, *words: str) -> None:
    """An error as clients expect it: JSON with one text, which names what is wrong."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert isinstance(told["error"], str)
    for word in words:
        assert word in told["error"]


def infer(http: httpx.Client, model: str, body: object) -> httpx.Response:
    return http.post(f"/v2/models/{model}/infer", content=json.dumps(body))


def packed(head: dict[str, Any], *blobs: bytes) -> tuple[bytes, dict[str, str]]:
    """A body with binary tensors, and the header that says where they begin."""
    text = json.dumps(head).encode()
    return text + b"".join(blobs), {"Inference-Header-Content-Length": str(len(text))}


def unpacked(answer: httpx.Response) -> tuple[dict[str, Any], bytes]:
    length = int(answer.headers["inference-header-content-length"])
    told: dict[str, Any] = json.loads(answer.content[:length])
    return told, answer.content[length:]


# 2.1 Endpoints


@pytest.mark.parametrize("path", ["/v2", "/v2/", "/v2?a=b"])
def test_server_metadata(http: httpx.Client, path: str) -> None:
    told = http.get(path).json()
    assert told["name"] == "baton"
    assert isinstance(told["version"], str)
    assert told["extensions"] == EXTENSIONS


def test_health_answers_get_and_head(http: httpx.Client) -> None:
    assert http.get("/v2/health/live").json() == {"live": True}
    assert http.get("/v2/health/ready").json() == {"ready": True}
    for path in ("/v2/health/live", "/v2/health/ready"):
        head = http.head(path)
        assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("base", ["/v2/models/sum", "/v2/models/sum/versions/1"])
def test_a_model_tells_of_itself(http: httpx.Client, base: str) -> None:
    assert http.get(f"{base}/ready").json() == {"name": "sum", "ready": True}
    told = http.get(base).json()
    assert told["platform"] == "onnxruntime_onnx"
    assert told["outputs"] == [{"name": "total", "datatype": "FP32", "shape": [-1, 3]}]
    config = http.get(f"{base}/config").json()
    assert config["input"][0] == {"name": "x", "data_type": "TYPE_FP32", "dims": [3]}
    assert "dynamic_batching" in config
    assert http.get(f"{base}/stats").json()["model_stats"][0]["version"] == "1"
    assert http.get(f"{base}/profile").json()["plan"]["max_batch_size"] >= 1


def test_a_model_without_a_batch_axis_has_batch_size_0(http: httpx.Client) -> None:
    config = http.get("/v2/models/whole/config").json()
    assert config["max_batch_size"] == 0
    assert config["input"][0]["dims"] == [2, 3]
    assert "dynamic_batching" not in config
    assert http.get("/v2/models/whole").json()["inputs"][0]["shape"] == [2, 3]


def test_strings_are_called_so_in_the_configuration(http: httpx.Client) -> None:
    assert http.get("/v2/models/echo/config").json()["input"][0]["data_type"] == "TYPE_STRING"
    assert http.get("/v2/models/echo").json()["inputs"][0]["datatype"] == "BYTES"


def test_statistics_of_all_models(http: httpx.Client) -> None:
    names = [told["name"] for told in http.get("/v2/models/stats").json()["model_stats"]]
    assert names == sorted(names)
    assert "sum" in names


@pytest.mark.parametrize("version", ["", "/versions/1", "/versions/01"])
def test_infer(http: httpx.Client, version: str) -> None:
    answer = http.post(f"/v2/models/sum{version}/infer", content=json.dumps(SUM))
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "model_name": "sum",
        "model_version": "1",
        "outputs": [{"name": "total", "datatype": "FP32", "shape": [1, 3], "data": [11.0, 22.0, 33.0]}],
    }


def test_a_list_of_the_models(http: httpx.Client) -> None:
    assert "sum" in http.get("/v2/models").json()["models"]
    assert "sum" in http.get("/v1/models").json()["models"]


# 2.2 Errors


def test_unknown_models_are_not_found_everywhere(http: httpx.Client) -> None:
    message = "Request for unknown model: 'x' is not found"
    for path in (
        "/v2/models/x",
        "/v2/models/x/config",
        "/v2/models/x/stats",
        "/v2/models/x/ready",
        "/v1/models/x",
    ):
        refused(http.get(path), 404, message)
    refused(infer(http, "x", SUM), 404, message)
    refused(http.post("/v1/models/x:predict", json={"instances": [1]}), 404, message)


@pytest.mark.parametrize("suffix", ["", "/ready", "/infer"])
def test_versions_are_numbers_above_0(http: httpx.Client, suffix: str) -> None:
    ask = http.post if suffix == "/infer" else http.get
    for version in ("x", "0", "-1", "1.0", "9" * 30):
        refused(ask(f"/v2/models/sum/versions/{version}{suffix}"), 400, "version")
    refused(ask(f"/v2/models/sum/versions/2{suffix}"), 404, "unknown model: 'sum' version '2'")


def test_the_routers_own_errors_have_the_same_body(http: httpx.Client) -> None:
    refused(http.get("/nothing"), 404)
    refused(http.post("/v2/nothing"), 404)
    refused(http.get("/v2/models/sum/infer"), 405)
    refused(http.delete("/v2"), 405)
    refused(http.post("/v2/repository/index", content=b"{"), 400)
    refused(http.post("/v2/repository/index", json=[1]), 400)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", ["body"]),
        (b"{", ["body", "JSON"]),
        (b"[]", ["body", "array"]),
        (b"{}", ["inputs"]),
        (b'{"inputs":[]}', ["inputs"]),
        (b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32"}]}', ["inputs[0]", "no data"]),
        (b'{"inputs":[{"name":3,"shape":[1,2],"datatype":"FP32","data":[]}]}', ["inputs[0].name"]),
        (b'{"inputs":[{"name":"x","shape":[1,-2],"datatype":"FP32","data":[]}]}', ["inputs[0].shape[1]"]),
        (b'{"inputs":' + b"[" * 100_000, ["inputs[0]"]),
        (b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":' + b"[" * 100_000, ["nested"]),
        (b"\xff\xfe{}", ["body"]),
        (b'{"inputs":[{"name":"x","shape":[1],"datatype":"BYTES","data":["\\ud800"]}]}', ["body"]),
    ],
)  # fmt: skip
def test_a_body_that_is_no_request_is_the_callers_fault(
    http: httpx.Client, body: bytes, words: list[str]
) -> None:
    refused(http.post("/v2/models/flex/infer", content=body), 400, *words)


@pytest.mark.parametrize(
    ("data", "shape", "words"),
    [
        ([1, 2, 3], [1, 2], ["inputs[0].data", "3 elements", "2, the product of shape [1, 2]"]),
        ([], [1, 2], ["0 elements"]),
        (["1", "2"], [1, 2], ["inputs[0].data[0]", "a str", "a float"]),
        ([1, None], [1, 2], ["inputs[0].data[1]", "null"]),
        ([True, False], [1, 2], ["inputs[0].data[0]", "bool"]),
        ("12", [1, 2], ["inputs[0].data"]),
        (None, [1, 2], ["inputs[0].data"]),
        ([1e39, 0], [1, 2], ["inputs[0].data", "fit FP32"]),
        ([[1], [2, 3]], [2, 1], ["a list of 2 at axis 1"]),
        ([[[1, 2]]], [1, 2], ["inputs[0].data"]),
        ([1, 2], [2], ["inputs[0].shape", "[-1, -1]"]),
        ([1, 2], [1, 1, 2], ["inputs[0].shape"]),
        ([], [0, 2], ["a batch of 0"]),
        ([0] * 65, [65, 1], ["batch-size must be <= 64"]),
    ],
)
def test_data_that_does_not_fit_is_named(
    http: httpx.Client, data: object, shape: list[int], words: list[str]
) -> None:
    refused(infer(http, "flex", echo(data, shape)), 400, *words)


def test_inputs_must_be_those_of_the_model(http: httpx.Client) -> None:
    x, y = SUM["inputs"]
    refused(infer(http, "sum", {"inputs": [x]}), 400, "inputs", "also y")
    refused(infer(http, "sum", {"inputs": [x, y, {**x, "name": "z"}]}), 400, "inputs[2].name", "z")
    refused(infer(http, "sum", {"inputs": [x, x]}), 400, "inputs[1].name", "each input once")
    refused(infer(http, "sum", {"inputs": [x, {**y, "datatype": "FP64"}]}), 400, "inputs[1].datatype", "FP32")
    two = {**y, "shape": [2, 3], "data": [0] * 6}
    refused(infer(http, "sum", {"inputs": [x, two]}), 400, "inputs[1].shape", "1 rows")


def test_a_body_over_the_limit_is_refused_before_it_is_read(http: httpx.Client) -> None:
    refused(
        http.post("/v2/models/flex/infer", content=b"0" * (1 << 20) + b"0"), 413, "1048577 bytes", "1048576"
    )

    def chunks() -> Any:
        for _ in range(40):
            yield b"0" * (1 << 15)

    refused(http.post("/v2/models/flex/infer", content=chunks()), 413, "at most 1048576")
    assert infer(http, "sum", SUM).status_code == 200


def test_an_unknown_encoding_says_which_are_known(http: httpx.Client) -> None:
    answer = http.post("/v2/models/sum/infer", content=b"x", headers={"content-encoding": "br"})
    refused(answer, 415, "Content-Encoding", "br")
    assert answer.headers["accept-encoding"] == "gzip, deflate"


# 2.3 Request JSON


def test_an_id_is_given_back_unless_it_is_empty(http: httpx.Client) -> None:
    assert infer(http, "flex", echo([1, 2], id='a"é')).json()["id"] == 'a"é'
    assert "id" not in infer(http, "flex", echo([1, 2], id="")).json()


@pytest.mark.parametrize(
    ("data", "shape"),
    [
        ([1, 2], [1, 2]),
        ([[1, 2]], [1, 2]),
        ([[1], [2]], [2, 1]),
        ([1, 2], [2, 1]),
        ([], [1, 0]),
        ([[]], [1, 0]),
    ],
)
def test_data_may_be_nested_or_flat(http: httpx.Client, data: object, shape: list[int]) -> None:
    output = infer(http, "flex", echo(data, shape)).json()["outputs"][0]
    assert output["shape"] == shape
    assert output["data"] == [float(number) for number in np.ravel(np.array(data))]


VALUES: dict[str, list[Any]] = {
    "BOOL": [True, False],
    "UINT8": [0, 255],
    "UINT16": [0, 65535],
    "UINT32": [0, 2**32 - 1],
    "UINT64": [0, 2**64 - 1],
    "INT8": [-128, 127],
    "INT16": [-(2**15), 2**15 - 1],
    "INT32": [-(2**31), 2**31 - 1],
    "INT64": [-(2**63), 2**63 - 1],
    "FP16": [-1.5, 65504.0],
    "FP32": [-1.5, 0.1],
    "FP64": [-1.5, 0.1],
    "BYTES": ["", "naïve"],
}
FIXED = {
    "BOOL": "?", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q", "INT8": "b", "INT16": "h",
    "INT32": "i", "INT64": "q", "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip


def blob_of(datatype: str, values: list[Any]) -> bytes:
    """The bytes of a tensor as the protocol describes them, made without the server's own code."""
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(value.encode())) + value.encode() for value in values)
    return struct.pack(f"<{len(values)}{FIXED[datatype]}", *values)


def test_every_datatype_as_json(http: httpx.Client) -> None:
    inputs = [
        {"name": f"in_{name}", "shape": [1, 2], "datatype": name, "data": VALUES[name]} for name in TYPES
    ]
    outputs = {
        output["name"]: output for output in infer(http, "types", {"inputs": inputs}).json()["outputs"]
    }
    for name in TYPES:
        assert outputs[f"out_{name}"]["datatype"] == name
        assert outputs[f"out_{name}"]["data"] == VALUES[name]


def test_every_datatype_as_binary(http: httpx.Client) -> None:
    blobs = {name: blob_of(name, VALUES[name]) for name in TYPES}
    inputs = [
        {"name": f"in_{n}", "shape": [1, 2], "datatype": n, "parameters": {"binary_data_size": len(blobs[n])}}
        for n in TYPES
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
    inputs = [{"name": f"in_{n}", "shape": [1, 2], "datatype": n, "data": VALUES[n]} for n in TYPES]
    place = list(TYPES).index(datatype)
    inputs[place]["data"] = data
    refused(infer(http, "types", {"inputs": inputs}), 400, f"inputs[{place}].data")


def test_whole_numbers_may_be_written_with_a_point(http: httpx.Client) -> None:
    inputs = [{"name": f"in_{n}", "shape": [1, 2], "datatype": n, "data": VALUES[n]} for n in TYPES]
    inputs[list(TYPES).index("INT32")]["data"] = [1.0, -2.0]
    request = {"inputs": inputs, "outputs": [{"name": "out_INT32"}]}
    assert infer(http, "types", request).json()["outputs"][0]["data"] == [1, -2]


def test_outputs_are_those_asked_for_in_that_order(http: httpx.Client) -> None:
    inputs = [{"name": f"in_{n}", "shape": [1, 2], "datatype": n, "data": VALUES[n]} for n in TYPES]
    asked = [{"name": "out_INT8"}, {"name": "out_BOOL"}]
    told = infer(http, "types", {"inputs": inputs, "outputs": asked}).json()
    assert [output["name"] for output in told["outputs"]] == ["out_INT8", "out_BOOL"]
    everything = infer(http, "types", {"inputs": inputs, "outputs": []}).json()
    assert len(everything["outputs"]) == len(TYPES)
    refused(infer(http, "flex", echo([1, 2], outputs=[{"name": "z"}])), 400, "outputs[0].name", "z")


def test_what_the_protocol_does_not_name_is_tolerated(http: httpx.Client) -> None:
    body = echo([1, 2], model_name="other", parameters={"headers": "x", "mine": 1.5, "ok": True})
    assert infer(http, "flex", body).status_code == 200


def test_reserved_parameters(http: httpx.Client) -> None:
    def ask(**parameters: Any) -> httpx.Response:
        return infer(http, "flex", echo([1, 2], parameters=parameters))

    refused(ask(triton_enable_empty_final_response=True), 400, "triton_")
    refused(ask(sequence_id=7), 501, "sequence_id")
    assert ask(sequence_id=0, sequence_start=False).status_code == 200
    assert ask(sequence_id="").status_code == 200
    assert ask(priority=1).status_code == 200
    refused(ask(priority=-1), 400, "parameters.priority")
    assert ask(timeout=60_000_000).status_code == 200
    refused(ask(timeout="soon"), 400, "parameters.timeout")
    refused(ask(binary_data_output="yes"), 400, "parameters.binary_data_output")
    refused(ask(mine=[1]), 400, "parameters")


def test_a_deadline_that_has_passed_is_answered_504(http: httpx.Client) -> None:
    refused(infer(http, "flex", echo([1, 2], parameters={"timeout": 1})), 504, "deadline")
    answer = http.post(
        "/v2/models/flex/infer", content=json.dumps(echo([1, 2])), headers={"X-Request-Timeout-Ms": "0.001"}
    )
    refused(answer, 504, "deadline")
    late = http.post("/v2/models/flex/infer", content=b"{}", headers={"X-Request-Timeout-Ms": "soon"})
    refused(late, 400)


# 2.4 Response JSON


def test_outputs_as_json_carry_no_parameters(http: httpx.Client) -> None:
    asked = [{"name": "y", "parameters": {"binary_data": False}}]
    assert set(infer(http, "flex", echo([1, 2], outputs=asked)).json()["outputs"][0]) == {
        "name", "datatype", "shape", "data",
    }  # fmt: skip


def test_what_is_not_finite_is_null(http: httpx.Client) -> None:
    blob = struct.pack("<2f", float("nan"), float("inf"))
    head = {
        "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}]
    }
    body, headers = packed(head, blob)
    answer = http.post("/v2/models/flex/infer", content=body, headers=headers)
    assert answer.json()["outputs"][0]["data"] == [None, None]


def test_every_answer_tells_its_time_and_request(http: httpx.Client) -> None:
    good = http.post("/v2/models/sum/infer", content=json.dumps(SUM), headers={"X-Request-Id": "abc"})
    bad = http.post("/v2/models/sum/infer", content=b"{", headers={"X-Request-Id": "abc"})
    for answer in (good, bad):
        assert answer.headers["x-request-id"] == "abc"
        for stage in ("decode", "preprocess", "queue", "run", "postprocess", "encode", "batch"):
            assert stage in answer.headers["server-timing"]


# 2.5 Binary tensor data


def binary_head(size: int | None = 8, **extra: Any) -> dict[str, Any]:
    parameters = {} if size is None else {"binary_data_size": size}
    return {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": parameters}], **extra}


BLOB = struct.pack("<2f", 1, 2)


@pytest.mark.parametrize(
    ("head", "blob", "words"),
    [
        (binary_head(), BLOB + b"0", ["unexpected additional input data", "1 bytes"]),
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
    [b"\x05\x00\x00\x00abc", b"\x01\x00", struct.pack("<I", 1) + b"\xff", b"", blob_of("BYTES", ["a", "b"])],
    ids=["too short", "half a length", "not UTF-8", "none", "too many"],
)
def test_bytes_that_are_malformed_are_refused(http: httpx.Client, blob: bytes) -> None:
    parameters = {"binary_data_size": len(blob)}
    head = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "BYTES", "parameters": parameters}]}
    body, headers = packed(head, blob)
    refused(http.post("/v2/models/echo/infer", content=body, headers=headers), 400, "inputs[0]")


def test_a_bool_is_one_byte_of_0_or_1(http: httpx.Client) -> None:
    inputs: list[dict[str, Any]] = [
        {"name": f"in_{n}", "shape": [1, 2], "datatype": n, "data": VALUES[n]} for n in TYPES
    ]
    del inputs[0]["data"]
    inputs[0]["parameters"] = {"binary_data_size": 2}
    body, headers = packed({"inputs": inputs}, b"\x02\x00")
    refused(http.post("/v2/models/types/infer", content=body, headers=headers), 400, "0 or 1")


RAW = {"Inference-Header-Content-Length": "0"}


def test_a_raw_request_is_the_one_inputs_data(http: httpx.Client) -> None:
    answer = http.post("/v2/models/flex/infer", content=struct.pack("<5f", *range(5)), headers=RAW)
    told, rest = unpacked(answer)
    assert told["outputs"][0]["shape"] == [1, 5]
    assert struct.unpack("<5f", rest) == (0, 1, 2, 3, 4)
    told, rest = unpacked(http.post("/v2/models/whole/infer", content=bytes(24), headers=RAW))
    assert told["outputs"][0]["shape"] == [2, 3]
    told, rest = unpacked(http.post("/v2/models/echo/infer", content="naïve".encode(), headers=RAW))
    assert told["outputs"][0]["shape"] == [1, 1]
    assert rest == blob_of("BYTES", ["naïve"])


def test_a_raw_request_that_does_not_fit_is_refused(http: httpx.Client) -> None:
    refused(http.post("/v2/models/flex/infer", content=b"123", headers=RAW), 400, "body", "3 bytes")
    refused(http.post("/v2/models/whole/infer", content=bytes(20), headers=RAW), 400, "body", "24")
    refused(http.post("/v2/models/sum/infer", content=bytes(12), headers=RAW), 400, "2 inputs")
    refused(http.post("/v2/models/echo/infer", content=b"\xff", headers=RAW), 400, "UTF-8")


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_bodies(http: httpx.Client, encoding: str, pack: Any) -> None:
    body, headers = packed(binary_head(), BLOB)
    headers["content-encoding"] = encoding
    answer = http.post("/v2/models/flex/infer", content=pack(body), headers=headers)
    assert answer.json()["outputs"][0]["data"] == [1.0, 2.0]


def test_a_bomb_does_not_go_off(http: httpx.Client) -> None:
    bomb = gzip.compress(bytes(1 << 24))
    refused(
        http.post("/v2/models/flex/infer", content=bomb, headers={"content-encoding": "gzip"}), 413, "gzip"
    )
    broken = gzip.compress(b"{}" * 100)[:-9]
    refused(
        http.post("/v2/models/flex/infer", content=broken, headers={"content-encoding": "gzip"}), 400, "gzip"
    )
    refused(
        http.post("/v2/models/flex/infer", content=b"no", headers={"content-encoding": "gzip"}), 400, "gzip"
    )


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("gzip", "gzip"), ("deflate", "deflate"), ("gzip;q=0.2, deflate;q=0.8", "deflate"), ("*", "gzip"),
        ("gzip;q=0", None), ("identity", None), ("br", None), ("gzip;q=0.1, identity;q=0.5", None), ("gzip;q=x", None),
    ],
)  # fmt: skip
def test_answers_are_compressed_as_the_caller_likes(
    http: httpx.Client, accepted: str, chosen: str | None
) -> None:
    body = echo([0] * 2000, [1, 2000], parameters={"binary_data_output": True})
    answer = http.post(
        "/v2/models/flex/infer", content=json.dumps(body), headers={"accept-encoding": accepted}
    )
    assert answer.headers.get("content-encoding") == chosen
    told, rest = unpacked(answer)  # httpx has decompressed it, and the length is that of the plain JSON
    assert told["outputs"][0]["shape"] == [1, 2000]
    assert len(rest) == 8000


# 2.6 Classification


def ask_classes(
    http: httpx.Client, model: str, body: dict[str, Any], name: str, **parameters: Any
) -> httpx.Response:
    return infer(http, model, {**body, "outputs": [{"name": name, "parameters": parameters}]})


def test_classification_in_json(http: httpx.Client) -> None:
    answer = ask_classes(http, "flex", echo([3, 1, 2, 2], [2, 2]), "y", classification=5).json()
    assert answer["outputs"] == [
        {
            "name": "y",
            "datatype": "BYTES",
            "shape": [2, 2],
            "data": ["3.000000:0", "1.000000:1", "2.000000:0", "2.000000:1"],
        }
    ]


def test_classification_without_a_batch_axis(http: httpx.Client) -> None:
    body = {"inputs": [{"name": "x", "shape": [2, 3], "datatype": "FP32", "data": [0, 5, 1, 9, 2, 3]}]}
    answer = ask_classes(http, "whole", body, "y", classification=2).json()
    assert answer["outputs"][0]["shape"] == [2]
    assert answer["outputs"][0]["data"] == ["9.000000:3", "5.000000:1"]


def test_classification_in_binary(http: httpx.Client) -> None:
    told, rest = unpacked(ask_classes(http, "flex", echo([3, 1]), "y", classification=1, binary_data=True))
    assert told["outputs"][0]["datatype"] == "BYTES"
    assert rest == blob_of("BYTES", ["3.000000:0"])


@pytest.mark.parametrize(
    ("datatype", "first"), [("UINT64", "18446744073709551615:1"), ("INT8", "127:1"), ("BOOL", "1:0")]
)
def test_classification_of_whole_numbers(http: httpx.Client, datatype: str, first: str) -> None:
    inputs = [{"name": f"in_{n}", "shape": [1, 2], "datatype": n, "data": VALUES[n]} for n in TYPES]
    answer = ask_classes(http, "types", {"inputs": inputs}, f"out_{datatype}", classification=1)
    assert answer.json()["outputs"][0]["data"] == [first]


@pytest.mark.parametrize("datatype", ["BYTES", "FP16"])
def test_classification_refuses_what_has_no_rank(http: httpx.Client, datatype: str) -> None:
    inputs = [{"name": f"in_{n}", "shape": [1, 2], "datatype": n, "data": VALUES[n]} for n in TYPES]
    answer = ask_classes(http, "types", {"inputs": inputs}, f"out_{datatype}", classification=1)
    refused(answer, 400, "outputs[0].parameters.classification", datatype)


# 2.8 and 2.9 Repository, shared memory


def test_the_index_lists_versions_and_states(http: httpx.Client) -> None:
    for body in (b"", b"{}", b'{"ready":true}'):
        told = http.post("/v2/repository/index", content=body).json()
        assert {"name": "sum", "version": "1", "state": "READY", "reason": ""} in told


def test_load_and_unload_want_the_token(http: httpx.Client) -> None:
    for verb in ("load", "unload"):
        refused(http.post(f"/v2/repository/models/sum/{verb}"), 403, "token")
        wrong = {"Authorization": "Bearer wrong"}
        refused(http.post(f"/v2/repository/models/sum/{verb}", headers=wrong), 403, "token")


def test_shared_memory_is_off_and_says_so(http: httpx.Client) -> None:
    for kind in ("system", "cuda"):
        base = f"/v2/{kind}sharedmemory"
        assert http.get(f"{base}/status").json() == []
        assert http.get(f"{base}/region/r/status").json() == []
        for path in (f"{base}/unregister", f"{base}/region/r/unregister"):
            answer = http.post(path)
            assert (answer.status_code, answer.content) == (200, b"")
        refused(http.post(f"{base}/region/r/register", json={"key": "/k", "offset": 0, "byte_size": 8}), 501)
