"""`:predict`, KServe's v1 verb: instances as JSON, as a raw body, as a form upload."""

import base64
import json
from typing import Any

import httpx
import pytest

from serving.codec.instances import decode_payloads
from tests.bundles import png

URL = "/v1/models/brightness:predict"


def instance(level: int) -> dict[str, str]:
    return {"b64": base64.b64encode(png(level)).decode()}


def labels(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [prediction["label"] for prediction in answer.json()["predictions"]]


def test_json_instances_are_answered_in_order(http: httpx.Client) -> None:
    answer = http.post(URL, json={"instances": [instance(0), instance(255), instance(90)]})
    assert labels(answer) == ["dark", "bright", "dark"]
    assert answer.json()["predictions"][0]["probability"] > 0.9


@pytest.mark.parametrize("path", [URL, "/v1/models/brightness/versions/1:predict"])
def test_a_raw_body_is_one_instance(http: httpx.Client, path: str) -> None:
    answer = http.post(path, content=png(255), headers={"content-type": "image/png"})
    assert labels(answer) == ["bright"]


def test_files_of_a_form_are_answered_in_order(http: httpx.Client) -> None:
    files = [("a", ("a.png", png(255), "image/png")), ("b", ("b.png", png(0), "image/png"))]
    assert labels(http.post(URL, files=files)) == ["bright", "dark"]


def test_more_instances_than_a_batch_are_run_in_several(http: httpx.Client) -> None:
    levels = [0, 255] * 18  # the bundle's batches hold 16
    answer = http.post(URL, json={"instances": [instance(level) for level in levels]})
    assert labels(answer) == ["dark", "bright"] * 18


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 400, "instances"),
        ({"instances": []}, 400, "an empty list"),
        ({"instances": "x"}, 400, "instances: got a str"),
        ({"instances": [{}] * 41}, 413, "41 instances, expected at most 40"),
        ({"instances": [instance(0), {"b64": "!"}]}, 400, "instances[1].b64"),
        ({"instances": [instance(0), 7]}, 400, "instances[1]"),
    ],
)
def test_instances_at_fault_are_named(http: httpx.Client, body: Any, status: int, words: str) -> None:
    answer = http.post(URL, json=body)
    assert answer.status_code == status
    assert words in answer.json()["error"]


@pytest.mark.parametrize(
    ("content", "content_type", "status", "words"),
    [
        (b"a,b", "text/csv", 415, "text/csv"),
        (b"hello", None, 415, "Content-Type"),
        (b"hello", "application/x-www-form-urlencoded", 415, "Content-Type"),
        (b"hello", "text/plain; charset=utf-16", 415, "charset"),
        (b"no picture", "image/png", 400, "body"),
        (b"{", "application/json", 400, "JSON"),
        (b'{"instances":' + b"[" * 100_000, "application/json", 400, "nested"),
        (b"x", "multipart/form-data", 400, "boundary"),
        (b"x", "multipart/form-data; boundary=b", 400, "body"),
        (b"--b--\r\n", "multipart/form-data; boundary=b", 400, "body"),
    ],
)
def test_bodies_at_fault_are_refused(
    http: httpx.Client, content: bytes, content_type: str | None, status: int, words: str
) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    answer = http.post(URL, content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]


def test_json_is_understood_from_a_curl_that_names_no_type(http: httpx.Client) -> None:
    body = b'{"instances":[{"b64":"%b"}]}' % base64.b64encode(png(255))
    for content_type in ("application/x-www-form-urlencoded", "application/json; charset=utf-8"):
        assert labels(http.post(URL, content=body, headers={"content-type": content_type})) == ["bright"]
    assert labels(http.post(URL, content=body)) == ["bright"]


@pytest.mark.parametrize("content_type", ["text/plain;charset=UTF-8", "text/plain"])
def test_json_that_a_browser_calls_text_is_json(http: httpx.Client, content_type: str) -> None:
    """`fetch` says so of every string that it is told nothing about."""
    headers = {"content-type": content_type}
    two = json.dumps({"instances": [instance(255), instance(0)]})
    assert labels(http.post(URL, content=two, headers=headers)) == ["bright", "dark"]
    answer = http.post(URL, content=b'{"instances": 7}', headers=headers)
    assert (answer.status_code, "instances: got" in answer.json()["error"]) == (400, True)


def test_a_text_that_is_no_request_stays_a_text() -> None:
    for text in (
        "good",
        '{"a": 1}',
        '{"instances',
        '["instances"]',
        '"instances"',
        "{instances} are {inputs}",
    ):
        (payload,) = decode_payloads(text.encode(), "text/plain", 10)
        assert (payload.data, payload.media_type) == (text.encode(), "text/plain")
    (payload,) = decode_payloads(b' {"instances": ["good"]}', "text/plain; charset=utf-8", 10)
    assert (payload.data, payload.media_type) == ("good", None)


@pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
def test_inputs_are_told_where_they_are_taken(http: httpx.Client, content_type: str) -> None:
    body = {"signature_name": "serving_default", "inputs": {"image": [instance(0)]}}
    answer = http.post(URL, content=json.dumps(body), headers={"content-type": content_type})
    assert answer.status_code == 400
    assert "instances: got inputs in their place" in answer.json()["error"]
    assert "/infer" in answer.json()["error"]


def test_a_model_without_a_task_says_where_to_go(http: httpx.Client) -> None:
    answer = http.post("/v1/models/sum:predict", json={"instances": [1]})
    assert answer.status_code == 501
    assert "infer" in answer.json()["error"]


def test_a_task_tells_what_it_takes(http: httpx.Client) -> None:
    told = http.get("/v1/models/brightness").json()
    assert told["ready"] is True
    assert told["task"] == "vision"
    assert "image/png" in told["media_types"]
