"""The JSON part of a request, and the rules for its parameters."""

from typing import Any

import msgspec
import pytest

from inference.errors import InvalidInput, Unsupported
from serving.codec.request import (
    MAX_NUMBER,
    NO_DATA,
    InputHead,
    check_parameters,
    flag,
    has_data,
    parse_head,
    refuse_shared_memory,
    whole_number,
)


def test_fields_without_a_name_here_are_ignored_and_null_is_none() -> None:
    head = parse_head(
        b'{"model_name":"m","id":null,"inputs":[{"name":"x","shape":[1],"datatype":"FP32","more":1}]}'
    )
    assert (head.id, head.outputs, head.inputs[0].data) == (None, None, NO_DATA)


def test_a_request_without_inputs_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"^inputs: got an empty list, expected every input of the model$"):
        parse_head(b'{"inputs":[]}')


def test_data_with_nan_come_parsed_and_others_raw() -> None:
    other = b'{"name":"NaN","shape":[],"datatype":""}'
    text = b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[%b]},' + other + b"]}"
    first, second = parse_head(text % b"-Infinity").inputs
    assert repr(first.data) == "[-inf]"
    assert (second.name, second.data) == ("NaN", NO_DATA)
    assert bytes(parse_head(text % b"1").inputs[0].data) == b"[1]"
    with pytest.raises(InvalidInput, match=r"^body: got \d+ bytes .* expected strict JSON"):
        parse_head(text % b"NaN", strict=True)


@pytest.mark.parametrize(
    ("data", "there"),
    [(NO_DATA, False), (msgspec.Raw(b"null"), False), (None, False), (msgspec.Raw(b"[]"), True), ([], True)],
    ids=["none", "raw null", "null", "raw", "parsed"],
)
def test_null_is_no_data(data: Any, there: bool) -> None:
    assert has_data(InputHead("x", [1], "FP32", None, data)) is there


def test_reserved_names_and_states_are_refused_and_the_rest_is_let_be() -> None:
    check_parameters({"mine": 1, "triton_x": None, "sequence_id": 0, "headers": "x"})
    check_parameters({"sequence_id": ""})
    with pytest.raises(
        InvalidInput, match=r"^parameters\.triton_x: got 1, expected no parameter whose name begins"
    ):
        check_parameters({"triton_x": 1})
    with pytest.raises(Unsupported, match=r"^parameters\.sequence_id: "):
        check_parameters({"sequence_id": 7})


def test_shared_memory_is_refused_unless_it_is_null() -> None:
    refuse_shared_memory({"shared_memory_offset": None, "mine": 1}, "inputs[0]")
    with pytest.raises(Unsupported, match=r"^inputs\[0\]\.parameters\.shared_memory_region: "):
        refuse_shared_memory({"shared_memory_region": "r"}, "inputs[0]")


def test_whole_numbers_are_of_64_bits_and_0_where_they_are_absent() -> None:
    assert whole_number({"n": MAX_NUMBER}, "n", "parameters") == MAX_NUMBER
    assert whole_number({"n": None}, "n", "parameters") == whole_number({}, "n", "parameters") == 0
    for value in (-1, MAX_NUMBER + 1, True, 1.0, "1"):
        with pytest.raises(
            InvalidInput, match=rf"^parameters\.n: got {value}, expected a whole number from 0 to "
        ):
            whole_number({"n": value}, "n", "parameters")


def test_flags_are_booleans_and_false_where_they_are_absent() -> None:
    assert flag({"b": True}, "b", "parameters")
    assert not flag({"b": None}, "b", "parameters")
    with pytest.raises(InvalidInput, match=r"^parameters\.b: got 1, expected true or false$"):
        flag({"b": 1}, "b", "parameters")
