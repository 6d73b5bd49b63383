"""2.2 What a parser complains about is told by field, what came and what was expected; never a status of ours."""

import json
from typing import Any

import httpx
import pytest

from tests.serving.protocol.wire import echo, packed, refused

HUGE = "9" * 400
DATA = b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":%b}]}'


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "body: got 0 bytes (Input data was truncated), expected JSON"),
        (b"[]", "body: got an array, expected an object"),
        (b"null", "body: got null, expected an object"),
        (b'"x"', "body: got a str, expected an object"),
        (b"{}", "inputs: missing, expected a list with every input of the model"),
        (b'{"inputs":null}', "inputs: got null, expected an array"),
        (b'{"inputs":{}}', "inputs: got an object, expected an array"),
        (b'{"inputs":[7]}', "inputs[0]: got an int, expected an object"),
        (b'{"inputs":[{}]}', "inputs[0].name: missing, expected a tensor's name"),
        (b'{"inputs":[{"name":"x"}]}', "inputs[0].shape: missing, expected a list of whole numbers"),
        (b'{"inputs":[{"name":"x","shape":[1]}]}', "inputs[0].datatype: missing, expected a datatype such as FP32"),
        (b'{"inputs":[{"name":null}]}', "inputs[0].name: got null, expected a str"),
        (b'{"inputs":[{"name":"x","shape":[1.5]}]}', "inputs[0].shape[0]: got a float, expected an int"),
        (b'{"inputs":[{"name":"x","shape":[1,-2]}]}', "inputs[0].shape[1]: got -2, expected an int >= 0"),
        (b'{"inputs":[{"name":"x","shape":[%b]}]}' % HUGE.encode(), "inputs[0].shape[0]: got 999"),
        (b'{"inputs":[{"name":"x","shape":[%b]}]}' % (HUGE.encode() * 13),
         "inputs[0].shape[0]: got a number out of range, expected a number of 64 bits"),
        (b'{"inputs":[],"id":7}', "id: got an int, expected a str"),
        (b'{"inputs":[],"parameters":[]}', "parameters: got an array, expected an object"),
        (b'{"inputs":[],"parameters":{"a":1,"b":[2]}}',
         "parameters.b: got an array, expected a bool, int, float or str"),
        (b'{"inputs":[],"parameters":{"a":1e999}}', "parameters: got a number out of range"),
        (b'{"inputs":[],"outputs":[{}]}', "outputs[0].name: missing"),
        (b'{"inputs":[],"outputs":[{"name":"y","parameters":{"binary_data":{}}}]}',
         "outputs[0].parameters.binary_data: got an object"),
        (b'{"inputs":[]} x', "body: got 15 bytes (JSON is malformed: trailing characters (byte 15)), expected JSON"),
        (b'{"inputs":[],}', "trailing comma in object (byte 13)), expected JSON"),
        (b'{"inputs":[', "body: got 11 bytes (Input data was truncated), expected JSON"),
        (b'{"inputs":[],"id":"\xff"}', "body: got 22 bytes (Invalid UTF-8 encoded string), expected JSON"),
        (b'{"inputs":[],"id":"\\udc00"}', "id: got half of a surrogate pair, expected text"),
        (b'{"inputs":[],"inputs":[7]}', "inputs[0]: got an int, expected an object"),  # of two members the last counts
        (b"\xef\xbb\xbf{}", "body: got 5 bytes (JSON is malformed: invalid character (byte 0)), expected JSON"),
        (DATA % b"null", "inputs[0].data: got null, expected an array"),
        (DATA % b"{}", "inputs[0].data: got an object, expected an array"),
        (DATA % b"[1,null]", "inputs[0].data[1]: got null, expected a float"),
        (DATA % b"[[1,true]]", "inputs[0].data[0][1]: got a bool, expected a float"),
        (DATA % b"[1,1e999]", "inputs[0].data[1]: got a number out of range, expected a number of 64 bits"),
        (DATA % b"[1,1e39]", "inputs[0].data: got a number out of range, expected numbers that fit FP32"),
        (DATA % (b"[" * 100_000), "body: got JSON nested too deeply, expected a few levels"),
        (DATA % b'["\xff"]', "inputs[0].data[0]: got a str, expected a float"),
        (DATA % b'[1,2],"parameters":{"shared_memory_offset":null,"binary_data_size":-1}',
         "inputs[0]: got both data and parameters.binary_data_size, expected one of them"),
    ],
)  # fmt: skip
def test_a_request_is_refused_by_field(http: httpx.Client, body: bytes, told: str) -> None:
    answer = http.post("/v2/models/flex/infer", content=body)
    refused(answer, 400, told)
    assert "Expected" not in answer.text
    assert "Object missing" not in answer.text


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"timeout": int(HUGE)}, "parameters.timeout"),
        ({"timeout": 2**64}, "parameters.timeout"),
        ({"priority": int(HUGE)}, "parameters.priority"),
        ({"timeout": 1.5}, "parameters.timeout"),
        ({"timeout": True}, "parameters.timeout"),
    ],
)
def test_numbers_that_are_none_of_64_bits_are_the_callers_fault(
    http: httpx.Client, parameters: dict[str, Any], field: str
) -> None:
    body = json.dumps(echo([1, 2], parameters=parameters))
    refused(http.post("/v2/models/flex/infer", content=body), 400, f"{field}: got", "expected a whole number")


def test_a_lone_byte_in_a_string_names_the_data(http: httpx.Client) -> None:
    body = b'{"inputs":[{"name":"x","shape":[1,1],"datatype":"BYTES","data":["\xff"]}]}'
    refused(http.post("/v2/models/echo/infer", content=body), 400, "inputs[0].data", "not UTF-8")


def test_an_output_that_asks_for_too_many_classes_gets_those_there_are(http: httpx.Client) -> None:
    asked = {"name": "y", "parameters": {"classification": 2**64 - 1}}
    answer = http.post("/v2/models/flex/infer", content=json.dumps(echo([1, 2], outputs=[asked])))
    assert answer.json()["outputs"][0]["shape"] == [1, 2]
    asked["parameters"] = {"classification": 2**64}
    answer = http.post("/v2/models/flex/infer", content=json.dumps(echo([1, 2], outputs=[asked])))
    refused(answer, 400, "outputs[0].parameters.classification")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{}", "instances: missing, expected a list of instances"),
        (b'{"instances":null}', "instances: got null, expected an array"),
        (b'{"instances":[NaN]}', "body: got 19 bytes"),
        (b'{"instances":["\\ud83d"]}', "instances[0]: got half of a surrogate pair, expected text"),
        (b'{"instances":[1e999]}', "instances[0]: got a number out of range"),
        (b'{"instances":[{"b64":"' + b"9" * 30 + b'\xff"}]}', "body: got"),
        (b'{"instances":' + b"[" * 100_000, "body: got JSON nested too deeply"),
    ],
)
def test_instances_are_refused_by_field(http: httpx.Client, body: bytes, told: str) -> None:
    headers = {"content-type": "application/json"}
    refused(http.post("/v1/models/brightness:predict", content=body, headers=headers), 400, told)


def test_each_refusal_counts_once_and_in_none_of_tritons(http: httpx.Client) -> None:
    def counts() -> tuple[float, float, int]:
        lines = dict(line.rsplit(" ", 1) for line in http.get("/metrics").text.splitlines() if line[0] != "#")
        ours = lines['baton_requests_total{model="flex",outcome="invalid",version="1"}']
        theirs = sum(
            float(value)
            for name, value in lines.items()
            if name.startswith('nv_inference_request_failure{model="flex"')
        )
        (told,) = http.get("/v2/models/flex/stats").json()["model_stats"]
        return float(ours), theirs, told["inference_stats"]["fail"]["count"]

    before = counts()
    bodies = [
        b"{",
        b"{}",
        DATA % b'["\xff"]',
        json.dumps(echo([1, 2], parameters={"timeout": int(HUGE)})).encode(),
    ]
    for body in bodies:
        assert http.post("/v2/models/flex/infer", content=body).status_code == 400
    after = counts()
    assert [now - then for now, then in zip(after, before, strict=True)] == [len(bodies), 0, 0]


def test_null_stands_for_what_is_absent(http: httpx.Client) -> None:
    body: dict[str, Any] = {
        "id": None,
        "parameters": None,
        "outputs": None,
        "model_name": None,
        "inputs": [
            {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2],
             "parameters": {"headers": None, "content_type": None, "binary_data_size": None,
                            "shared_memory_region": None}},
        ],
    }  # fmt: skip
    answer = http.post("/v2/models/flex/infer", content=json.dumps(body))
    assert answer.json()["outputs"][0]["data"] == [1.0, 2.0]
    assert "id" not in answer.json()
    body["parameters"] = {
        "timeout": None, "priority": None, "binary_data_output": None, "sequence_id": None, "triton_x": None,
        "headers": None,
    }  # fmt: skip
    body["outputs"] = [{"name": "y", "parameters": None}]
    assert http.post("/v2/models/flex/infer", content=json.dumps(body)).status_code == 200
    body["outputs"] = [{"name": "y", "parameters": {"classification": None, "binary_data": None}}]
    assert http.post("/v2/models/flex/infer", content=json.dumps(body)).status_code == 200


def test_null_data_stand_beside_a_binary_tensor(http: httpx.Client) -> None:
    head = echo(None)
    head["inputs"][0]["parameters"] = {"binary_data_size": 8, "headers": None}
    body, headers = packed(head, bytes(8))
    answer = http.post("/v2/models/flex/infer", content=body, headers=headers)
    assert answer.json()["outputs"][0]["data"] == [0.0, 0.0]
