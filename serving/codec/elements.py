"""The elements of a tensor as JSON: `data` of a request to an array, an array to `data` of an answer."""

import re
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain
from math import prod
from typing import Any, NamedTuple

import msgspec
import numpy as np
import orjson

from inference.errors import InvalidInput
from inference.values import Array, DataType
from serving.codec.bf16 import narrow, widen

MAX_RANK = 16
"""Axes that a tensor in JSON may have: nesting is bounded with it. ONNX graphs seldom pass 6."""


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
_FLAT = {kind.python: msgspec.json.Decoder(list[kind.python]) for kind in _KINDS.values()}  # type: ignore[name-defined]
_DECODE = {datatype: _FLAT[kind.python].decode for datatype, kind in _KINDS.items()}
_PACKED = {
    datatype: (kind.code, np.dtype("<f4") if datatype is DataType.BF16 else datatype.dtype)
    for datatype, kind in _KINDS.items()
}
_MISMATCH = re.compile(r"Expected `(?P<wanted>[^`]+)`, got `(?P<seen>[^`]+)`(?: - at `\$(?P<path>[^`]*)`)?")


def decode_elements(raw: bytes | msgspec.Raw, datatype: DataType, shape: Sequence[int], field: str) -> Array:
    """An array of `shape` from JSON, flat or nested, row-major; `InvalidInput` names the element at fault.

    A string is never taken for a number, nor a number for a boolean.
    """
    try:
        values = _DECODE[datatype](raw)
    except msgspec.ValidationError as error:
        values = list(_decode_other(raw, datatype, shape, field, error))
    if len(values) != prod(shape):
        raise InvalidInput(
            field, f"{len(values)} elements", f"{prod(shape)}, the product of shape {list(shape)}"
        )
    return _pack(values, datatype, field).reshape(shape)


def encode_elements(array: Array, datatype: DataType) -> bytes:
    """A flat JSON array; what is not finite becomes `null`, since JSON has no word for it."""
    if datatype is DataType.BYTES:
        return orjson.dumps([_text(element) for element in array.reshape(-1).tolist()])
    if datatype is DataType.BF16:
        array = widen(array)
    return orjson.dumps(array.reshape(-1), option=orjson.OPT_SERIALIZE_NUMPY)


def _pack(values: Sequence[Any], datatype: DataType, field: str) -> Array:
    if datatype is DataType.BYTES:
        return np.array(values, dtype=np.object_)
    code, dtype = _PACKED[datatype]
    try:
        array: Array = np.frombuffer(_packer(len(values), code)(*values), dtype)
    except (struct.error, OverflowError):
        raise InvalidInput(field, "a number out of range", f"numbers that fit {datatype}") from None
    return narrow(array) if datatype is DataType.BF16 else array


@lru_cache(maxsize=256)
def _packer(count: int, code: str) -> Callable[..., bytes]:
    return struct.Struct(f"<{count}{code}").pack


def _decode_other(
    raw: bytes | msgspec.Raw, datatype: DataType, shape: Sequence[int], field: str, error: Exception
) -> Sequence[Any]:
    """What is not a flat list of the right type: nested lists, or whole numbers written as 1.0."""
    python = _KINDS[datatype].python
    nested = bytes(memoryview(raw)[:16]).translate(None, b" \t\r\n").startswith(b"[[")
    depth = len(shape) if nested else 1
    if depth > MAX_RANK:
        raise InvalidInput(field, f"{depth} axes", f"at most {MAX_RANK}") from None
    if depth > 1:
        try:
            return _flatten(_nested_decoder(python, depth).decode(raw), shape, field)
        except msgspec.ValidationError as fault:
            error = fault
    if python is int:
        try:
            floats = _flatten(_nested_decoder(float, depth).decode(raw), shape, field)
        except msgspec.ValidationError:
            raise mismatch(error, field) from None
        if all(map(float.is_integer, floats)):
            return [int(value) for value in floats]
    raise mismatch(error, field) from None


@lru_cache(maxsize=64)  # at most 16 depths of 4 types
def _nested_decoder(python: type, depth: int) -> msgspec.json.Decoder[Any]:
    wanted: Any = python
    for _ in range(depth):
        wanted = list[wanted]
    return msgspec.json.Decoder(wanted)


def _flatten(nested: list[Any], shape: Sequence[int], field: str) -> list[Any]:
    """Check each level's lengths against the shape, so that a ragged list is not taken for a full one."""
    level = nested
    for axis, length in enumerate(shape[1:], start=1):
        if not (level and isinstance(level[0], list)):
            break
        wrong = next((row for row in level if len(row) != length), None)
        if wrong is not None:
            raise InvalidInput(field, f"a list of {len(wrong)} at axis {axis}", f"{length}, as in shape")
        level = list(chain.from_iterable(level))
    return level


def mismatch(error: Exception, field: str) -> InvalidInput:
    """A parser's complaint in our words: the element's place, what came, what was wanted."""
    found = _MISMATCH.search(str(error))
    if found is None:
        return InvalidInput(field, str(error), "what the protocol says")
    place = f"{field}{found['path'] or ''}" if field else (found["path"] or "").removeprefix(".") or "body"
    return InvalidInput(place, f"a {found['seen']}", f"a {found['wanted']}")


def _text(element: Any) -> str:
    return element.decode("utf-8", "replace") if isinstance(element, bytes) else str(element)
