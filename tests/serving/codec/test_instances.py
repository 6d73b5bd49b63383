"""Bodies of `:predict` as payloads: JSON, a form, or the body itself."""

import json

import pytest

from inference.errors import InputTooLarge, InvalidInput, UnsupportedMediaType
from serving.codec.instances import decode_parameters, decode_payloads, encode_predictions

JSON = b'{"instances":["a",{"b":1}],"parameters":{"grid":7}}'


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/cloudevents+json", "text/plain; charset=UTF-8", ""]
)
def test_instances_in_json_are_payloads_named_by_their_place(content_type: str) -> None:
    payloads = decode_payloads(JSON, content_type, 2)
    assert [(payload.data, payload.media_type, payload.field) for payload in payloads] == [
        ("a", None, "instances[0]"),
        ({"b": 1}, None, "instances[1]"),
    ]
    assert decode_parameters(JSON, payloads) == {"grid": 7}


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"\x89PNG", "Image/PNG; q=1"), (b"a text", "text/plain"), (b'{"no":"instances"}', "text/plain")],
)
def test_another_body_is_one_payload_of_its_type(body: bytes, content_type: str) -> None:
    (payload,) = decode_payloads(body, content_type, 1)
    assert (payload.data, payload.field) == (body, "body")
    assert payload.media_type == content_type.partition(";")[0].lower()
    assert decode_parameters(body, [payload]) == {}


def test_a_part_of_a_form_is_named_as_the_form_names_it() -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"\r\nContent-Type: image/PNG\r\n\r\n1\r\n'
        b"--b\r\nX: y\r\n\r\n2\r\n--b--\r\n"
    )
    payloads = decode_payloads(body, "multipart/form-data; boundary=b", 2)
    assert [(payload.data, payload.media_type, payload.field) for payload in payloads] == [
        (b"1", "image/png", "file"),
        (b"2", "text/plain", "part 1"),
    ]


@pytest.mark.parametrize(
    ("body", "content_type", "error", "message"),
    [
        (JSON, "application/json", InputTooLarge, "instances: got 2 instances, expected at most 1"),
        (b'{"instances":[]}', "", InvalidInput, "instances: got an empty list, expected at least one instance"),
        (b'{"inputs":[1]}', "", InvalidInput, "instances: got inputs in their place, expected instances, a list"),
        (b"x=1", "application/x-www-form-urlencoded", UnsupportedMediaType,
         "Content-Type: got application/x-www-form-urlencoded, expected the media type of the body"),
        (b"x", "", UnsupportedMediaType, "Content-Type: got none, expected the media type of the body"),
        (b"x", "text/plain; charset=latin-1", UnsupportedMediaType,
         "Content-Type: got text/plain; charset=latin-1, expected charset=utf-8"),
        (b"--b--\r\n", "multipart/form-data; boundary=b", InvalidInput, "body: got a form without parts"),
        (b"[" * 100_000, "application/json", InvalidInput, "body: got an array, expected an object"),
    ],
)  # fmt: skip
def test_a_body_at_fault_is_refused_by_field(
    body: bytes, content_type: str, error: type[InvalidInput], message: str
) -> None:
    with pytest.raises(error) as refused:
        decode_payloads(body, content_type, 1)
    assert str(refused.value).startswith(message)


def test_parameters_of_another_type_are_refused() -> None:
    body = b'{"instances":[1],"parameters":7}'
    with pytest.raises(InvalidInput, match=r"^parameters: got an int, expected an object$"):
        decode_parameters(body, decode_payloads(body, "", 1))


def test_predictions_are_one_list() -> None:
    assert json.loads(encode_predictions([{"label": "cat", "probability": 0.5}])) == {
        "predictions": [{"label": "cat", "probability": 0.5}]
    }
