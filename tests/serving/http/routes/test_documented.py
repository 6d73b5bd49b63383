"""What OpenAPI shows of a route, and how a route answers."""

import numpy as np

from serving.http.routes.documented import Json, shows, takes


def test_an_answer_and_its_errors_are_shown_by_example() -> None:
    shown = shows({"a": 1}, 404, 429)
    assert list(shown) == [200, 404, 429]
    assert shown[200]["content"] == {"application/json": {"schema": {"type": "object"}, "example": {"a": 1}}}
    assert shown[404]["description"] == "No such model or version"
    assert list(shown[429]["content"]["application/json"]["example"]) == ["error"]


def test_a_body_is_shown_for_each_media_type_that_is_taken() -> None:
    body = takes(json={"a": 1}, png="bytes")["requestBody"]
    assert body["required"]
    assert body["content"] == {"application/json": {"example": {"a": 1}}, "image/png": {"example": "bytes"}}


def test_a_body_that_may_be_missing_is_shown_with_its_schema() -> None:
    schema = {"type": "object"}
    body = takes(schema, required=False, json={})["requestBody"]
    assert not body["required"]
    assert body["content"] == {"application/json": {"example": {}, "schema": schema}}


def test_an_answer_may_have_no_body_or_another_media_type() -> None:
    assert "content" not in shows(None, 400)[200]
    shown = shows({"a": 1}, schema={"type": "object", "required": ["a"]}, octets="bytes")[200]["content"]
    assert shown["application/json"]["schema"]["required"] == ["a"]
    assert shown["application/octet-stream"] == {"schema": {"type": "string"}, "example": "bytes"}


def test_json_keeps_the_order_of_keys_and_writes_arrays() -> None:
    assert Json({"b": np.array([1.5]), "a": "é"}).body == '{"b":[1.5],"a":"é"}'.encode()
