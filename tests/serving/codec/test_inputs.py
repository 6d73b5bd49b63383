"""Inputs against a manifest: which tensor is refused for which field, and where its bytes come from."""

import struct
from typing import Any

import msgspec
import numpy as np
import pytest

from inference.errors import InvalidInput, Unsupported
from inference.values import DataType
from serving.codec.inputs import NO_BLOBS, Blobs, InputDecoder, is_column
from serving.codec.request import NO_DATA, InputHead
from tests.serving.codec.manifests import manifest, spec

ROWS = spec("x", DataType.FP32, -1, 2)
COLUMN = spec("age", DataType.INT64, -1)


def head(
    name: str, shape: list[int], data: str | None, datatype: str = "FP32", **parameters: Any
) -> InputHead:
    raw = NO_DATA if data is None else msgspec.Raw(data.encode())
    return InputHead(name, shape, datatype, parameters or None, raw)


def test_tensors_come_by_name_with_their_rows() -> None:
    decoder = InputDecoder(manifest([ROWS, COLUMN]))
    heads = [head("age", [3, 1], "[7,8,9]", "INT64"), head("x", [3, 2], "[1,2,3,4,5,6]")]
    tensors, rows = decoder.decode(heads, NO_BLOBS)
    assert rows == 3
    assert tensors["x"].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert tensors["age"].tolist() == [7, 8, 9]  # a column as metadata show it, a vector as the graph has it


def test_without_a_batch_axis_there_is_one_row_whatever_the_shape() -> None:
    decoder = InputDecoder(manifest([spec("x", DataType.FP32, -1, 2)], max_batch_size=0))
    tensors, rows = decoder.decode([head("x", [5, 2], "[0,0,0,0,0,0,0,0,0,0]")], NO_BLOBS)
    assert (tensors["x"].shape, rows) == ((5, 2), 1)


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        ([head("z", [1, 2], "[1,2]")], "inputs[0].name: got z, expected one of x, age"),
        ([head("x", [1, 2], "[1,2]")] * 2, "inputs[1].name: got x, expected each input once"),
        ([head("x", [1, 2], "[1,2]", "FP64")], "inputs[0].datatype: got FP64, expected FP32"),
        ([head("x", [1, 3], "[1,2,3]")], "inputs[0].shape: got [1, 3], expected [-1, 2], -1 standing for any"),
        ([head("x", [], "[1]")], "inputs[0].shape: got [], expected [-1, 2], -1 standing for any"),
        ([head("x", [0, 2], "[]")], "inputs[0].shape: got a batch of 0, expected at least one row"),
        ([head("x", [1, 2], "[1,2]"), head("age", [2], "[1,2]", "INT64")],
         "inputs[1].shape: got a batch of 2, expected 1 row as in the other inputs"),
        ([head("x", [1, 2], "[1,2]")], "inputs: got 1 input, expected also age"),
        ([head("x", [1, 2], None)], "inputs[0]: got no data, expected data, or parameters.binary_data_size"),
        ([head("x", [1, 2], "[1,2]", binary_data_size=8)],
         "inputs[0]: got both data and parameters.binary_data_size, expected one of them"),
        ([head("x", [1, 2], None, binary_data_size=8)],
         "inputs[0].parameters.binary_data_size: got no binary part, expected the 8 that it says"),
    ],
)  # fmt: skip
def test_an_input_at_fault_is_named(heads: list[InputHead], message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        InputDecoder(manifest([ROWS, COLUMN])).decode(heads, NO_BLOBS)
    assert str(refused.value) == message


def test_shared_memory_is_not_offered() -> None:
    with pytest.raises(Unsupported, match=r"^inputs\[0\]\.parameters\.shared_memory_region: "):
        InputDecoder(manifest([ROWS])).decode([head("x", [1, 2], None, shared_memory_region="r")], NO_BLOBS)


def test_blobs_are_taken_from_the_front_until_none_is_left() -> None:
    blobs = Blobs(memoryview(b"abcd"))
    assert bytes(blobs.take(3, "f")) == b"abc"
    with pytest.raises(InvalidInput, match=r"^f: got 1 byte left in the body, expected the 2 that it says$"):
        blobs.take(2, "f")
    with pytest.raises(
        InvalidInput, match=r"^body: got unexpected additional input data, 1 byte, expected nothing"
    ):
        blobs.check_used_up()
    assert bytes(blobs.take(1, "f")) == b"d"
    blobs.check_used_up()


def test_a_raw_body_sets_the_one_axis_that_varies() -> None:
    decoder = InputDecoder(manifest([spec("x", DataType.FP32, -1, -1, 2)]))
    assert decoder.decode_raw(struct.pack("<6f", *range(6)))["x"].shape == (1, 3, 2)
    with pytest.raises(InvalidInput, match=r"^body: got 9 bytes, expected 8 for FP32 of shape \[1, 1, 2\]$"):
        decoder.decode_raw(bytes(9))


def test_a_raw_body_of_a_text_model_is_one_text() -> None:
    text = InputDecoder(manifest([spec("text", DataType.BYTES, -1, 1)])).decode_raw("naïve".encode())["text"]
    assert (text.shape, text.tolist()) == ((1, 1), [["naïve"]])


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        ([ROWS, COLUMN], "inputs: got 2 inputs, expected 1 for a raw request"),
        ([spec("x", DataType.FP32, -1, -1, -1)],
         "body: got shape [-1, -1, -1], expected one variable axis in a raw request"),
        ([spec("x", DataType.BYTES, -1, 2)], "body: got one element, expected 2, as shape [-1, 2] has"),
    ],
)  # fmt: skip
def test_a_raw_body_is_refused_where_it_says_too_little(specs: list[Any], message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        InputDecoder(manifest(specs)).decode_raw(b"12345678")
    assert str(refused.value) == message


def test_a_column_is_an_input_whose_only_axis_is_the_batch() -> None:
    assert is_column(COLUMN, manifest([COLUMN]))
    assert not is_column(COLUMN, manifest([COLUMN], max_batch_size=0))
    assert not is_column(ROWS, manifest([ROWS]))
    assert np.array_equal(
        InputDecoder(manifest([COLUMN])).decode([head("age", [2], "[1,2]", "INT64")], NO_BLOBS)[0]["age"],
        [1, 2],
    )
