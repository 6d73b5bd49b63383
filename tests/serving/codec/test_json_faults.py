"""A parser's complaints become a field, what came and what was expected."""

from typing import Annotated, Any

import msgspec
import pytest

from inference.errors import InvalidInput
from serving.codec.json_faults import json_fault, mismatch


class Inner(msgspec.Struct):
    name: str
    size: int | None = None


class Outer(msgspec.Struct):
    inputs: list[Inner]
    parameters: dict[str, str | int] = {}


def told(text: bytes, kind: Any = Outer) -> str:
    with pytest.raises((msgspec.MsgspecError, RecursionError)) as caught:
        msgspec.json.decode(text, type=kind)
    fault = json_fault(caught.value, text)
    assert isinstance(fault, InvalidInput)
    return str(fault)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"inputs":[{}]}', "inputs[0].name: missing, expected a tensor's name"),
        (b'{"inputs":[{"name":"x","size":true}]}', "inputs[0].size: got a bool, expected an int"),
        (b'{"inputs":[],"parameters":{"a":1,"b":[]}}', "parameters.b: got an array, expected an int or str"),
        (b"{}", "inputs: missing, expected a list with every input of the model"),
        (b"7", "body: got an int, expected an object"),
        (b"{", "body: got 1 byte (Input data was truncated), expected JSON"),
        (b'{"inputs":[{"name":"\\ud800"}]}', "inputs[0].name: got half of a surrogate pair, expected text"),
        (b'{"inputs":[],"\\udfff":1}', "body: got half of a surrogate pair, expected text"),
    ],
)
def test_a_body_at_fault_names_its_field(text: bytes, message: str) -> None:
    assert told(text) == message


def test_a_bound_is_told_with_the_value_that_breaks_it() -> None:
    sizes = dict[str, list[Annotated[int, msgspec.Meta(ge=0)]]]
    assert told(b'{"a":[1,-2]}', sizes) == "a[1]: got -2, expected an int >= 0"


def test_nesting_that_is_too_deep_is_told() -> None:
    assert (
        str(json_fault(RecursionError(), b"[")) == "body: got JSON nested too deeply, expected a few levels"
    )


def test_a_value_inside_a_field_is_named_from_the_field_on() -> None:
    fault = mismatch(
        msgspec.ValidationError("Expected `float`, got `str` - at `$[1]`"), "inputs[0].data", b"[1,2]"
    )
    assert str(fault) == "inputs[0].data[1]: got a str, expected a float"


def test_another_complaint_is_told_as_it_is() -> None:
    fault = mismatch(
        msgspec.DecodeError("JSON is malformed: invalid number (byte 2)"), "inputs[0].data", b"[01]"
    )
    assert str(fault) == (
        "inputs[0].data: got no JSON (JSON is malformed: invalid number (byte 2)), expected JSON"
    )
