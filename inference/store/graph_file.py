"""The facts of an ONNX file that ONNX Runtime does not tell: operators, opsets, number formats and unknown ranks.

The file is read field by field as Protocol Buffers lay it out. Weights are stepped over and never held in memory; the
`onnx` package, which serving does not need otherwise, reads a file whole. Field numbers are those of onnx.proto.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from inference.errors import counted
from inference.options import Precision

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FORMATS: dict[int, Precision] = {1: "fp32", 10: "fp16", 16: "bf16"}  # by TensorProto.DataType
_MOST_DEPTH = 64  # of graphs in nodes in graphs


@dataclass(slots=True)
class GraphFile:
    """`opsets` by domain ("" is ONNX's own); `ops` of every graph in it; `rankless`: inputs without any shape.

    `external`: files that hold weights, wherever a tensor stands. `elements`: how many weights there are in each
    number format that is float.
    """

    ir_version: int = 0
    opsets: dict[str, int] = field(default_factory=dict)
    ops: set[str] = field(default_factory=set)
    rankless: set[str] = field(default_factory=set)
    external: set[str] = field(default_factory=set)
    elements: dict[Precision, int] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "GraphFile":
        """Walk a file; ValueError where it is no ONNX model."""
        with path.open("rb") as file:
            if not path.stat().st_size:
                raise ValueError("the file is empty")
            # Not closed here: an error on its way holds views of it, and closing would raise in its place.
            return cls._walk(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))

    @classmethod
    def of(cls, data: bytes) -> "GraphFile":
        """The same of a file's bytes."""
        return cls._walk(memoryview(data))

    @classmethod
    def _walk(cls, view: memoryview) -> "GraphFile":
        found = cls()
        for number, value in _fields(view):
            if number == 1 and isinstance(value, int):
                found.ir_version = value
            elif isinstance(value, int):
                continue
            elif number == 7:
                found._graph(value, 0)
            elif number == 8:
                found._opset(value)
            elif number == 20:  # training: graphs are fields 1 and 2
                for inner, part in _fields(value):
                    if inner in (1, 2) and not isinstance(part, int):
                        found._graph(part, 1)
            elif number == 25:  # a function: its nodes are field 7, the defaults of its attributes field 11
                for inner, part in _fields(value):
                    if inner == 7 and not isinstance(part, int):
                        found._node(part, 0)
                    elif inner == 11 and not isinstance(part, int):
                        found._attribute(part, 0)
        return found

    @property
    def precision(self) -> Precision:
        """The number format of most weights that are float."""
        return max(self.elements, key=lambda name: self.elements[name], default="fp32")

    def _opset(self, view: memoryview) -> None:
        domain, version = "", 0
        for number, value in _fields(view):
            if number == 1 and not isinstance(value, int):
                domain = _text(value)
            elif number == 2 and isinstance(value, int):
                version = value
        self.opsets["" if domain == "ai.onnx" else domain] = version

    def _graph(self, view: memoryview, depth: int) -> None:
        if depth > _MOST_DEPTH:
            raise ValueError("graphs are nested too deeply")
        for number, value in _fields(view):
            if isinstance(value, int):
                continue
            if number == 1:
                self._node(value, depth)
            elif number == 5:
                self._weight(value)
            elif number == 15:
                self._sparse(value)
            elif number == 11 and not depth:
                self._input(value)

    def _node(self, view: memoryview, depth: int) -> None:
        for number, value in _fields(view):
            if isinstance(value, int):
                continue
            if number == 4:
                self.ops.add(_text(value))
            elif number == 5:
                self._attribute(value, depth)

    def _attribute(self, view: memoryview, depth: int) -> None:
        for number, value in _fields(view):
            if isinstance(value, int):
                continue
            if number in (6, 11):
                self._graph(value, depth + 1)
            elif number in (5, 10):
                self._weight(value)
            elif number in (22, 23):
                self._sparse(value)

    def _sparse(self, view: memoryview) -> None:
        """A sparse tensor: its values are field 1, their places field 2."""
        for number, value in _fields(view):
            if number in (1, 2) and not isinstance(value, int):
                self._weight(value)

    def _weight(self, view: memoryview) -> None:
        kind, count = 0, 1
        for number, value in _fields(view):
            if number == 1:  # dims: one by one, or packed
                for size in (value,) if isinstance(value, int) else _varints(value):
                    count *= size
            elif number == 2 and isinstance(value, int):
                kind = value
            elif number == 13 and not isinstance(value, int):
                pair = {inner: _text(part) for inner, part in _fields(value) if not isinstance(part, int)}
                if pair.get(1) == "location":
                    self.external.add(pair.get(2, ""))
        name = _FORMATS.get(kind)
        if name is not None:
            self.elements[name] = self.elements.get(name, 0) + count

    def _input(self, view: memoryview) -> None:
        name, has_shape = "", True
        for number, value in _fields(view):
            if isinstance(value, int):
                continue
            if number == 1:
                name = _text(value)
            elif number == 2:  # its type: a tensor is field 1, of which the shape is field 2
                tensors = [part for inner, part in _fields(value) if inner == 1 and not isinstance(part, int)]
                has_shape = all(any(inner == 2 for inner, _ in _fields(tensor)) for tensor in tensors)
        if not has_shape:
            self.rankless.add(name)


def _fields(view: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field numbers with their values: a number, or the bytes of a field with a length."""
    place, end = 0, len(view)
    while place < end:
        key, place = _varint(view, place)
        if key >> 32:  # of which other readers would take the lower bits, and so see another field
            raise ValueError(f"got a field key of {key}, expected 32 bits")
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, place = _varint(view, place)
            yield number, value
        elif kind == _BYTES:
            size, place = _varint(view, place)
            if place + size > end:
                raise ValueError(f"field {number} ends {counted(place + size - end, 'byte')} behind the end")
            yield number, view[place : place + size]
            place += size
        elif kind in (_FIXED64, _FIXED32):
            place += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"field {number} has wire type {kind}")
    if place != end:
        raise ValueError("the last field is cut off")


def _varint(view: memoryview, place: int) -> tuple[int, int]:
    if place < len(view) and (first := view[place]) < 0x80:  # most of them
        return first, place + 1
    value = shift = 0
    while True:
        if place >= len(view) or shift > 63:
            raise ValueError("a number is cut off")
        byte = view[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7


def _varints(view: memoryview) -> Iterator[int]:
    place = 0
    while place < len(view):
        value, place = _varint(view, place)
        yield value


def _text(view: memoryview) -> str:
    return bytes(view).decode("utf-8", "replace")
