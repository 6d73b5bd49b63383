"""Elements as JSON, without a server: flat and nested lists to arrays, arrays to flat lists."""

import json
import math
from typing import Any

import msgspec
import numpy as np
import pytest

from inference.errors import InvalidInput
from inference.values import DataType
from serving.codec.elements import MAX_RANK, decode_elements, encode_elements


def decoded(text: str, datatype: DataType, shape: list[int]) -> Any:
    return decode_elements(msgspec.Raw(text.encode()), datatype, shape, "data")


@pytest.mark.parametrize("text", ["[1,2,3,4]", "[[1,2],[3,4]]", "[1.0, 2, 3e0, 4]", " [ [1.0,2],[3,4]]"])
def test_flat_nested_and_pointed_numbers_are_the_same(text: str) -> None:
    assert decoded(text, DataType.INT32, [2, 2]).tolist() == [[1, 2], [3, 4]]


def test_values_that_are_parsed_already_are_taken_too() -> None:
    array = decode_elements([[1.5, math.nan]], DataType.FP32, [1, 2], "data")
    assert np.array_equal(array, np.array([[1.5, math.nan]], np.float32), equal_nan=True)
    with pytest.raises(InvalidInput, match=r"^data\[1\]: got a str, expected a float$"):
        decode_elements([1.5, "2"], DataType.FP32, [2], "data")


@pytest.mark.parametrize(
    ("text", "datatype", "told"),
    [
        ("[1,2,3]", DataType.FP32, "data: got 3 elements, expected 2, the product of shape [1, 2]"),
        ("[7]", DataType.FP32, "data: got 1 element, expected 2, the product of shape [1, 2]"),
        ("[[1],[2]]", DataType.FP32, "data: got a list of 1 at axis 1, expected 2, as in shape"),
        ("[1,256]", DataType.UINT8, "data: got a number out of range, expected numbers that fit UINT8"),
        ("[1,2.5]", DataType.INT64, "data[1]: got a float, expected an int"),
        ('[1,"2"]', DataType.FP32, "data[1]: got a str, expected a float"),
        ("[1,true]", DataType.INT8, "data[1]: got a bool, expected an int"),
        ("[0,1]", DataType.BOOL, "data[0]: got an int, expected a bool"),
        ("{}", DataType.BYTES, "data: got an object, expected an array"),
    ],
)
def test_elements_at_fault_are_named(text: str, datatype: DataType, told: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        decoded(text, datatype, [1, 2])
    assert str(refused.value) == told


def test_nesting_has_a_limit() -> None:
    rank = MAX_RANK + 1
    with pytest.raises(InvalidInput, match=rf"^data: got {rank} axes, expected at most {MAX_RANK}$"):
        decoded("[" * rank + "1" + "]" * rank, DataType.FP32, [1] * rank)


def test_bf16_is_rounded_on_the_way_in_and_exact_on_the_way_out() -> None:
    array = decoded("[0.1,-2.5]", DataType.BF16, [2])
    assert array.dtype == np.uint16
    read = np.array(json.loads(encode_elements(array, DataType.BF16)), np.float32)
    assert read.tolist() == [0.10009765625, -2.5]


def test_bytes_that_are_no_utf_8_become_replacement_characters() -> None:
    texts = np.array(["é", "\udcff"], np.object_)
    assert json.loads(encode_elements(texts, DataType.BYTES)) == ["é", "\ufffd"]


def test_every_number_is_in_its_place() -> None:
    rng = np.random.default_rng(0)
    array = rng.normal(size=10_000)
    array[rng.random(10_000) < 0.5] = math.nan
    array[rng.random(10_000) < 0.1] = -math.inf
    read = np.array(json.loads(encode_elements(array, DataType.FP64)), float)
    assert np.array_equal(read, array, equal_nan=True)
    assert (
        json.loads(encode_elements(array, DataType.FP64, strict=True)).count(None)
        == (~np.isfinite(array)).sum()
    )
