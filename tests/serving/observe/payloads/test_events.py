"""From an exchange to events: digests unless raw is asked for, and named fields never."""

import base64
import hashlib
import json

import pytest

from serving.observe.payloads.events import REDACTED, REQUEST, Redaction, make_events
from tests.bundles import png
from tests.serving.observe.payloads.exchanges import ALL, RAW, exchanged, told


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_what_callers_send_is_nowhere_in_the_log_unless_raw_is_asked_for() -> None:
    private = "my medical history"
    picture = base64.b64encode(private.encode()).decode()
    instances = [private, {"b64": picture}, {"history": [private], "k": 3}]
    body = json.dumps({"instances": instances}).encode()
    answer = json.dumps(
        {
            "predictions": [{"label": "a", "unknown": 3}, {"items": [], "unknown": [private]}],
            "explanations": [{"words": [private]}],
            "outputs": [{"datatype": "BYTES", "data": [private]}, {"datatype": "FP32", "data": [0.5]}],
        }
    ).encode()
    lines = b"".join(event.as_line() for event in make_events(exchanged(body, answer), ALL, "//here/baton"))
    assert private.encode() not in lines
    assert picture.encode() not in lines
    request, response = told(exchanged(body, answer))
    assert [instance["sha256"] for instance in request["data"]["instances"][:2]] == [
        sha256(private.encode())
    ] * 2
    assert response["data"]["predictions"][0] == {"label": "a", "unknown": 3}
    assert response["data"]["outputs"][1]["data"] == [0.5]
    request, response = told(exchanged(body, answer), RAW)
    assert request["data"]["instances"] == instances
    assert response["data"] == json.loads(answer)


def test_a_refusal_which_repeats_the_input_is_not_logged_as_an_answer() -> None:
    kept = exchanged(b'{"instances": [1]}', b'{"error": "instances[0]: got my secret"}', status=400)
    assert [event["type"] for event in told(kept)] == [REQUEST]


def test_numbers_that_json_has_no_word_for_are_null_in_the_log() -> None:
    body = b'{"inputs":[{"name":"x","data":[NaN,1,-Infinity]}],"parameters":{"note":"NaN"}}'
    asked, answered = told(exchanged(body, answer=b'{"outputs":[{"name":"y","data":[Infinity]}]}'), RAW)
    assert asked["data"]["inputs"][0]["data"] == [None, 1, None]
    assert asked["data"]["parameters"] == {"note": "NaN"}
    assert answered["data"]["outputs"][0]["data"] == [None]


@pytest.mark.parametrize("redaction", [ALL, RAW], ids=["digests", "raw"])
def test_named_fields_are_left_out_at_any_depth(redaction: Redaction) -> None:
    body = {"parameters": {"user": "me"}, "instances": [{"history": [1], "user": "me"}], "user": {"a": "me"}}
    named = redaction._replace(fields=frozenset({"user"}))
    (request, response) = told(
        exchanged(json.dumps(body).encode(), b'{"predictions": [{"user": "me"}]}'), named
    )
    assert '"me"' not in json.dumps([request, response])
    assert request["data"]["user"] == REDACTED
    assert request["data"]["parameters"]["user"] == REDACTED
    assert response["data"]["predictions"][0]["user"] == REDACTED


def test_binary_tensors_are_a_digest_beside_their_head() -> None:
    head = json.dumps({"inputs": [{"name": "x", "shape": [1]}]}).encode()
    kept = exchanged(head + b"\1\2\3\4", inference_header_content_length=str(len(head)).encode())
    data = told(kept)[0]["data"]
    assert data["inputs"] == [{"name": "x", "shape": [1]}]
    assert data["binary"]["sha256"] == sha256(b"\1\2\3\4")
    raw = told(kept, RAW)[0]
    assert base64.b64decode(raw["data_base64"]) == kept.body


def test_a_raw_picture_keeps_its_media_type() -> None:
    event = told(exchanged(png(7), content_type=b"image/png"), RAW)[0]
    assert event["datacontenttype"] == "image/png"
    assert base64.b64decode(event["data_base64"]) == png(7)


@pytest.mark.parametrize(
    "body", [b"not json", b"[1]", b"\xff\xfe", b"", b'{"instances": 3}', b'{"inputs": [1]}']
)
def test_a_body_that_is_no_request_is_logged_all_the_same(body: bytes) -> None:
    assert len(told(exchanged(body))) == 2
