"""Answers on the wire, and those that errors get."""

import pytest

from inference import errors
from serving.http.answer import JSON, Answer, on_the_wire, refusal


def test_headers_and_body_are_written_as_http_has_them() -> None:
    answer = Answer(200, [JSON, (b"content-length", b"2")], b"{}")
    assert on_the_wire(answer) == b"content-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    ("error", "status", "header"),
    [
        (errors.InvalidInput("x", 1, "2"), 400, None),
        (errors.Overloaded("m", 4, 1.2), 429, (b"retry-after", b"2")),
        (
            errors.UnsupportedMediaType("Content-Encoding", "br", "gzip"),
            415,
            (b"accept-encoding", b"gzip, deflate"),
        ),
        (errors.DeadlineExceeded("m", 1), 504, None),
    ],
)
def test_an_error_is_json_with_its_status(
    error: errors.BatonError, status: int, header: tuple[bytes, bytes] | None
) -> None:
    answer = refusal(error)
    assert answer.status == status
    assert answer.headers == [JSON, *([header] if header else [])]
    assert answer.body.startswith(b'{"error":"')
