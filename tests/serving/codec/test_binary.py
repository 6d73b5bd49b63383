"""Elements as bytes, without a server: what is copied, what is a view, and what is refused by field."""

import numpy as np
import pytest

from inference.errors import InvalidInput
from inference.values import DataType
from serving.codec.binary import ALIGNED, bytes_of, decode_binary, encode_binary, let_go, text_of


def aligned(size: int, off: int) -> memoryview:
    """`size` bytes that begin `off` bytes behind a multiple of `ALIGNED`."""
    room = np.zeros(size + 2 * ALIGNED, np.uint8)
    start = -room.ctypes.data % ALIGNED + off
    return room.data[start : start + size]


def test_a_large_tensor_is_a_view_where_it_lies_as_numpys_own_do() -> None:
    for off, is_view in ((0, True), (4, False)):
        blob = aligned(8192, off)
        array = decode_binary(blob, DataType.FP32, [2, 1024], "x")
        assert np.shares_memory(array, np.frombuffer(blob, np.uint8)) is is_view
        assert array.__array_interface__["data"][0] % ALIGNED == 0
        assert array.shape == (2, 1024)


@pytest.mark.parametrize(
    ("blob", "datatype", "shape", "told"),
    [
        (b"1", DataType.FP32, [1, 2], "x: got 1 byte, expected 8 for FP32 of shape [1, 2]"),
        (b"\x01\x00", DataType.BYTES, [1], "x: got 2 bytes too many, expected 4 bytes of length before an element"),
        (b"\x02\x00\x00\x00a", DataType.BYTES, [1], "x[0]: got 1 byte left, expected the 2 that its length says"),
        (b"\x00\x00\x00\x00", DataType.BYTES, [2], "x: got 1 element, expected 2, the product of shape [2]"),
    ],
    ids=["size", "no length", "cut", "too few"],
)  # fmt: skip
def test_a_wrong_size_is_told_with_its_field(
    blob: bytes, datatype: DataType, shape: list[int], told: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        decode_binary(memoryview(blob), datatype, shape, "x")
    assert str(refused.value) == told


def test_any_byte_but_0_is_true() -> None:
    array = decode_binary(memoryview(b"\x00\x01\x02\xff"), DataType.BOOL, [4], "x")
    assert array.view(np.uint8).tolist() == [0, 1, 1, 1]


def test_strings_come_back_byte_for_byte() -> None:
    blob = b"\x00\x00\x00\x00" + b"\x03\x00\x00\x00\xff\xc3\xa9"
    array = decode_binary(memoryview(blob), DataType.BYTES, [2, 1], "x")
    assert array.tolist() == [[""], ["\udcffé"]]
    assert encode_binary(array, DataType.BYTES) == blob
    assert bytes_of(text_of(b"\xff\x00")) == b"\xff\x00"


def test_an_answer_is_a_view_unless_its_array_has_gaps() -> None:
    array = np.arange(6, dtype=np.int16).reshape(2, 3)
    whole, gaps = encode_binary(array, DataType.INT16), encode_binary(array[:, 1], DataType.INT16)
    assert np.shares_memory(np.frombuffer(whole, np.int16), array)
    assert bytes(gaps) == np.array([1, 4], np.int16).tobytes()


def test_strings_that_are_let_go_of_are_gone_from_every_array_and_numbers_stay() -> None:
    columns = np.array([f"{place}" for place in range(10_000)], np.object_).reshape(2, -1).T
    numbers, turns = np.ones(3), list[int]()
    let_go({"columns": columns, "none": columns[:0], "numbers": numbers}, lambda: turns.append(1))
    assert set(columns.reshape(-1).tolist()) == {None}
    assert numbers.tolist() == [1, 1, 1]
    assert len(turns) == 3
