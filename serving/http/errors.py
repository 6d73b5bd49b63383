"""The status of each kind of error over HTTP, in one table, and the one body that every error has.

The kinds themselves are `inference.errors`; whoever raises one knows nothing of HTTP.
"""

import math

import orjson

from inference import errors

STATUS: dict[type[errors.BatonError], int] = {
    errors.BatonError: 500,
    errors.InvalidInput: 400,
    errors.UnsupportedMediaType: 415,
    errors.InputTooLarge: 413,
    errors.ModelNotFound: 404,
    errors.ModelNotReady: 503,
    errors.LoadRefused: 409,
    errors.Unsupported: 501,
    errors.Overloaded: 429,
    errors.LowPriorityFull: 429,
    errors.ExplanationsFull: 429,
    errors.InflightExceeded: 429,
    errors.DeadlineExceeded: 504,
    errors.ClientDisconnected: 499,  # nginx's word for it; nobody is there to read it, the metrics are
    errors.AccessRefused: 403,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.Misdirected: 421,
    errors.LimitExceeded: 429,
    errors.InferenceFailed: 500,
    errors.RowsChanged: 500,
    errors.ProviderUnavailable: 503,
    # A bundle is refused while it is loaded, so a client sees these only in answer to `load`.
    errors.BundleRefused: 503,
    errors.ManifestInvalid: 503,
    errors.ConfigInvalid: 503,
    errors.FileMissing: 503,
    errors.FileUnknown: 503,
    errors.DigestMismatch: 503,
    errors.PathOutside: 503,
    errors.SignatureInvalid: 503,
    errors.GraphInvalid: 503,
    errors.GoldenMismatch: 503,
}

Headers = list[tuple[bytes, bytes]]


def status_of(error: errors.BatonError) -> int:
    """The status of this error's kind, or of the nearest kind above it."""
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    raise TypeError(f"{type(error).__name__} is not one of Baton's errors")


def error_body(message: str) -> bytes:
    """`{"error": "…"}`, which both of Triton's clients insist on."""
    # A client may send bytes that are no text, and the message may quote them.
    return orjson.dumps({"error": message.encode("utf-8", "replace").decode()})


def retry_after_s(error: errors.Overloaded | errors.InflightExceeded | errors.LimitExceeded) -> int:
    """Whole seconds, as the header has them."""
    return max(1, math.ceil(error.retry_after_s))


def error_headers(error: errors.BatonError) -> Headers:
    """The headers of an error: when to come again, how to authenticate, or which encodings are understood."""
    if isinstance(error, errors.Overloaded | errors.InflightExceeded | errors.LimitExceeded):
        return [(b"retry-after", b"%d" % retry_after_s(error))]
    if isinstance(error, errors.Unauthenticated):
        # RFC 6750, section 3.1: no error code where no credentials came.
        return [(b"www-authenticate", b'Bearer error="invalid_token"' if error.wrong else b"Bearer")]
    if isinstance(error, errors.UnsupportedMediaType) and error.field == "Content-Encoding":
        return [(b"accept-encoding", b"gzip, deflate")]
    return []
