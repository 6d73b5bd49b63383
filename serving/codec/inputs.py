"""A request's inputs: each checked against the manifest, its elements taken from JSON or from the binary part."""

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np

from inference.errors import InvalidInput, counted
from inference.manifest import Manifest, TensorSpec
from inference.values import Array, DataType
from serving.codec.binary import decode_binary, text_of
from serving.codec.elements import decode_elements
from serving.codec.long_elements import LongList
from serving.codec.request import NO_DATA, InputHead, has_data, refuse_shared_memory, whole_number
from serving.codec.scan import Pace, unpaced

_STRING_BYTES = 64
"""Of a string beside its characters: the object, and its place in the array."""
_NOTHING: Array = np.empty(0)


class Blobs:
    """The binary part of a body, taken from its front, an input at a time."""

    __slots__ = ("_rest", "pace")

    def __init__(self, rest: memoryview | None, pace: Pace = unpaced) -> None:
        """`rest`: the binary part; None where the body has none. `pace` is called where decoding takes long."""
        self._rest, self.pace = rest, pace

    def take(self, size: int, field: str) -> memoryview:
        """The next `size` bytes; `InvalidInput` where fewer are left."""
        rest = self._rest
        if rest is None or size > len(rest):
            actual = "no binary part" if rest is None else f"{counted(len(rest), 'byte')} left in the body"
            raise InvalidInput(field, actual, f"the {size} that it says")
        self._rest = rest[size:]
        return rest[:size]

    def check_used_up(self) -> None:
        """`InvalidInput` where bytes are left over."""
        if self._rest:
            left = counted(len(self._rest), "byte")
            raise InvalidInput(
                "body", f"unexpected additional input data, {left}", "nothing after the last input"
            )


NO_BLOBS = Blobs(None)
"""Of a body that is JSON alone; shared, since nothing is ever taken from it."""


class InputDecoder:
    """The inputs of one version of one model."""

    def __init__(self, manifest: Manifest) -> None:
        self._specs = {spec.name: spec for spec in manifest.inputs}
        self._tails = {spec.name: list(spec.shape[1:]) for spec in manifest.inputs}
        self._batched = manifest.max_batch_size > 0
        self.takes_strings = any(spec.datatype is DataType.BYTES for spec in manifest.inputs)
        self._columns = frozenset(spec.name for spec in manifest.inputs if is_column(spec, manifest))

    def decode(self, heads: Sequence[InputHead], blobs: Blobs) -> tuple[dict[str, Array], int]:
        """Tensors by name, and the rows that each of them has; 1 for a model without a batch axis."""
        tensors: dict[str, Array] = {}
        rows = 0
        for index, head in enumerate(heads):
            spec = self._spec(head, index, tensors)
            if self._batched:
                rows = _check_rows(head.shape[0], rows, index)
            array = _elements(head, spec.datatype, blobs, f"inputs[{index}]")
            tensors[head.name] = array.reshape(-1) if self._columns and head.name in self._columns else array
        if len(tensors) != len(self._specs):
            raise self._missing(tensors)
        blobs.check_used_up()
        return tensors, rows or 1

    def check(self, heads: Sequence[InputHead]) -> None:
        """Refuse what `decode` would refuse by the heads alone."""
        named: dict[str, Array] = {}
        rows = 0
        for index, head in enumerate(heads):
            self._spec(head, index, named)
            if self._batched:
                rows = _check_rows(head.shape[0], rows, index)
            named[head.name] = _NOTHING
        if len(named) != len(self._specs):
            raise self._missing(named)

    def decoded_bytes(self, heads: Sequence[InputHead]) -> int:
        """How much memory the tensors of these inputs will take; those that are views of the body take none."""
        return sum(_decoded_bytes(head, self._specs[head.name].datatype) for head in heads)

    def decode_raw(self, body: bytes | memoryview, pace: Pace = unpaced) -> dict[str, Array]:
        """The whole body as the data of the model's only input, of batch 1; its length sets a variable axis."""
        if len(self._specs) != 1:
            raise InvalidInput("inputs", counted(len(self._specs), "input"), "1 for a raw request")
        (spec,) = self._specs.values()
        tail = spec.shape[1:] if self._batched else spec.shape
        leading = (1,) if self._batched else ()
        if tail.count(-1) > 1:
            raise InvalidInput("body", f"shape {list(spec.shape)}", "one variable axis in a raw request")
        if spec.datatype is DataType.BYTES:
            array: Array = np.array([text_of(body, pace)], dtype=np.object_)
            if prod(tail) not in (1, -1):
                raise InvalidInput("body", "one element", f"{prod(tail)}, as shape {list(spec.shape)} has")
            return {spec.name: array.reshape(leading + (1,) * len(tail))}
        fixed = spec.datatype.dtype.itemsize * abs(prod(tail))
        variable = len(body) // fixed if fixed else 0
        shape = leading + tuple(variable if axis == -1 else axis for axis in tail)
        return {spec.name: decode_binary(memoryview(body), spec.datatype, shape, "body")}

    def _missing(self, tensors: Mapping[str, Array]) -> InvalidInput:
        missing = sorted(self._specs.keys() - tensors.keys())
        return InvalidInput("inputs", counted(len(tensors), "input"), f"also {', '.join(missing)}")

    def _spec(self, head: InputHead, index: int, decoded: Mapping[str, Array]) -> TensorSpec:
        """The manifest's entry for this input; `InvalidInput` for another name, datatype or shape."""
        spec = self._specs.get(head.name)
        if spec is None:
            raise InvalidInput(f"inputs[{index}].name", head.name, f"one of {', '.join(self._specs)}")
        if head.name in decoded:
            raise InvalidInput(f"inputs[{index}].name", head.name, "each input once")
        if head.datatype != spec.datatype:
            raise InvalidInput(f"inputs[{index}].datatype", head.datatype, spec.datatype)
        shape = head.shape
        # Cheapest first: of nearly all requests the shape but for its batch is the manifest's.
        fits = self._batched and len(shape) > 0 and shape[1:] == self._tails[head.name]
        fits = fits or spec.any_shape or _fits(shape, spec.shape) or self._is_column(head)
        if not fits:
            raise InvalidInput(f"inputs[{index}].shape", shape, f"{list(spec.shape)}, -1 standing for any")
        return spec

    def _is_column(self, head: InputHead) -> bool:
        """Whether an input of one number a row came as the column that metadata show."""
        return head.name in self._columns and len(head.shape) == 2 and head.shape[1] == 1


def is_column(spec: TensorSpec, manifest: Manifest) -> bool:
    """Whether the batch is the tensor's only axis: it is shown as [-1, 1], as Triton shows it, and taken so too."""
    return manifest.max_batch_size > 0 and spec.shape == (-1,)


def _check_rows(rows: int, others: int, index: int) -> int:
    """`rows`, if there are any and as many as in the inputs before; `others` is 0 for the first input."""
    field = f"inputs[{index}].shape"
    if rows == 0:
        raise InvalidInput(field, "a batch of 0", "at least one row")
    if others not in (0, rows):
        expected = f"{counted(others, 'row')} as in the other inputs"
        raise InvalidInput(field, f"a batch of {rows}", expected)
    return rows


def _elements(head: InputHead, datatype: DataType, blobs: Blobs, field: str) -> Array:
    if not head.parameters:
        if head.data is NO_DATA:
            raise InvalidInput(field, "no data", "data, or parameters.binary_data_size")
        return decode_elements(head.data, datatype, head.shape, f"{field}.data")
    refuse_shared_memory(head.parameters, field)
    if head.parameters.get("binary_data_size") is None:
        plain = InputHead(head.name, head.shape, head.datatype, None, head.data)
        return _elements(plain, datatype, blobs, field)
    if head.data is not NO_DATA and has_data(head):
        raise InvalidInput(field, "both data and parameters.binary_data_size", "one of them")
    size = whole_number(head.parameters, "binary_data_size", f"{field}.parameters")
    blob = blobs.take(size, f"{field}.parameters.binary_data_size")
    return decode_binary(blob, datatype, head.shape, field, blobs.pace)


def _decoded_bytes(head: InputHead, datatype: DataType) -> int:
    data, strings = head.data, datatype is DataType.BYTES
    if isinstance(data, LongList):
        elements = min(prod(head.shape), data.most_elements())
        return elements * (_STRING_BYTES if strings else datatype.dtype.itemsize) + strings * (
            data.end - data.start
        )
    size = whole_number(head.parameters, "binary_data_size", "parameters") if head.parameters else 0
    if not strings:
        return min(size, prod(head.shape) * datatype.dtype.itemsize)  # copied where it does not lie aligned
    return size + min(prod(head.shape), size // 4) * _STRING_BYTES


def _fits(shape: Sequence[int], expected: Sequence[int]) -> bool:
    return len(shape) == len(expected) and all(
        length in (-1, actual) for actual, length in zip(shape, expected, strict=True)
    )
