"""Compressed bodies, both ways: gzip and deflate, with a limit on the decompressed size."""

import zlib
from collections.abc import Sequence

from inference.errors import InputTooLarge, InvalidInput, UnsupportedMediaType, counted

_WINDOW = {"gzip": 31, "deflate": 15}  # zlib's word for a gzip member and for a zlib stream
_PART_BYTES = 64 * 1024
LEVEL = 1
"""Fastest: an answer is numbers, and a server's core is dearer than a local network."""
LEAST_BYTES = 1024
"""Smaller answers fit a packet as they are; browsers and httpx ask for gzip without being asked."""


class Decompression:
    """A body as it was before `Content-Encoding`, piece by piece, so that its bytes can be counted before they are."""

    def __init__(self, body: bytes | memoryview, encoding: str, limit: int) -> None:
        """At most `limit` bytes in all. `UnsupportedMediaType` for an encoding that is not known."""
        name = encoding.strip().lower()
        if name not in _WINDOW:
            raise UnsupportedMediaType("Content-Encoding", encoding, "gzip or deflate")
        self._name, self._limit, self._size, self._given = name, limit, len(body), 0
        self._stream = zlib.decompressobj(_WINDOW[name])
        # In parts: what a piece leaves of its input is copied.
        self._parts = (memoryview(body)[at : at + _PART_BYTES] for at in range(0, len(body), _PART_BYTES))
        self._input: bytes | memoryview = b""
        self.ended = False
        """Whether all pieces were given, and nothing follows them."""

    def piece(self, size: int) -> bytes:
        """The next bytes, at most `size`, until it has `ended`. Called on one thread at a time.

        `InputTooLarge` when they pass the limit, `InvalidInput` where this is no whole stream of that encoding.
        """
        stream, data = self._stream, b""
        # One byte past the limit tells a body that is over it from one that just fits.
        most = min(size, self._limit + 1 - self._given)
        while not data and not stream.eof:
            self._input = self._input or next(self._parts, b"")
            had = len(self._input)
            try:
                data = stream.decompress(self._input, most)
            except zlib.error as error:
                raise InvalidInput("body", f"{self._came()} ({error})", f"a {self._name} stream") from None
            self._input = stream.unconsumed_tail
            if not had and not data:
                break
        self._given += len(data)
        if self._given > self._limit:
            at_most = counted(self._limit, "byte")
            raise InputTooLarge("body", f"more than {at_most} after {self._name}", f"at most {at_most}")
        self.ended = stream.eof
        follows = stream.unused_data or (stream.eof and next(self._parts, None) is not None)
        if follows or not (data or stream.eof):
            raise InvalidInput("body", self._came(), f"one whole {self._name} stream and nothing after it")
        return data

    def _came(self) -> str:
        return counted(self._size, "byte")


def is_compressed(encoding: str) -> bool:
    """Whether a body of this `Content-Encoding` is to be decompressed, or refused for it."""
    return encoding.strip().lower() not in ("", "identity")


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """The body as it was before `Content-Encoding`, at once; raises as `Decompression` does."""
    if not is_compressed(encoding):
        return body
    stream, pieces = Decompression(body, encoding, limit), list[bytes]()
    while not stream.ended:
        pieces.append(stream.piece(_PART_BYTES))
    return b"".join(pieces)


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
