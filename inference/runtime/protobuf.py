"""ONNX's ModelProto of small graphs, written by hand: serving does without the onnx package."""

from collections.abc import Sequence
from typing import Any

STRING = 8
"""Strings in TensorProto.DataType."""
INT64 = 7
"""Signed numbers of 64 bits there."""

_IR_VERSION, _OPSET = 9, 20


def model(
    nodes: Sequence[bytes],
    inputs: Sequence[tuple[str, int]],
    outputs: Sequence[tuple[str, Sequence[int] | None]],
    constants: Sequence[bytes] = (),
) -> bytes:
    """A graph of `nodes`: inputs of any shape (name, data type), and outputs that are strings (name, shape)."""
    graph = [*(_field(1, each) for each in nodes), _field(2, b"g"), *(_field(5, each) for each in constants)]
    graph += [_field(11, _value(name, kind, None)) for name, kind in inputs]
    graph += [_field(12, _value(name, STRING, shape)) for name, shape in outputs]
    return _number(1, _IR_VERSION) + _field(8, _number(2, _OPSET)) + _field(7, b"".join(graph))


def node(operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: int | bytes) -> bytes:
    """A node of a graph; its inputs and outputs by name."""
    names = [_field(1, name.encode()) for name in inputs] + [_field(2, name.encode()) for name in outputs]
    given = [_field(5, _attribute(name.encode(), value)) for name, value in attributes.items()]
    return b"".join([*names, _field(4, operator.encode()), *given])


def strings(name: str, elements: Sequence[bytes], shape: Sequence[int]) -> bytes:
    """A constant of strings."""
    dimensions = [_number(1, size) for size in shape]
    texts = (_field(6, element) for element in elements)
    return b"".join([*dimensions, _number(2, STRING), *texts, _field(8, name.encode())])


def _attribute(name: bytes, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _field(1, name) + _number(3, value) + _number(20, 2)
    return _field(1, name) + _field(4, value) + _number(20, 3)


def _value(name: str, kind: int, shape: Sequence[int] | None) -> bytes:
    axes = b"" if shape is None else _field(2, b"".join(_field(1, _number(1, size)) for size in shape))
    return _field(1, name.encode()) + _field(2, _field(1, _number(1, kind) + axes))


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: Any) -> bytes:
    number, out = int(value), bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
