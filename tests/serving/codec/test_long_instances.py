"""Instances of a large body, a few at a time: the same payloads as of the whole body."""

import base64
import json
from typing import Any

import pytest

from inference.errors import InputTooLarge, InvalidInput
from serving.codec import long_instances
from serving.codec.instances import decode_long_payloads, decode_payloads, whole
from serving.codec.long_instances import OCTETS, long_payloads
from serving.codec.scan import unpaced

LONG = "l\u00e9\n\"'[,]" * 700


@pytest.mark.parametrize("size", [pytest.param(1, marks=pytest.mark.slow), 7, 64, 5000, 65536])
@pytest.mark.parametrize(
    "instances",
    [
        ["a", "b,]", "c"],
        [LONG, "x", LONG],
        [{"history": ["1", 2], "k": 3}, {"b64": "QUJD"}, None, 1.5, [1, [2]]],
        [{"text": LONG, LONG: [LONG, {"deep": LONG}]}],
        [[]],
    ],
)
def test_the_payloads_are_the_same(instances: list[Any], size: int) -> None:
    body = json.dumps({"instances": instances, "parameters": {"a": 1}}).encode()
    found = long_payloads(memoryview(body), 10, unpaced, takes_bytes=False, size=size)
    assert found is not None
    assert found[1] == decode_payloads(body, "application/json", 10)
    assert json.loads(found[0]) == {"instances": [], "parameters": {"a": 1}}


def test_base64_becomes_bytes_where_the_task_takes_them() -> None:
    data = bytes(range(256)) * 40
    body = json.dumps({"instances": [{"b64": base64.b64encode(data).decode()}]}).encode()
    found = long_payloads(memoryview(body), 10, unpaced, takes_bytes=True, size=1000)
    assert found is not None
    ((payload,),) = found[1:]
    assert (payload.data, payload.media_type, payload.field) == (data, OCTETS, "instances[0]")


@pytest.mark.parametrize("size", [3, 64, 65536])
@pytest.mark.parametrize(
    ("instances", "words"),
    [
        (b"", "instances: got an empty list, expected at least one instance"),
        (b"1, 2,", "body: got .* bytes .JSON is malformed"),
        (b'1, "\xff"', r"instances\[1\]: got text that is not UTF-8|not UTF-8"),
        (b"1, x", "body: got .* bytes .JSON is malformed"),
        (b", ".join([b"1"] * 11), "instances: got 11 instances, expected at most 10"),
    ],
)
def test_what_is_wrong_is_told(instances: bytes, words: str, size: int) -> None:
    body = memoryview(b'{"instances": [%b]}' % instances)
    with pytest.raises(InvalidInput, match=words):
        long_payloads(body, 10, unpaced, takes_bytes=False, size=size)


def test_an_instance_that_is_long_beside_its_strings_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_instances, "MAX_INSTANCE_BYTES", 5000)
    fits = json.dumps({"instances": ["x", {"a": LONG, "b": [1] * 1000}]}).encode()
    assert long_payloads(memoryview(fits), 10, unpaced, takes_bytes=False, size=100) is not None
    body = json.dumps({"instances": ["x", {"a": LONG, "b": [1] * 2000}]}).encode()
    with pytest.raises(
        InputTooLarge, match=r"instances\[1\]: got .* beside long strings, expected at most 5000"
    ):
        long_payloads(memoryview(body), 10, unpaced, takes_bytes=False, size=100)


def test_a_body_without_a_list_of_instances_is_read_as_ever() -> None:
    for body in (b'{"inputs": [1]}', b'{"instances": 5}', b"[1]", b'{"parameters": {"instances": [1]}}'):
        with pytest.raises(InvalidInput) as expected:
            decode_payloads(body, "application/json", 10)
        with pytest.raises(InvalidInput) as came:
            decode_long_payloads(memoryview(body), "application/json", 10, unpaced, takes_bytes=False)
        assert str(came.value) == str(expected.value)


def test_other_bodies_are_passed_on_as_bytes() -> None:
    data = bytearray(b"\x89PNG" * 10)
    _, (payload,) = decode_long_payloads(memoryview(data), "image/png", 10, unpaced, takes_bytes=True)
    assert (payload.data, payload.media_type) == (bytes(data), "image/png")
    text = b"plain text"
    _, (payload,) = decode_long_payloads(memoryview(text), "text/plain", 10, unpaced, takes_bytes=False)
    assert (payload.data, payload.media_type) == (text, "text/plain")
    assert whole(memoryview(text), unpaced) is text
