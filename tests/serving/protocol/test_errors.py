"""2.2 Errors: any failure is a status that is not 200 and `{"error": text}`."""

import json
from typing import Any

import httpx
import pytest

from tests.serving.protocol.wire import SUM, echo, infer, refused


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
        (b'{"inputs":[{"name":"x","shape":[1],"datatype":"BYTES","data":["\\ud800"]}]}', ["inputs[0].data[0]"]),
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
    refused(
        infer(http, "sum", {"inputs": [x, two]}), 400, "inputs[1].shape", "a batch of 2, expected 1 row as"
    )


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


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/octet-stream", "image/png", "no/such; x"]
)
def test_the_body_is_read_whatever_its_type_is_called(http: httpx.Client, content_type: str | None) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    answer = http.post("/v2/models/sum/infer", content=json.dumps(SUM), headers=headers)
    assert answer.json()["outputs"][0]["data"] == [11.0, 22.0, 33.0]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/repository/index"), ("GET", "/v2/repository/models/sum/load"), ("PUT", "/v2/models/sum/infer"),
        ("POST", "/v2/models/sum"), ("POST", "/v2/models/sum/config"), ("POST", "/v2/models/sum/stats"),
        ("POST", "/v2/health/live"),
        ("POST", "/v2/systemsharedmemory/status"), ("GET", "/v2/cudasharedmemory/unregister"),
    ],
)  # fmt: skip
def test_another_verb_is_405_and_says_which_is_known(http: httpx.Client, method: str, path: str) -> None:
    answer = http.request(method, path)
    refused(answer, 405)
    assert answer.headers["allow"] in ("GET, HEAD, OPTIONS", "POST, OPTIONS")
    assert f"method: got {method}, expected " in answer.json()["error"]
