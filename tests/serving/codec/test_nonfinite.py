"""NaN and Infinity in JSON: found outside of strings alone, replaced in one pass, written where null stands."""

import math

import numpy as np
import pytest

from inference.errors import InvalidInput
from serving.codec.nonfinite import (
    may_hold_nonfinite,
    parse_nonfinite,
    with_null,
    with_zero,
    write_nonfinite,
)


def test_words_are_replaced_outside_of_strings_alone_and_in_one_pass() -> None:
    text = b'{"a\\"NaN":[NaN,-Infinity,"Infinity",Infinity]}'
    assert with_null(text) == b'{"a\\"NaN":[null,null,"Infinity",null]}'
    assert with_zero(text) == b'{"a\\"NaN":[0.0,-0.000000,"Infinity",0.000000]}'
    # Quotes that never close: looked at once and not once for each.
    assert len(with_zero(b'"' + b'\\"' * 500_000 + b"NaN")) == 1_000_004


def test_a_word_may_be_there_where_its_letters_are() -> None:
    assert may_hold_nonfinite(b'["NaN"]')
    assert may_hold_nonfinite(b"[-Infinity]")
    assert not may_hold_nonfinite(b"[nan, inf]")


def test_words_are_written_in_the_order_of_their_numbers() -> None:
    array = np.array([math.inf, 1.5, math.nan, -math.inf])
    assert write_nonfinite(b"[null,1.5,null,null]", array) == b"[Infinity,1.5,NaN,-Infinity]"


def test_a_body_that_is_no_json_even_with_words_is_refused() -> None:
    assert parse_nonfinite(b'{"a":[-Infinity]}') == {"a": [-math.inf]}
    for text in (b"[NaN", b'["\xff"]', b"[" * 100_000):
        with pytest.raises(InvalidInput, match=rf"^body: got {len(text)} bytes \(.*\), expected JSON$"):
            parse_nonfinite(text)
