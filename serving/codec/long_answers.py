"""The elements of a large tensor in an answer, encoded in parts: together the bytes of `elements` and `binary`.

The parts are never joined: the socket takes them as they are, and joining 64 MB keeps everybody waiting for 40 ms.
"""

from collections.abc import Iterator

import numpy as np
import orjson

from inference.values import Array, DataType
from serving.codec.binary import encode_binary
from serving.codec.elements import encode_elements
from serving.codec.scan import Pace

PIECE = 16 * 1024
"""Elements that are encoded at once: 0.5 ms of float32."""
_LONG_CHARACTERS = 1 << 18  # of the texts of a piece, above which they are encoded one by one


def json_parts(array: Array, datatype: DataType, pace: Pace, *, strict: bool = False) -> Iterator[bytes]:
    """The parts of `encode_elements`."""
    flat = array.reshape(-1)
    yield b"["
    for start in range(0, flat.size, PIECE):
        if start:
            yield b","
        piece = flat[start : start + PIECE]
        if datatype is DataType.BYTES and _characters(piece) > _LONG_CHARACTERS:
            yield from _long_texts(piece, pace)
        else:
            yield encode_elements(piece, datatype, strict=strict)[1:-1]
        pace()
    yield b"]"


def binary_parts(array: Array, datatype: DataType, pace: Pace) -> Iterator[bytes | memoryview]:
    """The parts of `encode_binary`; one, where the array lies in one piece."""
    if datatype is not DataType.BYTES:
        yield encode_binary(array, datatype)
        return
    flat = array.reshape(-1)
    for start in range(0, flat.size, PIECE // 4):
        yield encode_binary(flat[start : start + PIECE // 4], datatype)
        pace()


def _characters(piece: Array) -> int:
    return sum(map(len, map(str, piece.tolist())))


def _long_texts(piece: Array, pace: Pace) -> Iterator[bytes]:
    for place, element in enumerate(piece.tolist()):
        if place:
            yield b","
        yield from _long_text(str(element), pace)


def _long_text(text: str, pace: Pace) -> Iterator[bytes]:
    """A string of JSON; one whose bytes are no UTF-8 is written whole, since a fault may span two pieces."""
    pieces = [text[start : start + PIECE * 4] for start in range(0, len(text), PIECE * 4)]
    try:
        quoted = []
        for piece in pieces:
            quoted.append(orjson.dumps(piece)[1:-1])
            pace()
    except TypeError:
        yield encode_elements(np.array([text], np.object_), DataType.BYTES)[1:-1]
        return
    yield b'"'
    yield from quoted
    yield b'"'
