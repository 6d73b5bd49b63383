"""A form's parts, in order."""

import pytest

from inference.errors import InputTooLarge, InvalidInput
from serving.codec.multipart import Part, decode_parts

TYPE = "multipart/form-data; boundary=b"


def form(*parts: tuple[str, bytes]) -> bytes:
    """Of each part the head and the data."""
    return b"".join(b"--b\r\n%b\r\n\r\n%b\r\n" % (head.encode(), data) for head, data in parts) + b"--b--\r\n"


def test_parts_come_in_order_with_name_and_type() -> None:
    body = form(
        (
            'Content-Disposition: form-data; name="a"; filename="x.png"\r\nContent-Type: image/png',
            b"\x89\r\n--",
        ),
        ('content-disposition: form-data; name="b"', b""),
        ("X: y", b"1"),
    )
    assert decode_parts(body, TYPE, 3) == [
        Part("a", "image/png", b"\x89\r\n--"),
        Part("b", "text/plain", b""),
        Part("", "text/plain", b"1"),
    ]


def test_one_part_more_than_the_limit_is_refused() -> None:
    with pytest.raises(InputTooLarge, match=r"^body: got more than 1 part, expected at most 1$"):
        decode_parts(form(("X: y", b"1"), ("X: y", b"2")), TYPE, 1)


def test_a_form_without_a_boundary_and_one_that_is_none_are_refused() -> None:
    with pytest.raises(
        InvalidInput, match=r"^Content-Type: got multipart/form-data, expected .* with a boundary$"
    ):
        decode_parts(b"", "multipart/form-data", 1)
    with pytest.raises(InvalidInput, match=r"^body: got 2 bytes \(.*\), expected multipart/form-data$"):
        decode_parts(b"no", TYPE, 1)
