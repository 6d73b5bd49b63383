"""Where lists end and elements are parted, at every size of a window."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.codec.scan import elements, end_of_list, find, trimmed, unpaced

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='a"\\[]{},: é'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='k"\\]'), inner, max_size=3),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=6), st.integers(1, 40), st.booleans())
def test_a_list_ends_where_the_parser_ends_it(values: list[object], size: int, plain: bool) -> None:
    text = json.dumps(values, ensure_ascii=plain).encode()
    view = memoryview(text + b',"x]":[1]}')
    end, commas = end_of_list(view, 1, unpaced, size)
    assert (end, commas) == (len(text) - 1, len(values) - 1)
    assert end_of_list(memoryview(text[:-1]), 1, unpaced, size)[0] == -1


@settings(deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=6), st.integers(1, 40))
def test_the_elements_of_a_list_are_parted_at_its_own_commas(values: list[object], size: int) -> None:
    text = json.dumps(values).encode()
    pieces = list(elements(memoryview(text), 1, len(text) - 1, unpaced, size))
    assert [each for begin, end, _ in pieces for each in json.loads(b"[%b]" % text[begin:end])] == values
    assert all(end - begin <= size for begin, end, is_long in pieces if not is_long)
    longer = [text[begin:end] for begin, end, is_long in pieces if is_long]
    assert all(len(json.loads(b"[%b]" % each)) == 1 for each in longer)


@pytest.mark.parametrize("size", range(1, 9))
def test_a_word_is_found_across_windows(size: int) -> None:
    text = memoryview(b"xxdaxdatax")
    assert find(text, b"data", 0, unpaced, size) == 5
    assert find(text, b"data", 6, unpaced, size) == -1


@pytest.mark.parametrize("size", [1, 2, 3, 64])
def test_white_space_is_left_out_however_long(size: int) -> None:
    text = memoryview(b"\t\n  [1, 2] \r\n ")
    assert trimmed(text, 0, len(text), size) == (4, 10)
    assert trimmed(text, 0, 4, size) == (4, 4)
