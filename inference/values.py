"""The values that pass through a request, and nothing that acts on them.

    Payload → Features → Tensors → Prediction

A client's *payload* is decoded and preprocessed to *features*, which are the tensors of its rows. The features of many
requests are collated to the *tensors* of one run. Its outputs are split again and postprocessed to one *prediction* a
row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Tensors = Mapping[str, Array]
"""Arrays by tensor name; the first axis of each is the batch."""

JsonValue = Any
"""A value that a JSON parser gives: dict, list, str, int, float, bool or None."""

Prediction = dict[str, JsonValue]
"""One row's answer, ready to be encoded as JSON."""


class DataType(StrEnum):
    """Element types under the names that the Open Inference Protocol gives them."""

    BOOL = "BOOL"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FP16 = "FP16"
    FP32 = "FP32"
    FP64 = "FP64"
    BF16 = "BF16"
    BYTES = "BYTES"

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy type that holds it; BF16 as its upper 16 bits, BYTES as objects."""
        return _KINDS[self].dtype

    @property
    def onnx(self) -> str:
        """The name that ONNX Runtime gives it: `tensor(float)`."""
        return f"tensor({_KINDS[self].onnx})"

    @classmethod
    def from_onnx(cls, name: str) -> "DataType":
        """The type that ONNX Runtime calls `name`; KeyError for maps, sequences and complex numbers."""
        return _BY_ONNX[name]


class _Kind(NamedTuple):
    dtype: np.dtype[Any]
    onnx: str


_KINDS = {
    DataType.BOOL: _Kind(np.dtype(np.bool_), "bool"),
    DataType.UINT8: _Kind(np.dtype("<u1"), "uint8"),
    DataType.UINT16: _Kind(np.dtype("<u2"), "uint16"),
    DataType.UINT32: _Kind(np.dtype("<u4"), "uint32"),
    DataType.UINT64: _Kind(np.dtype("<u8"), "uint64"),
    DataType.INT8: _Kind(np.dtype("<i1"), "int8"),
    DataType.INT16: _Kind(np.dtype("<i2"), "int16"),
    DataType.INT32: _Kind(np.dtype("<i4"), "int32"),
    DataType.INT64: _Kind(np.dtype("<i8"), "int64"),
    DataType.FP16: _Kind(np.dtype("<f2"), "float16"),
    DataType.FP32: _Kind(np.dtype("<f4"), "float"),
    DataType.FP64: _Kind(np.dtype("<f8"), "double"),
    DataType.BF16: _Kind(np.dtype("<u2"), "bfloat16"),
    DataType.BYTES: _Kind(np.dtype(np.object_), "string"),
}
_BY_ONNX = {datatype.onnx: datatype for datatype in DataType}


def _size(value: JsonValue) -> int:
    if isinstance(value, bytes | bytearray | memoryview | str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_size, value))
    return 8  # a number, true, false or null


@dataclass(frozen=True, slots=True)
class Payload:
    """A client's input for one instance: a raw body, or one JSON value.

    `media_type` is None for a JSON value. `field` is its name in an error: `body`, `instances[3]`.
    """

    data: JsonValue
    media_type: str | None = None
    field: str = "body"

    @property
    def size(self) -> int:
        """How much there is to decode: bytes of a body, about as many as its text has of a JSON value."""
        data = self.data
        return len(data) if isinstance(data, bytes | str) else _size(data)


@dataclass(frozen=True, slots=True)
class Features:
    """One instance, ready for the graph.

    `tensors` have a first axis of 1. `context` is the part of the request that postprocessing needs, `tokens` the
    row's cost where rows differ in cost (text), else 1.
    """

    tensors: Tensors
    context: Any = None
    tokens: int = 1
