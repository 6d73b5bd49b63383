"""2.4 Inference response."""

import json
import struct

import httpx

from tests.serving.protocol.wire import SUM, echo, infer, packed, unpacked


def test_outputs_as_json_carry_no_parameters(http: httpx.Client) -> None:
    asked = [{"name": "y", "parameters": {"binary_data": False}}]
    assert set(infer(http, "flex", echo([1, 2], outputs=asked)).json()["outputs"][0]) == {
        "name", "datatype", "shape", "data",
    }  # fmt: skip


def test_what_is_not_finite_is_a_word_of_its_own(http: httpx.Client) -> None:
    blob = struct.pack("<2f", float("nan"), float("inf"))
    head = {
        "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}]
    }
    body, headers = packed(head, blob)
    answer = http.post("/v2/models/flex/infer", content=body, headers=headers)
    assert answer.text.endswith('"data":[NaN,Infinity]}]}')


def test_every_answer_tells_its_time_and_request(http: httpx.Client) -> None:
    good = http.post("/v2/models/sum/infer", content=json.dumps(SUM), headers={"X-Request-Id": "abc"})
    bad = http.post("/v2/models/sum/infer", content=b"{", headers={"X-Request-Id": "abc"})
    for answer in (good, bad):
        assert answer.headers["x-request-id"] == "abc"
        for stage in ("decode", "preprocess", "queue", "run", "postprocess", "encode", "batch"):
            assert stage in answer.headers["server-timing"]


def test_a_model_version_is_a_text_and_an_answer_has_the_type_of_its_body(http: httpx.Client) -> None:
    plain = infer(http, "flex", echo([1, 2]))
    assert plain.headers["content-type"] == "application/json"
    assert plain.json()["model_version"] == "1"
    assert set(plain.json()) == {"model_name", "model_version", "outputs"}
    binary = infer(http, "flex", echo([1, 2], parameters={"binary_data_output": True}))
    assert binary.headers["content-type"] == "application/octet-stream"
    assert unpacked(binary)[0]["model_version"] == "1"
