"""The token of a request: with its scheme, in whatever letters, and never without."""

import pytest

from serving.access.bearer import bearer_token


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (b"Bearer abc", b"abc"),
        (b"bearer abc", b"abc"),
        (b"BEARER   abc  ", b"abc"),
        (b"Bearer only for tests", b"only for tests"),
        (b"abc", None),
        (b"Bearer", None),
        (b"Bearer ", None),
        (b"Bearerabc", None),
        (b"Basic abc", None),
        (b"Token Bearer abc", None),
        (b"Bearer: abc", None),
        (b"", None),
    ],
)
def test_a_token_is_one_behind_its_scheme(header: bytes, token: bytes | None) -> None:
    assert bearer_token({b"authorization": header}) == token


def test_a_request_without_the_header_has_none() -> None:
    assert bearer_token({}) is None
