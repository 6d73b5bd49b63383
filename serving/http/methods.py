"""Methods: which a path takes, and the answer to a request that came with another."""

from collections.abc import Iterable

from serving.http.answer import JSON, Answer
from serving.http.errors import error_body

ASKED = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
"""Those that a route may be asked for; OPTIONS is answered for every path."""


def other_method(method: str, takes: Iterable[str]) -> Answer:
    """The answer of a path that `takes` these methods to another one; to OPTIONS, their list.

    HEAD is taken wherever GET is.
    """
    known = set(takes)
    if "GET" in known:
        known.add("HEAD")
    listed = [name for name in ASKED if name in known]
    allow = (b"allow", ", ".join((*listed, "OPTIONS")).encode())
    if method == "OPTIONS":
        return Answer(204, [allow], b"")
    body = error_body(
        f"method: got {method}, expected {' or '.join(name for name in listed if name != 'HEAD')}"
    )
    return Answer(405, [JSON, allow, (b"content-length", b"%d" % len(body))], body)
