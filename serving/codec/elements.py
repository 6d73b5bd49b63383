"""The elements of a tensor as JSON: `data` of a request to an array, an array to `data` of an answer."""

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain
from math import prod
from typing import Any, NamedTuple

import msgspec
import numpy as np
import orjson

from inference.errors import InvalidInput, counted
from inference.values import Array, DataType, JsonValue
from serving.codec.bf16 import narrow, widen
from serving.codec.binary import bytes_of
from serving.codec.json_faults import mismatch
from serving.codec.nonfinite import write_nonfinite

MAX_RANK = 16
"""Axes that a tensor in JSON may have: nesting is bounded with it. ONNX graphs seldom pass 6."""

_N = ord("n")  # of null, and of nothing else in a list of numbers


class _Kind(NamedTuple):
    python: type
    code: str
    """What `struct` calls an element; it refuses numbers out of range, and packs faster than NumPy converts."""


_KINDS = {
    DataType.BOOL: _Kind(bool, "?"),
    DataType.UINT8: _Kind(int, "B"),
    DataType.UINT16: _Kind(int, "H"),
    DataType.UINT32: _Kind(int, "I"),
    DataType.UINT64: _Kind(int, "Q"),
    DataType.INT8: _Kind(int, "b"),
    DataType.INT16: _Kind(int, "h"),
    DataType.INT32: _Kind(int, "i"),
    DataType.INT64: _Kind(int, "q"),
    DataType.FP16: _Kind(float, "e"),
    DataType.FP32: _Kind(float, "f"),
    DataType.FP64: _Kind(float, "d"),
    DataType.BF16: _Kind(float, "f"),
    DataType.BYTES: _Kind(str, ""),
}


class Deferred(ABC):
    """Elements that are not parsed yet: `serving.codec.long_elements` parses them in pieces."""

    __slots__ = ()

    @abstractmethod
    def decode(self, datatype: DataType, shape: Sequence[int], field: str) -> Array:
        """The array of `shape`, as `decode_elements` has it."""


_FLAT = {kind.python: msgspec.json.Decoder(list[kind.python]) for kind in _KINDS.values()}  # type: ignore[name-defined]
_DECODE = {datatype: _FLAT[kind.python].decode for datatype, kind in _KINDS.items()}
_PACKED = {
    datatype: (kind.code, np.dtype("<f4") if datatype is DataType.BF16 else datatype.dtype)
    for datatype, kind in _KINDS.items()
}


def decode_elements(
    raw: bytes | msgspec.Raw | JsonValue, datatype: DataType, shape: Sequence[int], field: str
) -> Array:
    """An array of `shape` from JSON, flat or nested, row-major; `InvalidInput` names the element at fault.

    A string is never taken for a number, nor a number for a boolean. `raw` may be parsed already, where another
    part of the body was not strict JSON, or `Deferred`.
    """
    try:
        values = _DECODE[datatype](raw)
    except msgspec.DecodeError as error:
        values = list(_decode_other(raw, datatype, shape, field, error))
    except TypeError:  # no bytes: it is parsed, or will be in pieces
        if isinstance(raw, Deferred):
            return raw.decode(datatype, shape, field)
        values = list(convert(raw, datatype, shape, field))
    if len(values) != prod(shape):
        expected = f"{prod(shape)}, the product of shape {list(shape)}"
        raise InvalidInput(field, counted(len(values), "element"), expected)
    return pack(values, datatype, field).reshape(shape)


def encode_elements(array: Array, datatype: DataType, *, strict: bool = False) -> bytes:
    """A flat JSON array. A number that is not finite becomes NaN, Infinity or -Infinity; `null` with `strict`.

    Bytes that are no UTF-8 become U+FFFD: JSON has texts alone.
    """
    if datatype is DataType.BYTES:
        return _encode_strings(array.reshape(-1).tolist())
    if datatype is DataType.BF16:
        array = widen(array)
    flat = array.reshape(-1)
    text = orjson.dumps(flat, option=orjson.OPT_SERIALIZE_NUMPY)
    # One byte is found at memory's pace, in 17 ns where there are few; NumPy's look at each number begins at 2 µs.
    return text if _N not in text or strict else write_nonfinite(text, flat)


def _encode_strings(elements: list[Any]) -> bytes:
    texts = list(map(str, elements))
    try:
        return orjson.dumps(texts)
    except TypeError:
        return orjson.dumps([bytes_of(text).decode("utf-8", "replace") for text in texts])


def pack(values: Sequence[Any], datatype: DataType, field: str, *, once: bool = False) -> Array:
    """Values of the right Python type as a flat array; `InvalidInput` where a number does not fit.

    `once`: as many values as these are not likely to come again.
    """
    if datatype is DataType.BYTES:
        return np.array(values, dtype=np.object_)
    code, dtype = _PACKED[datatype]
    try:
        packer = _packer.__wrapped__ if once else _packer
        array: Array = np.frombuffer(packer(len(values), code)(*values), dtype)
    except (struct.error, OverflowError):
        raise InvalidInput(field, "a number out of range", f"numbers that fit {datatype}") from None
    return narrow(array) if datatype is DataType.BF16 else array


@lru_cache(maxsize=256)
def _packer(count: int, code: str) -> Callable[..., bytes]:
    return struct.Struct(f"<{count}{code}").pack


def python_type(datatype: DataType) -> type:
    """The type that an element of JSON has to have."""
    return _KINDS[datatype].python


def _decode_other(
    raw: bytes | msgspec.Raw, datatype: DataType, shape: Sequence[int], field: str, error: Exception
) -> Sequence[Any]:
    """Elements that are no flat list of the right type: nested lists, or whole numbers written as 1.0."""
    python = _KINDS[datatype].python
    nested = bytes(memoryview(raw)[:16]).translate(None, b" \t\r\n").startswith(b"[[")
    depth = depth_of(shape, field) if nested else 1
    if depth > 1:
        try:
            return flatten(nested_decoder(python, depth).decode(raw), shape, field)
        except msgspec.DecodeError as fault:
            error = fault
    if python is int:
        try:
            floats = flatten(nested_decoder(float, depth).decode(raw), shape, field)
        except msgspec.DecodeError:
            raise mismatch(error, field, raw) from None
        if all(map(float.is_integer, floats)):
            return [int(value) for value in floats]
    raise mismatch(error, field, raw) from None


def convert(
    values: JsonValue, datatype: DataType, shape: Sequence[int], field: str, first: int = 0
) -> Sequence[Any]:
    """The elements of values that are parsed already, flat; `first`: the place of the first in its list."""
    python = _KINDS[datatype].python
    nested = isinstance(values, list) and bool(values) and isinstance(values[0], list)
    expected = _nested_type(python, depth_of(shape, field) if nested else 1)
    try:
        return flatten(msgspec.convert(values, expected), shape, field)
    except msgspec.ValidationError as error:
        raise mismatch(error, field, b"", first) from None


def depth_of(shape: Sequence[int], field: str) -> int:
    """The levels of lists that a nested tensor has; `InvalidInput` over `MAX_RANK`."""
    if len(shape) > MAX_RANK:
        raise InvalidInput(field, counted(len(shape), "axis", "axes"), f"at most {MAX_RANK}") from None
    return len(shape)


@lru_cache(maxsize=64)  # at most 16 depths of 4 types
def nested_decoder(python: type, depth: int) -> msgspec.json.Decoder[Any]:
    """Of lists in lists, `depth` of them."""
    return msgspec.json.Decoder(_nested_type(python, depth))


def _nested_type(python: type, depth: int) -> Any:
    expected: Any = python
    for _ in range(depth):
        expected = list[expected]
    return expected


def flatten(nested: list[Any], shape: Sequence[int], field: str, outer: int = 0) -> list[Any]:
    """Check each level's lengths against the shape, so that a ragged list is not taken for a full one.

    `outer`: axes of the tensor before the first of `shape`.
    """
    level = nested
    for axis, length in enumerate(shape[1:], start=1 + outer):
        if not (level and isinstance(level[0], list)):
            break
        wrong = next((row for row in level if len(row) != length), None)
        if wrong is not None:
            raise InvalidInput(field, f"a list of {len(wrong)} at axis {axis}", f"{length}, as in shape")
        level = list(chain.from_iterable(level))
    return level
