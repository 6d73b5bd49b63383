"""Compressed bodies, both ways: gzip and deflate, with a limit on the decompressed size."""

import zlib
from collections.abc import Sequence

from inference.errors import InputTooLarge, InvalidInput, UnsupportedMediaType, counted

_WINDOW = {"gzip": 31, "deflate": 15}  # zlib's word for a gzip member and for a zlib stream
LEVEL = 1
"""Fastest: an answer is numbers, and a server's core is dearer than a local network."""
LEAST_BYTES = 1024
"""Smaller answers fit a packet as they are; browsers and httpx ask for gzip without being asked."""


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """The body as it was before `Content-Encoding`; `InputTooLarge` when it would pass `limit` bytes."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name not in _WINDOW:
        raise UnsupportedMediaType("Content-Encoding", encoding, "gzip or deflate")
    stream = zlib.decompressobj(_WINDOW[name])
    # One byte past the limit tells a body that is over it from one that just fits.
    try:
        data = stream.decompress(body, limit + 1)
    except zlib.error as error:
        raise InvalidInput("body", f"{counted(len(body), 'byte')} ({error})", f"a {name} stream") from None
    if len(data) > limit:
        most = counted(limit, "byte")
        raise InputTooLarge("body", f"more than {most} after {name}", f"at most {most}")
    if not stream.eof or stream.unused_data:
        raise InvalidInput(
            "body", counted(len(body), "byte"), f"one whole {name} stream and nothing after it"
        )
    return data


def choose_encoding(accepted: str) -> str:
    """The encoding to answer in by the client's `Accept-Encoding`, q-values and all; "" for none."""
    quality: dict[str, float] = {}
    for part in accepted.lower().split(","):
        name, _, parameters = part.partition(";")
        key, _, value = parameters.strip().partition("=")
        try:
            quality[name.strip()] = float(value) if key.strip() == "q" else 1.0
        except ValueError:
            continue
    # gzip first among equals: most clients can read it.
    ranked = [(quality.get(name, quality.get("*", 0.0)), name) for name in ("gzip", "deflate")]
    best, name = max(ranked, key=lambda pair: pair[0])
    return name if best > 0.0 and best >= quality.get("identity", 0.0) else ""


def compress(body: bytes, encoding: str, rest: Sequence[bytes | memoryview] = ()) -> bytes:
    """The body in that encoding, with the parts behind it."""
    stream = zlib.compressobj(LEVEL, zlib.DEFLATED, _WINDOW[encoding])
    # A join of more than a megabyte lets go of the interpreter, which a sum of bytes does not.
    return b"".join([*map(stream.compress, (body, *rest)), stream.flush()])
