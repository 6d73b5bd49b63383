"""Long lists decoded in pieces: the same arrays and errors as of the whole list, wherever the pieces end."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from inference.errors import ClientDisconnected, InvalidInput
from inference.values import DataType
from serving.codec.elements import decode_elements
from serving.codec.long_elements import LongList
from serving.codec.scan import Pace, end_of_list, unpaced

LEAVES = {
    DataType.FP32: ["1", "-2.5", "1e3", "1E-3", "0.1"],
    DataType.FP16: ["1", "-2.5", "0.1"],
    DataType.BF16: ["1", "-2.5", "0.1"],
    DataType.INT64: ["1", "2.0", "17", "3e1", "-0"],
    DataType.UINT8: ["1", "2.0", "255"],
    DataType.BOOL: ["true", "false"],
    DataType.BYTES: ['"a"', '"b,]["', r'"x\"y\\"', r'"\ud83d\ude00"', '"é"', '""', f'"{"q" * 40}"'],
}
WRONG = ["null", "{}", "1e400", '"s"', "true", "1.5", "300"]


def long(text: bytes, size: int, pace: Pace = unpaced, *, strict: bool = False) -> LongList:
    view = memoryview(text)
    start = text.index(b"[") + 1
    end, commas = end_of_list(view, start, pace, size)
    return LongList(view, start, end, commas, pace, strict=strict, size=size)


def decoded(raw: Any, datatype: DataType, shape: list[int]) -> tuple[Any, ...] | str:
    try:
        array = decode_elements(raw, datatype, shape, "x")
    except InvalidInput as error:
        return str(error)
    return array.tolist(), array.dtype, array.shape


@st.composite
def lists(draw: st.DrawFn) -> tuple[bytes, DataType, list[int], list[int]]:
    """The text of a list, its datatype, its shape, and where in the text its elements begin."""
    datatype = draw(st.sampled_from(list(LEAVES)))
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    space = st.sampled_from(["", "", " ", "\n\t "])
    places: list[int] = []
    text = ""

    def write(axes: list[int]) -> None:
        nonlocal text
        text += "["
        for place in range(axes[0]):
            text += draw(space) if not place else f"{draw(space)},{draw(space)}"
            if len(axes) > 1:
                write(axes[1:])
            else:
                places.append(len(text.encode()))
                text += draw(st.sampled_from(LEAVES[datatype]))
        text += f"{draw(space)}]"

    write(shape if draw(st.booleans()) else [int(np.prod(shape))])
    return text.encode(), datatype, shape, places


@settings(deadline=None)
@given(lists(), st.integers(1, 70))
def test_an_array_is_the_same_wherever_the_pieces_end(
    made: tuple[bytes, DataType, list[int], list[int]], size: int
) -> None:
    text, datatype, shape, _ = made
    assert decoded(long(text, size), datatype, shape) == decoded(text, datatype, shape)


@settings(deadline=None)
@given(lists(), st.integers(1, 70), st.data())
def test_one_wrong_element_is_named_as_ever(
    made: tuple[bytes, DataType, list[int], list[int]], size: int, data: st.DataObject
) -> None:
    text, datatype, shape, places = made
    assume(b"2.0" not in text and b"3e1" not in text)  # of whole numbers those are the first fault
    assume(datatype is not DataType.BYTES)  # in which commas and brackets may stand: see the test below
    place = data.draw(st.sampled_from(places))
    rest = text[place:]
    ends = [at for at in (rest.find(b","), rest.find(b"]"), rest.find(b" "), rest.find(b"\n")) if at >= 0]
    wrong = text[:place] + data.draw(st.sampled_from(WRONG)).encode() + rest[min(ends) :]
    assert decoded(long(wrong, size), datatype, shape) == decoded(wrong, datatype, shape)


@pytest.mark.parametrize("size", range(1, 40))
@pytest.mark.parametrize(
    ("text", "datatype", "shape"),
    [
        (b'["a", 5, "b,c", "d"]', DataType.BYTES, [4]),
        (b"[[1, 2], [3, 4], [5]]", DataType.FP32, [3, 2]),
        (b"[[1, 2], 3, [5, 6]]", DataType.FP32, [3, 2]),
        (b"[[[1], [2]], [[3], [4, 5]]]", DataType.INT64, [2, 2, 1]),
        (b"[1, 2, 300, 4]", DataType.UINT8, [4]),
        (b"[70000.0, 1, 2]", DataType.FP16, [3]),
        (b"[1, 2, 3]", DataType.FP32, [4]),
        (b"[1, 2, 3]", DataType.FP32, [10**12]),
        (b"[]", DataType.FP32, [0]),
        (b"[ ]", DataType.FP32, [2]),
        (b"[1, 2.5, 3]", DataType.INT64, [3]),
        (b"[[1, 2]]", DataType.INT64, [2]),
        (b"[1]", DataType.FP32, [1] * 17),
        (b"[[1]]", DataType.FP32, [1] * 17),
    ],
)
def test_lists_with_one_fault_are_told_as_ever(
    text: bytes, datatype: DataType, shape: list[int], size: int
) -> None:
    assert decoded(long(text, size), datatype, shape) == decoded(text, datatype, shape)


@pytest.mark.parametrize("size", [1, 2, 5, 9, 64])
def test_words_for_numbers_that_are_not_finite_are_read(size: int) -> None:
    text = b"[1.5, NaN, Infinity, -Infinity]"
    array = decode_elements(long(text, size), DataType.FP32, [4], "x")
    np.testing.assert_array_equal(array, np.array([1.5, np.nan, np.inf, -np.inf], np.float32))
    with pytest.raises(InvalidInput, match="strict JSON, which has no NaN or Infinity"):
        decode_elements(long(text, size, strict=True), DataType.FP32, [4], "x")


@pytest.mark.parametrize("size", [1, 2, 3, 8, 64])
@pytest.mark.parametrize("text", [b"[1,2,]", b"[,1,2]", b"[1,,2]", b"[1 2,3]", b"[1,[2]", b"[01,2]"])
def test_lists_that_are_no_json_are_refused(text: bytes, size: int) -> None:
    view = memoryview(text)
    source = LongList(view, 1, len(text) - 1, 0, unpaced, size=size)
    with pytest.raises(InvalidInput):
        decode_elements(source, DataType.FP32, [2], "x")


def test_half_of_a_surrogate_pair_names_its_element() -> None:
    text = rb'["a", "\ud800", "c"]'
    for size in range(1, 30):
        with pytest.raises(InvalidInput, match=r"x\[1\]: got half of a surrogate pair, expected text"):
            decode_elements(long(text, size), DataType.BYTES, [3], "x")


def test_a_place_that_is_no_json_is_named_in_the_whole_body() -> None:
    text = b"[1, 2, 3, 4, x, 6]"
    for size in (3, 7, 64):
        with pytest.raises(InvalidInput, match=r"body: got 18 bytes \(JSON is malformed.*\(byte 13\)\)"):
            decode_elements(long(text, size), DataType.FP32, [6], "x")


def test_work_stops_where_its_pace_says_so() -> None:
    calls = itertools.count()

    def leave_at_the_third() -> None:
        if next(calls) == 3:
            raise ClientDisconnected("gone")

    source = long(b"[%b]" % b",".join([b"1"] * 1000), 64)
    source.pace = leave_at_the_third
    with pytest.raises(ClientDisconnected):
        decode_elements(source, DataType.FP32, [1000], "x")
    assert next(calls) == 4
