"""Long strings decoded in pieces: the same text, and the same bytes of base64."""

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.errors import InvalidInput
from serving.codec.long_strings import decode_base64, decode_string
from serving.codec.scan import unpaced

TEXTS = st.text(alphabet=st.sampled_from('a"\\/\n\u00e9\u20ac\U0001f600\x7f'), max_size=60)


@settings(deadline=None)
@given(TEXTS, st.integers(12, 40), st.booleans(), st.sampled_from(["", " ", "\n\n\t"]))
def test_a_text_is_the_same_wherever_the_pieces_end(text: str, size: int, plain: bool, space: str) -> None:
    written = f"{space}{json.dumps(text, ensure_ascii=plain)}{space}".encode()
    assert decode_string(memoryview(written), 0, len(written), unpaced, "x", size) == text


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(1, 40))
def test_base64_gives_the_same_bytes_wherever_the_pieces_end(data: bytes, size: int) -> None:
    written = b'"%b"' % base64.b64encode(data)
    assert decode_base64(memoryview(written), 0, len(written), unpaced, "x", size) == data


@pytest.mark.parametrize("size", [1, 3, 4, 7, 8, 64])
@pytest.mark.parametrize(
    "letters", [b"QUJD*A==", b"QUJDQQ", b"QQ==QUJD", b"QUJDQUJDQUJDQUJD\xc3\xa9AAA", b"QUJDQUI", b"===="]
)
def test_letters_that_are_no_base64_are_refused_by_field(letters: bytes, size: int) -> None:
    written = b'"%b"' % letters
    with pytest.raises(InvalidInput, match=r"^x: got .*, expected base64 \("):
        decode_base64(memoryview(written), 0, len(written), unpaced, "x", size)


def test_a_byte_that_is_no_utf8_is_refused_by_field() -> None:
    written = b'"%b\xff%b"' % (b"a" * 50, b"b" * 50)
    with pytest.raises(InvalidInput, match="x: got text that is not UTF-8, expected UTF-8"):
        decode_string(memoryview(written), 0, len(written), unpaced, "x", 16)
