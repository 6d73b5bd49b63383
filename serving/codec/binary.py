"""The elements of a tensor as the binary tensor extension sends them: little-endian, row-major, unpadded."""

import codecs
import struct
from collections.abc import Sequence
from math import prod

import numpy as np

from inference.errors import InvalidInput, counted
from inference.values import Array, DataType, Tensors
from serving.codec.scan import Pace, unpaced

_LENGTH = struct.Struct("<I")  # before each element of BYTES

JSON_LENGTH = b"inference-header-content-length"
"""The header that says where in a body its JSON ends and its tensors begin."""

ALIGNED = 16
"""Bytes that a tensor's address is a multiple of, as NumPy's own are.

ONNX Runtime sums up in another order at other addresses, so that the last bit of an answer would depend on the length
of a request's JSON."""
_PACED_STRINGS = 4096  # a millisecond of Python
_PACED_BYTES = 1 << 18
_Utf8 = codecs.getincrementaldecoder("utf-8")
_SMALL_BYTES = 4096  # copied without looking, which takes as long


def decode_binary(
    blob: memoryview, datatype: DataType, shape: Sequence[int], field: str, pace: Pace = unpaced
) -> Array:
    """An array over `blob` itself where that lies as NumPy's own would; `InvalidInput` where the size is wrong.

    Any byte but 0 is true, as C has it. `pace` is called between pieces of long work.
    """
    if datatype is DataType.BYTES:
        return _decode_strings(blob, shape, field, pace)
    dtype = datatype.dtype
    expected = prod(shape) * dtype.itemsize
    if len(blob) != expected:
        raise InvalidInput(
            field, counted(len(blob), "byte"), f"{expected} for {datatype} of shape {list(shape)}"
        )
    array: Array = np.frombuffer(blob, dtype)
    if expected < _SMALL_BYTES or array.__array_interface__["data"][0] % ALIGNED:
        array = array.copy()
    if datatype is DataType.BOOL and (numbers := array.view(np.uint8)).max(initial=0) > 1:
        array = numbers != 0  # ONNX Runtime's kernels take for granted that a byte is 0 or 1
    return array.reshape(shape)


def encode_binary(array: Array, datatype: DataType) -> bytes | memoryview:
    """The bytes of an array; a view of the array itself where it lies in one piece."""
    if datatype is DataType.BYTES:
        return b"".join(_encode_string(element) for element in array.reshape(-1).tolist())
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def text_of(blob: bytes | memoryview, pace: Pace = unpaced) -> str:
    """An element of BYTES as a string; each byte that is no UTF-8 is a surrogate, which `bytes_of` turns back."""
    if len(blob) <= _PACED_BYTES:
        return str(blob, "utf-8", "surrogateescape")
    decoder, parts = _Utf8(errors="surrogateescape"), []
    for start in range(0, len(blob), _PACED_BYTES):
        parts.append(decoder.decode(blob[start : start + _PACED_BYTES]))
        pace()
    return "".join([*parts, decoder.decode(b"", final=True)])


def bytes_of(text: str) -> bytes:
    """An element's bytes, whatever they are."""
    return text.encode("utf-8", "surrogateescape")


def _decode_strings(blob: memoryview, shape: Sequence[int], field: str, pace: Pace) -> Array:
    elements: list[str] = []
    start, end = 0, len(blob)
    next_pace = _PACED_BYTES
    while start < end:
        if start >= next_pace or len(elements) % _PACED_STRINGS == 0:
            pace()
            next_pace = start + _PACED_BYTES
        if start + _LENGTH.size > end:
            left = counted(end - start, "byte")
            raise InvalidInput(field, f"{left} too many", "4 bytes of length before an element")
        (length,) = _LENGTH.unpack_from(blob, start)
        start += _LENGTH.size
        if start + length > end:
            left, element = counted(end - start, "byte"), f"{field}[{len(elements)}]"
            raise InvalidInput(element, f"{left} left", f"the {length} that its length says")
        elements.append(text_of(blob[start : start + length], pace))
        start += length
    if len(elements) != prod(shape):
        expected = f"{prod(shape)}, the product of shape {list(shape)}"
        raise InvalidInput(field, counted(len(elements), "element"), expected)
    array = objects(elements, pace).reshape(shape)
    while elements:
        del elements[-_PACED_STRINGS:]
        pace()
    return array


def objects(elements: Sequence[object], pace: Pace = unpaced) -> Array:
    """An array of objects; NumPy makes one of a long list in one go, which takes long."""
    array: Array = np.empty(len(elements), np.object_)
    for start in range(0, len(elements), _PACED_STRINGS):
        array[start : start + _PACED_STRINGS] = elements[start : start + _PACED_STRINGS]
        pace()
    return array


def let_go(tensors: Tensors, pace: Pace) -> None:
    """Empty arrays of strings that nobody needs any more: whoever frees a full one frees all of them in one go."""
    for array in tensors.values():
        if array.dtype == np.object_:
            for start in range(0, array.size, _PACED_STRINGS):
                array.flat[start : start + _PACED_STRINGS] = None
                pace()


def _encode_string(element: object) -> bytes:
    data = bytes_of(str(element))
    return _LENGTH.pack(len(data)) + data
