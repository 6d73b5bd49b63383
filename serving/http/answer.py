"""An answer over HTTP/1.1, whole: status, headers and body."""

from collections.abc import Sequence
from typing import NamedTuple

from inference.errors import BatonError
from serving.http.errors import Headers, error_body, error_headers, status_of

JSON = (b"content-type", b"application/json")
BINARY = (b"content-type", b"application/octet-stream")


class Answer(NamedTuple):
    """A response, whole. `wire`: headers and body as one, where the same answer was made before."""

    status: int
    headers: Headers
    body: bytes
    wire: bytes = b""
    rest: Sequence[bytes | memoryview] = ()
    """Of a large answer: the parts of its body behind `body`, which are never joined."""

    @property
    def size(self) -> int:
        """Bytes of the whole body."""
        return len(self.body) + sum(map(len, self.rest))


def on_the_wire(answer: Answer) -> bytes:
    """Headers and body of an answer as HTTP/1.1 has them."""
    return b"".join((*(b"%b: %b\r\n" % header for header in answer.headers), b"\r\n", answer.body))


def refusal(error: BatonError) -> Answer:
    """The answer to a request that ended in an error."""
    return Answer(status_of(error), [JSON, *error_headers(error)], error_body(str(error)))
