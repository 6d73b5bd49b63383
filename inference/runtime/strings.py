"""Strings that are no UTF-8, which ONNX Runtime passes through its graphs and its binding for Python does not.

The binding takes and gives text alone. A string is text here too, in which a byte that is no UTF-8 is a surrogate (PEP
383). So nothing has to look for such bytes: ONNX Runtime refuses the text, and the run is made again as here. Strings
enter a session as the constant of a graph that is made for it (0.3 ms); outputs are read where they lie.
"""

import ctypes
import sys
from collections.abc import Sequence
from functools import cache
from math import prod

import numpy as np
import onnxruntime as ort

from inference.errors import Unsupported
from inference.runtime import protobuf
from inference.values import Array, Tensors

_WORDS = 4  # of 8 bytes in libstdc++'s std::string: where its bytes are, how many, and room for 15 of them
_INLINE_AT = 16


def run_with_bytes(session: ort.InferenceSession, outputs: Sequence[str], tensors: Tensors) -> list[Array]:
    """The outputs of a run that `session.run` refuses with UnicodeError; `Unsupported` where memory cannot be read."""
    if not _can_read():
        raise Unsupported("a BYTES element that is not UTF-8 can be passed on Linux only")
    values = session.run_with_ort_values(outputs, {name: _value(array) for name, array in tensors.items()})
    return [_read(value) if value.data_type() == "tensor(string)" else value.numpy() for value in values]


def _value(array: Array) -> ort.OrtValue:
    if array.dtype != np.object_:
        return ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))
    return _strings([str(text).encode("utf-8", "surrogateescape") for text in array.reshape(-1)], array.shape)


def _strings(elements: Sequence[bytes], shape: Sequence[int]) -> ort.OrtValue:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    graph = protobuf.model((), (), [("s", shape)], [protobuf.strings("s", elements, shape)])
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    (value,) = session.run_with_ort_values(["s"], {})
    return value


def _read(value: ort.OrtValue) -> Array:
    shape = value.shape()
    texts = [str(element, "utf-8", "surrogateescape") for element in _elements(value, prod(shape))]
    return np.array(texts, np.object_).reshape(shape)


def _elements(value: ort.OrtValue, count: int) -> list[bytes]:
    words = _words(value.data_ptr(), count)
    return [ctypes.string_at(int(at), int(size)) for at, size, *_ in words]


def _words(address: int, count: int) -> Array:
    raw = ctypes.string_at(address, count * _WORDS * 8)
    return np.frombuffer(raw, np.uint64).reshape(count, _WORDS)


@cache
def _can_read() -> bool:
    """Whether strings lie in memory as they are read here, as with every build of ONNX Runtime for Linux."""
    if sys.platform != "linux" or sys.maxsize < 2**32:
        return False
    value = _strings([b"\xff"], [1])
    address = value.data_ptr()
    at, size = _words(address, 1)[0, :2]
    return bool(at == address + _INLINE_AT and size == 1 and _elements(value, 1) == [b"\xff"])
